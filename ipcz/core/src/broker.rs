//! Introductions: how two nodes that know one broker get a connection of their own.
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
//! The acknowledgements tell the broker which requests were made before an introduction that was
//! under way, and need none of their own.

use std::collections::BTreeMap;

use crate::effect::{Effect, Introduction};
use crate::engine::Engine;
use crate::ids::{EndId, NodeName, PeerId, TransportId};
use crate::limits;
use crate::message::{CauseKind, Message, NetworkMessage, Payload, ProtocolViolation};
use crate::peer::Expected;

/// Two names, the lesser first.
type Pair = (NodeName, NodeName);

/// The introductions that a node waits for, and those it makes as a broker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Introductions {
    /// Ends whose bypass waits for a connection to this node.
    wanted: BTreeMap<NodeName, Vec<EndId>>,
    /// Pairs that were introduced and have not both acknowledged it.
    under_way: BTreeMap<Pair, Acknowledged>,
}

impl Introductions {
    pub(crate) fn len(&self) -> usize {
        self.wanted.len() + self.under_way.len()
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Acknowledged {
    lesser: bool,
    greater: bool,
}

impl Acknowledged {
    fn by(&mut self, pair: Pair, name: NodeName) -> &mut bool {
        if name == pair.0 { &mut self.lesser } else { &mut self.greater }
    }
}

fn pair_of(a: NodeName, b: NodeName) -> Pair {
    (a.min(b), a.max(b))
}

/// The other name of a pair that this name belongs to.
fn other_of(pair: Pair, name: NodeName) -> Option<NodeName> {
    match name {
        _ if name == pair.0 => Some(pair.1),
        _ if name == pair.1 => Some(pair.0),
        _ => None,
    }
}

impl<P: Payload> Engine<P> {
    /// Lets an end's bypass wait for a connection to a node. Gives whether there is hope.
    pub(crate) fn want_introduction(&mut self, node: NodeName, end: EndId) -> bool {
        let greeting = self.names.contains_key(&node);
        let room = self.introductions.wanted.len() < limits::MAX_PENDING_INTRODUCTIONS;
        if let Some(waiting) = self.introductions.wanted.get_mut(&node) {
            let room = waiting.len() < limits::MAX_ENDS_PER_INTRODUCTION;
            if room {
                waiting.push(end);
            }
            return room;
        }
        let broker = self.broker.filter(|id| self.peers.get(id).is_some_and(|b| b.is_connected()));
        if !room || (broker.is_none() && !greeting) {
            return false;
        }
        self.introductions.wanted.insert(node, vec![end]);
        if let (Some(peer), false) = (broker, greeting) {
            self.tell(peer, NetworkMessage::RequestIntroduction(node));
        }
        true
    }

    /// A node is connected now: executes what waited for that.
    pub(crate) fn introduction_done(&mut self, node: NodeName) {
        for end in self.introductions.wanted.remove(&node).unwrap_or_default() {
            self.try_bypass(end);
        }
    }

    /// A node will not be connected: its proxies stay, and work.
    fn introduction_failed(&mut self, node: NodeName) {
        for id in self.introductions.wanted.remove(&node).unwrap_or_default() {
            if let Some(end) = self.ends.get_mut(id.0) {
                end.pending = None;
            }
        }
    }

    /// The broker is gone. Who was introduced before may still say hello.
    pub(crate) fn refuse_all_introductions(&mut self) {
        let wanted = self.introductions.wanted.keys().copied();
        let hopeless: Vec<_> = wanted.filter(|node| !self.names.contains_key(node)).collect();
        for node in hopeless {
            self.introduction_failed(node);
        }
    }

    /// A peer is gone, and with it what was under way for it.
    pub(crate) fn forget_introductions_of(&mut self, node: NodeName) {
        self.introduction_failed(node);
        let mut left = Vec::new();
        self.introductions.under_way.retain(|&pair, acknowledged| {
            let Some(other) = other_of(pair, node) else { return true };
            if !*acknowledged.by(pair, other) {
                left.push(other);
            }
            false
        });
        // Whoever has not heard of an introduction by now may never do so, and waits for it.
        for name in left {
            if let Some(peer) = self.connected_peer(name) {
                self.tell(peer, NetworkMessage::IntroductionRefused(node));
            }
        }
    }

    pub(crate) fn handle_network(
        &mut self,
        peer: PeerId,
        message: NetworkMessage,
    ) -> Result<(), ProtocolViolation> {
        match message {
            NetworkMessage::RequestIntroduction(node) => self.handle_request(peer, node),
            NetworkMessage::Introduce { node, transport } => {
                return self.handle_introduce(peer, node, transport);
            }
            NetworkMessage::Introduced(node) => self.handle_introduced(peer, node),
            NetworkMessage::IntroductionRefused(node) => {
                if self.broker != Some(peer) {
                    return Err(ProtocolViolation("an answer from a node that is no broker"));
                }
                if !self.names.contains_key(&node) {
                    self.introduction_failed(node);
                }
            }
            NetworkMessage::Goodbye(kind) => self.lose(peer, kind),
        }
        Ok(())
    }

    /// A client of this broker wants to be introduced to a node.
    fn handle_request(&mut self, from: PeerId, node: NodeName) {
        let Some(requester) = self.peer_name(from) else { return };
        let target = self.connected_peer(node).filter(|&target| target != from);
        let (true, Some(target)) = (self.config.is_broker, target) else {
            self.tell(from, NetworkMessage::IntroductionRefused(node));
            return;
        };
        let pair = pair_of(requester, node);
        let under_way = self.introductions.under_way.get_mut(&pair);
        if under_way.is_some_and(|acknowledged| !*acknowledged.by(pair, requester)) {
            return; // It asked before it heard of the introduction that is on its way.
        }
        self.introductions.under_way.insert(pair, Acknowledged::default());
        let introduction = Introduction { first: from, second: target };
        self.effects.push_back(Effect::CreateTransports(introduction));
    }

    /// The answer to [`Effect::CreateTransports`]: the transports, or `None` if there are none.
    pub fn handle_transports(
        &mut self,
        introduction: Introduction,
        transports: Option<(TransportId, TransportId)>,
    ) {
        let Introduction { first, second } = introduction;
        let names = (self.peer_name(first), self.peer_name(second));
        match (names, transports) {
            ((Some(a), Some(b)), Some((to_second, to_first))) => {
                self.tell(first, NetworkMessage::Introduce { node: b, transport: to_second });
                self.tell(second, NetworkMessage::Introduce { node: a, transport: to_first });
            }
            ((Some(a), Some(b)), None) => {
                self.introductions.under_way.remove(&pair_of(a, b));
                self.tell(first, NetworkMessage::IntroductionRefused(b));
                self.tell(second, NetworkMessage::IntroductionRefused(a));
            }
            // Whoever is left was told when the other was lost.
            ((Some(_), None) | (None, Some(_)) | (None, None), transports) => {
                for transport in transports.into_iter().flat_map(|(a, b)| [a, b]) {
                    self.effects.push_back(Effect::DropTransport(transport));
                }
            }
        }
    }

    /// The broker hands this node a transport that leads to another one.
    fn handle_introduce(
        &mut self,
        from: PeerId,
        node: NodeName,
        transport: TransportId,
    ) -> Result<(), ProtocolViolation> {
        if self.broker != Some(from) {
            self.effects.push_back(Effect::DropTransport(transport));
            return Err(ProtocolViolation("an introduction from a node that is no broker"));
        }
        self.tell(from, NetworkMessage::Introduced(node));
        if node == self.config.name || self.peer_name(from) == Some(node) {
            self.effects.push_back(Effect::DropTransport(transport));
            return Ok(());
        }
        // The broker introduces a pair anew only if one of the two has lost the other.
        let waiting = self.introductions.wanted.remove(&node);
        if let Some(&stale) = self.names.get(&node) {
            self.lose(stale, CauseKind::NodeLost);
        }
        if let Some(waiting) = waiting {
            self.introductions.wanted.insert(node, waiting);
        }
        // The embedder must know the peer's transport before it is asked to send the hello.
        let peer = PeerId(self.next_peer);
        self.effects.push_back(Effect::Activate { peer, transport });
        let greeted = self.greet(Expected::Introduced(node), Vec::new());
        debug_assert_eq!(peer, greeted);
        self.names.insert(node, greeted);
        Ok(())
    }

    /// A client has received an introduction.
    fn handle_introduced(&mut self, from: PeerId, node: NodeName) {
        let Some(name) = self.peer_name(from) else { return };
        let pair = pair_of(name, node);
        let Some(acknowledged) = self.introductions.under_way.get_mut(&pair) else { return };
        *acknowledged.by(pair, name) = true;
        if acknowledged.lesser && acknowledged.greater {
            self.introductions.under_way.remove(&pair);
        }
    }

    fn tell(&mut self, peer: PeerId, message: NetworkMessage) {
        self.effects.push_back(Effect::Send { peer, message: Message::Network(message) });
    }
}
