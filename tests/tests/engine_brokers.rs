//! What a broker does for its clients and with other brokers, message by message.

#[path = "../support/engines/mod.rs"]
mod engines;

use engines::{Bench, Bytes, config, hello};
use ipcz_core::limits::MAX_PENDING_INTRODUCTIONS;
use ipcz_core::{
    CauseKind, Effect, EndKey, Engine, Hello, LinkId, Message, NetworkMessage, NodeName, PeerId,
    Relation, RouteMessage, Secret, TransportId,
};

const TRANSPORT: TransportId = TransportId(42);
const NOBODY: NodeName = NodeName(99);

fn request(node: u128) -> Message<Bytes> {
    Message::Network(NetworkMessage::RequestIntroduction(NodeName(node)))
}

fn refused(effects: &[Effect<Bytes>]) -> Vec<(PeerId, u128)> {
    let refused = effects.iter().filter_map(|effect| match effect {
        Effect::Send {
            peer,
            message: Message::Network(NetworkMessage::IntroductionRefused(node)),
        } => Some((*peer, node.0)),
        _ => None,
    });
    refused.collect()
}

#[test]
fn a_loss_ends_the_introductions_of_who_is_lost() {
    for lost in 0..3 {
        let mut bench = Bench::new();
        let (third, _) = bench.engine.connect(Relation::Client, 0).unwrap();
        bench.say(third, Message::Hello(hello(9, 0))).unwrap();
        bench.say(bench.low, request(7)).unwrap();
        bench.asked();
        let nodes = [bench.low, bench.high, third];
        bench.engine.handle_lost(nodes[lost]);
        let told = [vec![(bench.high, 3)], vec![(bench.low, 7)], vec![]];
        assert_eq!(refused(&bench.asked()), told[lost]);
        assert_eq!(bench.engine.pending_introductions(), usize::from(lost == 2));
    }
}

#[test]
fn who_has_heard_of_an_introduction_is_not_refused_it() {
    for heard in 0..2 {
        let mut bench = Bench::new();
        bench.say(bench.low, request(7)).unwrap();
        let (by, of, other) = [(bench.low, 7, bench.high), (bench.high, 3, bench.low)][heard];
        bench.say(by, Message::Network(NetworkMessage::Introduced(NodeName(of)))).unwrap();
        bench.asked();
        bench.engine.handle_lost(other);
        assert_eq!(refused(&bench.asked()), []);
        assert_eq!(bench.engine.pending_introductions(), 0);
    }
}

#[test]
fn searches_for_one_client_are_bounded() {
    let mut bench = Bench::new();
    bench.other_broker(9);
    for node in 0..MAX_PENDING_INTRODUCTIONS as u128 {
        bench.engine.handle_message(bench.low, request(1000 + node)).unwrap();
    }
    assert_eq!(refused(&bench.asked()), []);
    assert_eq!(bench.engine.pending_introductions(), MAX_PENDING_INTRODUCTIONS);
    bench.say(bench.low, request(99)).unwrap();
    assert_eq!(refused(&bench.asked()), [(bench.low, 99)]);
    bench.say(bench.high, request(99)).unwrap();
    assert_eq!(refused(&bench.asked()), []);
}

#[test]
fn what_was_passed_on_is_remembered_until_it_is_heard_of() {
    let mut bench = Bench::new();
    let (other, _) = bench.other_broker(9);
    let pass =
        NetworkMessage::PassIntroduction { to: NodeName(3), node: NOBODY, transport: TRANSPORT };
    bench.say(other, Message::Network(pass)).unwrap();
    let introduce = NetworkMessage::Introduce { node: NOBODY, transport: TRANSPORT };
    assert_eq!(bench.heard(bench.low), [Message::Network(introduce)]);
    assert_eq!(bench.engine.pending_introductions(), 1);
    bench.say(bench.low, Message::Network(NetworkMessage::Introduced(NOBODY))).unwrap();
    let heard = NetworkMessage::PassIntroduced { from: NodeName(3), node: NOBODY };
    assert_eq!(bench.heard(other), [Message::Network(heard)]);
    assert_eq!(bench.engine.pending_introductions(), 0);
}

#[test]
fn a_vain_search_for_a_node_that_is_about_to_say_hello() {
    let mut bench = Bench::new();
    // It has the lesser name, and so its end of the initial link may be replaced.
    let (other, _) = bench.other_broker(1);
    let key = EndKey { node: NOBODY, via: NodeName(1), link: LinkId(7), secret: Secret(1) };
    bench.say_on(other, 0, RouteMessage::BypassMe(key)).unwrap();
    let seeker = NodeName(5);
    let locate = NetworkMessage::Locate { node: NOBODY, seeker };
    assert_eq!(bench.heard(other), [Message::Network(locate)]);
    // Meanwhile, a client brings that node.
    let refer = NetworkMessage::Refer { node: NOBODY, transport: TRANSPORT };
    bench.say(bench.low, Message::Network(refer)).unwrap();
    let Some(Effect::Activate { peer, .. }) = bench.asked().into_iter().next() else {
        panic!("it is not greeted")
    };
    let located = NetworkMessage::Located { node: NOBODY, seeker, found: false };
    bench.say(other, Message::Network(located)).unwrap();
    bench.say(peer, Message::Hello(hello(NOBODY.0, 0))).unwrap();
    let heard = bench.heard(peer);
    assert!(matches!(heard[..], [Message::Accept(accept)] if accept.key == key), "{heard:?}");
    assert_eq!(bench.engine.pending_introductions(), 0);
}

fn network(message: NetworkMessage) -> Message<Bytes> {
    Message::Network(message)
}

fn broker_hello(name: u128) -> Message<Bytes> {
    Message::Hello(Hello { is_broker: true, ..hello(name, 0) })
}

/// To whom the engine sent this.
fn recipients(effects: &[Effect<Bytes>], message: &Message<Bytes>) -> Vec<PeerId> {
    let sent = effects.iter().filter_map(|effect| match effect {
        Effect::Send { peer, message: sent } if sent == message => Some(*peer),
        _ => None,
    });
    sent.collect()
}

#[test]
fn a_search_waits_for_brokers_that_have_yet_to_say_hello() {
    let mut bench = Bench::new();
    let [one, two] = [(); 2].map(|()| bench.engine.connect(Relation::Broker, 0).unwrap().0);
    bench.asked();
    bench.say(bench.low, request(NOBODY.0)).unwrap();
    assert_eq!(bench.asked(), []);
    // One of them is lost: the other may still know the node.
    bench.engine.handle_lost(one);
    assert_eq!(refused(&bench.asked()), []);
    bench.say(two, broker_hello(9)).unwrap();
    let locate = network(NetworkMessage::Locate { node: NOBODY, seeker: NodeName(3) });
    assert_eq!(recipients(&bench.asked(), &locate), [two]);
    let (third, _) = bench.engine.connect(Relation::Broker, 0).unwrap();
    let vain = NetworkMessage::Located { node: NOBODY, seeker: NodeName(3), found: false };
    bench.say(two, network(vain)).unwrap();
    assert_eq!(refused(&bench.asked()), []);
    bench.engine.handle_lost(third);
    assert_eq!(refused(&bench.asked()), [(bench.low, NOBODY.0)]);
    assert_eq!(bench.engine.pending_introductions(), 0);
}

#[test]
fn a_broker_that_joins_may_be_who_is_looked_for() {
    let mut bench = Bench::new();
    let [one, two] = [(); 2].map(|()| bench.engine.connect(Relation::Broker, 0).unwrap().0);
    bench.say(bench.low, request(9)).unwrap();
    bench.asked();
    bench.say(one, broker_hello(9)).unwrap();
    let asked = bench.asked();
    let made = asked.iter().filter(|effect| matches!(effect, Effect::CreateTransports(_))).count();
    let locate = network(NetworkMessage::Locate { node: NodeName(9), seeker: NodeName(3) });
    assert_eq!((made, recipients(&asked, &locate)), (1, vec![]));
    // Nobody looks for it any more.
    bench.say(two, broker_hello(8)).unwrap();
    assert_eq!(recipients(&bench.asked(), &locate), []);
}

/// Broker 9 has joined the bench, which introduces it to brokers 8 and 10.
fn joined_by_a_third() -> (Bench, PeerId) {
    let mut bench = Bench::new();
    let (eight, _) = bench.other_broker(8);
    let (ten, _) = bench.other_broker(10);
    for (peer, name) in [(eight, 10), (ten, 8)] {
        bench.say(peer, network(NetworkMessage::Introduced(NodeName(name)))).unwrap();
    }
    let (nine, _) = bench.other_broker(9);
    (bench, nine)
}

fn locate(node: u128) -> Message<Bytes> {
    network(NetworkMessage::Locate { node: NodeName(node), seeker: NodeName(77) })
}

fn vain(node: u128) -> Message<Bytes> {
    let (node, seeker) = (NodeName(node), NodeName(77));
    network(NetworkMessage::Located { node, seeker, found: false })
}

#[test]
fn a_broker_gets_its_answer_once_it_knows_all_others() {
    let (mut bench, nine) = joined_by_a_third();
    bench.say(nine, locate(99)).unwrap();
    bench.say(nine, network(NetworkMessage::Introduced(NodeName(8)))).unwrap();
    assert_eq!(bench.heard(nine), []);
    bench.say(nine, network(NetworkMessage::Introduced(NodeName(10)))).unwrap();
    assert_eq!(bench.heard(nine), [vain(99)]);
}

#[test]
fn answers_that_wait_are_bounded() {
    let (mut bench, nine) = joined_by_a_third();
    for node in 0..MAX_PENDING_INTRODUCTIONS as u128 {
        bench.engine.handle_message(nine, locate(1000 + node)).unwrap();
    }
    assert_eq!(bench.heard(nine), []);
    bench.say(nine, locate(99)).unwrap();
    assert_eq!(bench.heard(nine), [vain(99)]);
}

#[test]
fn only_what_is_lost_is_asked_for_again() {
    let asks = request(NOBODY.0);
    for fails in [false, true] {
        let mut engine: Engine<Bytes> = Engine::new(config(5, false));
        let (broker, _) = engine.connect(Relation::Broker, 1).unwrap();
        let greeting = Hello { is_broker: true, wants_broker: false, ..hello(1, 1) };
        engine.handle_message(broker, Message::Hello(greeting)).unwrap();
        let key = EndKey { node: NOBODY, via: NodeName(1), link: LinkId(7), secret: Secret(1) };
        let bypass = Message::Route(LinkId(0), RouteMessage::BypassMe(key));
        engine.handle_message(broker, bypass).unwrap();
        let introduce = NetworkMessage::Introduce { node: NOBODY, transport: TRANSPORT };
        engine.handle_message(broker, network(introduce)).unwrap();
        let effects: Vec<_> = std::iter::from_fn(|| engine.poll_effect()).collect();
        assert_eq!(recipients(&effects, &asks), [broker]);
        let greeted = effects.iter().find_map(|effect| match effect {
            Effect::Activate { peer, .. } => Some(*peer),
            _ => None,
        });
        if fails {
            let goodbye = NetworkMessage::Goodbye(CauseKind::WrongVersion);
            engine.handle_message(greeted.unwrap(), network(goodbye)).unwrap();
        } else {
            engine.handle_lost(greeted.unwrap());
        }
        let effects: Vec<_> = std::iter::from_fn(|| engine.poll_effect()).collect();
        assert_eq!(recipients(&effects, &asks).len(), usize::from(!fails));
        assert_eq!(engine.pending_introductions(), usize::from(!fails));
    }
}
