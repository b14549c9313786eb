//! Parcels: put, passed on, received, taken.
//!
//! ```text
//!  put ─▶ terminal ──link──▶ proxy ──link──▶ terminal ─▶ get
//!         numbers it         passes it on    sorts by number
//! ```
//!
//! Costs of a put or get between two portals of this node: no system call, no lock, no copy of the
//! payload; allocations only when a queue grows. A put touches the two routers, which were made
//! together and so are neighbours in memory, and a queue's memory, which was in use a moment ago
//! ([`crate::queue`]); a get one router and that. Neither looks at an end ([`crate::beside`]).

use crate::effect::Effect;
use crate::end::Side;
use crate::engine::{Engine, Looped};
use crate::ids::{EndId, LinkId, PeerId, PortalId, RouterId};
use crate::limits;
use crate::message::{Cause, CauseKind, Descriptor, Message, Payload, ProtocolViolation};
use crate::parcel::Parcel;
use crate::relay::Place;
use crate::router::Role;
use crate::status::PortalStatus;

/// Why a parcel was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutRefused {
    /// No such portal, or it is closed.
    UnknownPortal,
    /// The portal's peer is closed: nobody would read the parcel.
    PeerClosed,
    /// The route was cut.
    Disconnected(Cause),
    /// Entry number `index` of the parcel's portals cannot travel here: it is unknown, or stands
    /// twice in the list.
    BadPortal {
        /// Which entry.
        index: usize,
    },
    /// Entry number `index` is the portal itself or its peer, which cannot travel along their own
    /// route.
    OwnRoute {
        /// Which entry.
        index: usize,
    },
    /// There are more portals than [`limits::MAX_PORTALS_PER_PARCEL`].
    TooManyPortals,
    /// The payload is larger than the node that it would go to takes.
    TooLarge,
    /// The payload cannot leave this node, and the portal's peer is on another.
    CannotLeave,
    /// The payload holds handles, which have to travel by way of a broker, and this node has none.
    NoRelay,
}

/// Why no parcel was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GetRefused {
    /// No such portal, or it is closed.
    UnknownPortal,
    /// Nothing is there yet.
    Empty,
    /// Nothing is there, and nothing will come: the peer is closed.
    PeerClosed,
    /// Nothing is there, and nothing will come: the route was cut.
    Disconnected(Cause),
}

impl<P: Payload> Engine<P> {
    /// Puts a parcel into a portal. The portals in it are gone from here.
    ///
    /// # Errors
    /// Why it was refused, and the parcel as it was.
    pub fn put(
        &mut self,
        portal: PortalId,
        parcel: Parcel<P>,
    ) -> Result<(), (PutRefused, Parcel<P>)> {
        match self.reader_beside(portal) {
            // What most puts are: nothing about them can be wrong.
            Some(peer) if parcel.portals.is_empty() => {
                self.put_beside(portal, peer, parcel);
                Ok(())
            }
            _ => self.put_checked(portal, parcel),
        }
    }

    fn put_checked(
        &mut self,
        portal: PortalId,
        mut parcel: Parcel<P>,
    ) -> Result<(), (PutRefused, Parcel<P>)> {
        if let Err(refused) = self.check_put(portal, &parcel.portals) {
            return Err((refused, parcel));
        }
        if let Err(refused) = self.check_next(portal, &parcel.payload) {
            return Err((refused, parcel));
        }
        for &moved in &parcel.portals {
            // Whoever takes it from the parcel is another owner, on whichever node.
            self.spring_removed(moved);
        }
        if let Some(peer) = self.reader_beside(portal) {
            self.put_beside(portal, peer, parcel);
            return Ok(());
        }
        let router = &mut self.routers[portal.0];
        let sequence = router.next_out;
        router.next_out += 1;
        match router.side(Side::Outer).primary {
            Some(end) => {
                parcel.hops = 0;
                self.transmit_parcel(end, sequence, parcel);
            }
            // Checked above: a terminal without a link is closed or broken, or about to hear of it.
            None => self.discard(parcel),
        }
        self.settle();
        Ok(())
    }

    /// Says whether [`Engine::put`] would take a parcel with these portals.
    ///
    /// # Errors
    /// Why not.
    pub fn check_put(&self, portal: PortalId, portals: &[PortalId]) -> Result<(), PutRefused> {
        let router = self.open_terminal(portal).ok_or(PutRefused::UnknownPortal)?;
        if let Some(cause) = router.broken() {
            return Err(PutRefused::Disconnected(cause));
        }
        if router.side(Side::Outer).closed.is_some() {
            return Err(PutRefused::PeerClosed);
        }
        if portals.is_empty() {
            return Ok(());
        }
        if portals.len() > limits::MAX_PORTALS_PER_PARCEL {
            return Err(PutRefused::TooManyPortals);
        }
        let peer = self.local_peer(portal);
        let mut seen = std::collections::BTreeSet::new();
        for (index, &moved) in portals.iter().enumerate() {
            if moved == portal || Some(moved) == peer {
                return Err(PutRefused::OwnRoute { index });
            }
            if self.open_terminal(moved).is_none() || !seen.insert(moved) {
                return Err(PutRefused::BadPortal { index });
            }
        }
        Ok(())
    }

    /// Whether a payload can go to the node that a portal's link leads to.
    fn check_next(&self, portal: PortalId, payload: &P) -> Result<(), PutRefused> {
        let end = self.routers.get(portal.0).and_then(|router| router.side(Side::Outer).primary);
        let Some(end) = end else { return Ok(()) };
        let peer = self.ends[end.0].peer;
        if peer != PeerId::LOOPBACK && !payload.can_leave() {
            return Err(PutRefused::CannotLeave);
        }
        if !self.carries(peer, payload) {
            return Err(PutRefused::NoRelay);
        }
        if self.takes(peer, payload) { Ok(()) } else { Err(PutRefused::TooLarge) }
    }

    /// Takes the next parcel, and the portals in it.
    ///
    /// # Errors
    /// Why there is none.
    pub fn get(&mut self, portal: PortalId) -> Result<Parcel<P>, GetRefused> {
        let router = self.routers.get_mut(portal.0).filter(|router| router.is_open());
        let router = router.ok_or(GetRefused::UnknownPortal)?;
        if let Some(parcel) = router.queue.pop(&mut self.spares) {
            if router.has_traps() && router.queue.len() == 0 {
                self.spring(portal, false);
            }
            return Ok(parcel);
        }
        Err(match router.broken() {
            Some(cause) => GetRefused::Disconnected(cause),
            None if router.is_complete() => GetRefused::PeerClosed,
            None => GetRefused::Empty,
        })
    }

    /// The next parcel, left where it is.
    #[must_use]
    pub fn peek(&self, portal: PortalId) -> Option<&Parcel<P>> {
        self.open_terminal(portal)?.queue.front()
    }

    /// The payload of the next parcel, left where it is. Its size must stay what it was.
    pub fn peek_mut(&mut self, portal: PortalId) -> Option<&mut P> {
        Some(&mut self.open_terminal_mut(portal)?.queue.front_mut()?.payload)
    }

    /// What a portal's owner can know of it now.
    #[must_use]
    pub fn status(&self, portal: PortalId) -> Option<PortalStatus> {
        Some(self.open_terminal(portal)?.status())
    }

    /// Why a portal's route was cut, if it was.
    #[must_use]
    pub fn cause(&self, portal: PortalId) -> Option<Cause> {
        self.open_terminal(portal)?.broken()
    }

    /// The peer that what is put into a portal is sent to, unless that stays on this node. It may be another
    /// one at the put.
    #[must_use]
    pub fn next_hop(&self, portal: PortalId) -> Option<PeerId> {
        let end = self.open_terminal(portal)?.side(Side::Outer).primary?;
        let peer = self.ends.get(end.0)?.peer;
        (peer != PeerId::LOOPBACK).then_some(peer)
    }

    /// Sends a parcel on a link. The portals in it move, unless the link stays on this node.
    pub(crate) fn transmit_parcel(&mut self, end: EndId, sequence: u64, mut parcel: Parcel<P>) {
        parcel.hops = parcel.hops.saturating_add(1);
        let Some(from) = self.ends.get_mut(end.0) else {
            // The route was cut by what was to go before.
            return self.discard(parcel);
        };
        from.sent += 1;
        if let Some(to) = from.twin() {
            self.loopback.push_back(Looped::Parcel { to, sequence, parcel });
        } else if parcel.payload.is_ready() && !self.on_hold.is_for(end) {
            self.send_parcel(end, sequence, parcel);
        } else {
            self.hold(end, sequence, parcel);
        }
    }

    /// Sends a parcel that is ready to another node.
    pub(crate) fn send_parcel(&mut self, end: EndId, sequence: u64, parcel: Parcel<P>) {
        let from = &self.ends[end.0];
        let (peer, link) = (from.peer, from.link);
        if !self.takes(peer, &parcel.payload) {
            self.discard(parcel);
            let (router, _) = self.place(end);
            return self.break_here(router);
        }
        if !self.carries(peer, &parcel.payload) {
            self.discard(parcel);
            let (router, _) = self.place(end);
            let node = Some(self.config.name);
            return self.break_route(router, Cause { kind: CauseKind::NotRelayed, node });
        }
        let Parcel { mut payload, portals, hops } = parcel;
        let portals = portals.into_iter().map(|portal| self.depart(peer, portal)).collect();
        let split = self.split(peer, &mut payload);
        let relayed = split.as_ref().map(|(id, _)| *id);
        let message = Message::Parcel { link, sequence, hops, relayed, payload, portals };
        self.effects.push_back(Effect::Send { peer, message });
        if let Some((id, handles)) = split {
            self.relay(peer, id, handles);
        }
    }

    /// Whether a peer takes payloads of this size.
    fn takes(&self, peer: PeerId, payload: &P) -> bool {
        self.max_payload_of(peer).is_none_or(|max| payload.num_bytes() as u64 <= max)
    }

    /// Takes a parcel from another node. Its portals exist from now on, whatever becomes of it.
    pub(crate) fn handle_parcel(
        &mut self,
        peer: PeerId,
        link: LinkId,
        sequence: u64,
        parcel: Parcel<P>,
        descriptors: &[Descriptor],
        relayed: Option<u64>,
    ) -> Result<(), ProtocolViolation> {
        // First, or a portal could arrive in a parcel on its own link, and wait inside itself.
        let end = self.find_end(peer, link);
        let portals = self.arrive(peer, descriptors)?;
        match (end, relayed) {
            (end, Some(id)) => {
                let parcel = Parcel { portals: portals.into(), ..parcel };
                self.receive_relayed(peer, id, Place { end, sequence, parcel })
            }
            (Some(end), None) => {
                let parcel = Parcel { portals: portals.into(), ..parcel };
                self.receive_parcel(end, sequence, parcel)
            }
            (None, None) => {
                self.doomed.extend(portals);
                Ok(())
            }
        }
    }

    /// Takes a parcel that came over a link of either kind.
    pub(crate) fn receive_parcel(
        &mut self,
        id: EndId,
        sequence: u64,
        parcel: Parcel<P>,
    ) -> Result<(), ProtocolViolation> {
        let Some((end, router)) = self.ends.get_mut(id.0).and_then(|end| {
            let router = end.router?;
            Some((end, router))
        }) else {
            self.discard(parcel);
            return Ok(());
        };
        let waiting = || self.relays.num_waiting(end.peer, id);
        if end.fin_count.is_some_and(|count| end.received + waiting() >= count.get()) {
            self.discard(parcel);
            return Err(ProtocolViolation("a parcel after the last one of its link"));
        }
        end.received += 1;
        let towards = end.side.other();
        if parcel.hops == limits::MAX_HOPS {
            self.discard(parcel);
            self.break_here(router);
            return Ok(());
        }
        match self.routers[router.0].role {
            Role::Proxy => self.pass_on(router, towards, sequence, parcel),
            Role::Terminal => self.enqueue(router, sequence, parcel),
        }
        // The route may be gone by now, if the parcel broke it.
        self.check_finished(id);
        Ok(())
    }

    pub(crate) fn pass_on(
        &mut self,
        router: RouterId,
        towards: Side,
        sequence: u64,
        parcel: Parcel<P>,
    ) {
        match self.routers.get(router.0).and_then(|router| router.side(towards).primary) {
            Some(end) if !self.ends[end.0].fin_sent => self.transmit_parcel(end, sequence, parcel),
            _ => self.discard(parcel),
        }
    }

    /// Closes the portals in a parcel that nobody will take. What the embedder has to drop goes back
    /// to it.
    pub(crate) fn discard(&mut self, parcel: Parcel<P>) {
        self.doomed.extend(parcel.portals);
        if !parcel.payload.is_ready() {
            self.effects.push_back(Effect::Discard(parcel.payload));
        }
    }

    #[inline]
    pub(crate) fn enqueue(&mut self, id: RouterId, sequence: u64, parcel: Parcel<P>) {
        let router = &mut self.routers[id.0];
        if !router.is_open() {
            self.discard(parcel);
            return;
        }
        let beyond_end =
            router.side(Side::Outer).closed.is_some_and(|length| sequence >= length.get());
        let too_far = sequence.saturating_sub(router.queue.expected()) > limits::MAX_SEQUENCE_GAP;
        let ready = router.queue.len();
        // A portal that was sent over its own route would wait inside itself for ever.
        let swallowed = parcel.portals.contains(&id);
        let refused = if beyond_end || too_far || swallowed {
            Some(parcel)
        } else {
            router.queue.insert(sequence, parcel, &mut self.spares).err()
        };
        if let Some(parcel) = refused {
            self.discard(parcel);
            self.break_here(id);
        } else if router.has_traps() {
            // What waits behind a gap is not there yet.
            let arrived = router.queue.len() > ready;
            self.spring(id, arrived);
        }
    }
}
