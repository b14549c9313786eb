//! What happens to nodes and connections.

use ipcz_core::{
    Cause, CauseKind, Message, NodeName, Pairing, PeerId, PortalId, Relation, RouterLink, limits,
};

use super::conn::{ConnId, Holder, Packet, Side};
use super::model::{Ep, Place, Tag};
use super::step::Applied;
use super::world::{Violation, World};

impl World {
    /// Connects a node to its broker, or to one that shares its own, or to another broker.
    pub(super) fn connect(&mut self, nodes: [u8; 2], portals: [u8; 2], first: Ep) -> Applied {
        let usable = |index: u8| self.nodes.get(usize::from(index)).is_some_and(|node| node.alive);
        let pairs = portals[0].max(portals[1]);
        let free = self.model.eps.range(first..first + 2 * u32::from(pairs)).next().is_none();
        let [to, node] = nodes;
        if node == to || !usable(to) || !usable(node) || !free {
            return Ok(false);
        }
        let Some((peers, ids)) = self.begin_connection(nodes, portals) else { return Ok(false) };
        self.budget.portals += 2 * usize::from(portals[0] + portals[1]);
        self.budget.peers += 1;
        let conn = self.new_conn(to, node);
        self.hold(conn, usize::from(to > node), to, peers[0]);
        self.hold(conn, usize::from(node > to), node, peers[1]);
        self.node_mut(node).seeks = Some(peers[1]);
        for index in 0..pairs {
            let place = |ids: &[PortalId], at| {
                ids.get(usize::from(index)).map_or(Place::Gone, |&id| Place::Held(at, id))
            };
            let places = [place(&ids[0], to), place(&ids[1], node)];
            let ep = first + 2 * u32::from(index);
            self.model.add_pair(ep, places);
            self.taint_if_hostile(node, ep);
            self.note_change(ep);
        }
        self.done(to)?;
        self.done(node)
    }

    /// Tells both engines to connect, or neither.
    fn begin_connection(
        &mut self,
        nodes: [u8; 2],
        portals: [u8; 2],
    ) -> Option<([PeerId; 2], [Vec<PortalId>; 2])> {
        let brokers = nodes.map(|index| self.node(index).engine.config().is_broker);
        let far = if brokers == [true; 2] { Relation::Broker } else { Relation::Client };
        let mut engines = nodes.map(|index| self.node(index).engine.clone());
        let (to, to_ids) = engines[0].connect(far, portals[0].into()).ok()?;
        let (relation, count) = (Relation::Broker, portals[1].into());
        let to_delegate = self.memory.delegating && !brokers[1];
        let begun = match to_delegate {
            false => engines[1].connect(relation, count),
            true => engines[1].connect_to_delegate(relation, count),
        };
        let (node, node_ids) = begun.ok()?;
        for (index, engine) in nodes.into_iter().zip(engines) {
            self.node_mut(index).engine = engine;
        }
        Some(([to, node], [to_ids, node_ids]))
    }

    pub(super) fn crash(&mut self, node: u8, keep: u8) -> Applied {
        if !self.node(node).alive {
            return Ok(false);
        }
        self.note_loss(|a, b| a == node || b == node);
        self.troubles.refused |= node == 0 || self.federal;
        self.node_mut(node).alive = false;
        self.node_mut(node).asked.clear();
        self.forget_memory_of(node);
        self.node_mut(node).serializing.clear();
        let links: Vec<_> = self.node(node).links.values().copied().collect();
        for (conn, side) in links {
            self.truncate(conn, 1 - side, keep.into());
            self.close_end(conn, side);
        }
        self.forget_node(node);
        Ok(true)
    }

    pub(super) fn shut_down(&mut self, node: u8) -> Applied {
        if !self.node(node).alive {
            return Ok(false);
        }
        self.note_loss(|a, b| a == node || b == node);
        self.troubles.refused |= node == 0 || self.federal;
        self.engine(node).shut_down();
        self.done_leaving(node)
    }

    /// Ends the last step of a node: it must have let go of everything.
    fn done_leaving(&mut self, node: u8) -> Applied {
        let open: Vec<_> = self.model.open().filter(|&(_, at, _)| at == node).collect();
        for (ep, ..) in open {
            self.model.forget(ep);
        }
        self.done(node)?;
        let counts = self.node(node).engine.counts();
        let trap = self.model.traps.values().find(|armed| armed.node == node);
        if counts != ipcz_core::Counts::default() || trap.is_some() {
            let detail = format!("node {node}: {counts:?}, {trap:?}");
            return Err(Violation::new("nothing survives a shutdown", detail));
        }
        self.node_mut(node).alive = false;
        self.node_mut(node).asked.clear();
        self.forget_memory_of(node);
        self.node_mut(node).serializing.clear();
        Ok(true)
    }

    fn forget_node(&mut self, node: u8) {
        let lost: Vec<_> = self.model.open().filter(|&(_, at, _)| at == node).collect();
        for (ep, ..) in lost {
            self.model.forget(ep);
        }
        self.model.traps.retain(|_, armed| armed.node != node);
    }

    pub(super) fn drop_conn(&mut self, id: ConnId, keep: [u8; 2]) -> Applied {
        let Some(conn) = self.conns.get(&id) else { return Ok(false) };
        if conn.holders.contains(&Holder::Nobody) {
            return Ok(false);
        }
        self.note_loss_of(id);
        self.troubles.refused |= self.leaves_proxies(id);
        for side in [0, 1] {
            self.truncate(id, side, keep[side].into());
            if let Some(conn) = self.conns.get_mut(&id) {
                conn.queues[side].push_back(Packet::Lost);
            }
        }
        Ok(true)
    }

    pub(super) fn disconnect(&mut self, id: ConnId, side: Side) -> Applied {
        let Some((node, peer)) = self.receiver(id, side) else { return Ok(false) };
        self.note_loss_of(id);
        self.troubles.refused |= self.leaves_proxies(id);
        self.engine(node).disconnect(peer);
        self.done(node)
    }

    /// Has an application reject what came over a connection. The routes over it say whose fault it was.
    pub(super) fn reject(&mut self, id: ConnId, side: Side) -> Applied {
        let Some((node, peer)) = self.receiver(id, side) else { return Ok(false) };
        let far = self.node(node).engine.peer_name(peer);
        let open: Vec<_> = self.model.open().filter(|&(_, at, _)| at == node).collect();
        let over =
            |link| matches!(link, RouterLink::There { node: Some(name), .. } if Some(name) == far);
        let hit = open.into_iter().filter(|&(.., portal)| {
            let intact = self.node(node).engine.cause(portal).is_none();
            intact && self.link_of(node, portal).is_some_and(|(_, link)| over(link))
        });
        let hit: Vec<_> = hit.collect();
        self.note_loss_of(id);
        self.troubles.rejected = true;
        self.troubles.refused |= self.leaves_proxies(id);
        self.engine(node).reject(peer);
        for (ep, _, portal) in hit {
            let engine = &self.node(node).engine;
            let closed = engine.status(portal).is_some_and(|status| status.peer_closed);
            let rejected = Cause { kind: CauseKind::Rejected, node: far };
            match engine.cause(portal) {
                Some(cause) if cause == rejected => {}
                None if closed => {}
                cause => {
                    let detail = format!("p{ep} to {far:?}: {cause:?}");
                    return Err(Violation::new("a rejection says whose parcel it was", detail));
                }
            }
        }
        self.done(node)
    }

    /// Whether some proxies may stay if this connection is lost.
    ///
    /// A node that lost its broker gets no more introductions. One that lost the same node too often
    /// before that said hello asks for no further one.
    fn leaves_proxies(&mut self, id: ConnId) -> bool {
        if !self.has_greeted(id) {
            *self.ungreeted.entry(id.nodes).or_default() += 1;
        }
        let losses = self.ungreeted.get(&id.nodes).copied().unwrap_or_default();
        self.leads_to_broker(id) || losses > limits::MAX_LOST_INTRODUCTIONS
    }

    /// Whether both nodes have got the other one's hello.
    fn has_greeted(&self, id: ConnId) -> bool {
        [0, 1].into_iter().all(|side| {
            let receiver = self.receiver(id, side);
            receiver
                .is_some_and(|(node, peer)| self.node(node).engine.max_payload_of(peer).is_some())
        })
    }

    /// Whether two nodes that are no brokers are about to meet over this connection.
    pub(super) fn is_meeting(&self, id: ConnId) -> bool {
        !self.leads_to_broker(id) && !self.has_greeted(id)
    }

    fn leads_to_broker(&self, id: ConnId) -> bool {
        self.node(id.nodes[0]).engine.config().is_broker
            || self.conns.get(&id).is_some_and(|conn| conn.referral)
    }

    /// Answers the oldest request for transports.
    pub(super) fn answer(&mut self, node: u8, grant: bool) -> Applied {
        if self.node(node).asked.is_empty() {
            return Ok(false);
        }
        let pairing = self.node_mut(node).asked.remove(0);
        let ends = match pairing {
            Pairing::Introduction(pair) => pair.names().map(|name| Some(Self::index_of(name))),
            // Whoever activates it has it.
            Pairing::Referral(heir) => [self.far_node(node, heir), Some(node)],
        };
        let transports = match ends {
            [Some(first), Some(second)] if grant => {
                let conn = self.new_conn(first, second);
                if let Some(made) = self.conns.get_mut(&conn) {
                    made.referral = matches!(pairing, Pairing::Referral(_));
                }
                let side = usize::from(first > second);
                Some((conn.transport(side), conn.transport(1 - side)))
            }
            _ => {
                self.troubles.refused = true;
                None
            }
        };
        self.engine(node).handle_transports(pairing, transports);
        self.done(node)
    }

    /// The place of the node of that name.
    pub(super) fn index_of(name: NodeName) -> u8 {
        (name.0 & 0xff) as u8
    }

    /// The node at the other end of a connection.
    pub(super) fn far_node(&self, node: u8, peer: PeerId) -> Option<u8> {
        let &(conn, side) = self.node(node).links.get(&peer)?;
        self.receiver(conn, 1 - side).map(|(far, _)| far)
    }

    pub(super) fn withhold(&mut self, id: ConnId, side: Side) -> Applied {
        let hostile = self.receiver(id, side).is_some_and(|(node, _)| self.node(node).hostile);
        let Some(conn) = self.conns.get_mut(&id).filter(|_| hostile) else { return Ok(false) };
        match conn.queues[1 - side].pop_back() {
            Some(Packet::Message(Message::Hello(hello))) => {
                conn.queues[1 - side].push_back(Packet::Message(Message::Hello(hello)));
                Ok(false)
            }
            Some(Packet::Lost) => {
                conn.queues[1 - side].push_back(Packet::Lost);
                Ok(false)
            }
            Some(packet) => {
                self.drop_packet(&packet);
                Ok(true)
            }
            None => Ok(false),
        }
    }

    /// Lets a hostile node send what cannot be understood.
    pub(super) fn garble(&mut self, id: ConnId, side: Side) -> Applied {
        let hostile = self.receiver(id, side).is_some_and(|(node, _)| self.node(node).hostile);
        let Some((node, peer)) = self.receiver(id, 1 - side).filter(|_| hostile) else {
            return Ok(false);
        };
        self.engine(node).handle_garbage(peer);
        self.done(node)
    }

    pub(super) fn forge(&mut self, id: ConnId, side: Side, message: &Message<Tag>) -> Applied {
        let Some((node, _)) = self.receiver(id, side) else { return Ok(false) };
        let Some(conn) = self.conns.get(&id) else { return Ok(false) };
        if !self.nodes[usize::from(node)].hostile || conn.holders[1 - side] == Holder::Nobody {
            return Ok(false);
        }
        let mut message = message.clone();
        if let Message::Network(message) = &mut message
            && let Some(transport) = message.transport_mut()
        {
            *transport = self.dead_end(node);
        }
        self.budget.pay(&message);
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.queues[1 - side].push_back(Packet::Message(message));
        }
        Ok(true)
    }

    /// A transport that leads nowhere.
    fn dead_end(&mut self, node: u8) -> ipcz_core::TransportId {
        let id = self.new_conn(node, node);
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.hostile = true;
            conn.holders[1] = Holder::Nobody;
            conn.queues[0].push_back(Packet::Lost);
        }
        id.transport(0)
    }
}
