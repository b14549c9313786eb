//! A small network of engines, with every message delivered in turn, one at a time.

use std::collections::{BTreeMap, VecDeque};

use ipcz_core::{
    AllocateFailed, AllocationId, Cause, ConnectRefused, Effect, Engine, MemoryId, Message,
    NetworkMessage, Pairing, PeerId, PortalId, Relation, TransportId,
};

use super::{Bytes, config, with};

enum Packet {
    Message(Message<Bytes>),
    Lost,
}

/// Where one end of a connection is, and what is on its way to it.
#[derive(Default)]
struct End {
    held: Option<(usize, PeerId)>,
    /// The node that holds, or held last, the other end.
    from: usize,
    closed: bool,
    queue: VecDeque<Packet>,
}

#[derive(Default)]
pub struct Net {
    pub engines: Vec<Engine<Bytes>>,
    /// Two by two: each end's other end is its neighbour.
    ends: Vec<End>,
    at: BTreeMap<(usize, PeerId), usize>,
    /// What nodes asked transports for.
    pub asked: Vec<(usize, Pairing)>,
    /// Whether they get them.
    pub grants: bool,
    /// Whether they get them only when [`Net::answer_late`] is called.
    pub late: bool,
    waiting: Vec<(usize, Pairing)>,
    /// Memory that nodes are to make, that arrived where it was wanted, and that nobody wants.
    pub to_allocate: Vec<(usize, AllocationId, u64)>,
    pub allocated: Vec<(usize, AllocationId, Result<MemoryId, AllocateFailed>)>,
    pub dropped_memory: Vec<MemoryId>,
    /// Connections that ended, at which node and why.
    pub ended: Vec<(usize, Cause)>,
    /// How many connections began to work, at each end.
    pub begun: usize,
    /// From which node to which nothing is delivered.
    stopped: Vec<(usize, usize)>,
    /// Everything that was delivered: who got it, and what it was.
    pub delivered: Vec<(usize, Message<Bytes>)>,
}

impl Net {
    /// Nodes with ascending names, of which the first `brokers` are brokers.
    pub fn new(brokers: usize, nodes: usize) -> Self {
        let engine = |index: usize| Engine::new(config(index as u128 + 1, index < brokers));
        Self { engines: (0..nodes).map(engine).collect(), grants: true, ..Self::default() }
    }

    /// Begins a connection, with a portal at each end.
    pub fn begin(&mut self, a: usize, to: Relation, b: usize, from: Relation) -> [PortalId; 2] {
        self.begin_with(a, to, b, |engine| engine.connect(from, 1))
    }

    /// Makes the node `b` a client of `a`, which is its allocation delegate too.
    pub fn ward(&mut self, a: usize, b: usize) -> [PortalId; 2] {
        let from = Relation::Broker;
        let connect = |engine: &mut Engine<Bytes>| engine.connect_to_delegate(from, 1);
        let portals = self.begin_with(a, Relation::Client, b, connect);
        self.rest();
        portals
    }

    fn begin_with(
        &mut self,
        a: usize,
        to: Relation,
        b: usize,
        connect: impl FnOnce(&mut Engine<Bytes>) -> Result<(PeerId, Vec<PortalId>), ConnectRefused>,
    ) -> [PortalId; 2] {
        let (left, portals) = self.engines[a].connect(to, 1).unwrap();
        let (right, others) = connect(&mut self.engines[b]).unwrap();
        let end = self.new_ends();
        self.hold(end, a, left);
        self.hold(end + 1, b, right);
        self.work(a);
        self.work(b);
        [portals[0], others[0]]
    }

    pub fn connect(&mut self, a: usize, to: Relation, b: usize, from: Relation) -> [PortalId; 2] {
        let portals = self.begin(a, to, b, from);
        self.rest();
        portals
    }

    /// Makes `client` a client of `broker`.
    pub fn client(&mut self, broker: usize, client: usize) -> [PortalId; 2] {
        self.connect(broker, Relation::Client, client, Relation::Broker)
    }

    /// Joins the networks of two brokers.
    pub fn join(&mut self, a: usize, b: usize) -> [PortalId; 2] {
        self.connect(a, Relation::Broker, b, Relation::Broker)
    }

    fn new_ends(&mut self) -> usize {
        self.ends.extend([End::default(), End::default()]);
        self.ends.len() - 2
    }

    /// A transport that leads nowhere.
    pub fn dead_end(&mut self) -> TransportId {
        let end = self.new_ends();
        self.close(end + 1);
        TransportId(end as u64)
    }

    fn hold(&mut self, end: usize, node: usize, peer: PeerId) {
        self.ends[end].held = Some((node, peer));
        self.ends[end ^ 1].from = node;
        self.at.insert((node, peer), end);
    }

    fn close(&mut self, end: usize) {
        self.ends[end].closed = true;
        self.discard(end);
        if let Some(held) = self.ends[end].held.take() {
            self.at.remove(&held);
        }
        self.ends[end ^ 1].queue.push_back(Packet::Lost);
    }

    /// Throws away what is on its way to an end, and closes the transports in it.
    fn discard(&mut self, end: usize) {
        for packet in std::mem::take(&mut self.ends[end].queue) {
            if let Packet::Message(Message::Network(message)) = packet
                && let Some(transport) = message.transport()
            {
                self.close(transport.0 as usize);
            }
        }
    }

    /// Does what a node's engine asks for.
    pub fn work(&mut self, node: usize) {
        self.engines[node].audit().unwrap();
        while let Some(effect) = self.engines[node].poll_effect() {
            match effect {
                Effect::Send { peer, message } => {
                    if let Some(end) = self.at.get(&(node, peer)) {
                        let other = end ^ 1;
                        self.ends[other].queue.push_back(Packet::Message(message));
                        if self.ends[other].closed {
                            self.discard(other);
                        }
                    }
                }
                Effect::CreateTransports(pairing) => {
                    self.asked.push((node, pairing));
                    if self.late {
                        self.waiting.push((node, pairing));
                    } else if self.grants {
                        self.answer(node, pairing);
                    } else {
                        self.engines[node].handle_transports(pairing, None);
                    }
                }
                Effect::Activate { peer, transport } => {
                    self.hold(transport.0 as usize, node, peer);
                }
                Effect::DropTransport(transport) => self.close(transport.0 as usize),
                Effect::Disconnect { peer, cause } => {
                    self.ended.push((node, cause));
                    if let Some(&end) = self.at.get(&(node, peer)) {
                        self.close(end);
                    }
                }
                Effect::Connected(_) => self.begun += 1,
                Effect::Allocate { request, size } => self.to_allocate.push((node, request, size)),
                Effect::Allocated { request, memory } => {
                    self.allocated.push((node, request, memory));
                }
                Effect::DropMemory(memory) => self.dropped_memory.push(memory),
                Effect::Fire { .. } => {}
                Effect::Serialize { .. } | Effect::Discard(_) => {
                    unreachable!("bytes are always ready")
                }
            }
        }
    }

    fn answer(&mut self, node: usize, pairing: Pairing) {
        let end = self.new_ends() as u64;
        let transports = (TransportId(end), TransportId(end + 1));
        self.engines[node].handle_transports(pairing, Some(transports));
    }

    /// Gives transports to whoever asked for some and waits.
    pub fn answer_late(&mut self) {
        for (node, pairing) in std::mem::take(&mut self.waiting) {
            self.answer(node, pairing);
            self.work(node);
        }
    }

    /// Delivers one packet, if one is under way.
    pub fn step(&mut self) -> bool {
        let ready = |&id: &usize| {
            let end = &self.ends[id];
            let able = end.held.is_some_and(|(to, _)| !self.stopped.contains(&(end.from, to)));
            able && !end.queue.is_empty() && !end.closed
        };
        match (0..self.ends.len()).find(ready) {
            Some(end) => self.deliver(end),
            None => false,
        }
    }

    /// Delivers one packet from one node to another, if one is under way.
    pub fn step_between(&mut self, from: usize, to: usize) -> bool {
        let ready = |&id: &usize| {
            let end = &self.ends[id];
            let fits = end.from == from && end.held.is_some_and(|held| held.0 == to);
            fits && !end.queue.is_empty() && !end.closed
        };
        match (0..self.ends.len()).find(ready) {
            Some(end) => self.deliver(end),
            None => false,
        }
    }

    /// Delivers one packet on the connection that was made last, if one is under way there.
    pub fn step_from_latest(&mut self) -> bool {
        let last = self.ends.len() - 2;
        let ready = |&id: &usize| !self.ends[id].queue.is_empty() && !self.ends[id].closed;
        match (last..last + 2).find(ready) {
            Some(end) => self.deliver(end),
            None => false,
        }
    }

    fn deliver(&mut self, end: usize) -> bool {
        let Some((node, peer)) = self.ends[end].held else { return false };
        match self.ends[end].queue.pop_front() {
            Some(Packet::Message(message)) => {
                self.delivered.push((node, message.clone()));
                self.engines[node].handle_message(peer, message).unwrap();
            }
            Some(Packet::Lost) => self.engines[node].handle_lost(peer),
            None => {}
        }
        self.work(node);
        true
    }

    pub fn rest(&mut self) {
        let many = 10_000;
        assert!((0..many).any(|_| !self.step()), "things come to rest");
    }

    /// Delivers everything that is on its way to one node, and nothing else.
    pub fn deliver_to(&mut self, node: usize) {
        let others = (0..self.engines.len()).filter(|&other| other != node);
        self.stopped =
            others.flat_map(|to| (0..self.engines.len()).map(move |from| (from, to))).collect();
        self.rest();
        self.stopped.clear();
    }

    /// Delivers nothing from one node to another until that is let go.
    pub fn hold_back(&mut self, from: usize, to: usize) {
        self.stopped.push((from, to));
    }

    pub fn let_go(&mut self) {
        self.stopped.clear();
    }

    /// Lets a node say something that its engine did not ask for.
    pub fn inject(&mut self, from: usize, to: usize, message: NetworkMessage) {
        let is_link = |end: &usize| {
            let holder = |end: usize| self.ends[end].held.map(|held| held.0);
            holder(*end) == Some(to) && holder(end ^ 1) == Some(from)
        };
        let end = (0..self.ends.len()).find(is_link).expect("they are connected");
        self.ends[end].queue.push_back(Packet::Message(Message::Network(message)));
    }

    /// A node is gone without a farewell, and with what was held back.
    pub fn crash(&mut self, node: usize) {
        let held: Vec<_> = self.at.iter().filter(|(at, _)| at.0 == node).map(|at| *at.1).collect();
        for end in held {
            if self.stopped.contains(&(node, self.ends[end].from)) {
                self.discard(end ^ 1);
            }
            self.close(end);
        }
        self.stopped.retain(|&(from, _)| from != node);
    }

    /// The connection between two nodes is lost, with everything that is on its way on it.
    pub fn lose(&mut self, a: usize, b: usize) {
        let between = |end: &usize| {
            let holder = |end: usize| self.ends[end].held.map(|held| held.0);
            holder(*end) == Some(a) && holder(end ^ 1) == Some(b)
        };
        let end = (0..self.ends.len()).find(between).expect("they are connected");
        for end in [end, end ^ 1] {
            self.discard(end);
            self.ends[end].queue.push_back(Packet::Lost);
        }
    }

    /// Sends a portal over a route, and gives the portal that arrives.
    pub fn pass(
        &mut self,
        from: (usize, PortalId),
        to: (usize, PortalId),
        it: PortalId,
    ) -> PortalId {
        self.put(from, it);
        self.rest();
        self.take(to)
    }

    pub fn put(&mut self, from: (usize, PortalId), it: PortalId) {
        self.engines[from.0].put(from.1, with(vec![it])).unwrap();
        self.work(from.0);
    }

    /// Puts a parcel without portals.
    pub fn say(&mut self, from: (usize, PortalId)) {
        self.engines[from.0].put(from.1, with(vec![])).unwrap();
        self.work(from.0);
    }

    pub fn take(&mut self, at: (usize, PortalId)) -> PortalId {
        self.engines[at.0].get(at.1).unwrap().portals[0]
    }

    /// The nodes that a node is connected to.
    pub fn peers(&self, node: usize) -> Vec<usize> {
        let peers = self.engines[node].topology().peers;
        let mut peers: Vec<_> = peers.iter().map(|peer| peer.name.0 as usize - 1).collect();
        peers.sort_unstable();
        peers
    }

    pub fn proxies(&self) -> usize {
        self.engines.iter().map(|engine| engine.topology().proxies).sum()
    }

    /// Nobody waits for an introduction, or remembers one.
    pub fn assert_no_introductions(&self) {
        for engine in &self.engines {
            assert_eq!(engine.pending_introductions(), 0, "{:?}", engine.config().name);
        }
    }
}
