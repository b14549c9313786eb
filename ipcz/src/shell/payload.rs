//! A parcel's contents, as the engine holds them.

use std::any::Any;
use std::sync::{Arc, Mutex};

use ipcz_core::{Payload, PortalId};

use super::origin::Origin;
use super::state::Shared;
use crate::OsHandle;
use crate::sync::lock;

/// What an application put. Portals are the engine's; their places among the handles are kept here,
/// in the order in which a walk through the whole tree meets them.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    pub(crate) data: Vec<u8>,
    /// What the engine is told, also while the data is lent to a reader: the bytes of this parcel
    /// and of all within it.
    pub(crate) num_bytes: usize,
    pub(crate) slots: Vec<Slot>,
    /// The connection that it came over, if it came from another node.
    pub(crate) origin: Option<Arc<Origin>>,
}

/// One place in a parcel's list of handles.
#[derive(Debug)]
pub(crate) enum Slot {
    /// The next of the parcel's portals.
    Portal,
    /// A handle of the operating system.
    Os(OsHandle),
    /// A value of the application's, which becomes a parcel when it leaves the node.
    Object(Value),
    /// A parcel within the parcel.
    Parcel(Box<Contents>),
}

/// A value of the application's. Its lock makes it one that threads may share, and is never waited
/// for: who has the value has it alone.
#[derive(Debug)]
pub(crate) struct Value(pub(crate) Box<Mutex<dyn AnyValue>>);

/// What is known of a value whose type is not.
pub(crate) trait AnyValue: Send + std::fmt::Debug {
    /// The value in its `Option`.
    fn any(&mut self) -> &mut dyn Any;
    /// Whether there is a way to make a parcel of it.
    fn has_serializer(&self) -> bool;
    /// Makes a parcel of it, if that is possible, for a node whose portals it may hold. Runs code of
    /// the application.
    fn serialize(&mut self, node: &Arc<Shared>) -> Option<Loose>;
}

/// Contents and the portals in them, which nobody holds: whoever has this gives them to the engine,
/// or closes them.
#[derive(Debug)]
pub(crate) struct Loose {
    pub(crate) contents: Contents,
    pub(crate) portals: Vec<PortalId>,
}

impl Value {
    fn has_serializer(&self) -> bool {
        lock(&self.0).has_serializer()
    }
}

impl Contents {
    /// Contents of these bytes and slots. What is within is measured.
    pub(crate) fn new(data: Vec<u8>, slots: Vec<Slot>) -> Self {
        let within = slots.iter().map(|slot| match slot {
            Slot::Parcel(contents) => contents.num_bytes,
            Slot::Portal | Slot::Os(_) | Slot::Object(_) => 0,
        });
        let num_bytes = within.fold(data.len(), usize::saturating_add);
        Self { num_bytes, data, slots, origin: None }
    }

    /// The first place whose slot, or something within it, is what `is` says. The tree is as deep as
    /// `limits` allow.
    pub(crate) fn find(&self, is: &impl Fn(&Slot) -> bool) -> Option<usize> {
        self.slots.iter().position(|slot| {
            is(slot) || matches!(slot, Slot::Parcel(within) if within.find(is).is_some())
        })
    }

    /// The first value that no parcel can be made of.
    pub(crate) fn find_fixed(&self) -> Option<usize> {
        self.find(&|slot| matches!(slot, Slot::Object(value) if !value.has_serializer()))
    }

    /// How many slots there are, in all parcels.
    pub(crate) fn num_slots(&self) -> usize {
        let within = self.slots.iter().map(|slot| match slot {
            Slot::Parcel(contents) => contents.num_slots(),
            Slot::Portal | Slot::Os(_) | Slot::Object(_) => 0,
        });
        within.fold(self.slots.len(), usize::saturating_add)
    }
}

impl Payload for Contents {
    fn num_bytes(&self) -> usize {
        self.num_bytes
    }

    fn is_ready(&self) -> bool {
        self.slots.is_empty() || self.find(&|slot| matches!(slot, Slot::Object(_))).is_none()
    }

    fn can_leave(&self) -> bool {
        self.slots.is_empty() || self.find_fixed().is_none()
    }
}
