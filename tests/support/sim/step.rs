//! What can happen to a world, and how it is carried out.

use std::fmt;

use ipcz_core::{
    GetRefused, Message, Parcel, PeerId, PortalId, PutRefused, Relation, TrapConditions, TrapEvent,
    TrapId, TrapRefused,
};

use super::conn::{ConnId, Holder, Packet, Side};
use super::model::{Armed, Ep, Place, Tag};
use super::world::{Violation, World};

/// Something that happens. Steps name everything, so that some can be left out of a trace.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "see how they are printed")]
pub enum Step {
    Deliver { conn: ConnId, side: Side },
    Open { node: u8, first: Ep },
    Put { via: Ep, size: u8, moved: Vec<Ep> },
    Get { at: Ep },
    Close { ep: Ep },
    Merge { a: Ep, b: Ep },
    Trap { ep: Ep, conditions: TrapConditions },
    Connect { node: u8, portals: [u8; 2], first: Ep },
    Crash { node: u8, keep: u8 },
    Drop { conn: ConnId, keep: [u8; 2] },
    Disconnect { conn: ConnId, side: Side },
    ShutDown { node: u8 },
    Answer { node: u8, grant: bool },
    Forge { conn: ConnId, side: Side, message: Box<Message<Tag>> },
    Withhold { conn: ConnId, side: Side },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deliver { conn, side } => {
                let to = conn.nodes[*side];
                write!(f, "deliver on {conn} to {to}")
            }
            Self::Open { node, first } => write!(f, "open p{first} p{} at {node}", first + 1),
            Self::Put { via, size, moved } if moved.is_empty() => {
                write!(f, "put {size} B into p{via}")
            }
            Self::Put { via, moved, .. } => write!(f, "put {moved:?} into p{via}"),
            Self::Get { at } => write!(f, "get from p{at}"),
            Self::Close { ep } => write!(f, "close p{ep}"),
            Self::Merge { a, b } => write!(f, "merge p{a} with p{b}"),
            Self::Trap { ep, conditions } => write!(f, "trap on p{ep}: {conditions:?}"),
            Self::Connect { node, portals, first } => {
                write!(f, "connect 0 with {node}, portals {portals:?} from p{first}")
            }
            Self::Crash { node, keep } => write!(f, "crash {node}, {keep} packets survive"),
            Self::Drop { conn, keep } => write!(f, "drop {conn}, {keep:?} packets survive"),
            Self::Disconnect { conn, side } => {
                write!(f, "node {} disconnects {conn}", conn.nodes[*side])
            }
            Self::ShutDown { node } => write!(f, "shut down {node}"),
            Self::Answer { node, grant } => write!(f, "node {node} introduces: {grant}"),
            Self::Withhold { conn, side } => {
                write!(f, "node {} takes back what it sent last on {conn}", conn.nodes[*side])
            }
            Self::Forge { conn, side, message } => {
                write!(f, "node {} forges on {conn}: {message:?}", conn.nodes[*side])
            }
        }
    }
}

type Applied = Result<bool, Violation>;

impl World {
    /// Carries out a step, and checks what must hold after each. Gives whether it was possible.
    ///
    /// # Errors
    /// What did not hold.
    pub fn apply(&mut self, step: &Step) -> Result<bool, Violation> {
        match *step {
            Step::Deliver { conn, side } => self.deliver(conn, side),
            Step::Open { node, first } => self.open(node, first),
            Step::Put { via, size, ref moved } => self.put(via, size, moved),
            Step::Get { at } => self.get(at),
            Step::Close { ep } => self.close(ep),
            Step::Merge { a, b } => self.merge(a, b),
            Step::Trap { ep, conditions } => self.set_trap(ep, conditions),
            Step::Connect { node, portals, first } => self.connect(node, portals, first),
            Step::Crash { node, keep } => self.crash(node, keep),
            Step::Drop { conn, keep } => self.drop_conn(conn, keep),
            Step::Disconnect { conn, side } => self.disconnect(conn, side),
            Step::ShutDown { node } => self.shut_down(node),
            Step::Answer { node, grant } => self.answer(node, grant),
            Step::Withhold { conn, side } => self.withhold(conn, side),
            Step::Forge { conn, side, ref message } => self.forge(conn, side, message),
        }
    }

    /// Ends a step of one node.
    fn done(&mut self, node: u8) -> Applied {
        self.carry_out(node)?;
        self.check_node(node)?;
        Ok(true)
    }

    fn deliver(&mut self, id: ConnId, side: Side) -> Applied {
        let Some((node, peer)) = self.receiver(id, side) else { return Ok(false) };
        let packet = self.conns.get_mut(&id).and_then(|conn| conn.queues[side].pop_front());
        match packet {
            None => return Ok(false),
            Some(Packet::Lost) => {
                self.close_end(id, side);
                self.engine(node).handle_lost(peer);
            }
            Some(Packet::Message(message)) => {
                let sender = id.nodes[1 - side];
                self.overhear(node, &message);
                let result = self.engine(node).handle_message(peer, message.clone());
                if let Err(violation) = result
                    && !self.node(sender).hostile
                    && !self.node(node).hostile
                {
                    let detail = format!("{sender} to {node}: {violation}: {message:?}");
                    return Err(Violation::new("honest nodes keep the protocol", detail));
                }
            }
        }
        self.done(node)
    }

    fn open(&mut self, node: u8, first: Ep) -> Applied {
        let taken =
            self.model.eps.contains_key(&first) || self.model.eps.contains_key(&(first + 1));
        if taken || !self.node(node).alive {
            return Ok(false);
        }
        let (a, b) = self.engine(node).open_portals();
        self.model.add_pair(first, [Place::Held(node, a), Place::Held(node, b)]);
        self.taint_if_hostile(node, first);
        self.done(node)
    }

    fn taint_if_hostile(&mut self, node: u8, ep: Ep) {
        if self.node(node).hostile {
            self.model.taint(ep);
        }
    }

    fn put(&mut self, via: Ep, size: u8, moved: &[Ep]) -> Applied {
        let Some((node, portal)) = self.model.held(via) else { return Ok(false) };
        let mut portals = Vec::new();
        for &ep in moved {
            let here = self.model.held(ep).filter(|&(at, _)| at == node && ep != via);
            let Some((_, id)) = here else { return Ok(false) };
            if self.model.would_swallow_itself(via, ep) {
                return Ok(false);
            }
            portals.push(id);
        }
        let number = self.model.eps[&via].sent.len() as u32;
        let parcel = Parcel { payload: Tag { from: via, number, size }, portals };
        match self.engine(node).put(portal, parcel.clone()) {
            Ok(()) => self.sent(via, moved),
            Err((_, back)) if back != parcel => {
                return Err(Violation::new(
                    "a refused parcel stays the caller's",
                    format!("p{via}"),
                ));
            }
            Err((refused, _)) => self.check_put_refused(via, refused)?,
        }
        self.done(node)
    }

    fn sent(&mut self, via: Ep, moved: &[Ep]) {
        let Some(endpoint) = self.model.eps.get_mut(&via) else { return };
        endpoint.sent.push(moved.to_vec());
        let tainted = endpoint.tainted;
        let lost = self.model.is_gone(self.model.peer(via));
        for &ep in moved {
            self.model.set_place(ep, Place::Travelling(via));
            if tainted {
                self.model.taint(ep);
            }
            if lost {
                self.model.forget(ep);
            }
        }
    }

    fn check_put_refused(&self, via: Ep, refused: PutRefused) -> Result<(), Violation> {
        let peer = &self.model.eps[&self.model.peer(via)];
        let excused = match refused {
            PutRefused::PeerClosed => !matches!(peer.place, Place::Held(..)),
            PutRefused::Disconnected(_) => true, // `check_node` looks at who may be cut.
            _ => false,
        };
        if excused || peer.tainted || self.troubles.lost {
            return Ok(());
        }
        Err(Violation::new("a put succeeds while the peer is open", format!("p{via}: {refused:?}")))
    }

    fn get(&mut self, at: Ep) -> Applied {
        let Some((node, portal)) = self.model.held(at) else { return Ok(false) };
        match self.engine(node).get(portal) {
            Ok(parcel) => self.taken(node, at, &parcel)?,
            Err(GetRefused::Empty | GetRefused::Disconnected(_)) => {}
            Err(GetRefused::PeerClosed) => {}
            Err(GetRefused::UnknownPortal) => {
                return Err(Violation::new("a portal stays where it was put", format!("p{at}")));
            }
        }
        let here = self.engine(node).status(portal).map_or(0, |status| status.num_parcels);
        for armed in self.model.traps.values_mut().filter(|armed| armed.ep == at) {
            armed.parcels = here;
        }
        self.done(node)
    }

    fn taken(&mut self, node: u8, at: Ep, parcel: &Parcel<Tag>) -> Result<(), Violation> {
        let expected = Tag { size: parcel.payload.size, ..self.expected_at(at) };
        let inside = self.model.eps[&expected.from].sent.get(expected.number as usize).cloned();
        let tainted = self.model.eps[&at].tainted;
        let right = parcel.payload == expected
            && inside.as_ref().map(Vec::len) == Some(parcel.portals.len());
        if !right {
            if tainted {
                self.discard(node, &parcel.portals);
                return Ok(());
            }
            let detail = format!("p{at} expected {expected:?} with {inside:?}, got {parcel:?}");
            return Err(Violation::new("parcels arrive once, in order, complete", detail));
        }
        for (&ep, &portal) in inside.unwrap_or_default().iter().zip(&parcel.portals) {
            if self.model.eps[&ep].place != Place::Travelling(expected.from) {
                if tainted {
                    self.discard(node, &[portal]);
                    continue;
                }
                return Err(Violation::new("a portal is in one place", format!("p{ep}")));
            }
            self.model.set_place(ep, Place::Held(node, portal));
            self.taint_if_hostile(node, ep);
        }
        if let Some(endpoint) = self.model.eps.get_mut(&at) {
            endpoint.taken += 1;
        }
        Ok(())
    }

    /// Closes portals that a hostile node made up.
    fn discard(&mut self, node: u8, portals: &[PortalId]) {
        for &portal in portals {
            self.engine(node).close(portal);
        }
    }

    /// The next parcel that `at` must get.
    pub(super) fn expected_at(&self, at: Ep) -> Tag {
        let endpoint = &self.model.eps[&at];
        Tag { from: endpoint.peer, number: endpoint.taken, size: 0 }
    }

    fn close(&mut self, ep: Ep) -> Applied {
        let Some((node, portal)) = self.model.held(ep) else { return Ok(false) };
        self.model.forget(ep);
        if !self.engine(node).close(portal) {
            return Err(Violation::new("an open portal can be closed", format!("p{ep}")));
        }
        self.carry_out(node)?;
        self.check_no_traps(ep)?;
        self.done(node)
    }

    fn merge(&mut self, a: Ep, b: Ep) -> Applied {
        let (Some((node, first)), Some((other, second))) = (self.model.held(a), self.model.held(b))
        else {
            return Ok(false);
        };
        let unused = |ep: Ep| self.model.eps[&ep].sent.is_empty() && self.model.eps[&ep].taken == 0;
        if node != other || a == b || self.model.peer(a) == b || !unused(a) || !unused(b) {
            return Ok(false);
        }
        if self.model.join_would_swallow(a, b) {
            return Ok(false);
        }
        let tainted = self.model.eps[&a].tainted || self.model.eps[&b].tainted;
        if let Err(refused) = self.engine(node).merge(first, second) {
            if tainted {
                return Ok(false); // A parcel of unknown origin was taken, perhaps.
            }
            return Err(Violation::new("unused portals merge", format!("p{a} p{b}: {refused:?}")));
        }
        let ends = [self.model.peer(a), self.model.peer(b)];
        self.model.join(a, b);
        for ep in ends.into_iter().filter(|_| tainted) {
            if let Some(endpoint) = self.model.eps.get_mut(&ep) {
                endpoint.tainted = false;
            }
            self.model.taint(ep);
        }
        self.carry_out(node)?;
        self.check_no_traps(a)?;
        self.check_no_traps(b)?;
        self.done(node)
    }

    fn set_trap(&mut self, ep: Ep, conditions: TrapConditions) -> Applied {
        let Some((node, portal)) = self.model.held(ep) else { return Ok(false) };
        let id = self.model.next_trap;
        self.model.next_trap += 1;
        match self.engine(node).set_trap(portal, conditions, TrapId(id)) {
            Ok(()) => {
                let status = self.engine(node).status(portal);
                let parcels = status.map_or(0, |status| status.num_parcels);
                self.model.traps.insert(id, Armed { ep, node, conditions, parcels });
            }
            Err(TrapRefused::Satisfied(event)) if event.flags.any() => {}
            Err(refused) => {
                let detail = format!("p{ep}: {refused:?}");
                return Err(Violation::new("a trap can be set on an open portal", detail));
            }
        }
        self.done(node)
    }

    pub(super) fn trap_fired(
        &mut self,
        node: u8,
        trap: TrapId,
        event: &TrapEvent,
    ) -> Result<(), Violation> {
        let armed = self.model.traps.remove(&trap.0);
        match armed.filter(|armed| armed.node == node) {
            Some(_) if event.flags.any() => Ok(()),
            _ => Err(Violation::new("a trap fires once", format!("{trap:?} {event:?}"))),
        }
    }

    /// Connects a node to the broker.
    fn connect(&mut self, node: u8, portals: [u8; 2], first: Ep) -> Applied {
        let usable = |index: u8| self.nodes.get(usize::from(index)).is_some_and(|node| node.alive);
        let pairs = portals[0].max(portals[1]);
        let free = self.model.eps.range(first..first + 2 * u32::from(pairs)).next().is_none();
        if node == 0 || !usable(0) || !usable(node) || !free {
            return Ok(false);
        }
        let there = self.engine(node).connect(Relation::Broker, portals[1].into());
        let Ok((peer_there, ids_there)) = there else { return Ok(false) };
        let here = self.engine(0).connect(Relation::Client, portals[0].into());
        let Ok((peer_here, ids_here)) = here else { return Ok(false) };
        let conn = self.new_conn(0, node);
        self.hold(conn, 0, 0, peer_here);
        self.hold(conn, 1, node, peer_there);
        for index in 0..pairs {
            let place = |ids: &[PortalId], at| {
                ids.get(usize::from(index)).map_or(Place::Gone, |&id| Place::Held(at, id))
            };
            let places = [place(&ids_here, 0), place(&ids_there, node)];
            let ep = first + 2 * u32::from(index);
            self.model.add_pair(ep, places);
            self.taint_if_hostile(node, ep);
        }
        self.done(0)?;
        self.done(node)
    }

    fn crash(&mut self, node: u8, keep: u8) -> Applied {
        if !self.node(node).alive {
            return Ok(false);
        }
        self.troubles.lost = true;
        self.troubles.refused |= node == 0;
        self.node_mut(node).alive = false;
        self.node_mut(node).asked.clear();
        let links: Vec<_> = self.node(node).links.values().copied().collect();
        for (conn, side) in links {
            self.truncate(conn, 1 - side, keep.into());
            self.close_end(conn, side);
        }
        self.forget_node(node);
        Ok(true)
    }

    fn shut_down(&mut self, node: u8) -> Applied {
        if !self.node(node).alive {
            return Ok(false);
        }
        self.troubles.lost = true;
        self.troubles.refused |= node == 0;
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
        Ok(true)
    }

    fn forget_node(&mut self, node: u8) {
        let lost: Vec<_> = self.model.open().filter(|&(_, at, _)| at == node).collect();
        for (ep, ..) in lost {
            self.model.forget(ep);
        }
        self.model.traps.retain(|_, armed| armed.node != node);
    }

    fn drop_conn(&mut self, id: ConnId, keep: [u8; 2]) -> Applied {
        let Some(conn) = self.conns.get(&id) else { return Ok(false) };
        if conn.holders.contains(&Holder::Nobody) {
            return Ok(false);
        }
        self.troubles.lost = true;
        self.troubles.refused |= self.leaves_proxies(id);
        for side in [0, 1] {
            self.truncate(id, side, keep[side].into());
            if let Some(conn) = self.conns.get_mut(&id) {
                conn.queues[side].push_back(Packet::Lost);
            }
        }
        Ok(true)
    }

    fn disconnect(&mut self, id: ConnId, side: Side) -> Applied {
        let Some((node, peer)) = self.receiver(id, side) else { return Ok(false) };
        self.troubles.lost = true;
        self.troubles.refused |= self.leaves_proxies(id);
        self.engine(node).disconnect(peer);
        self.done(node)
    }

    /// Whether some proxies may stay if this connection is lost.
    ///
    /// A node that lost its broker gets no more introductions. One whose introduction fails before
    /// the other node said hello does not ask again.
    fn leaves_proxies(&self, id: ConnId) -> bool {
        let greeted = |side| {
            let receiver = self.receiver(id, side);
            receiver
                .is_some_and(|(node, peer)| self.node(node).engine.max_payload_of(peer).is_some())
        };
        id.nodes[0] == 0 || !greeted(0) || !greeted(1)
    }

    /// Answers the oldest request for transports.
    fn answer(&mut self, node: u8, grant: bool) -> Applied {
        if self.node(node).asked.is_empty() {
            return Ok(false);
        }
        let introduction = self.node_mut(node).asked.remove(0);
        let ends = [introduction.first, introduction.second].map(|peer| self.far_node(node, peer));
        let transports = match ends {
            [Some(first), Some(second)] if grant => {
                let conn = self.new_conn(first, second);
                let side = usize::from(first > second);
                Some((conn.transport(side), conn.transport(1 - side)))
            }
            _ => {
                self.troubles.refused = true;
                None
            }
        };
        self.engine(node).handle_transports(introduction, transports);
        self.done(node)
    }

    /// The node at the other end of a connection.
    pub(super) fn far_node(&self, node: u8, peer: PeerId) -> Option<u8> {
        let &(conn, side) = self.node(node).links.get(&peer)?;
        Some(conn.nodes[1 - side])
    }

    fn withhold(&mut self, id: ConnId, side: Side) -> Applied {
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

    fn forge(&mut self, id: ConnId, side: Side, message: &Message<Tag>) -> Applied {
        let Some((node, _)) = self.receiver(id, side) else { return Ok(false) };
        let Some(conn) = self.conns.get_mut(&id) else { return Ok(false) };
        if !self.nodes[usize::from(node)].hostile || conn.holders[1 - side] == Holder::Nobody {
            return Ok(false);
        }
        conn.queues[1 - side].push_back(Packet::Message(message.clone()));
        Ok(true)
    }
}
