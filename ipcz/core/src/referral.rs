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

use std::collections::BTreeSet;

use crate::effect::{Effect, Pairing};
use crate::engine::Engine;
use crate::ids::{NodeName, PeerId, TransportId};
use crate::message::{NetworkMessage, Payload, ProtocolViolation};
use crate::peer::{Expected, PeerKind};

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
                // From the node that was to share its broker, or about one this node shared its own
                // with. In the second case that node hears of it by its transport.
                if self.is_broker_of_this(from) {
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
        if !self.config.takes_referrals || self.peer_by_name(node).is_some() {
            self.effects.push_back(Effect::DropTransport(transport));
            self.tell(from, NetworkMessage::ReferralRefused(node));
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
        if self.peer_by_name(broker).is_some() {
            // They were introduced before, when this node had another broker. The broker refuses
            // the referral for the same reason.
            self.effects.push_back(Effect::DropTransport(transport));
            self.broker_lost();
            return Ok(());
        }
        let peer = self.meet(Expected::SharedBroker(broker), broker, transport);
        self.broker = Some(peer);
        Ok(())
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
