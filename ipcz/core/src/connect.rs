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
use crate::ids::{LinkId, PeerId, PortalId};
use crate::limits;
use crate::message::{CauseKind, Hello, Message, Payload, ProtocolViolation};
use crate::peer::{Expected, Peer, PeerState};
use crate::secrets;

/// The wire version that this engine speaks.
pub const WIRE_VERSION: u16 = 1;

/// What the node at the other end of a connection is to this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Relation {
    /// It is this node's broker, which introduces it to others.
    Broker,
    /// This node is its broker.
    Client,
}

/// Why a connection was not begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectRefused {
    /// More initial portals than [`limits::MAX_INITIAL_PORTALS`].
    TooManyPortals,
    /// A node that is no broker connects to its broker only.
    NotABroker,
    /// This node is a broker, or has one, and can take no other.
    HasBroker,
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
        if num_portals > limits::MAX_INITIAL_PORTALS {
            return Err(ConnectRefused::TooManyPortals);
        }
        let expected = match relation {
            Relation::Client if !self.config.is_broker => return Err(ConnectRefused::NotABroker),
            Relation::Broker if self.config.is_broker || self.broker.is_some() => {
                return Err(ConnectRefused::HasBroker);
            }
            Relation::Client => Expected::Client,
            Relation::Broker => Expected::Broker,
        };
        let pairs: Vec<_> = (0..num_portals).map(|_| self.open_portals()).collect();
        let (portals, held) = pairs.into_iter().unzip();
        let peer = self.greet(expected, held);
        if relation == Relation::Broker {
            self.broker = Some(peer);
        }
        Ok((peer, portals))
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
            wants_broker: expected == Expected::Broker,
            num_portals: held.len() as u32,
            secret,
        };
        let name = match expected {
            Expected::Introduced(name) => Some(name),
            Expected::Broker | Expected::Client => None,
        };
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
        if let Expected::Introduced(name) = expected
            && *name != hello.name
        {
            return Err(ProtocolViolation("a hello from another node than the one introduced"));
        }
        if hello.num_portals > limits::MAX_INITIAL_PORTALS {
            return Err(ProtocolViolation("too many initial portals"));
        }
        match self.misfit(id, expected, hello) {
            Some(kind) => self.cut(id, kind),
            None => self.become_peers(id, hello),
        }
        Ok(())
    }

    /// Why these two nodes cannot be peers, if they cannot.
    fn misfit(&self, id: PeerId, expected: &Expected, hello: &Hello) -> Option<CauseKind> {
        let role_fits = match expected {
            Expected::Broker => hello.is_broker && !hello.wants_broker,
            Expected::Client => !hello.is_broker && hello.wants_broker,
            Expected::Introduced(_) => !hello.wants_broker,
        };
        let known = self.peer_by_name(hello.name).is_some_and(|known| known != id);
        if hello.version != WIRE_VERSION {
            Some(CauseKind::WrongVersion)
        } else if known {
            Some(CauseKind::AlreadyConnected)
        } else if !role_fits {
            Some(CauseKind::WrongRole)
        } else {
            None
        }
    }

    fn become_peers(&mut self, id: PeerId, hello: &Hello) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let before = std::mem::replace(&mut peer.state, PeerState::Connected);
        peer.name = Some(hello.name);
        peer.is_broker = hello.is_broker;
        peer.max_payload = hello.max_payload;
        self.names.insert(hello.name, id);
        self.effects.push_back(Effect::Connected(id));
        let PeerState::Greeting { held, secret, .. } = before else { return };
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
    }
}
