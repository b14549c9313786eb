//! What leaves: written at once where that is possible, else queued for whoever flushes.
//!
//! Messages are pushed under the node's lock, so their order is the engine's. A small one is
//! written straight into the ring, if nobody is flushing and nothing is queued before it: then all that is
//! left to do, after the node's lock was released, is to wake the peer if it sleeps. Everything else is
//! queued, and leaves by one *flusher* at a time, under no lock: callers that find one at work leave
//! their messages to it. That also makes a driver that calls back before it returns harmless.
//!
//! | what leaves | system calls | copies | allocations | locks | wake-ups |
//! | --- | --- | --- | --- | --- | --- |
//! | up to 4 KiB, written at once | - | 1, into the ring, under the node's lock | - | the outbox's, once | 1 if the peer sleeps |
//! | larger, staged before, written at once | - | - | - | the outbox's, once | 1 if the peer sleeps |
//! | anything else | see `outlet` | see `outlet` | - once the queue has grown | the outbox's, once to queue, 3 times a batch | 1 a batch if the peer sleeps |
//!
//! A wake-up is one system call: to a thread that waits, through the word that it sleeps on; to a background thread,
//! by an empty frame over the transport. With a limit on what is queued (`fill`), a batch takes the lock once
//! more, and the transport's; what is written at once is not counted, and costs nothing more. `tests/tests/data_calls.rs`
//! and `allocations.rs` count.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;

use ipcz_core::Message;

use super::outlet::{Outlet, Sent};
use super::{Addressed, Link, Outgoing, frames};
use crate::driver::{Attachment, Frame};
use crate::shell::data::Data;
use crate::shell::payload::Contents;
use crate::shm::RingBroken;
use crate::sync::lock;

#[derive(Default)]
pub(super) struct Outbox {
    messages: VecDeque<Outgoing>,
    /// What these take, and those that a flusher has.
    queued: usize,
    /// What the last flusher left for the next.
    spare: Kit,
    flushing: bool,
    /// Somebody wanted to flush meanwhile.
    again: bool,
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
    /// What those took that have left.
    left: usize,
}

/// What is left of a message that was taken, or not taken after the end.
#[allow(dead_code, reason = "it is only dropped")]
pub(crate) enum Spent {
    Data(Data),
    Message(Box<Addressed>),
}

impl Spent {
    #[cold]
    pub(crate) fn message(message: Message<Contents>, carried: Option<Attachment>) -> Self {
        Self::Message(Box::new((message, carried)))
    }
}

/// Queues above this capacity are not kept for the next flusher.
const KEPT_CAPACITY: usize = 256;

impl Link {
    /// Takes a message. Whoever calls this flushes the link after releasing the node's lock, and then drops
    /// what this gives: to give memory back to the system can take a while.
    #[must_use]
    pub(crate) fn push(
        &self,
        mut message: Message<Contents>,
        carried: Option<Attachment>,
    ) -> Option<Spent> {
        let mut outbox = lock(&self.outbox);
        if outbox.closing {
            return Some(Spent::message(message, carried));
        }
        if carried.is_none() && outbox.write_through(&mut message) {
            return frames::body_of(&mut message).map(std::mem::take).map(Spent::Data);
        }
        let message = Outgoing::Message((message, carried));
        outbox.queued = outbox.queued.saturating_add(message.cost());
        self.note_queued(outbox.queued);
        outbox.messages.push_back(message);
        self.needs_flusher.store(true, Ordering::Release);
        None
    }

    /// Takes a word between the ends of the link, as [`Link::push`] takes a message.
    pub(super) fn push_word(&self, word: Outgoing) {
        let mut outbox = lock(&self.outbox);
        if !outbox.closing {
            outbox.queued = outbox.queued.saturating_add(word.cost());
            outbox.messages.push_back(word);
            self.needs_flusher.store(true, Ordering::Release);
        }
    }

    /// Takes the end: nothing is taken after it.
    pub(crate) fn close_after_flush(&self) {
        lock(&self.outbox).closing = true;
        self.needs_flusher.store(true, Ordering::Release);
    }

    /// Takes the end, as [`Link::close_after_flush`] did, of a peer that is not waited for.
    pub(crate) fn close_soon(&self) {
        lock(&self.outbox).hurry = true;
        self.needs_flusher.store(true, Ordering::Release);
        self.flush();
    }

    /// Sees to it that what was pushed leaves: sends what is queued, unless somebody is at it, who then
    /// does this too; wakes the peer for what was written already.
    pub(crate) fn flush(&self) {
        // Set before whoever pushed something came here.
        if !self.needs_flusher.load(Ordering::Acquire) {
            return self.ring();
        }
        self.send_queued();
    }

    /// Sends what is queued, and what there is to hand back.
    pub(super) fn send_queued(&self) {
        let mut kit = Kit::default();
        if !self.begin_flush(&mut kit) {
            return;
        }
        loop {
            let stalled = self.send_batch(&mut kit);
            if !self.end_flush(&mut kit, stalled) {
                break;
            }
        }
        self.check_room();
        self.close_if_done();
    }

    /// Wakes the peer if it sleeps: there is something to read for it, or room to write.
    pub(super) fn ring(&self) {
        if let Some(bell) = self.bell.get()
            && bell.ring(&*self.transport).is_err()
        {
            self.break_off();
        }
    }

    /// The peer broke the rules of shared memory where it is sent to.
    fn break_off(&self) {
        self.broken.store(true, Ordering::Release);
        self.transport.deactivate();
    }

    /// Becomes the flusher, and takes what is queued.
    fn begin_flush(&self, kit: &mut Kit) -> bool {
        let mut outbox = lock(&self.outbox);
        if outbox.flushing {
            outbox.again = true;
            return false;
        }
        outbox.flushing = true;
        *kit = std::mem::take(&mut outbox.spare);
        outbox.take_batch(kit);
        true
    }

    /// Takes what was queued meanwhile, as [`Link::begin_flush`] does. If that is nothing, or has to
    /// wait, the caller is no flusher any more.
    fn end_flush(&self, kit: &mut Kit, stalled: bool) -> bool {
        let mut outbox = lock(&self.outbox);
        outbox.queued = outbox.queued.saturating_sub(std::mem::take(&mut kit.left));
        if outbox.again || !stalled && !outbox.messages.is_empty() {
            outbox.take_batch(kit);
            return true;
        }
        outbox.flushing = false;
        outbox.stalled = stalled;
        kit.messages.append(&mut outbox.messages);
        std::mem::swap(&mut kit.messages, &mut outbox.messages);
        if outbox.messages.is_empty() {
            outbox.queued = 0;
        }
        if kit.messages.capacity().max(kit.frames.capacity()) > KEPT_CAPACITY {
            (kit.messages, kit.frames) = Default::default();
        }
        outbox.spare = std::mem::take(kit);
        let is_idle = outbox.messages.is_empty() && !outbox.closing && !outbox.hurry;
        self.needs_flusher.store(!is_idle, Ordering::Release);
        false
    }

    /// Sends a batch. Gives whether something is left that has to wait.
    fn send_batch(&self, kit: &mut Kit) -> bool {
        if kit.outlet.is_none() {
            self.send_frames(kit);
        }
        let Some(outlet) = &mut kit.outlet else { return false };
        self.tend_arena(outlet);
        let sent = self.send_in_memory(outlet, &mut kit.messages);
        kit.left = kit.left.saturating_add(std::mem::take(&mut outlet.sent));
        match sent {
            Ok(Sent::All) => false,
            Ok(Sent::Stalled) => true,
            Err(RingBroken(_)) => {
                kit.messages.clear();
                self.break_off();
                false
            }
        }
    }

    fn send_in_memory(
        &self,
        outlet: &mut Outlet,
        messages: &mut VecDeque<Outgoing>,
    ) -> Result<Sent, RingBroken> {
        let sent = outlet.send(messages, &*self.transport)?;
        // Also when nothing was written: somebody else's message may have been, whose bell is left to
        // this flusher.
        self.bell.get().map_or(Ok(()), |bell| bell.ring(&*self.transport))?;
        Ok(sent)
    }

    /// Sends over the transport, up to the word that ends this.
    fn send_frames(&self, kit: &mut Kit) {
        while kit.outlet.is_none() {
            let Some(next) = kit.messages.pop_front() else { break };
            kit.left = kit.left.saturating_add(next.cost());
            kit.frames.push_back(match next {
                Outgoing::Message(message) => {
                    frames::into_frame(message, Vec::with_capacity(64), None).0
                }
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
        self.check_room();
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
    pub(in crate::shell) fn has_unsent(&self) -> bool {
        let outbox = lock(&self.outbox);
        outbox.flushing || !outbox.messages.is_empty() || self.transport.queued_bytes() > 0
    }

    /// Whether something had to wait for room, or a flusher is at work, who may have found none and not
    /// said so yet.
    pub(super) fn may_wait(&self) -> bool {
        let outbox = lock(&self.outbox);
        outbox.stalled || outbox.flushing
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
        self.check_room();
        drop(unsent);
    }
}

impl Outbox {
    pub(super) fn queued(&self) -> usize {
        self.queued
    }

    /// Whether nothing more is taken.
    pub(super) fn has_ended(&self) -> bool {
        self.closing || self.closed
    }

    /// Writes a message where the peer can read it, if nothing is before it and it is small or staged. Gives whether
    /// it did.
    fn write_through(&mut self, message: &mut Message<Contents>) -> bool {
        let outlet = self.spare.outlet.as_mut();
        let outlet = outlet.filter(|_| !self.flushing && self.messages.is_empty());
        outlet.is_some_and(|outlet| outlet.write_through(message))
    }

    /// Moves what is queued behind what a flusher has.
    fn take_batch(&mut self, kit: &mut Kit) {
        self.again = false;
        if kit.messages.is_empty() {
            std::mem::swap(&mut self.messages, &mut kit.messages);
        } else {
            kit.messages.append(&mut self.messages);
        }
    }
}
