//! How a link changes over from its transport to shared memory.
//!
//! ```text
//!  maker ──Offer(region)──▶ taker            of two nodes that can, the one with the lesser name
//!        ◀────Accept────── ║                 ║ from here on, that side sends through the region
//!     ║  ─────Switch─────▶
//! ```
//!
//! Where neither may make memory, the one with the lesser name asks its delegate, and offers what it gets. If it
//! gets nothing, or cannot send it directly, it passes, and the other one does the same, but for passing: if that
//! has nothing either, nothing more is said.
//!
//! ```text
//!  lesser ──────Pass──────▶ greater
//!         ◀──Offer(region)──                 and on as above
//! ```
//!
//! Accept and Switch are the last words that come over the transport unannounced, so each direction
//! stays in order: what was sent before them has arrived when the receiver begins to read the region. A taker
//! that has no room says Decline, and everything goes on over the transport.

use std::sync::Arc;

use ipcz_core::ProtocolViolation;

use super::bell::Bell;
use super::inlet::{End, Inlet, Nudge};
use super::outlet::Outlet;
use super::supply::Supply;
use super::{Link, Outgoing, Source};
use crate::driver::{Attachment, Frame};
use crate::shell::state::Shared;
use crate::shm::Region;
use crate::shm::doorbell::Sleep;
use crate::shm::layout::Layout;
use crate::shm::link::{Budgets, Ends, LinkError};
use crate::sync::lock;
use crate::wire::{self, LinkMessage, Offer};

/// What each side may add to its arena: room for the largest payload, and as much as a fast sender has in
/// flight besides.
const BUDGET: u64 = (wire::MAX_PAYLOAD as u64) + (64 << 20);

/// How far a link is.
#[derive(Default)]
pub(super) enum Switching {
    #[default]
    Transport,
    /// This side has asked its delegate for the region.
    Asked,
    /// This side has passed.
    Passed,
    /// This side made the region, and waits for an answer.
    Offered(Box<Ends>, Arc<Nudge>),
    /// This side uses the region; the other one has yet to say so.
    Taken,
    /// Nothing more will be said about it.
    Settled,
}

impl Link {
    /// Offers the peer a region, once it is there. Without memory for one, everything stays as it is.
    pub(in crate::shell) fn offer(self: &Arc<Self>, shared: &Arc<Shared>) {
        let num_bytes = Layout::DEFAULT.num_bytes();
        match shared.source {
            Source::Driver => {
                let region = shared.driver.allocate_region(num_bytes);
                let _ = region.is_ok_and(|region| self.offer_region(shared, region));
            }
            Source::Delegate => {
                *lock(&self.switching) = Switching::Asked;
                shared.allocate_for_link(self, num_bytes);
            }
            Source::Nobody => self.pass(shared),
        }
    }

    /// Leaves it to the peer to find memory, if it is the first to be without.
    fn pass(self: &Arc<Self>, shared: &Arc<Shared>) {
        let is_first = shared.look(|state| state.is_maker(self.peer));
        *lock(&self.switching) = if is_first { Switching::Passed } else { Switching::Settled };
        if is_first {
            self.push_word(Outgoing::Frame(word(LinkMessage::Pass, None)));
            self.flush();
        }
    }

    /// Takes what the delegate gave, if it did: the link's region, or one for its arena.
    pub(in crate::shell) fn take_memory(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        memory: Option<Region>,
    ) {
        if !matches!(*lock(&self.switching), Switching::Asked) {
            return self.lend(memory);
        }
        if !memory.is_some_and(|region| self.offer_region(shared, region)) {
            self.pass(shared);
        }
    }

    /// Gives whether there is an offer now.
    fn offer_region(self: &Arc<Self>, shared: &Arc<Shared>, region: Region) -> bool {
        let layout = Layout::DEFAULT;
        let budgets = Budgets { send: BUDGET, receive: BUDGET };
        let nudge = Nudge::new(Arc::clone(&shared.driver));
        let Ok(ends) = Ends::make(&region, layout, budgets, told(&nudge)) else { return false };
        *lock(&self.switching) = Switching::Offered(Box::new(ends), nudge);
        let offer = Offer {
            ring_bytes: layout.ring_bytes(),
            arena_bytes: layout.arena_bytes(),
            send_budget: budgets.send,
            receive_budget: budgets.receive,
        };
        self.push_word(Outgoing::Frame(word(LinkMessage::Offer(offer), Some(region))));
        self.flush();
        true
    }

    /// Takes what the peer says about the link.
    ///
    /// # Errors
    /// It is nothing that can be said now.
    pub(in crate::shell) fn take_word(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        message: LinkMessage,
        attachments: Vec<Attachment>,
    ) -> Result<(), ProtocolViolation> {
        let before = std::mem::replace(&mut *lock(&self.switching), Switching::Settled);
        match (message, before) {
            (LinkMessage::Offer(offer), Switching::Transport) => {
                if !shared.look(|state| state.may_be_offered(self.peer)) {
                    return Err(ProtocolViolation("shared memory that nobody asked for"));
                }
                self.take_offer(shared, offer, attachments)
            }
            (LinkMessage::Offer(offer), Switching::Passed) => {
                self.take_offer(shared, offer, attachments)
            }
            (LinkMessage::Pass, Switching::Transport) if attachments.is_empty() => {
                if !shared.look(|state| state.may_be_passed_to(self.peer)) {
                    return Err(ProtocolViolation("a turn that nobody waits for"));
                }
                self.offer(shared);
                Ok(())
            }
            (LinkMessage::Accept, Switching::Offered(ends, nudge)) if attachments.is_empty() => {
                let outlet = self.connect(shared, *ends, nudge);
                self.push_word(Outgoing::Switch(word(LinkMessage::Switch, None), outlet));
                self.open(shared);
                self.flush();
                Ok(())
            }
            (LinkMessage::Switch, Switching::Taken) if attachments.is_empty() => {
                self.open(shared);
                Ok(())
            }
            (LinkMessage::Decline, Switching::Offered(..)) if attachments.is_empty() => Ok(()),
            _ => Err(ProtocolViolation("a word about shared memory out of turn")),
        }
    }

    fn take_offer(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        offer: Offer,
        attachments: Vec<Attachment>,
    ) -> Result<(), ProtocolViolation> {
        let Ok([Attachment::Region(region)]) = <[Attachment; 1]>::try_from(attachments) else {
            return Err(ProtocolViolation("an offer without memory"));
        };
        if !region.is_writable() {
            return Err(ProtocolViolation("shared memory that only its maker writes"));
        }
        let layout = Layout::new(offer.ring_bytes, offer.arena_bytes);
        let layout = layout.map_err(|_| ProtocolViolation("shared memory of impossible sizes"))?;
        if offer.receive_budget > BUDGET || offer.send_budget > BUDGET {
            return Err(ProtocolViolation("shared memory beyond any need"));
        }
        let budgets = Budgets { send: offer.receive_budget, receive: offer.send_budget };
        let nudge = Nudge::new(Arc::clone(&shared.driver));
        match Ends::take(&region, layout, budgets, told(&nudge)) {
            Ok(ends) => {
                let outlet = self.connect(shared, ends, nudge);
                *lock(&self.switching) = Switching::Taken;
                self.push_word(Outgoing::Switch(word(LinkMessage::Accept, None), outlet));
            }
            Err(LinkError::Os(_)) => {
                self.push_word(Outgoing::Frame(word(LinkMessage::Decline, None)));
            }
            Err(_) => return Err(ProtocolViolation("shared memory that is not what was offered")),
        }
        self.flush();
        Ok(())
    }

    /// Makes the two ends of the region this link's. What arrives is read once the inlet is open.
    fn connect(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        ends: Ends,
        nudge: Arc<Nudge>,
    ) -> Box<Outlet> {
        let Ends { writer, doorbell, reader, sleeper, send_arena, receive_arena } = ends;
        let end = End::new(reader, receive_arena.clone(), send_arena.clone());
        let _ = self.inlet.set(Inlet::new(end, sleeper, nudge));
        let _ = self.bell.set(Bell::new(doorbell));
        let _ = self.arena.set(send_arena.clone());
        Box::new(Outlet {
            writer,
            arena: send_arena,
            received: receive_arena,
            supply: Supply::new(shared, self),
            lent: None,
            dropped: Vec::new(),
            head: Vec::new(),
            wants: false,
            sent: 0,
        })
    }

    /// Begins to read.
    fn open(self: &Arc<Self>, shared: &Arc<Shared>) {
        let Some(inlet) = self.inlet.get() else { return };
        inlet.open();
        let _ = inlet.arm(Sleep::Background);
        shared.lead.add(self);
    }
}

/// What the arena calls when blocks are to go back.
fn told(nudge: &Arc<Nudge>) -> impl Fn() + Send + Sync + 'static {
    let nudge = Arc::clone(nudge);
    move || nudge.nudge()
}

fn word(message: LinkMessage, region: Option<Region>) -> Frame {
    let attachments = region.into_iter().map(Attachment::Region).collect();
    Frame { head: message.encode(), attachments, ..Frame::default() }
}
