//! Brokers among themselves: how nodes of different brokers find each other.
//!
//! ```text
//!   B ──request(D)──▶ X ──Locate(D)──▶ Y         X and Y are brokers, D is a client of Y
//!                       ◀──Located────
//!   B ◀──Introduce(D)── X ──Pass──▶ Y ──Introduce(B)──▶ D
//! ```
//!
//! All brokers of a network are connected to each other: whichever are not when two networks
//! join are introduced by those that are. The introduction of two clients is made by the one of their
//! two brokers that has the lesser name, that of a client and another broker by the client's own, so
//! that no pair is introduced twice at a time.
//!
//! *A search waits until its network is whole.* A broker that has just joined knows one of the others
//! until that one has introduced it to the rest, so it must not take the first "no" for the answer:
//!
//! ```text
//!   Z ──Locate(D)──▶ X ──Introduce(Z)──▶ Y        X answers Z once Z has heard of its introduction
//!     ◀─Introduce(Y)─── ◀───Introduced──── Z        to Y, and then Z waits for Y's hello
//!     ◀──not found───── X
//!   Z ◀══hello══▶ Y     Z ──Locate(D)──▶ Y
//! ```
//!
//! Whoever passed a route on knew the brokers that it came by, so nobody has to be asked twice.

use std::collections::{BTreeMap, BTreeSet};

use crate::effect::{Effect, Party};
use crate::engine::Engine;
use crate::ids::{NodeName, PeerId};
use crate::limits;
use crate::message::{NetworkMessage, Payload, ProtocolViolation};
use crate::peer::{Expected, PeerKind, PeerState};

/// What this broker has asked others, and does for them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Federation {
    /// Who looks for which node, and the brokers that have yet to answer, or the one that has found
    /// the node and is to introduce the two.
    searches: BTreeMap<(NodeName, NodeName), BTreeSet<PeerId>>,
    /// Introductions that were passed on to a client, and to which node, with the broker that made
    /// them and waits to hear that they arrived.
    passed: BTreeMap<(NodeName, NodeName), PeerId>,
    /// What other brokers looked for in vain. They have yet to hear of a broker that they are
    /// introduced to, and get their answer then.
    withheld: BTreeSet<Withheld>,
}

/// A broker that asked, for which node, and on whose behalf.
type Withheld = (PeerId, NodeName, NodeName);

impl Federation {
    pub(crate) fn len(&self) -> usize {
        self.searches.len() + self.passed.len() + self.withheld.len()
    }
}

impl<P: Payload> Engine<P> {
    /// Looks for a node among the other brokers' clients, to introduce `seeker` to it.
    pub(crate) fn search(&mut self, node: NodeName, seeker: NodeName) {
        let key = (seeker, node);
        if self.federation.searches.contains_key(&key) {
            return;
        }
        let brokers: BTreeSet<_> = self.other_brokers().collect();
        // Each node has its own share: one that asks for everybody leaves the others theirs.
        let own = (seeker, NodeName(0))..=(seeker, NodeName(u128::MAX));
        let room = self.federation.searches.range(own).count() < limits::MAX_PENDING_INTRODUCTIONS;
        let hope = !brokers.is_empty() || self.awaits_brokers();
        if !hope || !room {
            self.refuse_seeker(node, seeker);
            return;
        }
        for &broker in &brokers {
            self.tell(broker, NetworkMessage::Locate { node, seeker });
        }
        self.federation.searches.insert(key, brokers);
    }

    /// Whether some peer that has yet to say hello may be another broker. Whether an introduced node
    /// is one shows only then.
    pub(crate) fn awaits_brokers(&self) -> bool {
        self.peers.values().any(|peer| match &peer.state {
            PeerState::Greeting { expected, .. } => {
                matches!(expected, Expected::OtherBroker | Expected::Introduced { .. })
            }
            PeerState::Connected => false,
        })
    }

    /// Ends the searches that every other broker has answered, if no further one may turn up.
    pub(crate) fn end_vain_searches(&mut self) {
        if self.federation.searches.is_empty() || self.awaits_brokers() {
            return;
        }
        let vain = self.federation.searches.iter().filter(|(_, waiting)| waiting.is_empty());
        for (seeker, node) in vain.map(|(&key, _)| key).collect::<Vec<_>>() {
            self.federation.searches.remove(&(seeker, node));
            self.refuse_seeker(node, seeker);
        }
    }

    fn refuse_seeker(&mut self, node: NodeName, seeker: NodeName) {
        if let Some(via) = self.peer_by_name(seeker) {
            self.refuse(Party { name: seeker, via }, node);
        }
    }

    pub(crate) fn handle_federal(
        &mut self,
        from: PeerId,
        message: NetworkMessage,
    ) -> Result<(), ProtocolViolation> {
        if !self.other_brokers().any(|broker| broker == from) {
            if let NetworkMessage::PassIntroduction { transport, .. } = message {
                self.effects.push_back(Effect::DropTransport(transport));
            }
            return Err(ProtocolViolation("a message between brokers from a node that is none"));
        }
        match message {
            NetworkMessage::Locate { node, seeker } => self.handle_locate(from, node, seeker),
            NetworkMessage::Located { node, seeker, found } => {
                self.handle_located(from, node, seeker, found);
            }
            NetworkMessage::PassIntroduction { to, node, transport } => {
                self.end_search(node, to);
                match self.client_named(to) {
                    Some(client) => {
                        self.federation.passed.insert((to, node), from);
                        self.tell(client, NetworkMessage::Introduce { node, transport });
                    }
                    None => {
                        self.effects.push_back(Effect::DropTransport(transport));
                        self.tell(from, NetworkMessage::PassIntroduced { from: to, node });
                    }
                }
            }
            NetworkMessage::PassRefusal { to, node } => {
                self.end_search(node, to);
                if let Some(client) = self.client_named(to) {
                    self.tell(client, NetworkMessage::IntroductionRefused(node));
                }
            }
            NetworkMessage::PassIntroduced { from: name, node } => self.acknowledge(name, node),
            _ => {}
        }
        Ok(())
    }

    pub(crate) fn client_named(&self, name: NodeName) -> Option<PeerId> {
        self.introducible(name).filter(|id| self.peers[id].kind == PeerKind::Client)
    }

    /// Another broker looks for a node on behalf of a node of its own.
    fn handle_locate(&mut self, from: PeerId, node: NodeName, seeker: NodeName) {
        let target = self.client_named(node);
        let found = target.is_some();
        let room = self.withheld_from(from).count() < limits::MAX_PENDING_INTRODUCTIONS;
        if !found && room && self.owes_introduction(from) {
            self.federation.withheld.insert((from, node, seeker));
            return;
        }
        self.tell(from, NetworkMessage::Located { node, seeker, found });
        let for_itself = self.peer_name(from) == Some(seeker);
        if let Some(via) = target
            && (for_itself || self.makes_introductions_with(from))
        {
            self.introduce(Party { name: seeker, via: from }, Party { name: node, via });
        }
    }

    fn withheld_from(&self, broker: PeerId) -> impl Iterator<Item = Withheld> + '_ {
        let [least, greatest] = [NodeName(0), NodeName(u128::MAX)];
        let range = (broker, least, least)..=(broker, greatest, greatest);
        self.federation.withheld.range(range).copied()
    }

    /// Answers a broker that looked for nodes in vain, once it has heard of all others.
    pub(crate) fn answer_withheld(&mut self, broker: PeerId) {
        if self.federation.withheld.is_empty() || self.owes_introduction(broker) {
            return;
        }
        for (from, node, seeker) in self.withheld_from(broker).collect::<Vec<_>>() {
            self.federation.withheld.remove(&(from, node, seeker));
            self.handle_locate(from, node, seeker);
        }
    }

    /// Whether this broker, rather than that one, introduces their clients to each other.
    fn makes_introductions_with(&self, broker: PeerId) -> bool {
        self.peer_name(broker).is_some_and(|name| self.config.name < name)
    }

    fn handle_located(&mut self, from: PeerId, node: NodeName, seeker: NodeName, found: bool) {
        let key = (seeker, node);
        let makes = seeker != self.config.name && self.makes_introductions_with(from);
        let Some(waiting) = self.federation.searches.get_mut(&key) else { return };
        if !waiting.remove(&from) {
            return;
        }
        if found && !makes {
            // If that broker is lost, so is the introduction that it makes.
            *waiting = BTreeSet::from([from]);
        } else if found {
            self.federation.searches.remove(&key);
            if let Some(via) = self.peer_by_name(seeker) {
                self.introduce(Party { name: seeker, via }, Party { name: node, via: from });
            }
        } else if waiting.is_empty() && !self.awaits_brokers() {
            self.federation.searches.remove(&key);
            self.refuse_seeker(node, seeker);
        }
    }

    /// Somebody who may have looked for a node has found it, or will not.
    pub(crate) fn end_search(&mut self, node: NodeName, seeker: NodeName) {
        self.federation.searches.remove(&(seeker, node));
    }

    /// Tells the broker that made an introduction that it has arrived. Gives whether one did.
    pub(crate) fn pass_acknowledgement(&mut self, name: NodeName, node: NodeName) -> bool {
        let Some(maker) = self.federation.passed.remove(&(name, node)) else { return false };
        if self.peers.contains_key(&maker) {
            self.tell(maker, NetworkMessage::PassIntroduced { from: name, node });
        }
        true
    }

    /// Another broker is there: asks it for whatever is looked for, and introduces it to all others.
    pub(crate) fn join_brokers(&mut self, id: PeerId) {
        let Some(name) = self.peer_name(id) else { return };
        self.search_further(id, name);
        let joined = Party { name, via: id };
        for other in self.other_brokers().filter(|&other| other != id).collect::<Vec<_>>() {
            if let Some(name) = self.peer_name(other) {
                self.introduce(joined, Party { name, via: other });
            }
        }
    }

    /// Looks for whatever is looked for with one more broker, which may be what is looked for.
    fn search_further(&mut self, id: PeerId, name: NodeName) {
        for (seeker, node) in self.federation.searches.keys().copied().collect::<Vec<_>>() {
            if node != name {
                self.tell(id, NetworkMessage::Locate { node, seeker });
                self.federation.searches.entry((seeker, node)).or_default().insert(id);
                continue;
            }
            self.federation.searches.remove(&(seeker, node));
            if let Some(via) = self.introducible(seeker) {
                self.introduce(Party { name: seeker, via }, Party { name, via: id });
            }
        }
    }

    /// A peer is gone: whoever waits for an answer of it gets one.
    pub(crate) fn forget_federal(&mut self, lost: PeerId, name: Option<NodeName>) {
        self.federation.withheld.retain(|&(from, ..)| from != lost);
        self.federation.searches.retain(|&(seeker, _), waiting| {
            waiting.remove(&lost);
            Some(seeker) != name
        });
        self.end_vain_searches();
        self.federation.passed.retain(|_, maker| *maker != lost);
        let passed = self.federation.passed.keys().copied();
        let unheard: Vec<_> = passed.filter(|(to, _)| Some(*to) == name).collect();
        for (to, node) in unheard {
            self.pass_acknowledgement(to, node);
        }
    }
}
