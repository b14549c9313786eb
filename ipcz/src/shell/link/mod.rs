//! The connection to one peer: a queue of messages and whoever flushes it, and what arrives through
//! shared memory.
//!
//! The queue is filled under the node's lock, so its order is the engine's. It is emptied by one
//! *flusher* at a time, under no lock: callers that find one at work leave their messages to it. That
//! also makes a driver that calls back before it returns harmless.
//!
//! A link begins on its transport alone, and changes over to shared memory where both nodes can
//! (`switch`): from then on the flusher sends through an `outlet`, and what the peer sends is read from an
//! `inlet`, by whoever waits (`lead`).

mod bell;
mod frames;
mod inlet;
mod outlet;
mod switch;

use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use ipcz_core::{Message, PeerId, ProtocolViolation};

use super::origin::Origin;
use super::payload::Contents;
use super::state::Shared;
use crate::driver::{Attachment, Frame, Transport, TransportClosed};
use crate::shm::doorbell::Sleep;
use crate::shm::futex::Watched;
use crate::sync::lock;

pub(super) use frames::{Incoming, into_message};
use inlet::{End, Inlet};
use outlet::{Outlet, Sent};
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
    inlet: OnceLock<Inlet>,
    /// What parcels from there remember.
    origin: OnceLock<Arc<Origin>>,
    switching: Mutex<Switching>,
    /// Whether the node was told that the transport is closed.
    gone: AtomicBool,
    /// The peer broke the rules of shared memory where it was sent to.
    broken: AtomicBool,
}

#[derive(Default)]
struct Outbox {
    messages: VecDeque<Outgoing>,
    /// What the last flusher left for the next.
    spare: Kit,
    flushing: bool,
    /// Somebody wanted to flush meanwhile.
    again: bool,
    /// The peer waits for room in its ring, which there is now.
    to_ring: bool,
    /// What is queued has to wait until the peer has made room.
    stalled: bool,
    /// Take nothing more, and close the transport once everything has left.
    closing: bool,
    /// Close the transport as soon as everything was handed to it, whether or not it has left.
    hurry: bool,
    closed: bool,
}

/// What a flusher works with, so that a message costs no allocation for its place in a queue.
#[derive(Default)]
struct Kit {
    messages: VecDeque<Outgoing>,
    frames: VecDeque<Frame>,
    outlet: Option<Box<Outlet>>,
}

/// Queues above this capacity are not kept for the next flusher.
const KEPT_CAPACITY: usize = 256;

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("peer", &self.peer).finish_non_exhaustive()
    }
}

impl Link {
    pub(crate) fn new(peer: PeerId, transport: Box<dyn Transport>) -> Self {
        Self {
            peer,
            transport,
            outbox: Mutex::default(),
            inlet: OnceLock::new(),
            origin: OnceLock::new(),
            switching: Mutex::default(),
            gone: AtomicBool::new(false),
            broken: AtomicBool::new(false),
        }
    }

    /// Queues a message. Whoever calls this flushes the link after releasing the node's lock.
    pub(crate) fn push(&self, message: Outgoing) {
        let mut outbox = lock(&self.outbox);
        if !outbox.closing {
            outbox.messages.push_back(message);
        }
    }

    /// Queues the end: nothing is taken after it.
    pub(crate) fn close_after_flush(&self) {
        lock(&self.outbox).closing = true;
    }

    /// Queues the end, as [`Link::close_after_flush`] did, of a peer that is not waited for.
    pub(crate) fn close_soon(&self) {
        lock(&self.outbox).hurry = true;
        self.flush();
    }

    /// Sends what is queued, unless somebody is at it, who then does this too.
    pub(crate) fn flush(&self) {
        let mut kit = Kit::default();
        let Some(mut to_ring) = self.begin_flush(&mut kit) else { return };
        loop {
            let stalled = self.send_batch(&mut kit, to_ring);
            match self.end_flush(&mut kit, stalled) {
                Some(again) => to_ring = again,
                None => break,
            }
        }
        self.close_if_done();
    }

    /// Becomes the flusher, and takes what is queued. Gives whether the peer is to be rung anyway.
    fn begin_flush(&self, kit: &mut Kit) -> Option<bool> {
        let mut outbox = lock(&self.outbox);
        if outbox.flushing {
            outbox.again = true;
            return None;
        }
        outbox.flushing = true;
        *kit = std::mem::take(&mut outbox.spare);
        Some(outbox.take_batch(kit))
    }

    /// Takes what was queued meanwhile, as [`Link::begin_flush`] does. If that is nothing, or has to
    /// wait, the caller is no flusher any more.
    fn end_flush(&self, kit: &mut Kit, stalled: bool) -> Option<bool> {
        let mut outbox = lock(&self.outbox);
        if outbox.again || !stalled && !outbox.messages.is_empty() {
            return Some(outbox.take_batch(kit));
        }
        outbox.flushing = false;
        outbox.stalled = stalled;
        kit.messages.append(&mut outbox.messages);
        std::mem::swap(&mut kit.messages, &mut outbox.messages);
        if kit.messages.capacity().max(kit.frames.capacity()) > KEPT_CAPACITY {
            (kit.messages, kit.frames) = Default::default();
        }
        outbox.spare = std::mem::take(kit);
        None
    }

    /// Sends a batch. Gives whether something is left that has to wait.
    fn send_batch(&self, kit: &mut Kit, to_ring: bool) -> bool {
        if kit.outlet.is_none() {
            self.send_frames(kit);
        }
        let Some(outlet) = &mut kit.outlet else { return false };
        let rung = if to_ring { outlet.bell.ring(&*self.transport) } else { Ok(()) };
        match rung.and_then(|()| outlet.send(&mut kit.messages, &*self.transport)) {
            Ok(Sent::All) => false,
            Ok(Sent::Stalled) => true,
            Err(_) => {
                kit.messages.clear();
                self.broken.store(true, Ordering::Release);
                self.transport.deactivate();
                false
            }
        }
    }

    /// Sends over the transport, up to the word that ends this.
    fn send_frames(&self, kit: &mut Kit) {
        while kit.outlet.is_none() {
            let Some(next) = kit.messages.pop_front() else { break };
            kit.frames.push_back(match next {
                Outgoing::Message(message) => frames::into_frame(message, Vec::with_capacity(64)),
                Outgoing::Frame(frame) => frame,
                Outgoing::Switch(frame, outlet) => {
                    kit.outlet = Some(outlet);
                    frame
                }
            });
        }
        if !kit.frames.is_empty() && self.transport.transmit(&mut kit.frames).is_err() {
            // The handler hears of it, or has: what is lost here is lost with the peer.
            kit.frames.clear();
        }
    }

    /// Everything that the transport had queued has left.
    pub(crate) fn drained(&self) {
        self.close_if_done();
    }

    fn close_if_done(&self) {
        {
            let mut outbox = lock(&self.outbox);
            let done = outbox.closing && !outbox.flushing && outbox.messages.is_empty();
            if !done || outbox.closed || (!outbox.hurry && self.transport.queued_bytes() > 0) {
                return;
            }
            outbox.closed = true;
        }
        self.transport.deactivate();
    }

    pub(crate) fn is_closed(&self) -> bool {
        lock(&self.outbox).closed
    }

    /// Whether something was put that the system has not taken.
    pub(super) fn has_unsent(&self) -> bool {
        let outbox = lock(&self.outbox);
        outbox.flushing || !outbox.messages.is_empty() || self.transport.queued_bytes() > 0
    }

    /// Closes the transport now, whatever is queued.
    pub(crate) fn close_now(&self) {
        let unsent = {
            let mut outbox = lock(&self.outbox);
            outbox.closing = true;
            if std::mem::replace(&mut outbox.closed, true) {
                return;
            }
            std::mem::take(&mut outbox.messages)
        };
        self.transport.deactivate();
        drop(unsent);
    }

    /// From now on, parcels that arrive can be traced to this link.
    pub(super) fn set_origin(self: &Arc<Self>, shared: &Arc<Shared>) {
        self.origin.get_or_init(|| Arc::new(Origin::new(shared, self)));
    }

    /// Notes in a parcel where it came from.
    pub(super) fn stamp(&self, mut message: Incoming) -> Incoming {
        if let Ok((Message::Parcel { payload, .. }, _)) = &mut message {
            payload.origin = self.origin.get().cloned();
        }
        message
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

impl Outbox {
    /// Moves what is queued behind what a flusher has. Gives whether the peer is to be rung.
    fn take_batch(&mut self, kit: &mut Kit) -> bool {
        self.again = false;
        if kit.messages.is_empty() {
            std::mem::swap(&mut self.messages, &mut kit.messages);
        } else {
            kit.messages.append(&mut self.messages);
        }
        std::mem::take(&mut self.to_ring)
    }
}

/// What arrives through shared memory.
impl Link {
    /// The inlet, once the peer sends through it.
    fn open_inlet(&self) -> Option<&Inlet> {
        self.inlet.get().filter(|inlet| inlet.is_open())
    }

    /// Takes a frame that came over the transport, if it is one that a record in the ring speaks
    /// of, or an empty one, which only wakes. Whoever calls this reads afterwards.
    pub(super) fn take_frame(&self, frame: Frame) -> Option<Frame> {
        let Some(inlet) = self.open_inlet() else { return Some(frame) };
        if !(frame.head.is_empty() && frame.body.is_empty() && frame.attachments.is_empty()) {
            inlet.push(frame);
        }
        None
    }

    /// Reads a batch, and hands it to the engine. Gives whether there was anything.
    ///
    /// A panic in here is a defect of this crate that the peer has found. It costs the peer its
    /// connection, and no other peer anything.
    pub(super) fn read(self: &Arc<Self>, shared: &Arc<Shared>) -> bool {
        let Some(inlet) = self.open_inlet() else { return false };
        let mut any = false;
        while let Some(mut end) = inlet.begin() {
            let read = catch_unwind(AssertUnwindSafe(|| self.read_batch(shared, inlet, &mut end)));
            let Ok(read) = read else {
                super::pump::guarded(|| {
                    shared.step(|state| state.engine.handle_garbage(self.peer))
                });
                inlet.abandon();
                self.close_now();
                return any;
            };
            any |= read;
            let (to_ring, to_send) = end.take_errands();
            let (again, ended) = inlet.finish(end);
            let to_send = inlet.take_nudge() || to_send;
            if to_ring {
                lock(&self.outbox).to_ring = true;
            }
            if to_ring || to_send {
                self.flush();
            }
            if let Some(why) = ended {
                shared.link_ended(self, why);
            }
            if !again {
                break;
            }
        }
        any
    }

    /// The transport is closed. Gives `why` back unless somebody is reading, who sees to it then.
    pub(super) fn end(&self, why: TransportClosed) -> Option<TransportClosed> {
        match self.inlet.get() {
            Some(inlet) => inlet.end(why),
            None => Some(why),
        }
    }

    fn read_batch(&self, shared: &Arc<Shared>, inlet: &Inlet, end: &mut End) -> bool {
        let outcome = inlet.read(end);
        if end.batch.is_empty() && outcome.is_ok() {
            return matches!(outcome, Ok(true));
        }
        shared.step(|state| {
            for message in end.batch.drain(..) {
                state.take_message(self.peer, self.stamp(message));
            }
            if let Err(ProtocolViolation(_)) = outcome {
                state.engine.handle_garbage(self.peer);
            }
        });
        true
    }

    /// Has the peer ring `sleep` from now on, when there is something. Gives whether there was nothing; if
    /// not, the caller reads.
    pub(super) fn arm(&self, sleep: Sleep) -> bool {
        let Some(inlet) = self.open_inlet() else { return true };
        inlet.arm(sleep);
        // The peer rings only whom it sees asleep, so there may be room by now.
        self.retry();
        inlet.is_quiet()
    }

    pub(super) fn disarm(&self) {
        self.open_inlet().into_iter().for_each(Inlet::disarm);
    }

    /// What a leader sleeps on, having armed it.
    pub(super) fn flag(&self) -> Option<Watched<'_>> {
        self.open_inlet().map(Inlet::flag)
    }

    pub(super) fn has_more(&self) -> bool {
        self.open_inlet().is_some_and(Inlet::has_more)
    }

    /// The CPU of the peer's last message.
    pub(super) fn sender_cpu(&self) -> u16 {
        self.open_inlet().map_or(crate::shm::record::NO_CPU, Inlet::sender_cpu)
    }

    /// Sends what had to wait, if the peer has made room meanwhile, and what is to go back to it.
    ///
    /// A flusher at work may have found no room, and not said so yet: it tries once more.
    pub(super) fn retry(&self) {
        let nudged = self.open_inlet().is_some_and(Inlet::take_nudge);
        let may_wait = {
            let outbox = lock(&self.outbox);
            outbox.stalled || outbox.flushing
        };
        if nudged || may_wait {
            self.flush();
        }
    }
}
