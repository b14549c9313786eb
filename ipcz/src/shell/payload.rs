//! A parcel's contents, as the engine holds them.

use ipcz_core::Payload;

use crate::OsHandle;

/// What an application put. Portals are the engine's; their places among the handles are kept here.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    pub(crate) data: Vec<u8>,
    /// What the engine is told, also while the data is lent to a reader.
    pub(crate) num_bytes: usize,
    pub(crate) slots: Vec<Slot>,
}

/// One place in a parcel's list of handles.
#[derive(Debug)]
pub(crate) enum Slot {
    /// The next of the parcel's portals.
    Portal,
    /// A handle of the operating system.
    Os(OsHandle),
}

impl Payload for Contents {
    fn num_bytes(&self) -> usize {
        self.num_bytes
    }
}

impl Contents {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.data
    }

    /// Whether there is something in it that only a driver can carry.
    pub(crate) fn has_attachments(&self) -> bool {
        self.slots.iter().any(|slot| matches!(slot, Slot::Os(_)))
    }
}
