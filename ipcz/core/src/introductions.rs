//! Introductions, seen by the nodes that are introduced.
//!
//! ```text
//!          1 RequestIntroduction(C)
//!   B ───────────────────────────────▶ broker
//!     ◀─────────────────────────────── broker ───────────────────────────▶ C
//!          2 Introduce(C, transport)             2 Introduce(B, transport)
//!   B ◀═════════════════════════ 3 hello, hello ═════════════════════════▶ C
//!          4 Introduced(C)  ───────▶ broker ◀─────── 4 Introduced(B)
//! ```
//!
//! What waits for a connection is the bypass of a proxy. If there is to be no connection, the proxy
//! stays, and works. If the connection is lost before the third step is done, nobody has said no: then
//! the broker is asked again, a few times, for it may take its time to notice that a node is gone.

use std::collections::{BTreeMap, BTreeSet};

use crate::effect::Effect;
use crate::engine::Engine;
use crate::ids::{EndId, NodeName, PeerId, TransportId};
use crate::limits;
use crate::message::{Cause, CauseKind, Message, NetworkMessage, Payload, ProtocolViolation};
use crate::peer::{Expected, PeerKind, PeerState};

/// What waits for connections, by the node that each is to lead to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Wanted(BTreeMap<NodeName, Waiting>);

/// What waits for a connection to one node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Waiting {
    /// The ends whose bypass is to lead there.
    ends: BTreeSet<EndId>,
    /// How often the connection was lost before it worked.
    losses: u8,
}

impl Wanted {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// How many bypasses wait.
    pub(crate) fn num_ends(&self) -> usize {
        self.0.values().map(|waiting| waiting.ends.len()).sum()
    }
}

impl<P: Payload> Engine<P> {
    /// Lets an end's bypass wait for a connection to a node. Gives whether there is hope.
    pub(crate) fn want_introduction(&mut self, node: NodeName, end: EndId) -> bool {
        if let Some(waiting) = self.wanted.0.get_mut(&node) {
            let room = waiting.ends.len() < limits::MAX_ENDS_PER_INTRODUCTION;
            if room {
                waiting.ends.insert(end);
            }
            return room;
        }
        let greeting = self.names.contains_key(&node);
        let room = self.wanted.len() < limits::MAX_PENDING_INTRODUCTIONS;
        if !room || !(greeting || self.may_be_introduced()) {
            return false;
        }
        self.wanted.0.insert(node, Waiting { ends: BTreeSet::from([end]), losses: 0 });
        if !greeting {
            self.request_introduction(node);
        }
        true
    }

    /// Lets an end forget the bypass that it waits for, if any.
    pub(crate) fn forget_pending(&mut self, id: EndId) {
        let pending = self.ends.get_mut(id.0).and_then(|end| end.pending.take());
        if let Some(waiting) = pending.and_then(|key| self.wanted.0.get_mut(&key.node)) {
            waiting.ends.remove(&id);
        }
    }

    /// Whether somebody could introduce this node to others, now or soon.
    fn may_be_introduced(&self) -> bool {
        let others = || self.other_brokers().next().is_some() || self.awaits_brokers();
        self.broker.is_some() || (self.config.is_broker && others())
    }

    fn request_introduction(&mut self, node: NodeName) {
        if self.config.is_broker {
            self.search(node, self.config.name);
            return;
        }
        let broker = self.broker.filter(|id| self.is_broker_of_this(*id));
        if let Some(broker) = broker {
            self.tell(broker, NetworkMessage::RequestIntroduction(node));
        }
    }

    /// Whether a peer is the broker itself, rather than a node that is about to share its own.
    pub(crate) fn is_broker_of_this(&self, id: PeerId) -> bool {
        let broker =
            |peer: &crate::peer::Peer| peer.is_connected() && peer.kind == PeerKind::Broker;
        self.broker == Some(id) && self.peers.get(&id).is_some_and(broker)
    }

    /// The broker is there: asks it for whatever was wanted before.
    pub(crate) fn broker_found(&mut self) {
        self.relay_all_waiting();
        let wanted = self.wanted.0.keys().copied();
        let unknown: Vec<_> = wanted.filter(|node| !self.names.contains_key(node)).collect();
        for node in unknown {
            self.request_introduction(node);
        }
    }

    /// A node is connected now: executes what waited for that.
    pub(crate) fn introduction_done(&mut self, node: NodeName) {
        for end in self.wanted.0.remove(&node).unwrap_or_default().ends {
            self.try_bypass(end);
        }
    }

    /// A node will not be connected: its proxies stay, and work.
    pub(crate) fn introduction_failed(&mut self, node: NodeName) {
        for id in self.wanted.0.remove(&node).unwrap_or_default().ends {
            if let Some(end) = self.ends.get_mut(id.0) {
                end.pending = None;
            }
        }
    }

    /// The connection to a node is lost. What waited for its hello asks for another connection.
    pub(crate) fn introduction_lost(&mut self, node: NodeName, cause: Cause) {
        let again = cause.kind == CauseKind::NodeLost && self.may_be_introduced();
        match self.wanted.0.get_mut(&node) {
            Some(waiting) if again && waiting.losses < limits::MAX_LOST_INTRODUCTIONS => {
                waiting.losses += 1;
                self.request_introduction(node);
            }
            _ => self.introduction_failed(node),
        }
    }

    /// Nobody introduces this node any more. Who was introduced before may still say hello.
    pub(crate) fn refuse_all_introductions(&mut self) {
        let wanted = self.wanted.0.keys().copied();
        let hopeless: Vec<_> = wanted.filter(|node| !self.names.contains_key(node)).collect();
        for node in hopeless {
            self.introduction_failed(node);
        }
    }

    /// Somebody hands this node a transport that leads to another one.
    pub(crate) fn handle_introduce(
        &mut self,
        from: PeerId,
        node: NodeName,
        transport: TransportId,
    ) -> Result<(), ProtocolViolation> {
        if !self.may_introduce(from) {
            self.effects.push_back(Effect::DropTransport(transport));
            return Err(ProtocolViolation("an introduction from a node that is no broker"));
        }
        self.end_search(node, self.config.name);
        self.tell(from, NetworkMessage::Introduced(node));
        let by = self.peer_name(from).unwrap_or(self.config.name);
        self.adopt_introduction(by, node, transport);
        Ok(())
    }

    /// Whether this node believes a peer's introductions: its broker's, or, if it is a broker
    /// itself, another broker's.
    pub(crate) fn may_introduce(&self, from: PeerId) -> bool {
        self.is_broker_of_this(from)
            || (self.config.is_broker && self.other_brokers().any(|broker| broker == from))
    }

    /// Connects to a node that this one was introduced to by the node `by`.
    pub(crate) fn adopt_introduction(
        &mut self,
        by: NodeName,
        node: NodeName,
        transport: TransportId,
    ) {
        let known = self.names.get(&node).copied();
        let keeps = known.is_some_and(|known| self.keeps_connection(known, by));
        if node == self.config.name || keeps {
            self.effects.push_back(Effect::DropTransport(transport));
            return;
        }
        let waiting = self.wanted.0.remove(&node);
        if let Some(stale) = known {
            self.lose(stale, Cause { kind: CauseKind::NodeLost, node: Some(node) });
        }
        if let Some(waiting) = waiting {
            self.wanted.0.insert(node, waiting);
        }
        self.meet(Expected::Introduced { node, by }, node, transport);
    }

    /// Whether an introduction by `by` changes nothing, because this node and the other one are
    /// connected, or are about to be.
    ///
    /// A node's own broker introduces a pair anew only if one of the two has lost the other. Brokers
    /// are introduced to each other by any third one, several at a time; both keep the introduction
    /// by the one with the least name, whichever comes first.
    fn keeps_connection(&self, known: PeerId, by: NodeName) -> bool {
        let Some(peer) = self.peers.get(&known) else { return false };
        if !self.config.is_broker {
            return peer.kind == PeerKind::Broker;
        }
        match &peer.state {
            PeerState::Connected => peer.kind != PeerKind::Other,
            PeerState::Greeting { expected: Expected::Introduced { by: before, .. }, .. } => {
                *before <= by
            }
            PeerState::Greeting { .. } => true,
        }
    }

    /// Sends a message about connections. To this node itself, it is obeyed at once.
    pub(crate) fn tell(&mut self, peer: PeerId, message: NetworkMessage) {
        if peer != PeerId::LOOPBACK {
            self.effects.push_back(Effect::Send { peer, message: Message::Network(message) });
            return;
        }
        // A broker is introduced by others alone.
        if let NetworkMessage::IntroductionRefused(node) = message
            && !self.names.contains_key(&node)
        {
            self.introduction_failed(node);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;
    use crate::slab::Key;

    /// A node that is no broker, and knows nobody.
    fn node() -> Engine<Vec<u8>> {
        Engine::new(Config {
            name: NodeName(1),
            is_broker: false,
            key: [7; 16],
            features: 0,
            max_payload: 1 << 20,
            takes_referrals: false,
            may_allocate: true,
            relays_handles: false,
        })
    }

    fn end(number: usize) -> EndId {
        EndId(Key::from_bits(number as u64))
    }

    #[test]
    fn what_waits_for_introductions_is_bounded() {
        let mut node = node();
        node.broker = Some(PeerId(1));
        let most = limits::MAX_PENDING_INTRODUCTIONS;
        assert!((0..most).all(|to| node.want_introduction(NodeName(100 + to as u128), end(to))));
        assert_eq!(node.pending_introductions(), most);
        assert!(!node.want_introduction(NodeName(99), end(most)));
        assert!(node.want_introduction(NodeName(100), end(most)));
    }

    #[test]
    fn what_waits_for_one_introduction_is_bounded() {
        let mut node = node();
        let most = limits::MAX_ENDS_PER_INTRODUCTION;
        let waiting = Waiting { ends: (1..most).map(end).collect(), losses: 0 };
        node.wanted.0.insert(NodeName(2), waiting);
        assert!(node.want_introduction(NodeName(2), end(most)));
        assert_eq!(node.wanted.num_ends(), most);
        assert!(!node.want_introduction(NodeName(2), end(most + 1)));
    }

    #[test]
    fn nobody_introduces_a_node_without_a_broker() {
        let mut node = node();
        // Even if it was introduced to somebody before who has yet to say hello.
        node.meet(
            Expected::Introduced { node: NodeName(3), by: NodeName(2) },
            NodeName(3),
            TransportId(0),
        );
        assert!(!node.want_introduction(NodeName(4), end(1)));
        assert!(node.want_introduction(NodeName(3), end(1)));
        assert_eq!(node.pending_introductions(), 1);
    }
}
