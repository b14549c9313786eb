//! Referral: how a node that is no broker shares its own with another.
//!
//! ```text
//!   M ◀═══ 1 hello, hello ═══▶ N                          N shares its broker, M inherits it
//!                              N ──2 Refer(M, transport)──▶ broker
//!   M ◀──2 Referred(broker, transport)── N
//!   M ◀═════════════════ 3 hello, hello ═════════════════▶ broker
//!                              N ◀──4 Introduced(M)── broker
//! ```
//!
//! Until the fourth step, the broker may know nothing of M, and would refuse to introduce it: so N's
//! proxies do not ask anybody to connect to M before.
//!
//! M and the broker may be peers already: they were introduced when M had another one. Then they agree
//! over the connection that they have, and close the transports:
//!
//! ```text
//!   M ◀──2 Referred(broker)── N ──2 Refer(M)──▶ broker
//!   M ◀──3 Introduced(M)───── broker                      "you are to be my client"
//!   M ───4 Introduced(broker)──▶ broker                   "I am"
//! ```
//!
//! N's word alone would not do: a client could make a broker introduce nodes that have another one.

use std::collections::BTreeSet;

use crate::effect::{Effect, Pairing};
use crate::engine::Engine;
use crate::ids::{NodeName, PeerId, TransportId};
use crate::message::{NetworkMessage, Payload, ProtocolViolation};
use crate::peer::{Expected, Offer, PeerKind, PeerState};

/// Peers that are to get this node's broker as soon as it has one.
pub(crate) type Heirs = BTreeSet<PeerId>;

impl<P: Payload> Engine<P> {
    /// A peer is to inherit this node's broker.
    pub(crate) fn share_broker(&mut self, heir: PeerId) {
        match self.broker {
            Some(broker) if self.is_broker_of_this(broker) => {
                self.effects.push_back(Effect::CreateTransports(Pairing::Referral(heir)));
            }
            Some(_) => {
                self.heirs.insert(heir);
            }
            None => self.deny_broker(heir),
        }
    }

    /// The broker is there: shares it with whoever waited.
    pub(crate) fn share_with_heirs(&mut self) {
        for heir in std::mem::take(&mut self.heirs) {
            self.share_broker(heir);
        }
    }

    /// There will be no broker to share.
    pub(crate) fn deny_heirs(&mut self) {
        for heir in std::mem::take(&mut self.heirs) {
            self.deny_broker(heir);
        }
    }

    fn deny_broker(&mut self, heir: PeerId) {
        if let Some(peer) = self.peers.get(&heir) {
            let name = peer.name;
            self.tell(heir, NetworkMessage::ReferralRefused(self.config.name));
            name.into_iter().for_each(|name| self.release_heir(name));
        }
    }

    /// The transports for a referral are there, or there are none.
    pub(crate) fn handle_referral_pair(
        &mut self,
        heir: PeerId,
        transports: Option<(TransportId, TransportId)>,
    ) {
        let broker = self.broker.filter(|&id| self.is_broker_of_this(id));
        let names = (self.peer_name(heir), broker.and_then(|id| self.peer_name(id)));
        match (names, broker, transports) {
            ((Some(node), Some(name)), Some(broker), Some((to_heir, to_broker))) => {
                self.tell(broker, NetworkMessage::Refer { node, transport: to_heir });
                self.tell(heir, NetworkMessage::Referred { broker: name, transport: to_broker });
            }
            (_, _, transports) => {
                for transport in transports.into_iter().flat_map(|(a, b)| [a, b]) {
                    self.effects.push_back(Effect::DropTransport(transport));
                }
                self.deny_broker(heir);
            }
        }
    }

    pub(crate) fn handle_referral(
        &mut self,
        from: PeerId,
        message: NetworkMessage,
    ) -> Result<(), ProtocolViolation> {
        match message {
            NetworkMessage::Refer { node, transport } => self.handle_refer(from, node, transport),
            NetworkMessage::Referred { broker, transport } => {
                self.handle_referred(from, broker, transport)
            }
            _ => {
                // From the node that was to share its broker, or from that broker; or about a node that
                // this one shared its own with, which hears of it by itself.
                if message == NetworkMessage::ReferralRefused(self.config.name) {
                    self.handle_offer(from, Offer::Denied);
                } else if self.is_broker_of_this(from) {
                    if let NetworkMessage::ReferralRefused(heir) = message {
                        self.release_heir(heir);
                    }
                } else if self.broker == Some(from) {
                    self.broker_lost();
                }
                Ok(())
            }
        }
    }

    /// A client of this broker brings another one.
    fn handle_refer(
        &mut self,
        from: PeerId,
        node: NodeName,
        transport: TransportId,
    ) -> Result<(), ProtocolViolation> {
        let client = self.peers.get(&from).is_some_and(|peer| peer.kind == PeerKind::Client);
        if !client || !self.config.is_broker {
            self.effects.push_back(Effect::DropTransport(transport));
            return Err(ProtocolViolation("a referral from a node that is no client"));
        }
        let known = self.peer_by_name(node);
        if known.is_some() || !self.config.takes_referrals {
            self.effects.push_back(Effect::DropTransport(transport));
            let adopted = known.is_some_and(|known| self.adopt_referred(known, from));
            if !adopted {
                self.tell(from, NetworkMessage::ReferralRefused(node));
            }
            return Ok(());
        }
        let referred = self.meet(Expected::Referred(node), node, transport);
        if let Some(peer) = self.peers.get_mut(&referred) {
            peer.referred_by = Some(from);
        }
        Ok(())
    }

    /// A peer hands this node the transport to its broker.
    fn handle_referred(
        &mut self,
        from: PeerId,
        broker: NodeName,
        transport: TransportId,
    ) -> Result<(), ProtocolViolation> {
        let waits = self.broker == Some(from) && !self.is_broker_of_this(from);
        if !waits {
            self.effects.push_back(Effect::DropTransport(transport));
            return Err(ProtocolViolation("a broker that this node did not wait for"));
        }
        if let Some(known) = self.peer_by_name(broker) {
            self.effects.push_back(Effect::DropTransport(transport));
            if self.may_become_broker(known) {
                self.broker = Some(known);
                self.take_offer(known);
            } else {
                self.broker_lost();
            }
            return Ok(());
        }
        let peer = self.meet(Expected::SharedBroker(broker), broker, transport);
        self.broker = Some(peer);
        Ok(())
    }

    /// Whether a peer was introduced to this node, or is about to be, and is not its client.
    fn is_acquaintance(&self, id: PeerId) -> bool {
        self.peers.get(&id).is_some_and(|peer| match &peer.state {
            PeerState::Greeting { expected, .. } => matches!(expected, Expected::Introduced { .. }),
            PeerState::Connected => peer.kind == PeerKind::Other,
        })
    }

    /// Whether a peer that this node was introduced to may turn out to be its broker.
    fn may_become_broker(&self, id: PeerId) -> bool {
        let greets = self.peers.get(&id).is_some_and(|peer| !peer.is_connected());
        self.is_acquaintance(id) && (greets || self.peers[&id].is_broker)
    }

    /// A client brings a node that this broker was introduced to before. Gives whether it may.
    fn adopt_referred(&mut self, known: PeerId, by: PeerId) -> bool {
        if !self.is_acquaintance(known) {
            return false;
        }
        if let Some(peer) = self.peers.get_mut(&known) {
            peer.referred_by = Some(by);
            if peer.is_connected() {
                self.offer_to_be_broker(known);
            }
        }
        self.config.takes_referrals
    }

    /// Tells a node that a client brought, and that this broker knows, whether it may be a client.
    fn offer_to_be_broker(&mut self, id: PeerId) {
        let Some(name) = self.peer_name(id) else { return };
        let message = match self.config.takes_referrals {
            true => NetworkMessage::Introduced(name),
            false => NetworkMessage::ReferralRefused(name),
        };
        self.tell(id, message);
    }

    /// A broker says whether this node, which it knows, may be its client.
    pub(crate) fn handle_offer(&mut self, from: PeerId, offer: Offer) {
        if let Some(peer) = self.peers.get_mut(&from).filter(|peer| peer.kind == PeerKind::Other) {
            peer.offer = Some(offer);
            self.take_offer(from);
        }
    }

    /// Answers a broker's offer, if this node waits for it and it has been made.
    fn take_offer(&mut self, id: PeerId) {
        if self.broker != Some(id) {
            return; // Whoever is to share that broker has yet to say so.
        }
        let Some(peer) = self.peers.get_mut(&id) else { return };
        match (peer.offer.take(), peer.name) {
            (Some(Offer::Made), Some(broker)) if peer.is_broker => {
                peer.kind = PeerKind::Broker;
                self.tell(id, NetworkMessage::Introduced(broker));
                self.broker_found();
                self.share_with_heirs();
            }
            (Some(_), _) => self.broker_lost(),
            (None, _) => {}
        }
    }

    /// A node that this broker knows takes the offer to be its client.
    pub(crate) fn offer_taken(&mut self, from: PeerId) {
        let takes = self.config.is_broker && self.config.takes_referrals;
        let Some(peer) = self.peers.get_mut(&from) else { return };
        if takes && peer.kind == PeerKind::Other && peer.referred_by.is_some() {
            peer.kind = PeerKind::Client;
            self.announce_referred(from);
        }
    }

    /// A node has said hello that this one was introduced to, and that it shall inherit, or that a
    /// client brought meanwhile.
    pub(crate) fn acquaintance_made(&mut self, id: PeerId) {
        let Some(peer) = self.peers.get(&id) else { return };
        if self.config.is_broker && peer.referred_by.is_some() {
            self.offer_to_be_broker(id);
        } else if self.broker == Some(id) && !peer.is_broker {
            self.broker_lost();
        }
    }

    /// Greets a node of known name over a transport that arrived.
    pub(crate) fn meet(
        &mut self,
        expected: Expected,
        node: NodeName,
        transport: TransportId,
    ) -> PeerId {
        // The embedder must know the peer's transport before it is asked to send the hello.
        let peer = PeerId(self.next_peer);
        self.effects.push_back(Effect::Activate { peer, transport });
        let greeted = self.greet(expected, Vec::new());
        debug_assert_eq!(peer, greeted);
        self.names.insert(node, greeted);
        greeted
    }

    /// This node has no broker any more, nor one to expect.
    pub(crate) fn broker_lost(&mut self) {
        self.broker = None;
        self.relays_broken();
        self.refuse_all_introductions();
        self.deny_heirs();
        let heirs = self.peers.values().filter(|peer| peer.awaits_broker);
        for heir in heirs.filter_map(|peer| peer.name).collect::<Vec<_>>() {
            self.release_heir(heir);
        }
    }

    /// A node that a client brought has said hello: others can be introduced to it.
    pub(crate) fn announce_referred(&mut self, id: PeerId) {
        let Some(peer) = self.peers.get(&id) else { return };
        if let (Some(by), Some(name)) = (peer.referred_by, peer.name)
            && self.peers.contains_key(&by)
        {
            self.tell(by, NetworkMessage::Introduced(name));
        }
    }

    /// Whether nobody but this node can reach a peer yet.
    pub(crate) fn awaits_broker(&self, id: PeerId) -> bool {
        self.peers.get(&id).is_some_and(|peer| peer.awaits_broker)
    }

    /// The broker knows an heir, or will not: proxies that lead there need wait no longer.
    pub(crate) fn release_heir(&mut self, heir: NodeName) {
        let Some(id) = self.connected_peer(heir) else { return };
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if !std::mem::take(&mut peer.awaits_broker) {
            return;
        }
        let ends: Vec<_> = peer.links.values().copied().collect();
        self.relay_waiting(id);
        for end in ends {
            if let Some(router) = self.ends.get(end.0).and_then(|end| end.router) {
                self.evaluate(router);
            }
        }
    }
}
