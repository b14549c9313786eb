//! What a worker is asked to do.

use std::os::fd::OwnedFd;

use ipcz::OsHandle;
use serde::{Deserialize, Serialize};

use crate::anchors::Service;
use crate::columns::Column;
use crate::placement::Pin;
use crate::work::Work;

/// An order, which comes with the descriptors that it needs. It is done when what came with it is
/// closed, or told to stop.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Order {
    /// Serves the other side of an anchor.
    Anchor(Service, Pin),
    /// Serves the other side of a row. Some libraries are met by a name, others by a descriptor.
    Serve { column: Column, work: Work, pin: Pin, name: String },
}

/// The descriptors that came with an order, taken one by one.
pub(crate) struct Handles(std::vec::IntoIter<OwnedFd>);

impl Handles {
    pub(crate) fn new(descriptors: Vec<OwnedFd>) -> Self {
        Self(descriptors.into_iter())
    }

    pub(crate) fn fd(&mut self) -> OwnedFd {
        self.0.next().expect("the order comes with a descriptor")
    }

    /// The same as the anchors want it.
    pub(crate) fn os(&mut self) -> OsHandle {
        self.fd().into()
    }
}
