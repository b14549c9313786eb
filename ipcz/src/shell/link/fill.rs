//! How much is queued for a link.

use std::sync::atomic::Ordering;

use ipcz_core::Message;

use super::{Link, Outgoing};
use crate::sync::lock;

/// About what a message takes beside its payload while it is queued.
const MESSAGE_BYTES: usize = 256;

impl Outgoing {
    /// The bytes that it takes while it is queued. It is the same when a message has become a frame.
    pub(super) fn cost(&self) -> usize {
        let payload = match self {
            Self::Message((Message::Parcel { payload, .. }, _)) => payload.num_bytes,
            Self::Frame(frame) => frame.body.len(),
            Self::Message(_) | Self::Switch(..) => 0,
        };
        payload.saturating_add(MESSAGE_BYTES)
    }
}

impl Link {
    /// Whether so much is queued that nothing more is to be put.
    pub(crate) fn is_full(&self) -> bool {
        self.is_full.load(Ordering::Acquire)
    }

    /// So much is queued. Called under the outbox's lock, as everything is that changes this.
    pub(super) fn note_queued(&self, queued: usize) {
        if self.room.is_past(queued) && !self.is_full.swap(true, Ordering::AcqRel) {
            self.room.add_full();
        }
    }

    fn note_room(&self) -> bool {
        let was_full = self.is_full.swap(false, Ordering::AcqRel);
        if was_full {
            self.room.remove_full();
        }
        was_full
    }

    /// Looks whether there is room again, or none any more, after something has left or the link has ended.
    /// Called under no lock.
    pub(super) fn check_room(&self) {
        if !self.room.is_limited() {
            return;
        }
        let has_room = {
            let outbox = lock(&self.outbox);
            let queued = outbox.queued().saturating_add(self.transport.queued_bytes());
            self.note_queued(queued);
            // Once it has ended, puts say so, or go elsewhere.
            (outbox.has_ended() || self.room.is_enough(queued)) && self.note_room()
        };
        if has_room {
            self.room.wake(self.peer);
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.note_room();
    }
}
