//! Engines that are driven by hand: one whose peers a test plays itself, and small networks.
#![allow(dead_code, unreachable_pub, reason = "each test uses some of it")]

pub mod cargo;
pub mod net;
pub mod things;

use ipcz_core::{
    Config, Descriptor, Effect, Engine, Hello, LinkId, Message, NodeName, Parcel, PeerId, PortalId,
    ProtocolViolation, Relation, RouteMessage, Secret, WIRE_VERSION,
};

pub type Bytes = Vec<u8>;
pub type Said = Result<(), ProtocolViolation>;

/// The half of the link ids that belongs to the node with the greater name.
pub const UPPER_HALF: u64 = 1 << 63;

pub fn config(name: u128, is_broker: bool) -> Config {
    Config {
        name: NodeName(name),
        is_broker,
        key: [name as u8; 16],
        features: 0,
        max_payload: 1000,
        takes_referrals: true,
        may_allocate: true,
        relays_handles: false,
    }
}

pub fn hello(name: u128, num_portals: u32) -> Hello {
    Hello {
        version: WIRE_VERSION,
        features: 0,
        max_payload: 77,
        name: NodeName(name),
        is_broker: false,
        wants_broker: true,
        wants_memory: false,
        relays_from: None,
        num_portals,
        secret: Secret(9),
    }
}

pub fn parcel(link: LinkId, sequence: u64, portals: Vec<Descriptor>) -> Message<Bytes> {
    Message::Parcel { link, sequence, hops: 0, relayed: None, payload: vec![1; 3], portals }
}

pub fn portal_on(link: u64) -> Descriptor {
    Descriptor { link: LinkId(link), secret: Secret(5), next_in: 0, next_out: 0, owner: true }
}

pub fn with(portals: Vec<PortalId>) -> Parcel<Bytes> {
    Parcel::new(vec![1; 3], portals)
}

/// A broker named 5 and two clients, named 3 and 7, that the test plays.
///
/// It owns the initial links to 7, whose name is greater, and not those to 3.
pub struct Bench {
    pub engine: Engine<Bytes>,
    pub low: PeerId,
    pub high: PeerId,
    /// Portals whose peers are at the two clients, on links 0 and 1.
    pub at_low: Vec<PortalId>,
    pub at_high: Vec<PortalId>,
}

impl Bench {
    pub fn new() -> Self {
        Self::with(config(5, true))
    }

    pub fn with(config: Config) -> Self {
        let mut engine = Engine::new(config);
        let (low, at_low) = engine.connect(Relation::Client, 2).unwrap();
        let (high, at_high) = engine.connect(Relation::Client, 2).unwrap();
        engine.handle_message(low, Message::Hello(hello(3, 2))).unwrap();
        engine.handle_message(high, Message::Hello(hello(7, 2))).unwrap();
        while engine.poll_effect().is_some() {}
        Self { engine, low, high, at_low, at_high }
    }

    /// Connects another broker, which the test plays too, with one portal.
    pub fn other_broker(&mut self, name: u128) -> (PeerId, PortalId) {
        let (peer, portals) = self.engine.connect(Relation::Broker, 1).unwrap();
        let hello = Hello { is_broker: true, ..hello(name, 1) };
        self.say(peer, Message::Hello(hello)).unwrap();
        self.asked();
        (peer, portals[0])
    }

    pub fn say(&mut self, peer: PeerId, message: Message<Bytes>) -> Said {
        let result = self.engine.handle_message(peer, message);
        self.engine.audit().unwrap();
        result
    }

    pub fn say_on(&mut self, peer: PeerId, link: u64, message: RouteMessage) -> Said {
        self.say(peer, Message::Route(LinkId(link), message))
    }

    /// Everything that the engine asked for since this was last called.
    pub fn asked(&mut self) -> Vec<Effect<Bytes>> {
        std::iter::from_fn(|| self.engine.poll_effect()).collect()
    }

    /// What the engine sent to a peer since it was last asked for anything.
    pub fn heard(&mut self, by: PeerId) -> Vec<Message<Bytes>> {
        let sent = self.asked().into_iter().filter_map(|effect| match effect {
            Effect::Send { peer, message } if peer == by => Some(message),
            _ => None,
        });
        sent.collect()
    }

    /// Moves the portal whose peer is the first at `low` to `high`, so that its router is a proxy.
    pub fn moved_to_high(&mut self) -> Descriptor {
        self.engine.put(self.at_high[0], with(vec![self.at_low[0]])).unwrap();
        let heard = self.heard(self.high);
        let [Message::Parcel { portals, .. }] = &heard[..] else { panic!("{heard:?}") };
        portals[0]
    }

    pub fn is_cut(&self, portal: PortalId) -> bool {
        self.engine.cause(portal).is_some()
    }
}

/// The peer did what no honest node does, and is disconnected.
pub fn assert_banned(bench: &Bench, peer: PeerId, said: Said) {
    assert!(said.is_err());
    assert!(!bench.engine.has_peer(peer));
}

/// The peer's message cost it one route and nothing else.
pub fn assert_cut(bench: &Bench, peer: PeerId, portal: PortalId, said: Said) {
    assert_eq!(said, Ok(()));
    assert!(bench.is_cut(portal) && bench.engine.has_peer(peer));
}
