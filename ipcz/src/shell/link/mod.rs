//! The connection to one peer: a queue of messages and whoever flushes it, and what arrives through
//! shared memory.
//!
//! What leaves goes through an `outbox`, whose order is the engine's. A link begins on its transport alone, and
//! changes over to shared memory where both nodes can (`switch`): from then on it sends through an `outlet`, and
//! what the peer sends is read from an `inlet` (`arrivals`), by whoever waits (`lead`).

mod arrivals;
mod bell;
mod fill;
mod frames;
mod inlet;
mod outbox;
mod outlet;
mod supply;
mod switch;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use ipcz_core::{Message, PeerId};

use super::data::Data;
use super::origin::Origin;
use super::payload::Contents;
use super::room::Room;
use super::state::Shared;
use crate::driver::{Attachment, Frame, Transport};
use crate::shm::Mapping;
use crate::shm::arena::SendArena;

use bell::Bell;
pub(super) use frames::{Incoming, into_message};
use inlet::Inlet;
use outbox::Outbox;
pub(crate) use outbox::Spent;
use outlet::Outlet;
use supply::Lent;
pub(super) use supply::Source;
use switch::Switching;

/// A message, and the transport or the memory that it carries.
pub(crate) type Addressed = (Message<Contents>, Option<Attachment>);

/// What is queued for a peer.
pub(crate) enum Outgoing {
    Message(Addressed),
    /// A word between the ends of the link, or a message that had to wait.
    Frame(Frame),
    /// The last frame that goes over the transport unannounced, and what carries what follows.
    Switch(Frame, Box<Outlet>),
}

/// The connection to a peer.
pub(crate) struct Link {
    pub(crate) peer: PeerId,
    pub(crate) transport: Box<dyn Transport>,
    outbox: Mutex<Outbox>,
    /// Whether there is more to do for what was pushed than to wake the peer.
    needs_flusher: AtomicBool,
    /// Wakes the peer, once it reads shared memory.
    bell: OnceLock<Bell>,
    /// Where large payloads are copied to.
    arena: OnceLock<SendArena<Arc<Mapping>>>,
    /// What else the arena gets, where this node may not make it.
    lent: Lent,
    /// The flusher is to look for regions of the arena that are not needed.
    to_shrink: AtomicBool,
    inlet: OnceLock<Inlet>,
    /// What parcels from there remember.
    origin: OnceLock<Arc<Origin>>,
    switching: Mutex<Switching>,
    /// Whether the node was told that the transport is closed.
    gone: AtomicBool,
    /// Whether more is queued than the node's limit.
    is_full: AtomicBool,
    room: Arc<Room>,
    /// The peer broke the rules of shared memory where it was sent to.
    broken: AtomicBool,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("peer", &self.peer).finish_non_exhaustive()
    }
}

impl Link {
    pub(crate) fn new(peer: PeerId, transport: Box<dyn Transport>, room: Arc<Room>) -> Self {
        Self {
            peer,
            transport,
            outbox: Mutex::default(),
            needs_flusher: AtomicBool::new(false),
            bell: OnceLock::new(),
            arena: OnceLock::new(),
            lent: Lent::default(),
            to_shrink: AtomicBool::new(false),
            inlet: OnceLock::new(),
            origin: OnceLock::new(),
            switching: Mutex::default(),
            gone: AtomicBool::new(false),
            is_full: AtomicBool::new(false),
            room,
            broken: AtomicBool::new(false),
        }
    }

    /// From now on, parcels that arrive can be traced to this link.
    pub(super) fn set_origin(self: &Arc<Self>, shared: &Arc<Shared>) {
        self.origin.get_or_init(|| Arc::new(Origin::new(shared, self)));
    }

    /// Notes in a parcel where it came from.
    pub(super) fn stamp(&self, message: &mut Incoming) {
        if let Ok((Message::Parcel { payload, .. }, _)) = message {
            payload.origin = self.origin.get().cloned();
        }
    }

    /// Copies bytes to where the peer can read them, if the link has such a place with room for them.
    pub(crate) fn stage(&self, data: &mut Data) {
        if let Some(arena) = self.arena.get() {
            data.stage(arena);
        }
    }

    /// Notes that the transport is closed. Gives whether that is news.
    pub(super) fn set_gone(&self) -> bool {
        !self.gone.swap(true, Ordering::Relaxed)
    }

    /// Whether the peer broke the rules of shared memory where it was sent to.
    pub(super) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }
}
