//! The state of one node, and the step that every input ends with.

use std::collections::{BTreeMap, VecDeque};

use crate::broker::UnderWay;
use crate::couriers::Couriers;
use crate::effect::Effect;
use crate::end::{End, Side};
use crate::federation::Federation;
use crate::hold::OnHold;
use crate::ids::{EndId, LinkId, NodeName, PeerId, PortalId, RouterId, Secret};
use crate::introductions::Wanted;
use crate::memory::Memory;
use crate::message::{EndKey, Message, Payload, RouteMessage};
use crate::moves::Unread;
use crate::parcel::Parcel;
use crate::peer::Peer;
use crate::queue::Spares;
use crate::referral::Heirs;
use crate::relay::Relays;
use crate::router::Router;
use crate::secrets::Secrets;
use crate::slab::{Key, Slab};

/// What a node is, for all its life.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Config {
    /// Its name: 128 random bits.
    pub name: NodeName,
    /// Whether it introduces nodes to each other.
    pub is_broker: bool,
    /// 128 random bits that nobody else knows. The secrets of links are derived from them.
    pub key: [u8; 16],
    /// Optional features to offer to peers, as bits.
    pub features: u64,
    /// The largest payload to take from a peer, in bytes.
    pub max_payload: u64,
    /// Whether, as a broker, it takes clients that its clients bring.
    pub takes_referrals: bool,
    /// Whether it may make shared memory itself. If not, it depends on a delegate.
    pub may_allocate: bool,
    /// Whether handles leave it by way of its broker alone. Of no meaning for a broker.
    pub relays_handles: bool,
}

/// A message that a node sends to itself, by way of one end of a link on its loopback.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Looped<P> {
    Parcel { to: EndId, sequence: u64, parcel: Parcel<P> },
    Route(EndId, RouteMessage),
    Accept { key: EndKey, link: EndId },
}

/// The pure state machine of one node.
///
/// Its methods are of four kinds: *getters*, *commands* of the application, *inputs* (`handle_*`)
/// from outside, and [`Engine::poll_effect`], which says what is to be done after a command or an
/// input. It does no I/O, reads no clock and no random numbers, takes no lock, and can be cloned,
/// compared and hashed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Engine<P> {
    pub(crate) config: Config,
    pub(crate) secrets: Secrets,
    pub(crate) routers: Slab<Router<P>>,
    pub(crate) ends: Slab<End>,
    pub(crate) peers: BTreeMap<PeerId, Peer>,
    pub(crate) names: BTreeMap<NodeName, PeerId>,
    pub(crate) next_peer: u32,
    /// The peer that introduces this node to others, or that is about to share its own broker.
    pub(crate) broker: Option<PeerId>,
    /// The connections that this node waits for.
    pub(crate) wanted: Wanted,
    /// The connections that it makes as a broker.
    pub(crate) under_way: UnderWay,
    pub(crate) federation: Federation,
    pub(crate) heirs: Heirs,
    pub(crate) memory: Memory,
    /// Handles and parcels that come apart.
    pub(crate) relays: Relays<P>,
    pub(crate) couriers: Couriers<P>,
    /// Parcels that are made ready before they leave.
    pub(crate) on_hold: OnHold<P>,
    /// Messages from this node to itself. Empty whenever a step has ended.
    pub(crate) loopback: VecDeque<Looped<P>>,
    /// Parcels that follow portals which have just moved. Empty whenever a step has ended.
    pub(crate) unread: VecDeque<Unread<P>>,
    /// Portals that arrived, or were queued, where nobody will take them. Empty whenever a step has
    /// ended.
    pub(crate) doomed: Vec<PortalId>,
    pub(crate) effects: VecDeque<Effect<P>>,
    /// Memory for the queues of routers.
    pub(crate) spares: Spares<P>,
}

impl<P: Payload> Engine<P> {
    /// A node that knows nobody.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
            secrets: Secrets::new(config.key),
            config,
            routers: Slab::new(),
            ends: Slab::new(),
            peers: BTreeMap::new(),
            names: BTreeMap::new(),
            next_peer: PeerId::LOOPBACK.0 + 1,
            broker: None,
            wanted: Wanted::default(),
            under_way: UnderWay::default(),
            federation: Federation::default(),
            heirs: Heirs::default(),
            memory: Memory::default(),
            relays: Relays::default(),
            couriers: Couriers::default(),
            on_hold: OnHold::default(),
            loopback: VecDeque::new(),
            unread: VecDeque::new(),
            doomed: Vec::new(),
            effects: VecDeque::new(),
            spares: Spares::new(),
        }
    }

    /// What the node is.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The next thing to do, oldest first.
    #[inline]
    pub fn poll_effect(&mut self) -> Option<Effect<P>> {
        self.effects.pop_front()
    }

    /// Whether [`Engine::poll_effect`] would give something.
    #[must_use]
    #[inline]
    pub fn has_effects(&self) -> bool {
        !self.effects.is_empty()
    }

    /// Gives the next effect if it is a message and the only one: what most steps leave to do.
    #[inline]
    pub fn poll_only_message(&mut self) -> Option<(PeerId, Message<P>)> {
        if self.effects.len() != 1 || !matches!(self.effects[0], Effect::Send { .. }) {
            return None;
        }
        match self.effects.pop_front() {
            Some(Effect::Send { peer, message }) => Some((peer, message)),
            _ => None,
        }
    }

    /// Makes a pair of entangled portals: what is put into one comes out of the other.
    pub fn open_portals(&mut self) -> (PortalId, PortalId) {
        let first = RouterId(self.routers.insert(Router::terminal(0, 0)));
        let second = RouterId(self.routers.insert(Router::terminal(0, 0)));
        let (a, b) = self.new_local_link(Side::Outer, Side::Outer);
        self.attach(a, first);
        self.attach(b, second);
        (first, second)
    }

    /// Ends a step: works until no message to this node itself is left.
    ///
    /// What moved portals left unread goes first, because nothing may overtake it on its link for
    /// longer than one step.
    #[inline]
    pub(crate) fn settle(&mut self) {
        if !(self.unread.is_empty() && self.doomed.is_empty() && self.loopback.is_empty()) {
            self.work_off();
        }
    }

    fn work_off(&mut self) {
        loop {
            if let Some(unread) = self.unread.pop_front() {
                self.forward_unread(unread);
            } else if let Some(portal) = self.doomed.pop() {
                self.close_terminal(portal);
            } else if let Some(message) = self.loopback.pop_front() {
                self.deliver_looped(message);
            } else {
                return;
            }
        }
    }

    fn deliver_looped(&mut self, message: Looped<P>) {
        let result = match message {
            Looped::Parcel { to, sequence, parcel } => self.receive_parcel(to, sequence, parcel),
            Looped::Route(to, message) => self.receive_route(to, message),
            Looped::Accept { key, link } => {
                self.receive_looped_accept(key, link);
                Ok(())
            }
        };
        // A node does not break the protocol with itself; a hostile peer can at most make two of
        // its routers disagree, which `break_route` has dealt with.
        debug_assert_eq!(result, Ok(()));
    }

    pub(crate) fn receive_route(
        &mut self,
        end: EndId,
        message: RouteMessage,
    ) -> Result<(), crate::message::ProtocolViolation> {
        if self.ends.get(end.0).is_none_or(|end| end.router.is_none()) {
            return Ok(());
        }
        match message {
            RouteMessage::Closed(length) => self.receive_closed(end, length),
            RouteMessage::Fin(count) => return self.receive_fin(end, count),
            RouteMessage::Yield => return self.receive_yield(end),
            RouteMessage::Grant => return self.receive_grant(end),
            RouteMessage::BypassMe(key) => return self.receive_bypass_me(end, key),
            RouteMessage::Probe(token) => self.receive_probe(end, token),
            RouteMessage::Answer(token) => self.receive_answer(end, token),
            RouteMessage::HowMany(probe) => self.receive_how_many(end, probe),
            RouteMessage::SoMany(probe, count) => self.receive_so_many(end, probe, count),
            RouteMessage::Disconnected(cause) => self.receive_disconnected(end, cause),
        }
        Ok(())
    }

    /// Sends a message to the other end of a link.
    pub(crate) fn send(&mut self, end: EndId, message: RouteMessage) {
        let from = &self.ends[end.0];
        if let Some(twin) = from.twin() {
            self.loopback.push_back(Looped::Route(twin, message));
        } else {
            let message = crate::Message::Route(from.link, message);
            self.effects.push_back(Effect::Send { peer: from.peer, message });
        }
    }

    /// Makes both ends of a link from this node to itself. The first one owns it.
    pub(crate) fn new_local_link(&mut self, first: Side, second: Side) -> (EndId, EndId) {
        let end = |side| End::new(side, PeerId::LOOPBACK, LinkId(0), Secret(0));
        let a = EndId(self.ends.insert(end(first)));
        let b = EndId(self.ends.insert(end(second)));
        self.ends[a.0].link = LinkId(b.0.to_bits());
        self.ends[a.0].owner = true;
        self.ends[b.0].link = LinkId(a.0.to_bits());
        (a, b)
    }

    /// Makes this node's end of a link to another node.
    pub(crate) fn new_remote_end(
        &mut self,
        side: Side,
        peer: PeerId,
        link: LinkId,
        secret: Secret,
    ) -> EndId {
        let end = EndId(self.ends.insert(End::new(side, peer, link, secret)));
        if let Some(peer) = self.peers.get_mut(&peer) {
            peer.links.insert(link, end);
        }
        end
    }

    /// Makes an end the primary one of its side. The one it replaces, if any, decays from now on.
    pub(crate) fn attach(&mut self, id: EndId, router_id: RouterId) {
        let end = &mut self.ends[id.0];
        end.router = Some(router_id);
        let side = end.side;
        if side == Side::Outer {
            self.unpair(router_id);
        }
        let router = &mut self.routers[router_id.0];
        if let Some(replaced) = router.side_mut(side).primary.replace(id) {
            router.add_decaying(replaced);
            self.forget_pending(replaced);
        }
        self.pair_up(router_id);
    }

    /// Takes an end out of its router and forgets it.
    pub(crate) fn remove_end(&mut self, id: EndId) -> Option<End> {
        self.forget_pending(id);
        let end = self.ends.remove(id.0)?;
        self.doomed.extend(self.on_hold.remove(id));
        self.doomed.extend(self.relays.remove_end(end.peer, id));
        if let Some(peer) = self.peers.get_mut(&end.peer) {
            peer.links.remove(&end.link);
        }
        if let Some(router_id) = end.router
            && let Some(router) = self.routers.get_mut(router_id.0)
        {
            let was_primary = router.is_primary(id);
            router.remove_end(id);
            if was_primary {
                self.unpair(router_id);
            }
        }
        Some(end)
    }

    /// The end that messages from `peer` mean by `link`.
    pub(crate) fn find_end(&self, peer: PeerId, link: LinkId) -> Option<EndId> {
        if peer == PeerId::LOOPBACK {
            let id = EndId(Key::from_bits(link.0));
            let end = self.ends.get(id.0)?;
            return (end.peer == PeerId::LOOPBACK).then_some(id);
        }
        self.peers.get(&peer)?.links.get(&link).copied()
    }

    /// The router of a portal that an application holds.
    #[inline]
    pub(crate) fn open_terminal(&self, portal: PortalId) -> Option<&Router<P>> {
        self.routers.get(portal.0).filter(|router| router.is_open())
    }

    #[inline]
    pub(crate) fn open_terminal_mut(&mut self, portal: PortalId) -> Option<&mut Router<P>> {
        self.routers.get_mut(portal.0).filter(|router| router.is_open())
    }

    /// The portal at the other end of this one's link, if that is on this node too.
    pub(crate) fn local_peer(&self, portal: PortalId) -> Option<PortalId> {
        let router = self.routers.get(portal.0)?;
        let end = router.side(Side::Outer).primary?;
        let twin = self.ends[end.0].twin()?;
        self.ends.get(twin.0)?.router
    }
}
