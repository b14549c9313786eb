//! What arrives through shared memory, on whichever thread reads it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use ipcz_core::ProtocolViolation;

use super::Link;
use super::inlet::{End, Inlet};
use crate::driver::{Frame, TransportClosed};
use crate::shell::pump::guarded;
use crate::shell::state::Shared;
use crate::shm::arena::SendArena;
use crate::shm::doorbell::{Flag, Sleep};

impl Link {
    /// The inlet, once the peer sends through it.
    fn open_inlet(&self) -> Option<&Inlet> {
        self.inlet.get().filter(|inlet| inlet.is_open())
    }

    /// Takes a frame that came over the transport, if it is one that a record in the ring speaks
    /// of, or an empty one, which only wakes. Whoever calls this reads afterwards.
    pub(in crate::shell) fn take_frame(&self, frame: Frame) -> Option<Frame> {
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
    pub(in crate::shell) fn read(self: &Arc<Self>, shared: &Arc<Shared>) -> bool {
        let Some(inlet) = self.open_inlet() else { return false };
        let mut any = false;
        while let Some(mut end) = inlet.begin() {
            let read = catch_unwind(AssertUnwindSafe(|| self.read_batch(shared, inlet, &mut end)));
            let Ok(read) = read else {
                guarded(|| shared.step(|state| state.engine.handle_garbage(self.peer)));
                inlet.abandon();
                self.close_now();
                return any;
            };
            any |= read;
            let (to_ring, to_send) = end.take_errands();
            let (again, ended) = inlet.finish(end);
            let to_send = inlet.take_nudge() || to_send;
            if to_send {
                if self.arena.get().is_some_and(SendArena::has_grown) {
                    // What came back may have been the last of a region.
                    shared.shrink_soon();
                }
                self.send_queued();
            }
            if to_ring {
                self.ring();
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
    pub(in crate::shell) fn end(&self, why: TransportClosed) -> Option<TransportClosed> {
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
            for mut message in end.batch.drain(..) {
                self.stamp(&mut message);
                state.take_message(self.peer, message);
            }
            if let Err(ProtocolViolation(_)) = outcome {
                state.engine.handle_garbage(self.peer);
            }
        });
        true
    }

    /// Has the peer ring `sleep` from now on, when there is something. Gives whether there was nothing; if
    /// not, the caller reads.
    pub(in crate::shell) fn arm(&self, sleep: Sleep) -> bool {
        let Some(inlet) = self.open_inlet() else { return true };
        let (is_quiet, to_ring) = inlet.arm(sleep);
        if to_ring {
            self.ring();
        }
        // The peer rings only whom it sees asleep, so there may be room by now.
        self.retry();
        is_quiet
    }

    pub(in crate::shell) fn disarm(&self) {
        self.open_inlet().into_iter().for_each(Inlet::disarm);
    }

    /// What a leader sleeps on, having armed it.
    pub(in crate::shell) fn flag(&self) -> Option<&Flag> {
        self.open_inlet().map(Inlet::flag)
    }

    pub(in crate::shell) fn has_more(&self) -> bool {
        self.open_inlet().is_some_and(Inlet::has_more)
    }

    /// The CPU of the peer's last message.
    pub(in crate::shell) fn sender_cpu(&self) -> u16 {
        self.open_inlet().map_or(crate::shm::record::NO_CPU, Inlet::sender_cpu)
    }

    /// Sends what had to wait, if the peer has made room meanwhile, and what is to go back to it.
    pub(in crate::shell) fn retry(&self) {
        let nudged = self.open_inlet().is_some_and(Inlet::take_nudge);
        if nudged || self.may_wait() {
            self.send_queued();
        }
    }
}
