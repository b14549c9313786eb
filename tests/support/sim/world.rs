//! Nodes, the connections between them, and what engines ask of their embedder.

use std::collections::BTreeMap;

use ipcz_core::{
    AllocationId, Cause, Config, Effect, Engine, Message, NetworkMessage, NodeName, Pairing,
    Parcel, PeerId, Ticket, TransportId,
};

use super::conn::{Conn, ConnId, Holder, Packet, Side, transport_in};
use super::growth::Budget;
use super::hostile::Seen;
use super::memory::Memory;
use super::model::{Model, Tag};
use super::rng::Rng;

/// A promise that was not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which promise.
    pub invariant: &'static str,
    /// Where, and how.
    pub detail: String,
}

impl Violation {
    pub(super) fn new(invariant: &'static str, detail: impl Into<String>) -> Self {
        Self { invariant, detail: detail.into() }
    }
}

/// A node and what its embedder holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Node {
    pub(super) engine: Engine<Tag>,
    pub(super) alive: bool,
    pub(super) hostile: bool,
    pub(super) links: BTreeMap<PeerId, (ConnId, Side)>,
    /// Introductions that wait for their transports.
    pub(super) asked: Vec<Pairing>,
    /// Memory that it is to make.
    pub(super) to_allocate: Vec<AllocationId>,
    /// Parcels that its engine wants made ready.
    pub(super) serializing: Vec<(Ticket, Parcel<Tag>)>,
    /// Its connection to the node that it was told to take for its broker.
    pub(super) seeks: Option<PeerId>,
    /// What it can use, if it is hostile.
    pub(super) seen: Seen,
}

/// What happened to this world that explains less than perfect routes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Troubles {
    /// A connection was lost: routes may be cut.
    pub lost: bool,
    /// A broker is not connected to everyone, or refused: proxies may stay.
    pub refused: bool,
    /// An application rejected what another node sent.
    pub rejected: bool,
}

/// A network.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    pub(super) nodes: Vec<Node>,
    pub(super) conns: BTreeMap<ConnId, Conn>,
    pub(super) model: Model,
    pub(super) memory: Memory,
    /// What went wrong on purpose.
    pub troubles: Troubles,
    /// Whether there is more to the network than one broker and its clients.
    pub(super) federal: bool,
    /// How many connections between two nodes were lost before both had said hello.
    pub(super) ungreeted: BTreeMap<[u8; 2], u8>,
    /// What nodes may hold.
    pub(super) budget: Budget,
    /// Whether some nodes have brokers pass on their handles.
    pub(super) relaying: bool,
}

impl World {
    /// Nodes that know nobody. The first one is the broker; the last one may be hostile.
    /// Who has the greater name follows from `salt`.
    #[must_use]
    pub fn new(nodes: u8, hostile: bool, salt: u64) -> Self {
        Self::with_brokers(nodes, 1, true, hostile, salt)
    }

    /// Nodes that know nobody. The first ones are brokers, and may join; clients may bring clients;
    /// the last one may be hostile.
    #[must_use]
    pub fn network(
        nodes: u8,
        brokers: u8,
        takes_referrals: bool,
        hostile: bool,
        salt: u64,
    ) -> Self {
        let world = Self::with_brokers(nodes, brokers, takes_referrals, hostile, salt);
        Self { federal: true, ..world }
    }

    fn with_brokers(
        nodes: u8,
        brokers: u8,
        takes_referrals: bool,
        hostile: bool,
        salt: u64,
    ) -> Self {
        let mut rng = Rng::new(salt);
        let mut node = |index: u8| {
            let config = Config {
                name: NodeName(u128::from(rng.next()) << 64 | u128::from(index)),
                is_broker: index < brokers,
                key: [index; 16],
                features: 0,
                max_payload: 1 << 20,
                takes_referrals,
                may_allocate: true,
                relays_handles: false,
            };
            Node {
                engine: Engine::new(config),
                alive: true,
                hostile: hostile && index + 1 == nodes,
                links: BTreeMap::new(),
                asked: Vec::new(),
                to_allocate: Vec::new(),
                serializing: Vec::new(),
                seeks: None,
                seen: Seen::default(),
            }
        };
        Self {
            nodes: (0..nodes).map(&mut node).collect(),
            conns: BTreeMap::new(),
            model: Model::default(),
            memory: Memory::default(),
            troubles: Troubles::default(),
            federal: false,
            budget: Budget::default(),
            ungreeted: BTreeMap::new(),
            relaying: false,
        }
    }

    /// Makes every node but the brokers one that may not make memory, and has a delegate as soon as
    /// it connects.
    pub fn delegate_allocation(&mut self) {
        self.memory.delegating = true;
        for node in &mut self.nodes {
            let config = node.engine.config().clone();
            let may_allocate = config.is_broker;
            node.engine = Engine::new(Config { may_allocate, ..config });
        }
    }

    /// Has brokers pass on the handles of those nodes that `which` says.
    pub fn relay_handles(&mut self, which: impl Fn(usize) -> bool) {
        self.relaying = true;
        for (index, node) in self.nodes.iter_mut().enumerate() {
            let config = node.engine.config().clone();
            node.engine = Engine::new(Config { relays_handles: which(index), ..config });
        }
    }

    pub(super) fn node(&self, index: u8) -> &Node {
        &self.nodes[usize::from(index)]
    }

    pub(super) fn node_mut(&mut self, index: u8) -> &mut Node {
        &mut self.nodes[usize::from(index)]
    }

    pub(super) fn engine(&mut self, index: u8) -> &mut Engine<Tag> {
        &mut self.nodes[usize::from(index)].engine
    }

    /// A connection whose ends nobody holds yet.
    pub(super) fn new_conn(&mut self, a: u8, b: u8) -> ConnId {
        let nodes = [a.min(b), a.max(b)];
        let from = ConnId { nodes, nth: 0 };
        let to = ConnId { nodes, nth: u16::MAX };
        let last = self.conns.range(from..=to).next_back();
        let id = ConnId { nodes, nth: last.map_or(0, |(id, _)| id.nth + 1) };
        self.conns.insert(id, Conn::new([Holder::Message; 2]));
        id
    }

    /// Gives one end of a connection to a node.
    pub(super) fn hold(&mut self, conn: ConnId, side: Side, node: u8, peer: PeerId) {
        if let Some(known) = self.conns.get_mut(&conn) {
            known.holders[side] = Holder::Node(node, peer);
            known.hostile |= self.nodes[usize::from(node)].hostile;
            self.node_mut(node).links.insert(peer, (conn, side));
        }
    }

    /// Closes one end. The other one gets what was sent before, then hears of it.
    pub(super) fn close_end(&mut self, id: ConnId, side: Side) {
        let Some(conn) = self.conns.get_mut(&id) else { return };
        if let Holder::Node(node, peer) = conn.holders[side] {
            self.nodes[usize::from(node)].links.remove(&peer);
        }
        conn.holders[side] = Holder::Nobody;
        let unread = std::mem::take(&mut conn.queues[side]);
        if conn.holders[1 - side] == Holder::Nobody {
            self.conns.remove(&id);
        } else {
            conn.queues[1 - side].push_back(Packet::Lost);
        }
        for packet in unread {
            self.drop_packet(&packet);
        }
    }

    pub(super) fn drop_packet(&mut self, packet: &Packet) {
        if let Some(transport) = transport_in(packet) {
            self.close_transport(transport);
        }
        self.drop_memory_in(packet);
    }

    fn close_transport(&mut self, transport: TransportId) {
        let (conn, side) = ConnId::from_transport(transport);
        let travels = self.conns.get(&conn).map(|conn| conn.holders[side]) == Some(Holder::Message);
        if travels {
            self.close_end(conn, side);
        }
    }

    /// Loses the last packets that were sent to one end, all but `keep` of them.
    pub(super) fn truncate(&mut self, id: ConnId, side: Side, keep: usize) {
        let Some(conn) = self.conns.get_mut(&id) else { return };
        let keep = keep.min(conn.queues[side].len());
        for packet in conn.queues[side].split_off(keep) {
            self.drop_packet(&packet);
        }
    }

    /// Does what a node's engine asks for.
    pub(super) fn carry_out(&mut self, node: u8) -> Result<(), Violation> {
        while let Some(effect) = self.engine(node).poll_effect() {
            match effect {
                Effect::Send { peer, message } => {
                    if let Message::Parcel { payload, .. } = &message {
                        self.check_ready(payload)?;
                    }
                    if !self.node(node).hostile {
                        self.check_direct_send(node, self.far_node(node, peer), &message)?;
                    }
                    self.send(node, peer, message);
                }
                Effect::Serialize { ticket, parcel } => {
                    self.node_mut(node).serializing.push((ticket, parcel));
                }
                Effect::Fire { trap, event } => self.trap_fired(node, trap, &event)?,
                Effect::CreateTransports(pairing) => {
                    self.node_mut(node).asked.push(pairing);
                }
                Effect::Activate { peer, transport } => self.activate(node, peer, transport)?,
                Effect::DropTransport(transport) => self.close_transport(transport),
                Effect::Allocate { request, .. } => {
                    self.node_mut(node).to_allocate.push(request);
                }
                Effect::Allocated { request, memory } => self.allocated(node, request, memory)?,
                Effect::DropMemory(memory) => self.release_memory(memory)?,
                Effect::Connected(_) | Effect::Discard(_) => {}
                Effect::Disconnect { peer, cause } => {
                    if let Some((conn, side)) = self.node_mut(node).links.remove(&peer) {
                        self.check_may_be_lost(conn, &cause)?;
                        self.close_end(conn, side);
                    }
                }
            }
        }
        Ok(())
    }

    /// Honest nodes stay connected unless something went wrong on purpose.
    fn check_may_be_lost(&self, conn: ConnId, cause: &Cause) -> Result<(), Violation> {
        if self.troubles.lost || self.conns.get(&conn).is_none_or(|conn| conn.hostile) {
            return Ok(());
        }
        Err(Violation::new("connections last", format!("{conn}: {cause:?}")))
    }

    fn send(&mut self, node: u8, peer: PeerId, message: Message<Tag>) {
        self.troubles.refused |= self.is_refusal(&message);
        self.overhear(node, &message);
        if self.node(node).hostile {
            self.budget.pay(&message);
        }
        let packet = Packet::Message(message);
        let open = self.node(node).links.get(&peer).copied();
        let Some((conn, side)) = open else { return self.drop_packet(&packet) };
        let conn = self.conns.get_mut(&conn).filter(|c| c.holders[1 - side] != Holder::Nobody);
        match conn {
            Some(conn) => conn.queues[1 - side].push_back(packet),
            None => self.drop_packet(&packet),
        }
    }

    /// Whether a broker that takes no clients from its clients says so.
    fn is_refusal(&self, message: &Message<Tag>) -> bool {
        let refusal = matches!(message, Message::Network(NetworkMessage::ReferralRefused(_)));
        refusal && !self.nodes[0].engine.config().takes_referrals
    }

    /// Lets a hostile node remember what it sent or got.
    pub(super) fn overhear(&mut self, node: u8, message: &Message<Tag>) {
        let node = self.node_mut(node);
        if node.hostile {
            node.seen.note(message);
        }
    }

    fn activate(
        &mut self,
        node: u8,
        peer: PeerId,
        transport: TransportId,
    ) -> Result<(), Violation> {
        let (conn, side) = ConnId::from_transport(transport);
        match self.conns.get(&conn).map(|conn| conn.holders[side]) {
            Some(Holder::Message) => self.hold(conn, side, node, peer),
            _ => {
                let detail = format!("{conn} side {side} at node {node}");
                return Err(Violation::new("a transport is used once", detail));
            }
        }
        Ok(())
    }

    /// The packets that could be delivered next.
    pub(super) fn deliverable(&self) -> impl Iterator<Item = (ConnId, Side)> + '_ {
        self.conns.iter().flat_map(|(&id, conn)| {
            [0, 1].into_iter().filter_map(move |side| {
                let held = matches!(conn.holders[side], Holder::Node(..));
                (held && !conn.queues[side].is_empty()).then_some((id, side))
            })
        })
    }

    /// The parcels that wait for an answer: at which node, and which one there.
    pub(super) fn serializing(&self) -> impl Iterator<Item = (u8, u8)> + '_ {
        (0..).zip(&self.nodes).flat_map(|(index, node)| {
            (0..node.serializing.len()).map(move |nth| (index, nth as u8))
        })
    }

    /// Whether a node could look for a broker, or, as a broker, for another one.
    pub(super) fn is_alone(&self, node: u8) -> bool {
        let node = self.node(node);
        node.alive && !node.seeks.is_some_and(|peer| node.links.contains_key(&peer))
    }

    /// How a packet on its way to one end is held: by which node, as which peer.
    pub(super) fn receiver(&self, id: ConnId, side: Side) -> Option<(u8, PeerId)> {
        match self.conns.get(&id)?.holders[side] {
            Holder::Node(node, peer) => Some((node, peer)),
            _ => None,
        }
    }

    /// The open portals, where they are and what their nodes say of their routes.
    #[must_use]
    pub fn routes(&self) -> String {
        let mut text = String::new();
        for (ep, node, portal) in self.model.open() {
            let engine = &self.node(node).engine;
            let peer = self.model.peer(ep);
            let status = engine.status(portal).unwrap_or_default();
            let waiting = status.num_parcels;
            let route = engine.route(portal);
            text += &format!("        p{ep} at {node}, peer p{peer}, {waiting} here: {route:?}\n");
        }
        for (index, node) in self.nodes.iter().enumerate() {
            let topology = node.engine.topology();
            text += &format!("        node {index}: {} proxies\n", topology.proxies);
        }
        text
    }
}
