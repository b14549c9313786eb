//! Handles that may not travel directly, seen by the brokers that pass them on.
//!
//! ```text
//!   A ──Relay──▶ X ──Seek(B)──▶ Y                  X is A's broker, Y is B's
//!                  ◀──Sought───
//!                  ───Relay───▶ Y ──Relay──▶ B
//!                  ◀─RelayPassed
//! ```
//!
//! If A and B have the same broker, it passes the handles on and remembers nothing. What went to
//! another broker is remembered until that one has passed it on, so that its loss is a refusal.

use std::collections::{BTreeMap, BTreeSet};

use crate::effect::Effect;
use crate::engine::Engine;
use crate::ids::{NodeName, PeerId};
use crate::limits;
use crate::message::{Message, NetworkMessage, Payload, ProtocolViolation, Relay, RelayKey};
use crate::peer::PeerKind;

/// What this broker does for its clients' handles, by the client that sent them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Couriers<P>(BTreeMap<NodeName, Courier<P>>);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Courier<P> {
    /// What went to another broker, which has not said that it passed it on.
    passed: BTreeMap<RelayKey, PeerId>,
    /// What waits until the broker of the node is found that it is for.
    sought: BTreeMap<NodeName, Sought<P>>,
    /// How much waits so.
    num_sought: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Sought<P> {
    /// The brokers that have yet to answer.
    asked: BTreeSet<PeerId>,
    relays: Vec<Relay<P>>,
}

impl<P> Default for Couriers<P> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<P> Default for Courier<P> {
    fn default() -> Self {
        Self { passed: BTreeMap::new(), sought: BTreeMap::new(), num_sought: 0 }
    }
}

impl<P> Courier<P> {
    fn len(&self) -> usize {
        self.passed.len() + self.num_sought
    }

    fn take_sought(&mut self, node: NodeName) -> Vec<Relay<P>> {
        let relays = self.sought.remove(&node).map(|sought| sought.relays).unwrap_or_default();
        self.num_sought -= relays.len();
        relays
    }
}

impl<P> Couriers<P> {
    pub(crate) fn len(&self) -> usize {
        self.0.values().map(Courier::len).sum()
    }

    /// Forgets a client for which nothing is under way.
    fn tidy(&mut self, client: NodeName) {
        if self.0.get(&client).is_some_and(|courier| courier.len() == 0) {
            self.0.remove(&client);
        }
    }
}

fn key_of<P>(relay: &Relay<P>) -> RelayKey {
    RelayKey { from: relay.from, to: relay.to, id: relay.id }
}

impl<P: Payload> Engine<P> {
    /// Somebody hands this node what belongs into a parcel: one of its own, or another node's.
    pub(crate) fn handle_relay(
        &mut self,
        from: PeerId,
        relay: Relay<P>,
    ) -> Result<(), ProtocolViolation> {
        let other_broker = self.other_brokers().any(|broker| broker == from);
        if relay.to == self.config.name && self.may_introduce(from) {
            if other_broker {
                self.tell(from, NetworkMessage::RelayPassed(key_of(&relay)));
            }
            return self.receive_handles(relay.from, relay.id, relay.handles);
        }
        if other_broker {
            self.pass_to_client(from, relay);
            return Ok(());
        }
        let client = self.client_named(relay.from) == Some(from);
        if !client || relay.to == self.config.name || relay.to == relay.from {
            return Err(ProtocolViolation("handles to relay from a node that may not ask for it"));
        }
        self.courier(relay);
        Ok(())
    }

    /// Passes on what another broker's client sent.
    fn pass_to_client(&mut self, from: PeerId, relay: Relay<P>) {
        let key = key_of(&relay);
        match self.client_named(relay.to) {
            Some(client) => {
                let message = Message::Relay(relay);
                self.effects.push_back(Effect::Send { peer: client, message });
                self.tell(from, NetworkMessage::RelayPassed(key));
            }
            None => self.tell(from, NetworkMessage::RelayRefused(key)),
        }
    }

    /// Passes on what a client of this broker sent.
    fn courier(&mut self, relay: Relay<P>) {
        if let Some(target) = self.introducible(relay.to) {
            return self.pass_on_relay(target, relay);
        }
        let brokers: BTreeSet<_> = self.other_brokers().collect();
        let (node, seeker) = (relay.to, relay.from);
        let courier = self.couriers.0.entry(seeker).or_default();
        if brokers.is_empty() || courier.len() >= limits::MAX_RELAYS {
            self.couriers.tidy(seeker);
            return self.refuse_relay(key_of(&relay));
        }
        courier.num_sought += 1;
        if let Some(sought) = courier.sought.get_mut(&node) {
            return sought.relays.push(relay);
        }
        courier.sought.insert(node, Sought { asked: brokers.clone(), relays: vec![relay] });
        for broker in brokers {
            self.tell(broker, NetworkMessage::Seek { node, seeker });
        }
    }

    /// Sends a client's handles to a client, or to another broker, which has to confirm that.
    fn pass_on_relay(&mut self, target: PeerId, relay: Relay<P>) {
        if self.peers.get(&target).is_some_and(|peer| peer.kind == PeerKind::Broker) {
            let courier = self.couriers.0.entry(relay.from).or_default();
            if courier.len() >= limits::MAX_RELAYS {
                return self.refuse_relay(key_of(&relay));
            }
            courier.passed.insert(key_of(&relay), target);
        }
        self.effects.push_back(Effect::Send { peer: target, message: Message::Relay(relay) });
    }

    /// Tells a client that its handles go nowhere.
    fn refuse_relay(&mut self, key: RelayKey) {
        if let Some(client) = self.client_named(key.from) {
            self.tell(client, NetworkMessage::RelayRefused(key));
        }
    }

    /// What this node, or a client of it, wanted to have relayed cannot be.
    pub(crate) fn handle_relay_refused(
        &mut self,
        from: PeerId,
        key: RelayKey,
    ) -> Result<(), ProtocolViolation> {
        if !self.may_introduce(from) {
            return Err(ProtocolViolation("a refusal to relay from a node that is no broker"));
        }
        if self.config.is_broker {
            self.forget_passed(key);
            self.refuse_relay(key);
        } else if let Some(peer) = self.connected_peer(key.to).filter(|_| self.is_own(key)) {
            self.tell(peer, NetworkMessage::Unrelayed { first: key.id, last: key.id });
        }
        Ok(())
    }

    fn is_own(&self, key: RelayKey) -> bool {
        key.from == self.config.name
    }

    fn forget_passed(&mut self, key: RelayKey) {
        if let Some(courier) = self.couriers.0.get_mut(&key.from) {
            courier.passed.remove(&key);
            self.couriers.tidy(key.from);
        }
    }

    /// What brokers say to each other about relays.
    pub(crate) fn handle_courier(
        &mut self,
        from: PeerId,
        message: NetworkMessage,
    ) -> Result<(), ProtocolViolation> {
        if !self.other_brokers().any(|broker| broker == from) {
            return Err(ProtocolViolation("a message between brokers from a node that is none"));
        }
        match message {
            NetworkMessage::RelayPassed(key) => self.forget_passed(key),
            NetworkMessage::Seek { node, seeker } => {
                let found = self.client_named(node).is_some();
                self.tell(from, NetworkMessage::Sought { node, seeker, found });
            }
            NetworkMessage::Sought { node, seeker, found } => {
                self.handle_sought(from, node, seeker, found);
            }
            _ => {}
        }
        Ok(())
    }

    fn handle_sought(&mut self, from: PeerId, node: NodeName, seeker: NodeName, found: bool) {
        let Some(courier) = self.couriers.0.get_mut(&seeker) else { return };
        let Some(sought) = courier.sought.get_mut(&node) else { return };
        let asked = sought.asked.remove(&from);
        let nobody = sought.asked.is_empty();
        if found && asked {
            for relay in courier.take_sought(node) {
                self.pass_on_relay(from, relay);
            }
        } else if nobody {
            self.give_up_search(node, seeker);
        }
    }

    /// No broker has the node that handles are for.
    fn give_up_search(&mut self, node: NodeName, seeker: NodeName) {
        let Some(courier) = self.couriers.0.get_mut(&seeker) else { return };
        let relays = courier.take_sought(node);
        self.couriers.tidy(seeker);
        for relay in relays {
            self.refuse_relay(key_of(&relay));
        }
    }

    /// A peer is gone: as a client, with all that was under way for it; as a broker, with what it
    /// had not passed on and would not say.
    pub(crate) fn forget_couriers(&mut self, lost: PeerId, name: Option<NodeName>) {
        if let Some(name) = name.filter(|name| self.names.get(name) == Some(&lost)) {
            self.couriers.0.remove(&name);
        }
        let (mut refused, mut nowhere) = (Vec::new(), Vec::new());
        for (&seeker, courier) in &mut self.couriers.0 {
            courier.passed.retain(|key, by| {
                refused.extend((*by == lost).then_some(*key));
                *by != lost
            });
            for (&node, sought) in &mut courier.sought {
                if sought.asked.remove(&lost) && sought.asked.is_empty() {
                    nowhere.push((node, seeker));
                }
            }
        }
        for key in refused {
            self.refuse_relay(key);
            self.couriers.tidy(key.from);
        }
        for (node, seeker) in nowhere {
            self.give_up_search(node, seeker);
        }
    }
}
