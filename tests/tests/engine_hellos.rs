//! Which hellos fit what a node takes the other one for.

#[path = "../support/engines/mod.rs"]
mod engines;

use engines::{Bench, Bytes, config, hello};
use ipcz_core::{
    Cause, CauseKind, Effect, Engine, Hello, Message, NetworkMessage, NodeName, PeerId, Relation,
    TransportId,
};

const TRANSPORT: TransportId = TransportId(42);

/// A node that was told of a broker, named 1, by the node that shares it.
fn heir() -> (Engine<Bytes>, PeerId) {
    let mut engine = Engine::new(config(5, false));
    let (friend, _) = engine.connect(Relation::Broker, 0).unwrap();
    let hello = Hello { wants_broker: false, ..hello(3, 0) };
    engine.handle_message(friend, Message::Hello(hello)).unwrap();
    let referred = NetworkMessage::Referred { broker: NodeName(1), transport: TRANSPORT };
    engine.handle_message(friend, Message::Network(referred)).unwrap();
    let activated = std::iter::from_fn(|| engine.poll_effect()).find_map(|effect| match effect {
        Effect::Activate { peer, .. } => Some(peer),
        _ => None,
    });
    (engine, activated.expect("the broker is greeted"))
}

/// Every pair of what a hello says of brokers: who is one, and who wants one.
const ROLES: [(bool, bool); 4] = [(false, false), (false, true), (true, false), (true, true)];

#[test]
fn a_broker_that_is_shared_is_one_and_wants_none() {
    for (is_broker, wants_broker) in ROLES {
        let (mut engine, broker) = heir();
        let hello = Hello { is_broker, wants_broker, ..hello(1, 0) };
        engine.handle_message(broker, Message::Hello(hello)).unwrap();
        let fits = is_broker && !wants_broker;
        assert_eq!(engine.has_peer(broker), fits, "{is_broker} {wants_broker}");
        let effects: Vec<_> = std::iter::from_fn(|| engine.poll_effect()).collect();
        let cause = Cause { kind: CauseKind::WrongRole, node: Some(NodeName(1)) };
        assert_eq!(effects.contains(&Effect::Disconnect { peer: broker, cause }), !fits);
    }
}

#[test]
fn a_broker_that_joins_is_one_and_takes_this_for_one() {
    for (is_broker, wants_broker) in ROLES {
        let mut bench = Bench::new();
        let (peer, portals) = bench.engine.connect(Relation::Broker, 1).unwrap();
        let hello = Hello { is_broker, wants_broker, ..hello(9, 1) };
        bench.say(peer, Message::Hello(hello)).unwrap();
        let cause = bench.engine.cause(portals[0]).map(|cause| cause.kind);
        let fits = is_broker && wants_broker;
        assert_eq!(cause, (!fits).then_some(CauseKind::WrongRole), "{is_broker} {wants_broker}");
    }
}

#[test]
fn who_says_hello_has_the_name_that_others_only_spoke_of() {
    let mut bench = Bench::new();
    let refer = NetworkMessage::Refer { node: NodeName(9), transport: TRANSPORT };
    bench.say(bench.low, Message::Network(refer)).unwrap();
    let Some(Effect::Activate { peer: spoken_of, .. }) = bench.asked().into_iter().next() else {
        panic!("it is not greeted")
    };
    let (peer, _) = bench.engine.connect(Relation::Client, 0).unwrap();
    bench.say(peer, Message::Hello(hello(9, 0))).unwrap();
    assert!(bench.asked().contains(&Effect::Connected(peer)));
    assert!(!bench.engine.has_peer(spoken_of));
    assert_eq!(bench.engine.peer_name(peer), Some(NodeName(9)));
}
