//! What a broker does for its clients and with other brokers, message by message.

#[path = "../support/engines/mod.rs"]
mod engines;

use engines::{Bench, Bytes, hello};
use ipcz_core::limits::MAX_PENDING_INTRODUCTIONS;
use ipcz_core::{
    Effect, EndKey, LinkId, Message, NetworkMessage, NodeName, PeerId, Relation, RouteMessage,
    Secret, TransportId,
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
