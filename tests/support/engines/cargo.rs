//! An engine whose parcels hold handles that brokers pass on.

use ipcz_core::{
    Cause, CauseKind, Config, Effect, Engine, GetRefused, Hello, LinkId, Message, NetworkMessage,
    NodeName, Parcel, Payload, PeerId, PortalId, PutRefused, Relation, Relay,
};

use super::{config, hello};

/// A number, and perhaps a handle, which may be elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cargo(pub u32, pub Handle);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Handle {
    None,
    Here,
    Away,
}

impl Payload for Cargo {
    fn num_bytes(&self) -> usize {
        1
    }

    fn has_handles(&self) -> bool {
        self.1 == Handle::Here
    }

    fn take_handles(&mut self) -> Option<Self> {
        let whole = *self;
        self.has_handles().then(|| {
            self.1 = Handle::Away;
            whole
        })
    }

    fn join(&mut self, handles: Self) -> bool {
        let fits = self.1 == Handle::Away && handles.0 == self.0;
        self.1 = Handle::Here;
        fits
    }
}

pub const BROKER: NodeName = NodeName(3);
pub const OWN: NodeName = NodeName(5);
pub const OTHER: NodeName = NodeName(7);
/// From where the other node counts.
pub const FIRST: u64 = 10;

/// A client named 5, its broker, and a node named 7 that it shares the broker with.
pub struct Bench {
    pub engine: Engine<Cargo>,
    pub broker: PeerId,
    pub other: PeerId,
    /// Portals whose peers are at the other node, on links 0 and 1.
    pub portals: Vec<PortalId>,
}

impl Bench {
    pub fn new() -> Self {
        let mut engine = Engine::new(Config { relays_handles: true, ..config(5, false) });
        let (broker, _) = engine.connect(Relation::Broker, 0).unwrap();
        let (other, portals) = engine.connect(Relation::Client, 2).unwrap();
        let mut bench = Self { engine, broker, other, portals };
        let greeting = Hello { is_broker: true, wants_broker: false, ..hello(3, 0) };
        bench.say(broker, Message::Hello(greeting)).unwrap();
        let greeting = Hello { relays_from: Some(FIRST), ..hello(7, 2) };
        bench.say(other, Message::Hello(greeting)).unwrap();
        bench.asked();
        bench
    }

    /// The broker knows the other node, too.
    pub fn introduced() -> Self {
        let mut bench = Self::new();
        let introduced = NetworkMessage::Introduced(OTHER);
        bench.say(bench.broker, Message::Network(introduced)).unwrap();
        bench.asked();
        bench
    }

    pub fn say(&mut self, peer: PeerId, message: Message<Cargo>) -> Result<(), ()> {
        let said = self.engine.handle_message(peer, message);
        self.engine.audit().unwrap();
        said.map_err(drop)
    }

    pub fn parcel(&mut self, sequence: u64, id: Option<u64>) -> Result<(), ()> {
        let handle = if id.is_some() { Handle::Away } else { Handle::None };
        let payload = Cargo(sequence as u32, handle);
        let (link, relayed) = (LinkId(0), id);
        let portals = Vec::new();
        let message = Message::Parcel { link, sequence, hops: 0, relayed, payload, portals };
        self.say(self.other, message)
    }

    pub fn handles(&mut self, id: u64, number: u32) -> Result<(), ()> {
        let handles = Cargo(number, Handle::Here);
        self.say(self.broker, Message::Relay(Relay { from: OTHER, to: OWN, id, handles }))
    }

    pub fn asked(&mut self) -> Vec<Effect<Cargo>> {
        std::iter::from_fn(|| self.engine.poll_effect()).collect()
    }

    pub fn sent(&mut self, to: PeerId) -> Vec<Message<Cargo>> {
        let sent = self.asked().into_iter().filter_map(|effect| match effect {
            Effect::Send { peer, message } if peer == to => Some(message),
            _ => None,
        });
        sent.collect()
    }

    pub fn get(&mut self) -> Result<Cargo, GetRefused> {
        self.engine.get(self.portals[0]).map(|parcel| parcel.payload)
    }

    pub fn put(&mut self) -> Result<(), PutRefused> {
        let parcel = Parcel::new(Cargo(0, Handle::Here), Vec::new());
        self.engine.put(self.portals[0], parcel).map_err(|(refused, _)| refused)
    }

    /// The first route was cut for want of handles, and the second was not.
    pub fn assert_not_relayed(&self) {
        let cause = Cause { kind: CauseKind::NotRelayed, node: Some(OTHER) };
        assert_eq!(self.engine.cause(self.portals[0]), Some(cause));
        assert_eq!(self.engine.cause(self.portals[1]), None);
        assert!(self.engine.has_peer(self.other));
        assert_eq!(self.engine.pending_relays(), 0);
    }
}
