//! A connection to another node, and the links on it.

use std::collections::BTreeMap;

use crate::effect::Effect;
use crate::engine::Engine;
use crate::ids::{AllocationId, EndId, LinkId, NodeName, PeerId, PortalId, RouterId, Secret};
use crate::limits;
use crate::message::{Cause, CauseKind, Message, NetworkMessage, Payload, ProtocolViolation};
use crate::parcel::Parcel;

/// What this node takes the other one for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Expected {
    /// This node's broker, or a node that shares its own.
    Broker,
    /// The broker of this name, which another node shares.
    SharedBroker(NodeName),
    /// A node that this one is the broker of.
    Client,
    /// The node of this name, which a client brought to be one too.
    Referred(NodeName),
    /// Another broker, whose network joins this one's.
    OtherBroker,
    /// A node that inherits this one's broker.
    Heir,
    /// A node that a broker said is there.
    Introduced {
        /// Its name.
        node: NodeName,
        /// The broker's.
        by: NodeName,
    },
}

impl Expected {
    /// The name that the node must have.
    pub(crate) fn name(&self) -> Option<NodeName> {
        match self {
            Self::SharedBroker(node) | Self::Referred(node) | Self::Introduced { node, .. } => {
                Some(*node)
            }
            Self::Broker | Self::Client | Self::OtherBroker | Self::Heir => None,
        }
    }

    /// Whether this node's hello asks for a broker.
    pub(crate) fn wants_broker(&self) -> bool {
        matches!(self, Self::Broker | Self::SharedBroker(_) | Self::OtherBroker)
    }
}

/// What a connected peer is to this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum PeerKind {
    /// Its broker, or another broker if it is one itself.
    Broker,
    /// A node that it is the broker of.
    Client,
    /// A node that it was introduced to, or shares a broker with.
    Other,
}

/// What a broker said to a node that it was introduced to, and that is to inherit it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Offer {
    Made,
    Denied,
}

/// How far the connection is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum PeerState {
    /// The other node has not said hello.
    Greeting {
        expected: Expected,
        /// The far ends of the initial portals, until they have a link.
        held: Vec<PortalId>,
        /// What this node's hello said.
        secret: Secret,
    },
    /// Both have said hello.
    Connected,
}

/// A connection to another node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Peer {
    pub(crate) state: PeerState,
    pub(crate) name: Option<NodeName>,
    pub(crate) is_broker: bool,
    pub(crate) kind: PeerKind,
    pub(crate) max_payload: u64,
    pub(crate) features: u64,
    /// It inherits this node's broker, which has not said that it knows it: nobody can be introduced
    /// to it yet.
    pub(crate) awaits_broker: bool,
    /// The client that brought it, which is told when it is there.
    pub(crate) referred_by: Option<PeerId>,
    /// What it said, as a broker, about being this node's.
    pub(crate) offer: Option<Offer>,
    /// This node allocates shared memory for it.
    pub(crate) wants_memory: bool,
    /// The requests that it has made and this node has yet to answer, by its names for them.
    pub(crate) requests: BTreeMap<u64, AllocationId>,
    /// The ends of this node on this connection, by the id of their link.
    pub(crate) links: BTreeMap<LinkId, EndId>,
    next_link: u64,
}

/// The half of the link ids that belongs to the node with the greater name.
const UPPER_HALF: u64 = 1 << 63;

impl Peer {
    pub(crate) fn new(state: PeerState, name: Option<NodeName>) -> Self {
        Self {
            state,
            name,
            is_broker: false,
            kind: PeerKind::Other,
            max_payload: 0,
            features: 0,
            awaits_broker: false,
            referred_by: None,
            offer: None,
            wants_memory: false,
            requests: BTreeMap::new(),
            links: BTreeMap::new(),
            // What stands below is for the initial portals.
            next_link: u64::from(limits::MAX_INITIAL_PORTALS),
        }
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.state == PeerState::Connected
    }
}

impl<P: Payload> Engine<P> {
    /// Takes a message from a peer. A peer that breaks the protocol is disconnected.
    ///
    /// # Errors
    /// What the peer did wrong. The engine has dealt with it.
    pub fn handle_message(
        &mut self,
        peer: PeerId,
        message: Message<P>,
    ) -> Result<(), ProtocolViolation> {
        let Some(known) = self.peers.get(&peer) else {
            self.drop_message(message);
            return Ok(());
        };
        let greeting = matches!(message, Message::Hello(_));
        let farewell = matches!(message, Message::Network(NetworkMessage::Goodbye(_)));
        let result = if greeting == known.is_connected() && !farewell {
            self.drop_message(message);
            Err(ProtocolViolation("hello is the first message and only that"))
        } else {
            self.dispatch(peer, message)
        };
        if result.is_err() {
            self.cut(peer, CauseKind::Violation);
        }
        self.settle();
        result
    }

    fn dispatch(&mut self, peer: PeerId, message: Message<P>) -> Result<(), ProtocolViolation> {
        match message {
            Message::Hello(hello) => self.handle_hello(peer, &hello),
            Message::Parcel { link, sequence, hops, relayed, payload, portals } => {
                let parcel = Parcel { hops, ..Parcel::new(payload, Vec::new()) };
                self.handle_parcel(peer, link, sequence, parcel, &portals, relayed)
            }
            Message::Relay(relay) => self.handle_relay(peer, relay),
            Message::Route(link, message) => match self.find_end(peer, link) {
                Some(end) => self.receive_route(end, message),
                None => Ok(()),
            },
            Message::Accept(accept) => self.handle_accept(peer, accept),
            Message::Network(message) => self.handle_network(peer, message),
        }
    }

    /// Gives back what a message that is not obeyed brought.
    fn drop_message(&mut self, message: Message<P>) {
        if let Message::Network(message) = message {
            self.effects.extend(message.transport().map(Effect::DropTransport));
            self.effects.extend(message.memory().map(Effect::DropMemory));
        }
    }

    /// The connection to a peer has failed: its transport is closed.
    pub fn handle_lost(&mut self, peer: PeerId) {
        let node = self.peer_name(peer);
        self.lose(peer, Cause { kind: CauseKind::NodeLost, node });
        self.settle();
    }

    /// What a peer sent could not be understood: it is disconnected.
    pub fn handle_garbage(&mut self, peer: PeerId) {
        self.cut(peer, CauseKind::Violation);
        self.settle();
    }

    /// Ends the connection to a peer. Routes over it are cut, on both sides.
    pub fn disconnect(&mut self, peer: PeerId) {
        self.cut(peer, CauseKind::Shutdown);
        self.settle();
    }

    /// Ends the connection to a peer that sent what the application rejects.
    pub fn reject(&mut self, peer: PeerId) {
        self.cut(peer, CauseKind::Rejected);
        self.settle();
    }

    /// Ends every connection, and closes every portal first, so that what was put still arrives.
    pub fn shut_down(&mut self) {
        let mut portals: std::collections::BTreeSet<_> =
            self.routers.iter().map(|(key, _)| RouterId(key)).collect();
        for peer in self.peers.values() {
            // What stands for another node's portals is cut: it cannot say what was put into those.
            if let PeerState::Greeting { held, .. } = &peer.state {
                for portal in held {
                    portals.remove(portal);
                }
            }
        }
        for portal in portals {
            self.close_terminal(portal);
        }
        self.settle();
        for peer in self.peers.keys().copied().collect::<Vec<_>>() {
            self.cut(peer, CauseKind::Shutdown);
        }
        self.settle();
    }

    /// Ends the connection to a peer, telling it why.
    pub(crate) fn cut(&mut self, peer: PeerId, kind: CauseKind) {
        if !self.peers.contains_key(&peer) {
            return;
        }
        let message = Message::Network(NetworkMessage::Goodbye(kind));
        self.effects.push_back(Effect::Send { peer, message });
        // Who shuts down is the cause of it; of all else, the other one is.
        let node = match kind {
            CauseKind::Shutdown => Some(self.config.name),
            _ => self.peer_name(peer),
        };
        self.lose(peer, Cause { kind, node });
    }

    /// A peer ends the connection, and says why.
    pub(crate) fn handle_goodbye(&mut self, peer: PeerId, kind: CauseKind) {
        let node = match kind {
            CauseKind::Violation | CauseKind::Rejected => Some(self.config.name),
            _ => self.peer_name(peer),
        };
        self.lose(peer, Cause { kind, node });
    }

    /// Forgets a peer and cuts what passes over it.
    pub(crate) fn lose(&mut self, id: PeerId, cause: Cause) {
        if !self.peers.contains_key(&id) {
            return;
        }
        self.effects.push_back(Effect::Disconnect { peer: id, cause });
        self.break_links_of(id, cause);
        let Some(peer) = self.peers.remove(&id) else { return };
        if let PeerState::Greeting { held, .. } = peer.state {
            for portal in held {
                self.abandon(portal, cause);
            }
        }
        self.heirs.remove(&id);
        self.forget_federal(id, peer.name);
        self.forget_under_way(id);
        self.relays.forget(id);
        self.forget_couriers(id, peer.name);
        self.forget_requests(peer.requests);
        self.delegate_lost(id, cause);
        if self.broker == Some(id) {
            self.broker_lost();
        }
        if let Some(name) = peer.name.filter(|name| self.names.get(name) == Some(&id)) {
            self.names.remove(&name);
            self.introduction_lost(name, cause);
        }
    }

    /// Gives up a terminal that no application sees, and tells its peer why.
    fn abandon(&mut self, held: PortalId, cause: Cause) {
        self.break_route(held, cause);
        if let Some(mut router) = self.routers.remove(held.0) {
            let unread = router.queue.take_all();
            unread.into_iter().for_each(|(_, parcel)| self.discard(parcel));
        }
    }

    /// The peer of this name, connected or not. This node is its own peer.
    pub(crate) fn peer_by_name(&self, name: NodeName) -> Option<PeerId> {
        if name == self.config.name {
            return Some(PeerId::LOOPBACK);
        }
        self.names.get(&name).copied()
    }

    pub(crate) fn connected_peer(&self, name: NodeName) -> Option<PeerId> {
        let id = self.names.get(&name).copied()?;
        self.peers.get(&id)?.is_connected().then_some(id)
    }

    /// The name of a connected peer.
    #[must_use]
    pub fn peer_name(&self, peer: PeerId) -> Option<NodeName> {
        self.peers.get(&peer)?.name
    }

    /// The largest payload that a peer takes, once it has said so.
    #[must_use]
    pub fn max_payload_of(&self, peer: PeerId) -> Option<u64> {
        self.peers.get(&peer).filter(|peer| peer.is_connected()).map(|peer| peer.max_payload)
    }

    /// The optional features that a peer has, as bits. `None` before its hello.
    #[must_use]
    pub fn features_of(&self, peer: PeerId) -> Option<u64> {
        let connected = self.peers.get(&peer).filter(|peer| peer.is_connected())?;
        Some(connected.features)
    }

    /// A name for a new link to a connected peer, and its secret.
    pub(crate) fn new_link(&mut self, id: PeerId) -> (LinkId, Secret) {
        let secret = self.secrets.fresh();
        let own_name = self.config.name;
        let peer = self.peers.get_mut(&id).expect("links lead to connected peers");
        let half = if peer.name.is_some_and(|name| own_name > name) { UPPER_HALF } else { 0 };
        let link = LinkId(half + peer.next_link);
        peer.next_link += 1;
        (link, secret)
    }

    /// Refuses a link id that a peer may not give to a new link.
    pub(crate) fn check_new_link(&self, id: PeerId, link: LinkId) -> Result<(), ProtocolViolation> {
        let peer = &self.peers[&id];
        let upper = peer.name.is_some_and(|name| name > self.config.name);
        if (link.0 & UPPER_HALF != 0) != upper {
            return Err(ProtocolViolation("a link id from the other node's half"));
        }
        if peer.links.contains_key(&link) {
            return Err(ProtocolViolation("a link id that is in use"));
        }
        Ok(())
    }
}
