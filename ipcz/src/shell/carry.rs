//! What follows from a step: sorted under the lock, done outside it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

use ipcz_core::{
    AllocationId, Cause, CauseKind, Effect, Message, Pairing, Parcel, PeerId, PortalId, Ticket,
    TrapEvent,
};
use smallvec::SmallVec;

use super::allocation::{Asker, Outcome};
use super::callbacks::Callbacks;
use super::link::{Link, Spent};
use super::notices::Notice;
use super::payload::Contents;
use super::pump::{LINGER, LinkHandler, guarded};
use super::room::wake_all;
use super::state::{ConnectionState, Shared, State};
use crate::driver::{Attachment, Transport};
use crate::shm::Region;
use crate::sync::lock;
use crate::wire;

/// Work that needs the node's lock released. Most steps have none or one piece of it, and that costs no
/// allocation.
#[derive(Default)]
pub(crate) struct Work {
    flush: SmallVec<[Arc<Link>; 1]>,
    notices: SmallVec<[(Notice, TrapEvent); 1]>,
    /// What is left of messages, to be dropped.
    spent: SmallVec<[Spent; 1]>,
    /// The pump has callbacks to run.
    callbacks: bool,
    /// What few steps have.
    rest: Option<Box<Rest>>,
}

/// What a step leaves to do that has sent one message, and has nothing else to do.
pub(super) struct Sent {
    link: Option<Arc<Link>>,
    spent: Option<Spent>,
}

impl Sent {
    /// To be called under no lock.
    #[inline]
    pub(super) fn finish(self) {
        self.link.iter().for_each(|link| link.flush());
        drop(self.spent);
    }
}

/// What few steps leave to do.
#[derive(Default)]
struct Rest {
    activate: Vec<Arc<Link>>,
    /// Links to peers that shared memory can be offered to.
    offer: Vec<Arc<Link>>,
    close: Vec<(Arc<Link>, Cause)>,
    pairings: Vec<Pairing>,
    /// Parcels that hold what has to become a parcel.
    serialize: VecDeque<(Ticket, Parcel<Contents>)>,
    /// Values of the application's that nobody will take.
    discarded: Vec<Contents>,
    unwanted: Vec<Box<dyn Transport>>,
    unwanted_memory: Vec<Region>,
    /// Memory to make.
    allocate: Vec<(AllocationId, u64)>,
    /// Who waits for memory, and what became of it.
    allocated: Vec<(Asker, Outcome)>,
    /// Who may put elsewhere, or not at all any more.
    rerouted: Vec<Waker>,
    /// Connections of which more is known.
    changed: Vec<Arc<ConnectionState>>,
}

impl Work {
    fn rest(&mut self) -> &mut Rest {
        self.rest.get_or_insert_default()
    }

    fn take_serialize(&mut self) -> VecDeque<(Ticket, Parcel<Contents>)> {
        self.rest.as_mut().map(|rest| std::mem::take(&mut rest.serialize)).unwrap_or_default()
    }
}

/// Which side of a link is to find memory for it.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Maker {
    is_here: bool,
    /// Neither may make it, so its delegate is to; if that cannot, it is the other side's turn.
    borrows: bool,
}

impl State {
    /// Sorts what the engine asks for. What handles can ask for, such as why a connection ended, is
    /// in place before the lock is released, so that it is never behind what portals show.
    pub(super) fn collect(&mut self, work: &mut Work, callbacks: Option<&Callbacks>) {
        while let Some(effect) = self.engine.poll_effect() {
            match effect {
                Effect::Send { peer, message } => self.send(peer, message, work),
                Effect::Fire { trap, event } => match (self.notices.remove(trap), callbacks) {
                    (Some(Notice::Call(call)), Some(due)) => {
                        work.callbacks |= due.push(call, event);
                    }
                    (notice, _) => work.notices.extend(notice.map(|notice| (notice, event))),
                },
                Effect::Serialize { ticket, parcel } => {
                    work.rest().serialize.push_back((ticket, parcel))
                }
                Effect::Discard(contents) => work.rest().discarded.push(contents),
                Effect::CreateTransports(pairing) => work.rest().pairings.push(pairing),
                Effect::Activate { peer, transport } => {
                    let Some(transport) = self.transports.remove(&transport) else { continue };
                    work.rest().activate.push(self.add_link(peer, transport));
                }
                Effect::DropTransport(id) => {
                    work.rest().unwanted.extend(self.transports.remove(&id))
                }
                Effect::Allocate { request, size } => work.rest().allocate.push((request, size)),
                Effect::Allocated { request, memory } => {
                    work.rest().allocated.extend(self.finish_allocation(request, memory));
                }
                Effect::DropMemory(id) => {
                    work.rest().unwanted_memory.extend(self.memory.remove(&id))
                }
                Effect::Connected(peer) => {
                    work.rest().offer.extend(self.link_to_offer(peer));
                    let Some(state) = self.connections.get(&peer) else { continue };
                    lock(&state.progress).name = self.engine.peer_name(peer);
                    work.rest().changed.push(Arc::clone(state));
                }
                Effect::Disconnect { peer, cause } => self.disconnected(peer, cause, work),
            }
        }
        let rerouted = self.take_rerouted();
        if !rerouted.is_empty() {
            work.rest().rerouted = rerouted;
        }
    }

    /// Sends what is all that a step left to do.
    #[inline]
    pub(super) fn send_only(&mut self, peer: PeerId, message: Message<Contents>) -> Sent {
        self.note_routes(&message);
        let carried = self.carried_by(&message);
        let link = self.links.get(&peer).cloned();
        let spent = match &link {
            Some(link) => link.push(message, carried),
            None => Some(Spent::message(message, carried)),
        };
        Sent { link, spent }
    }

    /// Notes that routes change with what is sent, if they may.
    #[inline]
    fn note_routes(&mut self, message: &Message<Contents>) {
        if !is_plain(message) {
            self.routes_may_change();
        }
    }

    fn send(&mut self, peer: PeerId, message: Message<Contents>, work: &mut Work) {
        self.note_routes(&message);
        let carried = self.carried_by(&message);
        let Some(link) = self.links.get(&peer) else {
            // It may own what is not to be closed under a lock.
            work.spent.push(Spent::message(message, carried));
            return;
        };
        work.spent.extend(link.push(message, carried));
        if !work.flush.iter().any(|known| Arc::ptr_eq(known, link)) {
            work.flush.push(Arc::clone(link));
        }
    }

    fn disconnected(&mut self, peer: PeerId, cause: Cause, work: &mut Work) {
        self.routes_may_change();
        if let Some(link) = self.links.remove(&peer) {
            link.close_after_flush();
            work.rest().close.push((link, cause));
        }
        if let Some(state) = self.connections.remove(&peer) {
            lock(&state.progress).ended = Some(cause);
            work.rest().changed.push(state);
        }
    }

    /// The link to a peer that has just said hello, if this side is to make memory for it.
    fn link_to_offer(&self, peer: PeerId) -> Option<Arc<Link>> {
        self.links.get(&peer).filter(|_| self.is_maker(peer)).cloned()
    }

    /// Whether this side is the first that is to find memory for a link.
    pub(super) fn is_maker(&self, peer: PeerId) -> bool {
        self.maker_of(peer).is_some_and(|maker| maker.is_here)
    }

    /// Whether a peer may offer this node memory.
    pub(super) fn may_be_offered(&self, peer: PeerId) -> bool {
        self.maker_of(peer).is_some_and(|maker| !maker.is_here)
    }

    /// Whether a peer may say that it has found no memory.
    pub(super) fn may_be_passed_to(&self, peer: PeerId) -> bool {
        self.maker_of(peer) == Some(Maker { is_here: false, borrows: true })
    }

    /// Which side finds the memory for a link, if it is to have any: of those that can make it, or
    /// else of both, the one with the lesser name.
    fn maker_of(&self, peer: PeerId) -> Option<Maker> {
        let (own, theirs) = (self.engine.config().features, self.engine.features_of(peer)?);
        let can = |features: u64| features & wire::feature::OFFERS_MEMORY != 0;
        if own & theirs & wire::feature::SHARED_MEMORY == 0 {
            return None;
        }
        let is_less = self.engine.config().name < self.engine.peer_name(peer)?;
        let (is_here, borrows) = match (can(own), can(theirs)) {
            (true, true) => (is_less, false),
            (false, false) if own & theirs & wire::feature::BORROWS_MEMORY == 0 => return None,
            (false, false) => (is_less, true),
            (here, _) => (here, false),
        };
        Some(Maker { is_here, borrows })
    }

    /// The link that what is put into a portal leaves by, as far as can be known now.
    pub(crate) fn link_towards(&self, portal: PortalId) -> Option<Arc<Link>> {
        self.links.get(&self.engine.next_hop(portal)?).cloned()
    }

    /// Makes the way out to a peer. Its transport is to be activated after the step.
    pub(crate) fn add_link(&mut self, peer: PeerId, transport: Box<dyn Transport>) -> Arc<Link> {
        let link = Arc::new(Link::new(peer, transport, Arc::clone(&self.room)));
        self.links.insert(peer, Arc::clone(&link));
        self.open_transports += 1;
        link
    }

    /// What the engine only speaks of in a message, taken from where it was parked.
    fn carried_by<P>(&mut self, message: &Message<P>) -> Option<Attachment> {
        let Message::Network(message) = message else { return None };
        let transport = message.transport().and_then(|id| self.transports.remove(&id));
        let memory = message.memory().and_then(|id| self.memory.remove(&id));
        transport.map(Attachment::Transport).or(memory.map(Attachment::Region))
    }
}

impl Shared {
    /// Does what a step left to do. Called under no lock.
    pub(super) fn perform(self: &Arc<Self>, mut work: Work) {
        let mut serialize = work.take_serialize();
        self.perform_now(work);
        // Portals that leave with one parcel may bring unread ones that are to follow, without end.
        while let Some((ticket, parcel)) = serialize.pop_front() {
            let answer = self.serialize(parcel);
            let (_, work) = self.begin_step(|state| state.engine.handle_serialized(ticket, answer));
            if let Some(mut work) = work {
                serialize.append(&mut work.take_serialize());
                self.perform_now(work);
            }
        }
    }

    /// In this order: what is said to peers, then what it means here, then who is told.
    fn perform_now(self: &Arc<Self>, work: Work) {
        let mut rest = work.rest;
        for link in rest.iter_mut().flat_map(|rest| std::mem::take(&mut rest.activate)) {
            self.activate(&link);
        }
        for link in work.flush {
            link.flush();
        }
        let discarded = rest.map(|rest| self.perform_rest(*rest)).unwrap_or_default();
        for (notice, event) in work.notices {
            guarded(|| give(notice, event));
        }
        if work.callbacks {
            self.wake_pump();
        }
        for contents in discarded {
            guarded(|| drop(contents));
        }
    }

    /// Gives what is to be dropped last.
    fn perform_rest(self: &Arc<Self>, rest: Rest) -> Vec<Contents> {
        for link in rest.offer {
            link.offer(self);
        }
        for (link, cause) in rest.close {
            self.close_link(link, cause);
        }
        drop((rest.unwanted, rest.unwanted_memory));
        for pairing in rest.pairings {
            self.pair(pairing);
        }
        for (request, size) in rest.allocate {
            self.make_memory(request, size);
        }
        for (asker, outcome) in rest.allocated {
            self.give_memory(asker, outcome);
        }
        for state in rest.changed {
            state.announce();
        }
        wake_all(rest.rerouted);
        rest.discarded
    }

    /// Starts delivery from a peer.
    pub(crate) fn activate(self: &Arc<Self>, link: &Arc<Link>) {
        let handler = Arc::new(LinkHandler::new(Arc::clone(self), Arc::clone(link)));
        if link.transport.activate(handler).is_err() {
            self.transport_gone(link);
            self.step(|state| state.engine.handle_lost(link.peer));
        }
    }

    fn pair(self: &Arc<Self>, pairing: Pairing) {
        let made = self.driver.create_transports().ok();
        self.step(|state| {
            let ids = made.map(|(a, b)| (state.park_transport(a), state.park_transport(b)));
            state.engine.handle_transports(pairing, ids);
        });
    }

    /// Closes a link once what was queued has left, or when it has had its time.
    fn close_link(&self, link: Arc<Link>, cause: Cause) {
        // Who broke the rules, or is gone, gets no more of this node's time.
        if cause.kind != CauseKind::Shutdown || self.driver.pump().is_none() {
            link.close_soon();
            return;
        }
        link.flush();
        if !link.is_closed() {
            self.callbacks.linger(link, Instant::now() + LINGER);
            self.wake_pump();
        }
    }
}

/// Whether a message is a parcel that leaves the routes as they are.
fn is_plain(message: &Message<Contents>) -> bool {
    matches!(message, Message::Parcel { portals, .. } if portals.is_empty())
}

fn give(notice: Notice, event: TrapEvent) {
    match notice {
        Notice::Wake(waker) | Notice::Thread(waker) => waker.wake(),
        Notice::Watch(watcher) => watcher.on_ready(),
        Notice::Call(callback) => callback(event),
    }
}
