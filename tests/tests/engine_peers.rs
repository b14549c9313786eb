//! What a peer may and may not say about itself and about others, to an engine that is driven by hand.

#[path = "../support/engines/mod.rs"]
mod engines;

use engines::{Bench, Bytes, assert_banned, config, hello, parcel};
use ipcz_core::limits::MAX_INITIAL_PORTALS;
use ipcz_core::{
    CauseKind, ConnectRefused, Effect, Engine, Hello, LinkId, Message, NetworkMessage, NodeName,
    PeerId, Relation, Route, RouteMessage, TransportId, WIRE_VERSION,
};

const TRANSPORT: TransportId = TransportId(42);
const NOBODY: NodeName = NodeName(99);

fn dropped(bench: &mut Bench) -> bool {
    bench.asked().contains(&Effect::DropTransport(TRANSPORT))
}

#[test]
fn what_only_brokers_say() {
    let (node, transport) = (NOBODY, TRANSPORT);
    let messages = [
        NetworkMessage::Introduce { node, transport },
        NetworkMessage::IntroductionRefused(node),
        NetworkMessage::Referred { broker: node, transport },
        NetworkMessage::Locate { node, seeker: node },
        NetworkMessage::Located { node, seeker: node, found: true },
        NetworkMessage::PassIntroduction { to: node, node, transport },
        NetworkMessage::PassRefusal { to: node, node },
        NetworkMessage::PassIntroduced { from: node, node },
    ];
    for message in messages {
        let mut bench = Bench::new();
        let said = bench.say(bench.low, Message::Network(message));
        assert_banned(&bench, bench.low, said);
        assert_eq!(dropped(&mut bench), message.transport().is_some(), "{message:?}");
    }
}

#[test]
fn what_clients_say() {
    for message in [NetworkMessage::Introduced(NOBODY), NetworkMessage::RequestIntroduction(NOBODY)]
    {
        let mut bench = Bench::new();
        bench.say(bench.low, Message::Network(message)).unwrap();
        let heard = bench.heard(bench.low);
        let refused = Message::Network(NetworkMessage::IntroductionRefused(NOBODY));
        let asks = matches!(message, NetworkMessage::RequestIntroduction(_));
        assert_eq!(heard, if asks { vec![refused] } else { vec![] });
    }
}

#[test]
fn an_introduction_to_oneself_or_to_the_broker_is_refused() {
    for node in [NodeName(3), NodeName(5)] {
        let mut bench = Bench::new();
        let request = NetworkMessage::RequestIntroduction(node);
        bench.say(bench.low, Message::Network(request)).unwrap();
        let refused = Message::Network(NetworkMessage::IntroductionRefused(node));
        assert_eq!(bench.heard(bench.low), [refused]);
    }
}

#[test]
fn an_introduction_is_made_once_until_both_have_heard() {
    let mut bench = Bench::new();
    let request = |node| Message::Network(NetworkMessage::RequestIntroduction(NodeName(node)));
    let asked = |bench: &mut Bench| {
        let effects = bench.asked();
        effects.iter().filter(|effect| matches!(effect, Effect::CreateTransports(_))).count()
    };
    bench.say(bench.low, request(7)).unwrap();
    assert_eq!(asked(&mut bench), 1);
    assert_eq!(bench.engine.pending_introductions(), 1);
    bench.say(bench.low, request(7)).unwrap();
    bench.say(bench.high, request(3)).unwrap();
    assert_eq!(asked(&mut bench), 0);
    let introduced = |node| Message::Network(NetworkMessage::Introduced(NodeName(node)));
    bench.say(bench.low, introduced(7)).unwrap();
    bench.say(bench.high, request(3)).unwrap();
    assert_eq!((asked(&mut bench), bench.engine.pending_introductions()), (0, 1));
    // One that has heard and asks again has lost the connection.
    bench.say(bench.low, request(7)).unwrap();
    assert_eq!(asked(&mut bench), 1);
    bench.say(bench.low, introduced(7)).unwrap();
    bench.say(bench.high, introduced(3)).unwrap();
    assert_eq!(bench.engine.pending_introductions(), 0);
}

#[test]
fn transports_that_come_too_late_are_closed() {
    let mut bench = Bench::new();
    let request = NetworkMessage::RequestIntroduction(NodeName(7));
    bench.say(bench.low, Message::Network(request)).unwrap();
    let pairing = bench.asked().into_iter().find_map(|effect| match effect {
        Effect::CreateTransports(pairing) => Some(pairing),
        _ => None,
    });
    bench.engine.handle_lost(bench.high);
    let refused = Message::Network(NetworkMessage::IntroductionRefused(NodeName(7)));
    assert!(bench.heard(bench.low).contains(&refused));
    bench.engine.handle_transports(pairing.unwrap(), Some((TransportId(1), TransportId(2))));
    let closed = [1, 2].map(|id| Effect::DropTransport(TransportId(id)));
    assert_eq!(bench.asked(), closed);
}

#[test]
fn a_client_may_bring_others_once() {
    let mut bench = Bench::new();
    let refer = |node| Message::Network(NetworkMessage::Refer { node, transport: TRANSPORT });
    bench.say(bench.low, refer(NOBODY)).unwrap();
    let asked = bench.asked();
    assert!(matches!(asked[0], Effect::Activate { transport: TRANSPORT, .. }), "{asked:?}");
    for node in [NOBODY, NodeName(3), NodeName(5), NodeName(7)] {
        bench.say(bench.low, refer(node)).unwrap();
        let asked = bench.asked();
        let refused = Message::Network(NetworkMessage::ReferralRefused(node));
        let answer = Effect::Send { peer: bench.low, message: refused };
        assert_eq!(asked, [Effect::DropTransport(TRANSPORT), answer]);
    }
}

/// A node that is no broker, with its broker, named 1.
fn client() -> (Engine<Bytes>, PeerId) {
    let mut engine = Engine::new(config(5, false));
    let (broker, _) = engine.connect(Relation::Broker, 0).unwrap();
    let hello = Hello { is_broker: true, wants_broker: false, ..hello(1, 0) };
    engine.handle_message(broker, Message::Hello(hello)).unwrap();
    while engine.poll_effect().is_some() {}
    (engine, broker)
}

#[test]
fn a_client_is_introduced_and_says_so() {
    let (mut engine, broker) = client();
    let introduce = NetworkMessage::Introduce { node: NOBODY, transport: TRANSPORT };
    engine.handle_message(broker, Message::Network(introduce)).unwrap();
    let introduced = Message::Network(NetworkMessage::Introduced(NOBODY));
    let first = engine.poll_effect();
    assert_eq!(first, Some(Effect::Send { peer: broker, message: introduced }));
    let Some(Effect::Activate { peer, transport: TRANSPORT }) = engine.poll_effect() else {
        panic!("not activated")
    };
    // Whoever is there must have that name.
    let said = engine.handle_message(peer, Message::Hello(hello(98, 0)));
    assert!(said.is_err() && !engine.has_peer(peer));
}

#[test]
fn a_client_takes_no_other_clients_and_no_other_broker() {
    let (node, transport) = (NOBODY, TRANSPORT);
    for message in [
        NetworkMessage::Refer { node, transport },
        NetworkMessage::Referred { broker: node, transport },
    ] {
        let (mut engine, broker) = client();
        assert!(engine.handle_message(broker, Message::Network(message)).is_err());
        let mut effects = std::iter::from_fn(|| engine.poll_effect());
        assert!(effects.any(|effect| effect == Effect::DropTransport(TRANSPORT)));
    }
    let (mut engine, _) = client();
    assert_eq!(engine.connect(Relation::Broker, 0), Err(ConnectRefused::HasBroker));
    let refused = NetworkMessage::ReferralRefused(NOBODY);
    let (mut engine, broker) = client();
    engine.handle_message(broker, Message::Network(refused)).unwrap();
    assert_eq!(engine.connect(Relation::Broker, 0), Err(ConnectRefused::HasBroker));
}

#[test]
fn hello_comes_first_and_once() {
    let mut bench = Bench::new();
    let said = bench.say(bench.low, Message::Hello(hello(3, 0)));
    assert_banned(&bench, bench.low, said);
    let introduce = NetworkMessage::Introduce { node: NOBODY, transport: TRANSPORT };
    for message in [Message::Network(introduce), parcel(LinkId(0), 0, vec![])] {
        let carries = matches!(message, Message::Network(_));
        let mut bench = Bench::new();
        let (peer, _) = bench.engine.connect(Relation::Client, 0).unwrap();
        let said = bench.say(peer, message);
        assert_banned(&bench, peer, said);
        assert_eq!(dropped(&mut bench), carries);
    }
    // A farewell may come at any time, and no message matters after it.
    let mut bench = Bench::new();
    let (peer, portals) = bench.engine.connect(Relation::Client, 1).unwrap();
    let goodbye = NetworkMessage::Goodbye(CauseKind::Shutdown);
    bench.say(peer, Message::Network(goodbye)).unwrap();
    assert_eq!(bench.engine.cause(portals[0]).unwrap().kind, CauseKind::Shutdown);
    bench.say(peer, Message::Network(introduce)).unwrap();
    assert!(dropped(&mut bench));
}

#[test]
fn hellos_that_do_not_fit() {
    let other_version = Hello { version: WIRE_VERSION + 1, ..hello(9, 0) };
    let broker = Hello { is_broker: true, ..hello(9, 0) };
    let needs_none = Hello { wants_broker: false, ..hello(9, 0) };
    let cases = [
        (other_version, CauseKind::WrongVersion),
        (hello(3, 0), CauseKind::AlreadyConnected),
        (hello(5, 0), CauseKind::AlreadyConnected),
        (broker, CauseKind::WrongRole),
        (needs_none, CauseKind::WrongRole),
    ];
    for (hello, kind) in cases {
        let mut bench = Bench::new();
        let (peer, portals) = bench.engine.connect(Relation::Client, 1).unwrap();
        bench.say(peer, Message::Hello(hello)).unwrap();
        assert!(!bench.engine.has_peer(peer));
        assert_eq!(bench.engine.cause(portals[0]).map(|cause| cause.kind), Some(kind));
        let goodbye = Message::Network(NetworkMessage::Goodbye(kind));
        assert!(bench.heard(peer).contains(&goodbye));
        assert!(bench.engine.has_peer(bench.low));
    }
}

#[test]
fn initial_portals_are_bounded_and_matched() {
    let most = MAX_INITIAL_PORTALS;
    let mut bench = Bench::new();
    let refused = bench.engine.connect(Relation::Client, most + 1);
    assert_eq!(refused, Err(ConnectRefused::TooManyPortals));
    let (peer, portals) = bench.engine.connect(Relation::Client, most).unwrap();
    bench.say(peer, Message::Hello(hello(9, most))).unwrap();
    assert!(portals.iter().all(|&portal| !bench.engine.status(portal).unwrap().peer_closed));
    let (peer, _) = bench.engine.connect(Relation::Client, 0).unwrap();
    let said = bench.say(peer, Message::Hello(hello(10, most + 1)));
    assert_banned(&bench, peer, said);
    // What one side has more of is closed.
    let (peer, portals) = bench.engine.connect(Relation::Client, 3).unwrap();
    bench.say(peer, Message::Hello(hello(11, 2))).unwrap();
    let closed = portals.iter().map(|&portal| bench.engine.status(portal).unwrap().peer_closed);
    assert_eq!(closed.collect::<Vec<_>>(), [false, false, true]);
}

#[test]
fn what_is_known_of_a_peer() {
    let mut bench = Bench::new();
    let (peer, _) = bench.engine.connect(Relation::Client, 0).unwrap();
    assert_eq!((bench.engine.peer_name(peer), bench.engine.max_payload_of(peer)), (None, None));
    assert_eq!(bench.engine.max_payload_of(bench.low), Some(77));
    assert_eq!(bench.engine.peer_name(bench.low), Some(NodeName(3)));
    assert_ne!(peer.to_bits(), bench.low.to_bits());
    let topology = bench.engine.topology();
    let peers: Vec<_> = topology.peers.iter().map(|peer| (peer.name.0, peer.links)).collect();
    assert_eq!(peers, [(3, 2), (7, 2)]);
    assert_eq!((topology.terminals, topology.proxies, topology.is_broker), (4, 0, true));
    assert_eq!(bench.engine.config().name, NodeName(5));
}

#[test]
fn the_end_of_a_connection_is_told_with_its_reason() {
    type End = fn(&mut Engine<Bytes>, PeerId);
    // Who ends it on purpose is this node, number 5; what else ends it is the peer's doing.
    let ends: [(End, CauseKind, u128, bool); 3] = [
        (|engine, peer| engine.handle_lost(peer), CauseKind::NodeLost, 3, false),
        (|engine, peer| engine.handle_garbage(peer), CauseKind::Violation, 3, true),
        (|engine, peer| engine.disconnect(peer), CauseKind::Shutdown, 5, true),
    ];
    for (end, kind, who, says) in ends {
        let mut bench = Bench::new();
        assert_eq!(bench.engine.route(bench.at_low[0]), Some(Route::Remote(NodeName(3))));
        end(&mut bench.engine, bench.low);
        let cause = bench.engine.cause(bench.at_low[0]).unwrap();
        assert_eq!((cause.kind, cause.node), (kind, Some(NodeName(who))));
        assert_eq!(bench.engine.route(bench.at_low[0]), Some(Route::Cut(cause)));
        let goodbye = Message::Network(NetworkMessage::Goodbye(kind));
        assert_eq!(bench.heard(bench.low).contains(&goodbye), says);
        bench.engine.disconnect(bench.low);
        assert_eq!(bench.asked(), [], "it is over");
        assert!(!bench.is_cut(bench.at_high[0]));
    }
}

#[test]
fn a_shutdown_closes_what_it_can() {
    let mut bench = Bench::new();
    bench.engine.shut_down();
    let heard = bench.heard(bench.low);
    let closed = |link| Message::Route(LinkId(link), RouteMessage::Closed(0));
    assert!(heard.contains(&closed(0)) && heard.contains(&closed(1)), "{heard:?}");
    let goodbye = NetworkMessage::Goodbye(CauseKind::Shutdown);
    assert_eq!(heard.last(), Some(&Message::Network(goodbye)));
    assert_eq!(bench.engine.counts(), ipcz_core::Counts::default());
}

/// Introduces the engine to a node, and gives the peer that this made and the one that it ended.
fn introduce(engine: &mut Engine<Bytes>, by: PeerId, node: u128) -> [Option<PeerId>; 2] {
    let message = NetworkMessage::Introduce { node: NodeName(node), transport: TRANSPORT };
    engine.handle_message(by, Message::Network(message)).unwrap();
    engine.audit().unwrap();
    let effects: Vec<_> = std::iter::from_fn(|| engine.poll_effect()).collect();
    let made = effects.iter().find_map(|effect| match effect {
        Effect::Activate { peer, .. } => Some(*peer),
        _ => None,
    });
    let ended = effects.iter().find_map(|effect| match effect {
        Effect::Disconnect { peer, .. } => Some(*peer),
        _ => None,
    });
    assert_eq!(effects.contains(&Effect::DropTransport(TRANSPORT)), made.is_none());
    [made, ended]
}

#[test]
fn an_introduction_by_the_broker_replaces_a_connection() {
    let (mut engine, broker) = client();
    let [first, none] = introduce(&mut engine, broker, 99);
    assert!(first.is_some() && none.is_none());
    let [second, ended] = introduce(&mut engine, broker, 99);
    assert!(second.is_some() && ended == first);
    // But not that to the broker, nor one to itself.
    assert_eq!(introduce(&mut engine, broker, 1), [None, None]);
    assert_eq!(introduce(&mut engine, broker, 5), [None, None]);
}

#[test]
fn brokers_keep_the_introduction_by_the_least() {
    let mut engine = Engine::new(config(5, true));
    let [low, high] = [1, 2].map(|name| {
        let (peer, _) = engine.connect(Relation::Broker, 0).unwrap();
        let hello = Hello { is_broker: true, ..hello(name, 0) };
        engine.handle_message(peer, Message::Hello(hello)).unwrap();
        peer
    });
    while engine.poll_effect().is_some() {}
    let [by_high, _] = introduce(&mut engine, high, 99);
    assert!(by_high.is_some());
    assert_eq!(introduce(&mut engine, high, 99), [None, None]);
    let [by_low, ended] = introduce(&mut engine, low, 99);
    assert!(by_low.is_some() && ended == by_high);
    assert_eq!(introduce(&mut engine, high, 99), [None, None]);
    // Those that are connected stay so.
    let hello = Hello { is_broker: true, wants_broker: false, ..hello(99, 0) };
    engine.handle_message(by_low.unwrap(), Message::Hello(hello)).unwrap();
    while engine.poll_effect().is_some() {}
    assert_eq!(introduce(&mut engine, low, 99), [None, None]);
    assert_eq!(introduce(&mut engine, high, 1), [None, None]);
}
