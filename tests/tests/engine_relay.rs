//! Handles that brokers pass on, with an engine that is driven by hand: as the node that they are
//! for, and as the one that sends them.

#[path = "../support/engines/mod.rs"]
mod engines;

use engines::cargo::{BROKER, Bench, Cargo, FIRST, Handle, OTHER, OWN};
use engines::{config, hello, portal_on};
use ipcz_core::limits::MAX_RELAYS;
use ipcz_core::{
    Config, Effect, Engine, GetRefused, Hello, LinkId, Message, NetworkMessage, NodeName, Parcel,
    PeerId, PutRefused, Relation, Relay, RelayKey, RouteMessage, TransportId,
};

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

/// A client named 5 that its broker has introduced to node 7, which has yet to say hello.
fn about_to_meet() -> (Engine<Cargo>, PeerId, PeerId) {
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
    (engine, broker, other.expect("the other node is greeted"))
}

fn greeting_of_the_other() -> Message<Cargo> {
    Message::Hello(Hello { relays_from: Some(FIRST), wants_broker: false, ..hello(7, 0) })
}

#[test]
fn handles_of_an_earlier_connection_are_dropped_at_the_hello() {
    let (mut engine, broker, other) = about_to_meet();
    for id in [FIRST - 1, FIRST] {
        let handles = Cargo(0, Handle::Here);
        let relay = Relay { from: OTHER, to: OWN, id, handles };
        engine.handle_message(broker, Message::Relay(relay)).unwrap();
    }
    assert_eq!(engine.pending_relays(), 2);
    engine.handle_message(other, greeting_of_the_other()).unwrap();
    assert_eq!(engine.pending_relays(), 1);
}

#[test]
fn who_says_hello_hears_of_a_broker_that_was_lost_before() {
    for lost in [true, false] {
        let (mut engine, broker, other) = about_to_meet();
        if lost {
            engine.handle_lost(broker);
        }
        engine.handle_message(other, greeting_of_the_other()).unwrap();
        let message = Message::Network(NetworkMessage::RelaysLost);
        let tells = Effect::Send { peer: other, message };
        let mut effects = std::iter::from_fn(|| engine.poll_effect());
        assert_eq!(effects.any(|effect| effect == tells), lost);
    }
}

#[test]
fn every_parcel_that_arrived_counts_against_the_end_of_its_link() {
    let on = |message| Message::Route(LinkId(0), message);
    for relayed in [Some(11), None] {
        let mut bench = Bench::new();
        bench.parcel(0, None).unwrap();
        bench.parcel(1, Some(10)).unwrap();
        bench.say(bench.other, on(RouteMessage::Closed(2))).unwrap();
        bench.say(bench.other, on(RouteMessage::Fin(2))).unwrap();
        assert!(bench.parcel(2, relayed).is_err());
    }
}

#[test]
fn parcels_that_wait_for_handles_are_bounded() {
    let mut bench = Bench::new();
    let parcel = |id| {
        let (sequence, relayed, payload) = (id, Some(FIRST + id), Cargo(0, Handle::Away));
        Message::Parcel { link: LinkId(0), sequence, hops: 0, relayed, payload, portals: vec![] }
    };
    let most = MAX_RELAYS as u64;
    for id in 0..most {
        bench.engine.handle_message(bench.other, parcel(id)).unwrap();
    }
    assert_eq!(bench.engine.pending_relays(), MAX_RELAYS);
    assert!(bench.engine.handle_message(bench.other, parcel(most)).is_err());
    assert_eq!(bench.engine.pending_relays(), 0);
}

#[test]
fn handles_of_nodes_that_send_none_so_are_dropped() {
    let mut bench = Bench::new();
    // Before the number from which the other node counts.
    bench.handles(FIRST - 1, 0).unwrap();
    assert_eq!(bench.engine.pending_relays(), 0);
    // From a node that sends its handles directly.
    let (direct, _) = bench.engine.connect(Relation::Client, 0).unwrap();
    bench.say(direct, Message::Hello(hello(8, 0))).unwrap();
    let handles = Cargo(0, Handle::Here);
    let relay = Relay { from: NodeName(8), to: OWN, id: FIRST, handles };
    bench.say(bench.broker, Message::Relay(relay)).unwrap();
    assert_eq!(bench.engine.pending_relays(), 0);
    // It need not hear of a lost broker either.
    bench.asked();
    bench.engine.handle_lost(bench.broker);
    let lost = |peer| {
        let message = Message::Network(NetworkMessage::RelaysLost);
        Effect::Send { peer, message }
    };
    let asked = bench.asked();
    assert!(asked.contains(&lost(bench.other)) && !asked.contains(&lost(direct)), "{asked:?}");
}

#[test]
fn a_refusal_of_what_others_sent_says_nothing() {
    let mut bench = Bench::introduced();
    for from in [OTHER, NodeName(99)] {
        let key = RelayKey { from, to: OTHER, id: 0 };
        bench.say(bench.broker, Message::Network(NetworkMessage::RelayRefused(key))).unwrap();
        assert_eq!(bench.asked(), []);
    }
}

#[test]
fn a_hello_says_from_where_a_node_counts() {
    for (relays_handles, is_broker) in [(false, false), (true, false), (false, true), (true, true)]
    {
        let config = Config { relays_handles, ..config(5, is_broker) };
        let mut engine: Engine<Cargo> = Engine::new(config);
        engine.connect(Relation::Broker, 0).unwrap();
        let Some(Effect::Send { message: Message::Hello(hello), .. }) = engine.poll_effect() else {
            panic!("it does not say hello")
        };
        assert_eq!(hello.relays_from, (relays_handles && !is_broker).then_some(0));
    }
}
