//! Introductions, seen by the broker that makes them.
//!
//! Each introduction of a pair of nodes is made by one broker and remembered until both have
//! acknowledged it: requests made before that are answered by it, and need no other. The two nodes
//! are clients of this broker, other brokers, or clients of other brokers, which are reached by way
//! of those (`federation`).

use std::collections::BTreeMap;

use crate::effect::{Effect, Introduction, Pairing, Party};
use crate::engine::Engine;
use crate::ids::{NodeName, PeerId, TransportId};
use crate::message::{NetworkMessage, Payload, ProtocolViolation};
use crate::peer::{Offer, PeerKind};

/// Two names, the lesser first.
type Pair = (NodeName, NodeName);

/// The introductions that this broker makes and that both nodes have yet to acknowledge.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct UnderWay(BTreeMap<Pair, [(Party, bool); 2]>);

impl UnderWay {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

fn pair_of(a: NodeName, b: NodeName) -> Pair {
    (a.min(b), a.max(b))
}

impl<P: Payload> Engine<P> {
    /// The other brokers that this one is connected to.
    pub(crate) fn other_brokers(&self) -> impl Iterator<Item = PeerId> + '_ {
        let brokers = self.peers.iter().filter(|(_, peer)| {
            self.config.is_broker && peer.is_connected() && peer.kind == PeerKind::Broker
        });
        brokers.map(|(&id, _)| id)
    }

    /// The peer of this name, if this broker may introduce it to others.
    pub(crate) fn introducible(&self, node: NodeName) -> Option<PeerId> {
        let id = self.connected_peer(node)?;
        (self.config.is_broker && self.peers[&id].kind != PeerKind::Other).then_some(id)
    }

    /// A client of this broker wants to be introduced to a node.
    pub(crate) fn handle_request(&mut self, from: PeerId, node: NodeName) {
        let Some(name) = self.peer_name(from) else { return };
        let seeker = Party { name, via: from };
        if self.introducible(name).is_none() || node == name || node == self.config.name {
            self.refuse(seeker, node);
        } else if let Some(target) = self.introducible(node) {
            self.introduce(seeker, Party { name: node, via: target });
        } else {
            self.search(node, name);
        }
    }

    /// Begins to introduce two nodes, unless an introduction that `seeker` has yet to hear of is
    /// under way.
    pub(crate) fn introduce(&mut self, seeker: Party, target: Party) {
        let pair = pair_of(seeker.name, target.name);
        if let Some(parties) = self.under_way.0.get(&pair)
            && parties.iter().any(|(party, heard)| *party == seeker && !heard)
        {
            return;
        }
        self.under_way.0.insert(pair, [(seeker, false), (target, false)]);
        let introduction = Introduction { first: seeker, second: target };
        self.effects.push_back(Effect::CreateTransports(Pairing::Introduction(introduction)));
    }

    /// The answer to [`Effect::CreateTransports`]: the transports, or `None` if there are none.
    pub fn handle_transports(
        &mut self,
        pairing: Pairing,
        transports: Option<(TransportId, TransportId)>,
    ) {
        match pairing {
            Pairing::Introduction(introduction) => self.handle_pair(introduction, transports),
            Pairing::Referral(heir) => self.handle_referral_pair(heir, transports),
        }
        self.settle();
    }

    /// The transports for an introduction are there, or there are none.
    fn handle_pair(
        &mut self,
        introduction: Introduction,
        transports: Option<(TransportId, TransportId)>,
    ) {
        let Introduction { first, second } = introduction;
        let both = [first, second].iter().all(|party| self.reaches(*party));
        match transports {
            Some((to_second, to_first)) if both => {
                self.hand_out(first, second.name, to_second);
                self.hand_out(second, first.name, to_first);
            }
            Some((one, other)) => {
                // Whoever is left was told when the other was lost.
                self.effects.push_back(Effect::DropTransport(one));
                self.effects.push_back(Effect::DropTransport(other));
            }
            None => {
                self.under_way.0.remove(&pair_of(first.name, second.name));
                for (party, node) in [(first, second.name), (second, first.name)] {
                    self.refuse(party, node);
                    self.answer_withheld(party.via);
                }
            }
        }
    }

    /// Whether a party, or its broker, is still connected.
    fn reaches(&self, party: Party) -> bool {
        party.via == PeerId::LOOPBACK || self.peers.contains_key(&party.via)
    }

    /// Whether a party is reached by way of another broker.
    fn is_elsewhere(&self, party: Party) -> bool {
        party.via != PeerId::LOOPBACK && self.peer_name(party.via) != Some(party.name)
    }

    fn hand_out(&mut self, party: Party, node: NodeName, transport: TransportId) {
        let message = if self.is_elsewhere(party) {
            NetworkMessage::PassIntroduction { to: party.name, node, transport }
        } else {
            NetworkMessage::Introduce { node, transport }
        };
        self.tell(party.via, message);
    }

    /// Tells a party that it will not be introduced to a node.
    pub(crate) fn refuse(&mut self, party: Party, node: NodeName) {
        if !self.reaches(party) {
            return;
        }
        let message = if self.is_elsewhere(party) {
            NetworkMessage::PassRefusal { to: party.name, node }
        } else {
            NetworkMessage::IntroductionRefused(node)
        };
        self.tell(party.via, message);
    }

    /// The node `name` has heard of its introduction to `node`.
    pub(crate) fn acknowledge(&mut self, name: NodeName, node: NodeName) {
        let pair = pair_of(name, node);
        let Some(parties) = self.under_way.0.get_mut(&pair) else { return };
        for (party, heard) in parties.iter_mut() {
            *heard |= party.name == name;
        }
        if parties.iter().all(|(_, heard)| *heard) {
            self.under_way.0.remove(&pair);
        }
        if let Some(id) = self.connected_peer(name) {
            self.answer_withheld(id);
        }
    }

    /// Whether a peer has yet to hear of an introduction that is under way.
    pub(crate) fn owes_introduction(&self, peer: PeerId) -> bool {
        let Some(name) = self.peer_name(peer) else { return false };
        let waits = |(party, heard): &(Party, bool)| party.name == name && !heard;
        self.under_way.0.values().flatten().any(waits)
    }

    /// A peer is gone: forgets what was under way for it, or by way of it.
    pub(crate) fn forget_under_way(&mut self, lost: PeerId) {
        let mut left = Vec::new();
        self.under_way.0.retain(|_, parties| {
            let [(first, first_heard), (second, second_heard)] = *parties;
            // Whoever has not heard of an introduction by now may never do so, and waits for it.
            if first.via == lost && !second_heard && second.via != lost {
                left.push((second, first.name));
            }
            if second.via == lost && !first_heard && first.via != lost {
                left.push((first, second.name));
            }
            first.via != lost && second.via != lost
        });
        for (party, node) in left {
            self.refuse(party, node);
            self.answer_withheld(party.via);
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
                if !self.may_introduce(peer) {
                    return Err(ProtocolViolation("an answer from a node that is no broker"));
                }
                self.end_search(node, self.config.name);
                if !self.names.contains_key(&node) {
                    self.introduction_failed(node);
                }
            }
            NetworkMessage::Goodbye(kind) => self.handle_goodbye(peer, kind),
            NetworkMessage::Unrelayed { first, last } => self.handle_unrelayed(peer, first..=last),
            NetworkMessage::RelaysLost => self.tell(peer, NetworkMessage::RelaysLostHeard),
            NetworkMessage::RelaysLostHeard => return self.handle_relays_lost_heard(peer),
            NetworkMessage::RelayRefused(key) => return self.handle_relay_refused(peer, key),
            NetworkMessage::RelayPassed(_)
            | NetworkMessage::Seek { .. }
            | NetworkMessage::Sought { .. } => return self.handle_courier(peer, message),
            NetworkMessage::RequestMemory { id, size, hops } => {
                return self.handle_memory_request(peer, id, size, hops);
            }
            NetworkMessage::ProvideMemory { id, memory } => {
                return self.handle_memory_answer(peer, id, memory);
            }
            NetworkMessage::Refer { .. }
            | NetworkMessage::Referred { .. }
            | NetworkMessage::ReferralRefused(_) => return self.handle_referral(peer, message),
            NetworkMessage::Locate { .. }
            | NetworkMessage::Located { .. }
            | NetworkMessage::PassIntroduction { .. }
            | NetworkMessage::PassRefusal { .. }
            | NetworkMessage::PassIntroduced { .. } => return self.handle_federal(peer, message),
        }
        Ok(())
    }

    /// A peer has heard of an introduction, which this broker made or passed on.
    fn handle_introduced(&mut self, from: PeerId, node: NodeName) {
        let Some(name) = self.peer_name(from) else { return };
        if node == self.config.name {
            return match self.config.is_broker {
                true => self.offer_taken(from),
                false => self.handle_offer(from, Offer::Made),
            };
        }
        if !self.config.is_broker && self.is_broker_of_this(from) {
            return self.release_heir(node);
        }
        self.end_search(node, name);
        if !self.pass_acknowledgement(name, node) {
            self.acknowledge(name, node);
        }
    }
}
