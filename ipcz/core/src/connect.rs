//! How two nodes become peers: each says hello, then the initial portals get their links.
//!
//! ```text
//! portal ── held          hello ▶          held ── portal
//!                       ◀ hello
//! portal ──────────── initial link ──────────── portal
//! ```
//!
//! Until the other node's hello has come, an initial portal's route ends at a terminal that the
//! engine holds, so it can be used, moved and closed like any other.

use crate::effect::Effect;
use crate::end::Side;
use crate::engine::Engine;
use crate::ids::{LinkId, NodeName, PeerId, PortalId};
use crate::limits;
use crate::message::{Cause, CauseKind, Hello, Message, Payload, ProtocolViolation};
use crate::peer::{Expected, Peer, PeerKind, PeerState};
use crate::secrets;

/// The wire version that this engine speaks.
pub const WIRE_VERSION: u16 = 1;

/// What the node at the other end of a connection is to this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Relation {
    /// It is this node's broker, which introduces it to others, or shares its own broker with this
    /// node. If this node is a broker itself, it is another broker, and their networks join.
    Broker,
    /// This node is its broker, or shares its own broker with it.
    Client,
}

/// Why a connection was not begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectRefused {
    /// More initial portals than [`limits::MAX_INITIAL_PORTALS`].
    TooManyPortals,
    /// This node is no broker and has none that it could share.
    NoBroker,
    /// This node has a broker and can take no other.
    HasBroker,
    /// This node has an allocation delegate and can take no other.
    HasDelegate,
}

impl<P: Payload> Engine<P> {
    /// Begins a connection over a transport that the embedder has. The portals can be used at once.
    ///
    /// # Errors
    /// Why not; nothing was begun.
    pub fn connect(
        &mut self,
        relation: Relation,
        num_portals: u32,
    ) -> Result<(PeerId, Vec<PortalId>), ConnectRefused> {
        self.begin_connection(relation, num_portals, false)
    }

    /// Begins a connection as [`Engine::connect`] does, to the node that is to allocate shared memory
    /// for this one from now on.
    ///
    /// # Errors
    /// Why not; nothing was begun.
    pub fn connect_to_delegate(
        &mut self,
        relation: Relation,
        num_portals: u32,
    ) -> Result<(PeerId, Vec<PortalId>), ConnectRefused> {
        self.begin_connection(relation, num_portals, true)
    }

    fn begin_connection(
        &mut self,
        relation: Relation,
        num_portals: u32,
        to_delegate: bool,
    ) -> Result<(PeerId, Vec<PortalId>), ConnectRefused> {
        if num_portals > limits::MAX_INITIAL_PORTALS {
            return Err(ConnectRefused::TooManyPortals);
        }
        let expected = match relation {
            Relation::Client if self.config.is_broker => Expected::Client,
            Relation::Client if self.can_have_clients() => Expected::Heir,
            Relation::Client => return Err(ConnectRefused::NoBroker),
            Relation::Broker if self.config.is_broker => Expected::OtherBroker,
            Relation::Broker if self.broker.is_none() => Expected::Broker,
            Relation::Broker => return Err(ConnectRefused::HasBroker),
        };
        if to_delegate && self.memory.delegate.is_some() {
            return Err(ConnectRefused::HasDelegate);
        }
        if to_delegate {
            // It is the next one that is greeted.
            self.memory.delegate = Some(PeerId(self.next_peer));
        }
        let pairs: Vec<_> = (0..num_portals).map(|_| self.open_portals()).collect();
        let (portals, held) = pairs.into_iter().unzip();
        let peer = self.greet(expected, held);
        if relation == Relation::Broker && !self.config.is_broker {
            self.broker = Some(peer);
        }
        Ok((peer, portals))
    }

    /// Whether this node may connect as [`Relation::Client`]: it is a broker, or has one to share.
    #[must_use]
    pub fn can_have_clients(&self) -> bool {
        self.config.is_broker || self.broker.is_some()
    }

    /// Makes a peer and says hello to it.
    pub(crate) fn greet(&mut self, expected: Expected, held: Vec<PortalId>) -> PeerId {
        let id = PeerId(self.next_peer);
        self.next_peer += 1;
        let secret = self.secrets.fresh();
        let hello = Hello {
            version: WIRE_VERSION,
            features: self.config.features,
            max_payload: self.config.max_payload,
            name: self.config.name,
            is_broker: self.config.is_broker,
            wants_broker: expected.wants_broker(),
            wants_memory: self.memory.delegate == Some(id),
            relays_from: self.relays_from(),
            num_portals: held.len() as u32,
            secret,
        };
        let name = expected.name();
        self.peers.insert(id, Peer::new(PeerState::Greeting { expected, held, secret }, name));
        self.effects.push_back(Effect::Send { peer: id, message: Message::Hello(hello) });
        id
    }

    /// The other node says hello.
    pub(crate) fn handle_hello(
        &mut self,
        id: PeerId,
        hello: &Hello,
    ) -> Result<(), ProtocolViolation> {
        let PeerState::Greeting { expected, .. } = &self.peers[&id].state else { return Ok(()) };
        if expected.name().is_some_and(|name| name != hello.name) {
            return Err(ProtocolViolation("a hello from another node than the one introduced"));
        }
        if hello.num_portals > limits::MAX_INITIAL_PORTALS {
            return Err(ProtocolViolation("too many initial portals"));
        }
        let misfit = self.misfit(id, expected, hello);
        if misfit.is_none() {
            self.displace_referral(id, hello.name);
        }
        match misfit {
            Some(kind) => self.cut(id, kind),
            None => self.become_peers(id, hello),
        }
        Ok(())
    }

    /// Why these two nodes cannot be peers, if they cannot.
    fn misfit(&self, id: PeerId, expected: &Expected, hello: &Hello) -> Option<CauseKind> {
        let role_fits = match expected {
            Expected::Broker => !hello.wants_broker,
            Expected::SharedBroker(_) => hello.is_broker && !hello.wants_broker,
            Expected::Client | Expected::Referred(_) | Expected::Heir => {
                !hello.is_broker && hello.wants_broker
            }
            Expected::OtherBroker => hello.is_broker && hello.wants_broker,
            Expected::Introduced { .. } => !hello.wants_broker,
        };
        let known = self.peer_by_name(hello.name).filter(|&known| known != id);
        let known = known.is_some_and(|known| !self.is_hearsay(known));
        if hello.version != WIRE_VERSION {
            Some(CauseKind::WrongVersion)
        } else if known {
            Some(CauseKind::AlreadyConnected)
        } else if !role_fits || (hello.wants_memory && self.memory.delegate == Some(id)) {
            Some(CauseKind::WrongRole)
        } else {
            None
        }
    }

    /// Whether all that is known of a peer is what the client said that brings it.
    fn is_hearsay(&self, id: PeerId) -> bool {
        self.peers.get(&id).is_some_and(|peer| {
            let PeerState::Greeting { expected, .. } = &peer.state else { return false };
            matches!(expected, Expected::Referred(_))
        })
    }

    /// Who says hello under a name has it, rather than who a client said would do so.
    fn displace_referral(&mut self, id: PeerId, name: NodeName) {
        if let Some(known) = self.peer_by_name(name).filter(|&known| known != id) {
            let kind = CauseKind::AlreadyConnected;
            self.lose(known, Cause { kind, node: Some(name) });
        }
    }

    fn become_peers(&mut self, id: PeerId, hello: &Hello) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let before = std::mem::replace(&mut peer.state, PeerState::Connected);
        let PeerState::Greeting { expected, held, secret } = before else { return };
        peer.name = Some(hello.name);
        peer.is_broker = hello.is_broker;
        peer.kind = kind_of(&expected, hello, self.config.is_broker);
        peer.max_payload = hello.max_payload;
        peer.features = hello.features;
        peer.awaits_broker = expected == Expected::Heir;
        peer.wants_memory = hello.wants_memory;
        self.names.insert(hello.name, id);
        self.relays_agreed(id, hello.relays_from);
        self.effects.push_back(Effect::Connected(id));
        // The node with the lesser name owns the initial links, and its hello seeds their secrets.
        let owner = self.config.name < hello.name;
        let seed = if owner { secret } else { hello.secret };
        for (index, portal) in (0..).zip(held) {
            if index >= hello.num_portals {
                // The other node has none to match it.
                self.doomed.push(portal);
                continue;
            }
            let link_secret = secrets::of_initial_link(seed, index);
            let link = LinkId(u64::from(index));
            let end = self.new_remote_end(Side::Outer, id, link, link_secret);
            self.ends[end.0].owner = owner;
            self.extend_route(portal, end);
        }
        self.introduction_done(hello.name);
        self.send_requests();
        self.take_role(id, &expected);
    }

    /// Does what comes with what the new peer is to this node.
    fn take_role(&mut self, id: PeerId, expected: &Expected) {
        match self.peers.get(&id).map(|peer| peer.kind) {
            Some(PeerKind::Broker) if self.config.is_broker => self.join_brokers(id),
            Some(PeerKind::Broker) => {
                self.broker_found();
                self.share_with_heirs();
            }
            _ if *expected == Expected::Heir => self.share_broker(id),
            _ if matches!(expected, Expected::Introduced { .. }) => self.acquaintance_made(id),
            _ => self.announce_referred(id),
        }
        self.end_vain_searches();
    }
}

/// What a peer that has said hello is to this node.
fn kind_of(expected: &Expected, hello: &Hello, is_broker: bool) -> PeerKind {
    match expected {
        Expected::Broker | Expected::SharedBroker(_) if hello.is_broker => PeerKind::Broker,
        Expected::OtherBroker => PeerKind::Broker,
        Expected::Introduced { .. } if is_broker && hello.is_broker => PeerKind::Broker,
        Expected::Client | Expected::Referred(_) => PeerKind::Client,
        _ => PeerKind::Other,
    }
}
