//! Nodes that were introduced to each other, and one of which is to be the other's broker: message by
//! message, as that broker and as its client.

#[path = "../support/engines/mod.rs"]
mod engines;

use engines::{Bench, Bytes, config, hello};
use ipcz_core::{
    Config, ConnectRefused, Effect, Engine, Hello, Message, NetworkMessage, NodeName, PeerId,
    Relation, TransportId,
};

const TRANSPORT: TransportId = TransportId(42);
const KNOWN: NodeName = NodeName(50);

fn network(message: NetworkMessage) -> Message<Bytes> {
    Message::Network(message)
}

fn activated(effects: impl IntoIterator<Item = Effect<Bytes>>) -> PeerId {
    let activated = effects.into_iter().find_map(|effect| match effect {
        Effect::Activate { peer, .. } => Some(peer),
        _ => None,
    });
    activated.expect("somebody is greeted")
}

/// A hello to somebody that one was introduced to.
fn greeting(is_broker: bool) -> Message<Bytes> {
    Message::Hello(Hello { is_broker, wants_broker: false, ..hello(KNOWN.0, 0) })
}

fn refer() -> Message<Bytes> {
    network(NetworkMessage::Refer { node: KNOWN, transport: TRANSPORT })
}

/// A broker that another one has introduced to a node, which has yet to say hello.
fn broker_about_to_meet(takes_referrals: bool) -> (Bench, PeerId) {
    let mut bench = Bench::with(Config { takes_referrals, ..config(5, true) });
    let (other, _) = bench.other_broker(9);
    let introduce = NetworkMessage::Introduce { node: KNOWN, transport: TRANSPORT };
    bench.say(other, network(introduce)).unwrap();
    let known = activated(bench.asked());
    (bench, known)
}

/// Whether a peer is this broker's client: others it does not introduce to anybody.
fn is_client(bench: &mut Bench, peer: PeerId) -> bool {
    bench.asked();
    bench.say(peer, network(NetworkMessage::RequestIntroduction(NodeName(3)))).unwrap();
    let refused = network(NetworkMessage::IntroductionRefused(NodeName(3)));
    !bench.heard(peer).contains(&refused)
}

#[test]
fn a_broker_offers_to_take_whom_a_client_brings_whenever_that_says_hello() {
    for greeted_first in [true, false] {
        let (mut bench, known) = broker_about_to_meet(true);
        let steps = [(known, greeting(false)), (bench.low, refer())];
        for index in if greeted_first { [0, 1] } else { [1, 0] } {
            let (by, message) = steps[index].clone();
            bench.say(by, message).unwrap();
        }
        let offer = network(NetworkMessage::Introduced(KNOWN));
        assert_eq!(bench.heard(known), [offer], "greeted first: {greeted_first}");
        assert!(!is_client(&mut bench, known));
        bench.say(known, network(NetworkMessage::Introduced(NodeName(5)))).unwrap();
        let told = network(NetworkMessage::Introduced(KNOWN));
        assert_eq!(bench.heard(bench.low), [told]);
        assert!(is_client(&mut bench, known));
    }
}

#[test]
fn a_broker_offers_nothing_to_whom_nobody_brings() {
    let (mut bench, known) = broker_about_to_meet(true);
    bench.say(known, greeting(false)).unwrap();
    assert_eq!(bench.heard(known), []);
    // Nor may it bring others.
    let mut other = Bench { engine: bench.engine.clone(), ..Bench::new() };
    let refer = NetworkMessage::Refer { node: NodeName(51), transport: TRANSPORT };
    assert!(other.say(known, network(refer)).is_err());
    // Who takes an offer that was not made gets nothing.
    bench.say(known, network(NetworkMessage::Introduced(NodeName(5)))).unwrap();
    assert!(!is_client(&mut bench, known));
}

#[test]
fn a_broker_that_takes_no_referrals_takes_no_acquaintance() {
    let (mut bench, known) = broker_about_to_meet(false);
    bench.say(bench.low, refer()).unwrap();
    bench.say(known, greeting(false)).unwrap();
    let refused = network(NetworkMessage::ReferralRefused(KNOWN));
    assert_eq!(bench.heard(known), [refused]);
    bench.say(known, network(NetworkMessage::Introduced(NodeName(5)))).unwrap();
    assert!(!is_client(&mut bench, known));
}

fn asked(engine: &mut Engine<Bytes>) -> Vec<Effect<Bytes>> {
    std::iter::from_fn(|| engine.poll_effect()).collect()
}

/// A node that is to inherit a broker from a friend, named 3.
fn heir(before: impl FnOnce(&mut Engine<Bytes>)) -> (Engine<Bytes>, PeerId) {
    let mut engine = Engine::new(config(5, false));
    before(&mut engine);
    let (friend, _) = engine.connect(Relation::Broker, 0).unwrap();
    let hello = Hello { wants_broker: false, ..hello(3, 0) };
    engine.handle_message(friend, Message::Hello(hello)).unwrap();
    asked(&mut engine);
    (engine, friend)
}

/// Whether the engine has no broker, nor one to expect.
fn looks_for_a_broker(engine: &Engine<Bytes>) -> bool {
    engine.clone().connect(Relation::Broker, 0) != Err(ConnectRefused::HasBroker)
}

#[test]
fn an_heir_waits_for_a_broker_that_it_is_about_to_meet_if_it_is_one() {
    for is_broker in [true, false] {
        let mut known = None;
        let (mut engine, friend) = heir(|engine| {
            // It had a broker, which introduced it to the other node.
            let (broker, _) = engine.connect(Relation::Broker, 0).unwrap();
            let hello = Hello { is_broker: true, wants_broker: false, ..hello(1, 0) };
            engine.handle_message(broker, Message::Hello(hello)).unwrap();
            let introduce = NetworkMessage::Introduce { node: KNOWN, transport: TRANSPORT };
            engine.handle_message(broker, network(introduce)).unwrap();
            known = Some(activated(asked(engine)));
            engine.handle_lost(broker);
        });
        let known = known.unwrap();
        let referred = NetworkMessage::Referred { broker: KNOWN, transport: TRANSPORT };
        engine.handle_message(friend, network(referred)).unwrap();
        assert!(!looks_for_a_broker(&engine));
        engine.handle_message(known, greeting(is_broker)).unwrap();
        assert_eq!(looks_for_a_broker(&engine), !is_broker);
        asked(&mut engine);
        engine.handle_message(known, network(NetworkMessage::Introduced(NodeName(5)))).unwrap();
        let taken = network(NetworkMessage::Introduced(KNOWN));
        let takes = Effect::Send { peer: known, message: taken };
        assert_eq!(asked(&mut engine).contains(&takes), is_broker);
        assert_eq!(looks_for_a_broker(&engine), !is_broker);
    }
}

#[test]
fn a_friend_that_shares_its_broker_cannot_be_it() {
    let (mut engine, friend) = heir(|_| ());
    engine.handle_message(friend, network(NetworkMessage::Introduced(NodeName(5)))).unwrap();
    let taken = network(NetworkMessage::Introduced(NodeName(3)));
    assert!(!asked(&mut engine).contains(&Effect::Send { peer: friend, message: taken }));
    assert!(looks_for_a_broker(&engine));
}

#[test]
fn nor_can_it_name_itself_as_the_broker() {
    let (mut engine, friend) = heir(|_| ());
    let referred = NetworkMessage::Referred { broker: NodeName(3), transport: TRANSPORT };
    engine.handle_message(friend, network(referred)).unwrap();
    assert_eq!(asked(&mut engine), [Effect::DropTransport(TRANSPORT)]);
    assert!(looks_for_a_broker(&engine));
}
