//! What a worker is asked to do.

use ipcz::{Handle, OsHandle, Portal};
use serde::{Deserialize, Serialize};

use crate::anchors::Service;
use crate::placement::Pin;

/// How raw portals are waited on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Wait {
    /// With a thread.
    Blocking,
    /// In a task.
    Async,
    /// Not at all: what comes is dealt with in a trap's callback.
    Trap,
}

/// How a stream is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Read {
    /// Parcels are taken.
    Copied,
    /// Parcels are read where they are.
    InPlace,
}

/// An order, which comes with the handles that it needs. It is done when what came with it is closed,
/// or told to stop.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Order {
    /// Serves the other side of an anchor.
    Anchor(Service, Pin),
    /// Sends back what comes.
    Echo(Wait),
    /// Serves typed calls.
    Serve,
    /// Takes streams, with a thread for each portal that comes along.
    Sink { read: Read, window: u64 },
    /// Takes portals and keeps them until the end.
    Keep { window: u64 },
    /// Takes portals and answers what comes over each of them first.
    Answer,
}

/// The handles that came with an order, taken one by one.
pub(crate) struct Handles(std::vec::IntoIter<Handle>);

impl Handles {
    pub(crate) fn new(handles: Vec<Handle>) -> Self {
        Self(handles.into_iter())
    }

    pub(crate) fn portal(&mut self) -> Portal {
        self.portals().next().expect("the order comes with a portal")
    }

    pub(crate) fn portals(&mut self) -> impl Iterator<Item = Portal> {
        self.0.by_ref().map(|handle| match handle {
            Handle::Portal(portal) => portal,
            other => panic!("no portal: {other:?}"),
        })
    }

    pub(crate) fn os(&mut self) -> OsHandle {
        match self.0.next() {
            Some(Handle::Os(handle)) => handle,
            other => panic!("no OS handle: {other:?}"),
        }
    }
}
