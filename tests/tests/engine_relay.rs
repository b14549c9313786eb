//! Handles that brokers pass on, with an engine that is driven by hand: as the node that they are
//! for, as the one that sends them, and as a broker.

#[path = "../support/engines/mod.rs"]
mod engines;

use engines::{config, hello, portal_on};
use ipcz_core::{
    Cause, CauseKind, Config, Effect, Engine, GetRefused, Hello, LinkId, Message, NetworkMessage,
    NodeName, Parcel, Payload, PeerId, PortalId, PutRefused, Relation, Relay, RelayKey,
    RouteMessage, TransportId,
};

/// A number, and perhaps a handle, which may be elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Cargo(u32, Handle);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Handle {
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

const BROKER: NodeName = NodeName(3);
const OWN: NodeName = NodeName(5);
const OTHER: NodeName = NodeName(7);
/// From where the other node counts.
const FIRST: u64 = 10;

/// A client named 5, its broker, and a node named 7 that it shares the broker with.
struct Bench {
    engine: Engine<Cargo>,
    broker: PeerId,
    other: PeerId,
    /// Portals whose peers are at the other node, on links 0 and 1.
    portals: Vec<PortalId>,
}

impl Bench {
    fn new() -> Self {
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
    fn introduced() -> Self {
        let mut bench = Self::new();
        let introduced = NetworkMessage::Introduced(OTHER);
        bench.say(bench.broker, Message::Network(introduced)).unwrap();
        bench.asked();
        bench
    }

    fn say(&mut self, peer: PeerId, message: Message<Cargo>) -> Result<(), ()> {
        let said = self.engine.handle_message(peer, message);
        self.engine.audit().unwrap();
        said.map_err(drop)
    }

    fn parcel(&mut self, sequence: u64, id: Option<u64>) -> Result<(), ()> {
        let handle = if id.is_some() { Handle::Away } else { Handle::None };
        let payload = Cargo(sequence as u32, handle);
        let (link, relayed) = (LinkId(0), id);
        let portals = Vec::new();
        let message = Message::Parcel { link, sequence, hops: 0, relayed, payload, portals };
        self.say(self.other, message)
    }

    fn handles(&mut self, id: u64, number: u32) -> Result<(), ()> {
        let handles = Cargo(number, Handle::Here);
        self.say(self.broker, Message::Relay(Relay { from: OTHER, to: OWN, id, handles }))
    }

    fn asked(&mut self) -> Vec<Effect<Cargo>> {
        std::iter::from_fn(|| self.engine.poll_effect()).collect()
    }

    fn sent(&mut self, to: PeerId) -> Vec<Message<Cargo>> {
        let sent = self.asked().into_iter().filter_map(|effect| match effect {
            Effect::Send { peer, message } if peer == to => Some(message),
            _ => None,
        });
        sent.collect()
    }

    fn get(&mut self) -> Result<Cargo, GetRefused> {
        self.engine.get(self.portals[0]).map(|parcel| parcel.payload)
    }

    fn put(&mut self) -> Result<(), PutRefused> {
        let parcel = Parcel::new(Cargo(0, Handle::Here), Vec::new());
        self.engine.put(self.portals[0], parcel).map_err(|(refused, _)| refused)
    }

    /// The first route was cut for want of handles, and the second was not.
    fn assert_not_relayed(&self) {
        let cause = Cause { kind: CauseKind::NotRelayed, node: Some(OTHER) };
        assert_eq!(self.engine.cause(self.portals[0]), Some(cause));
        assert_eq!(self.engine.cause(self.portals[1]), None);
        assert!(self.engine.has_peer(self.other));
        assert_eq!(self.engine.pending_relays(), 0);
    }
}

#[test]
fn either_half_may_come_first_and_order_is_kept() {
    let mut bench = Bench::new();
    bench.parcel(0, Some(10)).unwrap();
    bench.parcel(1, None).unwrap();
    bench.handles(12, 2).unwrap();
    bench.parcel(2, Some(12)).unwrap();
    assert_eq!(bench.get(), Err(GetRefused::Empty));
    bench.handles(10, 0).unwrap();
    assert_eq!(bench.get(), Ok(Cargo(0, Handle::Here)));
    assert_eq!(bench.get(), Ok(Cargo(1, Handle::None)));
    assert_eq!(bench.get(), Ok(Cargo(2, Handle::Here)));
    assert_eq!(bench.engine.pending_relays(), 0);
}

#[test]
fn the_end_of_a_link_waits_for_handles() {
    let mut bench = Bench::new();
    let on = |message| Message::Route(LinkId(0), message);
    bench.parcel(0, Some(10)).unwrap();
    bench.say(bench.other, on(RouteMessage::Closed(1))).unwrap();
    bench.say(bench.other, on(RouteMessage::Fin(1))).unwrap();
    assert!(!bench.engine.status(bench.portals[0]).unwrap().peer_closed);
    bench.handles(10, 0).unwrap();
    assert!(bench.engine.status(bench.portals[0]).unwrap().peer_closed);
    assert_eq!(bench.get(), Ok(Cargo(0, Handle::Here)));
}

#[test]
fn parcels_that_wait_count_against_the_end_of_their_link() {
    let on = |message| Message::Route(LinkId(0), message);
    let mut bench = Bench::new();
    bench.parcel(0, Some(10)).unwrap();
    assert!(bench.say(bench.other, on(RouteMessage::Fin(0))).is_err());
    let mut bench = Bench::new();
    bench.parcel(0, Some(10)).unwrap();
    bench.say(bench.other, on(RouteMessage::Closed(1))).unwrap();
    bench.say(bench.other, on(RouteMessage::Fin(1))).unwrap();
    assert!(bench.parcel(1, Some(11)).is_err());
}

#[test]
fn handles_that_will_not_come_or_do_not_fit_cut_their_route_alone() {
    let mut bench = Bench::new();
    bench.parcel(0, Some(10)).unwrap();
    let unrelayed = NetworkMessage::Unrelayed { first: 9, last: 10 };
    bench.say(bench.other, Message::Network(unrelayed)).unwrap();
    bench.assert_not_relayed();
    // They come after all, and belong to nothing.
    bench.handles(10, 0).unwrap();
    bench.assert_not_relayed();

    let mut bench = Bench::new();
    bench.handles(10, 99).unwrap();
    bench.parcel(0, Some(10)).unwrap();
    bench.assert_not_relayed();
}

#[test]
fn portals_in_a_parcel_that_waits_go_with_it() {
    let mut bench = Bench::new();
    let payload = Cargo(0, Handle::Away);
    let portals = vec![portal_on(1 << 63 | 5000)];
    let (link, relayed) = (LinkId(0), Some(10));
    let message = Message::Parcel { link, sequence: 0, hops: 0, relayed, payload, portals };
    let before = bench.engine.counts();
    bench.say(bench.other, message).unwrap();
    assert_eq!(bench.engine.counts().routers, before.routers + 1);
    bench.engine.disconnect(bench.other);
    bench.engine.audit().unwrap();
    assert_eq!((bench.engine.counts().ends, bench.engine.pending_relays()), (0, 0));
}

#[test]
fn what_no_honest_node_says_of_relays() {
    type Wrong = fn(&mut Bench) -> Result<(), ()>;
    let wrong: [Wrong; 6] = [
        |bench| bench.parcel(0, Some(FIRST - 1)),
        |bench| {
            bench.parcel(0, Some(10)).unwrap();
            bench.parcel(1, Some(10))
        },
        |bench| {
            bench.parcel(0, Some(11)).unwrap();
            bench.parcel(1, Some(10))
        },
        |bench| bench.say(bench.other, Message::Network(NetworkMessage::RelaysLostHeard)),
        |bench| {
            let handles = Cargo(0, Handle::Here);
            let relay = Relay { from: OTHER, to: OWN, id: 10, handles };
            bench.say(bench.other, Message::Relay(relay))
        },
        |bench| {
            let key = RelayKey { from: OWN, to: BROKER, id: 1 };
            bench.say(bench.other, Message::Network(NetworkMessage::RelayRefused(key)))
        },
    ];
    for (index, wrong) in wrong.into_iter().enumerate() {
        let mut bench = Bench::new();
        assert!(wrong(&mut bench).is_err(), "case {index}");
        assert!(!bench.engine.has_peer(bench.other) && bench.engine.has_peer(bench.broker));
        assert_eq!(bench.engine.pending_relays(), 0);
    }
    // In the broker's name, but by whom it says.
    let mut bench = Bench::new();
    bench.handles(10, 0).unwrap();
    bench.handles(10, 0).unwrap();
    assert!(!bench.engine.has_peer(bench.other) && bench.engine.has_peer(bench.broker));
}

#[test]
fn a_lost_broker_ends_the_waiting_until_the_other_node_has_heard() {
    let mut bench = Bench::introduced();
    bench.parcel(0, Some(10)).unwrap();
    bench.engine.handle_lost(bench.broker);
    bench.assert_not_relayed();
    let lost = Message::Network(NetworkMessage::RelaysLost);
    assert!(bench.sent(bench.other).contains(&lost));
    // It has another broker before the other node has heard of that.
    let (broker, _) = bench.engine.connect(Relation::Broker, 0).unwrap();
    let greeting = Hello { is_broker: true, wants_broker: false, ..hello(2, 0) };
    bench.say(broker, Message::Hello(greeting)).unwrap();
    let payload = Cargo(0, Handle::Away);
    let parcel = |link, id| {
        let (relayed, portals) = (Some(id), Vec::new());
        Message::Parcel { link: LinkId(link), sequence: 0, hops: 0, relayed, payload, portals }
    };
    bench.say(bench.other, parcel(1, 11)).unwrap();
    assert!(bench.engine.cause(bench.portals[1]).is_some());

    let mut bench = Bench::introduced();
    bench.engine.handle_lost(bench.broker);
    let (broker, _) = bench.engine.connect(Relation::Broker, 0).unwrap();
    let greeting = Hello { is_broker: true, wants_broker: false, ..hello(2, 0) };
    bench.say(broker, Message::Hello(greeting)).unwrap();
    bench.say(bench.other, Message::Network(NetworkMessage::RelaysLostHeard)).unwrap();
    bench.say(bench.other, parcel(1, 11)).unwrap();
    assert_eq!(bench.engine.pending_relays(), 1);
    assert_eq!(bench.engine.cause(bench.portals[1]), None);
}

#[test]
fn handles_leave_by_the_broker_once_it_knows_who_they_are_for() {
    let mut bench = Bench::new();
    bench.put().unwrap();
    let sent = bench.asked();
    let [Effect::Send { peer, message: Message::Parcel { relayed: Some(0), payload, .. } }] =
        &sent[..]
    else {
        panic!("{sent:?}")
    };
    assert_eq!((*peer, payload.1), (bench.other, Handle::Away));
    assert_eq!(bench.engine.pending_relays(), 1);
    bench.say(bench.broker, Message::Network(NetworkMessage::Introduced(OTHER))).unwrap();
    let handles = Cargo(0, Handle::Here);
    let relay = Message::Relay(Relay { from: OWN, to: OTHER, id: 0, handles });
    assert_eq!(bench.sent(bench.broker), [relay]);
    assert_eq!(bench.engine.pending_relays(), 0);
}

#[test]
fn a_sender_tells_of_handles_that_will_not_come() {
    let unrelayed = |first, last| Message::Network(NetworkMessage::Unrelayed { first, last });
    let mut bench = Bench::introduced();
    bench.put().unwrap();
    bench.put().unwrap();
    bench.asked();
    let key = RelayKey { from: OWN, to: OTHER, id: 1 };
    bench.say(bench.broker, Message::Network(NetworkMessage::RelayRefused(key))).unwrap();
    assert_eq!(bench.sent(bench.other), [unrelayed(1, 1)]);
    bench.engine.handle_lost(bench.broker);
    assert!(bench.sent(bench.other).contains(&unrelayed(0, 1)));
    assert_eq!(bench.put(), Err(PutRefused::NoRelay));
    let plain = Parcel::new(Cargo(0, Handle::None), Vec::new());
    bench.engine.put(bench.portals[0], plain).unwrap();
}

/// A broker named 5 with clients 3 and 7.
fn broker() -> (Engine<Cargo>, [PeerId; 2]) {
    let mut engine = Engine::new(config(5, true));
    let peers = [3, 7].map(|name| {
        let (peer, _) = engine.connect(Relation::Client, 0).unwrap();
        let greeting = Hello { relays_from: Some(0), ..hello(name, 0) };
        engine.handle_message(peer, Message::Hello(greeting)).unwrap();
        peer
    });
    while engine.poll_effect().is_some() {}
    (engine, peers)
}

fn relay(from: u128, to: u128) -> Message<Cargo> {
    let (from, to) = (NodeName(from), NodeName(to));
    Message::Relay(Relay { from, to, id: 4, handles: Cargo(0, Handle::Here) })
}

#[test]
fn a_broker_passes_on_what_its_clients_send_each_other() {
    let (mut engine, [low, high]) = broker();
    engine.handle_message(low, relay(3, 7)).unwrap();
    let expected = Effect::Send { peer: high, message: relay(3, 7) };
    assert_eq!(engine.poll_effect(), Some(expected));
    // There is nobody of that name, and no broker to ask.
    engine.handle_message(low, relay(3, 99)).unwrap();
    let key = RelayKey { from: NodeName(3), to: NodeName(99), id: 4 };
    let message = Message::Network(NetworkMessage::RelayRefused(key));
    assert_eq!(engine.poll_effect(), Some(Effect::Send { peer: low, message }));
    assert_eq!(engine.pending_relays(), 0);
    // In another's name, to itself, and to the broker, which needs none to pass them on.
    for wrong in [relay(7, 3), relay(3, 3), relay(3, 5)] {
        let (mut engine, [low, _]) = broker();
        assert!(engine.handle_message(low, wrong).is_err());
        assert!(!engine.has_peer(low));
    }
}

#[test]
fn a_broker_that_is_lost_on_the_way_is_a_refusal() {
    let (mut engine, [low, _]) = broker();
    let (other, _) = engine.connect(Relation::Broker, 0).unwrap();
    let greeting = Hello { is_broker: true, ..hello(9, 0) };
    engine.handle_message(other, Message::Hello(greeting)).unwrap();
    let refused = |engine: &mut Engine<Cargo>| {
        let key = RelayKey { from: NodeName(3), to: NodeName(99), id: 4 };
        let message = Message::Network(NetworkMessage::RelayRefused(key));
        let refusal = Effect::Send { peer: low, message };
        std::iter::from_fn(|| engine.poll_effect()).any(|effect| effect == refusal)
    };
    let seeker = NodeName(3);
    let sought = |found| NetworkMessage::Sought { node: NodeName(99), seeker, found };
    for found in [None, Some(false), Some(true)] {
        let mut engine = engine.clone();
        engine.handle_message(low, relay(3, 99)).unwrap();
        assert_eq!(engine.pending_relays(), 1);
        if let Some(found) = found {
            engine.handle_message(other, Message::Network(sought(found))).unwrap();
        }
        assert_eq!(refused(&mut engine), found == Some(false));
        engine.handle_lost(other);
        assert_eq!(refused(&mut engine), found != Some(false));
        assert_eq!(engine.pending_relays(), 0);
    }
    // Once it has confirmed, its loss is no matter.
    engine.handle_message(low, relay(3, 99)).unwrap();
    engine.handle_message(other, Message::Network(sought(true))).unwrap();
    let key = RelayKey { from: NodeName(3), to: NodeName(99), id: 4 };
    engine.handle_message(other, Message::Network(NetworkMessage::RelayPassed(key))).unwrap();
    engine.handle_lost(other);
    assert!(!refused(&mut engine));
}

#[test]
fn handles_of_an_earlier_connection_are_dropped_at_the_hello() {
    let mut engine: Engine<Cargo> = Engine::new(config(5, false));
    let (broker, _) = engine.connect(Relation::Broker, 0).unwrap();
    let greeting = Hello { is_broker: true, wants_broker: false, ..hello(3, 0) };
    engine.handle_message(broker, Message::Hello(greeting)).unwrap();
    let transport = TransportId(1);
    let introduce = NetworkMessage::Introduce { node: OTHER, transport };
    engine.handle_message(broker, Message::Network(introduce)).unwrap();
    let effects: Vec<_> = std::iter::from_fn(|| engine.poll_effect()).collect();
    let other = effects.iter().find_map(|effect| match effect {
        Effect::Activate { peer, .. } => Some(*peer),
        _ => None,
    });
    for id in [FIRST - 1, FIRST] {
        let handles = Cargo(0, Handle::Here);
        let relay = Relay { from: OTHER, to: OWN, id, handles };
        engine.handle_message(broker, Message::Relay(relay)).unwrap();
    }
    assert_eq!(engine.pending_relays(), 2);
    let greeting = Hello { relays_from: Some(FIRST), wants_broker: false, ..hello(7, 0) };
    engine.handle_message(other.unwrap(), Message::Hello(greeting)).unwrap();
    assert_eq!(engine.pending_relays(), 1);
}
