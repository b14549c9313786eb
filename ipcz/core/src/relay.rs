//! Handles that may not travel directly, seen by the two nodes that they travel between.
//!
//! ```text
//!   A ────────────── Parcel(relayed 7) ─────────────▶ B       B keeps the parcel's place until
//!   A ──Relay(7)──▶ broker ─── ... ───Relay(7)──▶ B           both halves are there
//! ```
//!
//! The parcel keeps its number on the route, so nothing overtakes it; it counts as received once it
//! is whole, so the link's Fin waits for it. Its portals exist from its arrival on.
//!
//! Either half may come first. Numbers grow on the direct connection, which keeps its order: a half
//! with a number that parcels have passed, and for which no place is kept, belongs to nothing. Halves
//! that are lost with a connection are noticed by who loses it. *A without its broker* tells B by
//! `Unrelayed` that nothing more will come. *B without its broker* gives up all places and tells A;
//! until A says that it has heard, parcels of A may be such whose halves were lost.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::RangeInclusive;

use crate::effect::Effect;
use crate::engine::Engine;
use crate::ids::{EndId, NodeName, PeerId, PortalId};
use crate::limits;
use crate::message::{
    Cause, CauseKind, Message, NetworkMessage, Payload, ProtocolViolation, Relay,
};
use crate::parcel::Parcel;
use crate::peer::PeerKind;

/// Where a parcel belongs that is not whole.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Place<P> {
    /// The end that it arrived at, if that is still there.
    pub(crate) end: Option<EndId>,
    pub(crate) sequence: u64,
    pub(crate) parcel: Parcel<P>,
}

/// What came apart, or is to, by the peer that the parcels travel to or from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Relays<P> {
    peers: BTreeMap<PeerId, Half<P>>,
    /// The number of the next parcel that this node splits.
    next: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Half<P> {
    /// Handles that wait for this node to have a broker, or for the broker to know the peer.
    unsent: VecDeque<(u64, P)>,
    /// The last number that was used on this connection.
    last_sent: Option<u64>,
    /// The number from which the peer counts, if it has its handles relayed.
    from: Option<u64>,
    /// The number of the last parcel that came without its handles.
    last: Option<u64>,
    /// Parcels without their handles.
    places: BTreeMap<u64, Place<P>>,
    by_end: BTreeMap<EndId, BTreeSet<u64>>,
    /// Handles without their parcels.
    handles: BTreeMap<u64, P>,
    /// This node's broker was lost before the peer said hello.
    lost_early: bool,
    /// How often the peer was told that handles may be lost, and has not said that it heard.
    doubts: u32,
}

impl<P> Default for Relays<P> {
    fn default() -> Self {
        Self { peers: BTreeMap::new(), next: 0 }
    }
}

impl<P> Default for Half<P> {
    fn default() -> Self {
        Self {
            unsent: VecDeque::new(),
            last_sent: None,
            from: None,
            last: None,
            places: BTreeMap::new(),
            by_end: BTreeMap::new(),
            handles: BTreeMap::new(),
            lost_early: false,
            doubts: 0,
        }
    }
}

impl<P> Half<P> {
    fn keep(&mut self, id: u64, end: EndId, place: Place<P>) {
        self.by_end.entry(end).or_default().insert(id);
        self.places.insert(id, place);
    }

    fn take_place(&mut self, id: u64) -> Option<Place<P>> {
        let place = self.places.remove(&id)?;
        if let Some(end) = place.end
            && let Some(ids) = self.by_end.get_mut(&end)
        {
            ids.remove(&id);
            if ids.is_empty() {
                self.by_end.remove(&end);
            }
        }
        Some(place)
    }

    /// Takes the places in a range of numbers.
    fn take_places(&mut self, ids: RangeInclusive<u64>) -> Vec<Place<P>> {
        if ids.is_empty() {
            return Vec::new();
        }
        let ids: Vec<_> = self.places.range(ids).map(|(id, _)| *id).collect();
        ids.into_iter().filter_map(|id| self.take_place(id)).collect()
    }
}

impl<P> Relays<P> {
    /// How many parcels that arrived at an end are not whole.
    pub(crate) fn num_waiting(&self, peer: PeerId, end: EndId) -> u64 {
        let waiting = self.peers.get(&peer).and_then(|half| half.by_end.get(&end));
        waiting.map_or(0, |ids| ids.len() as u64)
    }

    /// Forgets an end that is gone. Gives the portals in the parcels that waited there.
    pub(crate) fn remove_end(&mut self, peer: PeerId, end: EndId) -> Vec<PortalId> {
        let Some(half) = self.peers.get_mut(&peer) else { return Vec::new() };
        let ids = half.by_end.remove(&end).unwrap_or_default();
        let places = ids.into_iter().filter_map(|id| half.places.remove(&id));
        places.flat_map(|place| place.parcel.portals).collect()
    }

    /// Forgets a peer that is gone, whose ends are gone already.
    pub(crate) fn forget(&mut self, peer: PeerId) {
        self.peers.remove(&peer);
    }

    /// How many parcels wait for their handles, and handles for their parcels or for a broker.
    fn len(&self) -> usize {
        let count = |half: &Half<P>| half.places.len() + half.handles.len() + half.unsent.len();
        self.peers.values().map(count).sum()
    }
}

impl<P: Payload> Engine<P> {
    /// How much of what brokers relay waits here for something.
    #[must_use]
    pub fn pending_relays(&self) -> usize {
        self.relays.len() + self.couriers.len()
    }

    /// What this node's hello says of relays.
    pub(crate) fn relays_from(&self) -> Option<u64> {
        (self.config.relays_handles && !self.config.is_broker).then_some(self.relays.next)
    }

    /// Whether handles to a peer have to be relayed.
    fn must_relay(&self, peer: PeerId) -> bool {
        let direct = |kind| kind == PeerKind::Broker;
        self.relays_from().is_some() && self.peers.get(&peer).is_some_and(|it| !direct(it.kind))
    }

    /// Whether a payload can get to a peer, in one piece or two.
    pub(crate) fn carries(&self, peer: PeerId, payload: &P) -> bool {
        self.broker.is_some() || !payload.has_handles() || !self.must_relay(peer)
    }

    /// Splits off what has to be relayed, and numbers it.
    pub(crate) fn split(&mut self, peer: PeerId, payload: &mut P) -> Option<(u64, P)> {
        if !self.must_relay(peer) {
            return None;
        }
        let handles = payload.take_handles()?;
        let id = self.relays.next;
        self.relays.next += 1;
        Some((id, handles))
    }

    /// Gives handles to the broker, or keeps them until it can pass them on.
    pub(crate) fn relay(&mut self, peer: PeerId, id: u64, handles: P) {
        let half = self.relays.peers.entry(peer).or_default();
        half.last_sent = Some(id);
        half.unsent.push_back((id, handles));
        self.relay_waiting(peer);
    }

    /// The broker is there: gives it what waited for that.
    pub(crate) fn relay_all_waiting(&mut self) {
        for peer in self.relays.peers.keys().copied().collect::<Vec<_>>() {
            self.relay_waiting(peer);
        }
    }

    /// Gives the broker what waited for it to know this peer, if it does.
    pub(crate) fn relay_waiting(&mut self, peer: PeerId) {
        let broker = self.broker.filter(|id| self.is_broker_of_this(*id));
        let (Some(broker), Some(to)) = (broker, self.peer_name(peer)) else { return };
        if self.awaits_broker(peer) {
            return;
        }
        let from = self.config.name;
        let Some(half) = self.relays.peers.get_mut(&peer) else { return };
        for (id, handles) in std::mem::take(&mut half.unsent) {
            let message = Message::Relay(Relay { from, to, id, handles });
            self.effects.push_back(Effect::Send { peer: broker, message });
        }
    }

    /// A peer has said hello, and what it does with handles.
    pub(crate) fn relays_agreed(&mut self, peer: PeerId, from: Option<u64>) {
        let Some(from) = from else { return self.relays.forget(peer) };
        let half = self.relays.peers.entry(peer).or_default();
        half.from = Some(from);
        // What came before is of an earlier connection, unless it is of this one.
        half.handles = half.handles.split_off(&from);
        if std::mem::take(&mut half.lost_early) {
            half.doubts = 1;
            self.tell(peer, NetworkMessage::RelaysLost);
        }
    }

    /// A parcel comes whose handles are relayed.
    pub(crate) fn receive_relayed(
        &mut self,
        peer: PeerId,
        id: u64,
        place: Place<P>,
    ) -> Result<(), ProtocolViolation> {
        let has_broker = self.broker.is_some() || self.config.is_broker;
        let ended = place.end.is_some_and(|end| self.has_all_parcels(end));
        let half = self.relays.peers.get_mut(&peer);
        let fits = half.as_ref().is_some_and(|half| {
            half.from.is_some_and(|from| id >= from) && half.last.is_none_or(|last| id > last)
        });
        let room = half.as_ref().is_some_and(|half| half.places.len() < limits::MAX_RELAYS);
        let Some(half) = half.filter(|_| fits && room && !ended) else {
            self.discard(place.parcel);
            return Err(ProtocolViolation("a relayed parcel out of turn, or one too many"));
        };
        half.last = Some(id);
        // The parcels of lesser numbers would have come before.
        half.handles = half.handles.split_off(&id);
        let handles = half.handles.remove(&id);
        match (place.end, handles) {
            (None, _) => self.discard(place.parcel),
            (Some(_), Some(handles)) => return self.complete(peer, place, handles),
            (Some(end), None) if has_broker && half.doubts == 0 => half.keep(id, end, place),
            (Some(_), None) => self.give_up(peer, place),
        }
        Ok(())
    }

    /// Whether nothing more may come on a link.
    fn has_all_parcels(&self, id: EndId) -> bool {
        let Some(end) = self.ends.get(id.0) else { return false };
        let arrived = end.received + self.relays.num_waiting(end.peer, id);
        end.fin_count.is_some_and(|count| arrived >= count.get())
    }

    /// Handles come, from a broker, that belong into a parcel of the node `from`.
    pub(crate) fn receive_handles(
        &mut self,
        from: NodeName,
        id: u64,
        handles: P,
    ) -> Result<(), ProtocolViolation> {
        // Of a node that is no peer any more, no parcel will come.
        let Some(peer) = self.peer_by_name(from).filter(|&id| id != PeerId::LOOPBACK) else {
            return Ok(());
        };
        let greeting = self.peers.get(&peer).is_some_and(|peer| !peer.is_connected());
        let half = self.relays.peers.entry(peer).or_default();
        if let Some(place) = half.take_place(id) {
            // Who relayed it is a broker; what does not fit is the doing of who sent it.
            return self.complete(peer, place, handles);
        }
        let late = half.last.is_some_and(|last| id <= last);
        let unfit = half.from.map_or(!greeting, |from| id < from);
        if late || unfit {
            return Ok(());
        }
        if half.handles.len() >= limits::MAX_RELAYS || half.handles.contains_key(&id) {
            self.cut(peer, CauseKind::Violation);
            return Ok(());
        }
        half.handles.insert(id, handles);
        Ok(())
    }

    /// Both halves of a parcel are there.
    fn complete(
        &mut self,
        peer: PeerId,
        mut place: Place<P>,
        handles: P,
    ) -> Result<(), ProtocolViolation> {
        let Some(end) = place.end else { return Ok(()) };
        if !place.parcel.payload.join(handles) {
            self.give_up(peer, place);
            return Ok(());
        }
        self.receive_parcel(end, place.sequence, place.parcel)
    }

    /// Cuts the route of a parcel that will not be whole.
    fn give_up(&mut self, peer: PeerId, place: Place<P>) {
        self.discard(place.parcel);
        let end = place.end.and_then(|end| self.ends.get(end.0));
        if let Some(router) = end.and_then(|end| end.router) {
            let node = self.peer_name(peer);
            self.break_route(router, Cause { kind: CauseKind::NotRelayed, node });
        }
    }

    /// A peer says that handles will not come.
    pub(crate) fn handle_unrelayed(&mut self, peer: PeerId, ids: RangeInclusive<u64>) {
        let Some(half) = self.relays.peers.get_mut(&peer) else { return };
        for place in half.take_places(ids) {
            self.give_up(peer, place);
        }
    }

    /// The broker is lost, or will never be there: so is what it had, and what was for it.
    pub(crate) fn relays_broken(&mut self) {
        for peer in self.peers.keys().copied().collect::<Vec<_>>() {
            let connected = self.peers[&peer].is_connected();
            let half = self.relays.peers.entry(peer).or_default();
            half.unsent.clear();
            if let Some(last) = half.last_sent {
                self.tell(peer, NetworkMessage::Unrelayed { first: 0, last });
            }
            let Some(half) = self.relays.peers.get_mut(&peer) else { continue };
            half.lost_early = !connected;
            if connected && half.from.is_some() {
                half.doubts += 1;
                let places = half.take_places(0..=u64::MAX);
                self.tell(peer, NetworkMessage::RelaysLost);
                places.into_iter().for_each(|place| self.give_up(peer, place));
            }
        }
    }

    pub(crate) fn handle_relays_lost_heard(
        &mut self,
        peer: PeerId,
    ) -> Result<(), ProtocolViolation> {
        let half = self.relays.peers.get_mut(&peer).filter(|half| half.doubts > 0);
        let half = half.ok_or(ProtocolViolation("an answer to what was not said"))?;
        half.doubts -= 1;
        Ok(())
    }

    /// Compares what waits for its other half with the rest of the state.
    pub(crate) fn audit_relays(&self) -> Result<(), &'static str> {
        for (peer, half) in &self.relays.peers {
            if !self.peers.contains_key(peer) {
                return Err("halves of parcels of a lost peer");
            }
            for (id, place) in &half.places {
                let end = place.end.ok_or("a place without an end")?;
                let known = self.ends.get(end.0).is_some_and(|end| end.peer == *peer);
                let listed = half.by_end.get(&end).is_some_and(|ids| ids.contains(id));
                if !known || !listed {
                    return Err("a place at an end that is gone");
                }
            }
            let listed: usize = half.by_end.values().map(BTreeSet::len).sum();
            if listed != half.places.len() {
                return Err("places that are listed and not there");
            }
        }
        Ok(())
    }
}
