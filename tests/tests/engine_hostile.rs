//! What a peer may and may not say about routes, to an engine that is driven by hand. Which rules
//! cost it the connection and which only the route is decision 2.

#[path = "../support/engines/mod.rs"]
mod engines;

use engines::{
    Bench, UPPER_HALF, assert_banned, assert_cut, config, hello, parcel, portal_on, with,
};
use ipcz_core::limits::{MAX_PORTALS_PER_PARCEL, MAX_SEQUENCE_GAP};
use ipcz_core::{
    Accept, Cause, CauseKind, Descriptor, EndKey, Hello, LinkId, Message, NodeName, PortalId,
    Relation, Route, RouteMessage, Secret,
};

const LINK: LinkId = LinkId(0);

#[test]
fn a_parcel_after_the_last_of_its_link() {
    // A proxy, whose ends outlive their Fin until the other side has ended too.
    let mut bench = Bench::new();
    bench.moved_to_high();
    bench.say_on(bench.low, 0, RouteMessage::Closed(1)).unwrap();
    bench.say(bench.low, parcel(LINK, 0, vec![])).unwrap();
    bench.say_on(bench.low, 0, RouteMessage::Fin(1)).unwrap();
    let said = bench.say(bench.low, parcel(LINK, 1, vec![]));
    assert_banned(&bench, bench.low, said);
}

#[test]
fn a_parcel_that_a_fin_counted_comes_after_it() {
    let mut bench = Bench::new();
    bench.say_on(bench.low, 0, RouteMessage::Closed(1)).unwrap();
    bench.say_on(bench.low, 0, RouteMessage::Fin(1)).unwrap();
    assert!(!bench.engine.status(bench.at_low[0]).unwrap().peer_closed);
    bench.say(bench.low, parcel(LINK, 0, vec![])).unwrap();
    assert!(bench.engine.status(bench.at_low[0]).unwrap().peer_closed);
    assert!(!bench.is_cut(bench.at_low[0]));
}

#[test]
fn a_link_that_ends_twice() {
    let mut bench = Bench::new();
    bench.moved_to_high();
    bench.say_on(bench.low, 0, RouteMessage::Closed(0)).unwrap();
    bench.say_on(bench.low, 0, RouteMessage::Fin(0)).unwrap();
    let said = bench.say_on(bench.low, 0, RouteMessage::Fin(0));
    assert_banned(&bench, bench.low, said);
}

#[test]
fn a_fin_that_counts_less_than_arrived() {
    let mut bench = Bench::new();
    bench.say(bench.low, parcel(LINK, 0, vec![])).unwrap();
    let said = bench.say_on(bench.low, 0, RouteMessage::Fin(0));
    assert_banned(&bench, bench.low, said);
}

#[test]
fn a_fin_without_the_length_of_the_route() {
    let mut bench = Bench::new();
    let said = bench.say_on(bench.low, 0, RouteMessage::Fin(0));
    assert_cut(&bench, bench.low, bench.at_low[0], said);
    assert!(!bench.is_cut(bench.at_low[1]));
}

#[test]
fn a_link_is_given_to_who_asks_once() {
    let mut bench = Bench::new();
    bench.say_on(bench.high, 0, RouteMessage::Yield).unwrap();
    assert_eq!(bench.heard(bench.high), [Message::Route(LINK, RouteMessage::Grant)]);
    let said = bench.say_on(bench.high, 0, RouteMessage::Yield);
    assert_banned(&bench, bench.high, said);
}

#[test]
fn a_link_that_it_owns_is_asked_for() {
    let mut bench = Bench::new();
    let said = bench.say_on(bench.low, 0, RouteMessage::Yield);
    assert_banned(&bench, bench.low, said);
}

#[test]
fn a_closed_portal_keeps_its_link() {
    let mut bench = Bench::new();
    bench.engine.close(bench.at_high[0]);
    bench.asked();
    bench.say_on(bench.high, 0, RouteMessage::Yield).unwrap();
    assert_eq!(bench.heard(bench.high), []);
}

#[test]
fn a_link_that_was_not_asked_for_is_given() {
    for high in [false, true] {
        let mut bench = Bench::new();
        let peer = if high { bench.high } else { bench.low };
        let said = bench.say_on(peer, 0, RouteMessage::Grant);
        assert_banned(&bench, peer, said);
    }
}

/// The key of the end that `high` has of link 0.
fn key_at_high() -> EndKey {
    EndKey { node: NodeName(7), via: NodeName(5), link: LINK, secret: Secret(1) }
}

#[test]
fn a_bypass_of_a_link_that_may_not_be_replaced() {
    let mut bench = Bench::new();
    let said = bench.say_on(bench.high, 0, RouteMessage::BypassMe(key_at_high()));
    assert_banned(&bench, bench.high, said);
}

#[test]
fn a_bypass_of_a_link_that_was_replaced() {
    let mut bench = Bench::new();
    let bypass = RouteMessage::BypassMe(key_at_high());
    bench.say_on(bench.low, 0, bypass).unwrap();
    let heard = bench.heard(bench.high);
    let [Message::Accept(accept)] = heard[..] else { panic!("{heard:?}") };
    assert_eq!((accept.key, accept.link.0 & UPPER_HALF), (key_at_high(), 0));
    assert_eq!(bench.engine.route(bench.at_low[0]), Some(Route::Remote(NodeName(7))));
    let said = bench.say_on(bench.low, 0, bypass);
    assert_banned(&bench, bench.low, said);
}

fn offers(messages: &[Message<engines::Bytes>]) -> usize {
    messages.iter().filter(|message| matches!(message, Message::Accept(_))).count()
}

#[test]
fn a_bypass_of_a_route_or_link_that_ends_is_not_executed() {
    let bypass = RouteMessage::BypassMe(key_at_high());
    // A proxy that knows of a close on either side, and has not ended its links.
    for from_low in [true, false] {
        let mut bench = Bench::new();
        let moved = bench.moved_to_high();
        if from_low {
            bench.say_on(bench.low, 0, RouteMessage::Closed(0)).unwrap();
        } else {
            bench.say_on(bench.high, moved.link.0, RouteMessage::Closed(0)).unwrap();
        }
        bench.say_on(bench.low, 0, bypass).unwrap();
        assert_eq!(offers(&bench.heard(bench.high)), 0);
    }
    // A link whose last parcel is announced.
    let mut bench = Bench::new();
    bench.say_on(bench.low, 0, RouteMessage::Fin(1)).unwrap();
    bench.say_on(bench.low, 0, bypass).unwrap();
    assert_eq!(offers(&bench.heard(bench.high)), 0);
    // A proxy that knows of none executes one.
    let mut bench = Bench::new();
    bench.moved_to_high();
    bench.say_on(bench.low, 0, bypass).unwrap();
    assert_eq!(offers(&bench.heard(bench.high)), 1);
}

#[test]
fn an_old_link_ends_after_the_one_that_replaced_it_was_used() {
    let mut bench = Bench::new();
    bench.say_on(bench.low, 0, RouteMessage::BypassMe(key_at_high())).unwrap();
    bench.asked();
    bench.engine.put(bench.at_low[0], with(vec![])).unwrap();
    assert!(matches!(bench.heard(bench.high)[..], [Message::Parcel { sequence: 0, .. }]));
    bench.say(bench.low, parcel(LINK, 0, vec![])).unwrap();
    bench.say_on(bench.low, 0, RouteMessage::Fin(1)).unwrap();
    assert_eq!(bench.heard(bench.low), [Message::Route(LINK, RouteMessage::Fin(0))]);
    assert!(bench.engine.get(bench.at_low[0]).is_ok());
}

#[test]
fn ids_of_new_links_come_from_the_half_of_who_makes_them() {
    for (high, ours, theirs) in [(false, UPPER_HALF, 0), (true, 0, UPPER_HALF)] {
        let mut bench = Bench::new();
        let peer = if high { bench.high } else { bench.low };
        let routers = bench.engine.counts().routers;
        bench.say(peer, parcel(LINK, 0, vec![portal_on(theirs | 2000)])).unwrap();
        assert_eq!(bench.engine.counts().routers, routers + 1);
        let said = bench.say(peer, parcel(LINK, 1, vec![portal_on(ours | 2001)]));
        assert_banned(&bench, peer, said);
        let accept = |link| Accept { key: key_at_high(), link: LinkId(link), secret: Secret(2) };
        let mut bench = Bench::new();
        let peer = if high { bench.high } else { bench.low };
        bench.say(peer, Message::Accept(accept(theirs | 2000))).unwrap();
        let said = bench.say(peer, Message::Accept(accept(ours | 2000)));
        assert_banned(&bench, peer, said);
    }
}

#[test]
fn a_link_id_is_used_once() {
    let mut bench = Bench::new();
    let both = vec![portal_on(2000), portal_on(2000)];
    let said = bench.say(bench.low, parcel(LINK, 0, both));
    assert_banned(&bench, bench.low, said);
    let mut bench = Bench::new();
    bench.say(bench.low, parcel(LINK, 0, vec![portal_on(2000)])).unwrap();
    let said = bench.say(bench.low, parcel(LINK, 1, vec![portal_on(2000)]));
    assert_banned(&bench, bench.low, said);
    // Nothing is left of the portals that came first.
    assert_eq!(bench.engine.counts().ends, 2);
}

#[test]
fn portals_in_a_parcel_are_bounded() {
    let many = |count: usize| (0..count as u64).map(|i| portal_on(2000 + i)).collect();
    let mut bench = Bench::new();
    bench.say(bench.low, parcel(LINK, 0, many(MAX_PORTALS_PER_PARCEL))).unwrap();
    let mut bench = Bench::new();
    let said = bench.say(bench.low, parcel(LINK, 0, many(MAX_PORTALS_PER_PARCEL + 1)));
    assert_banned(&bench, bench.low, said);
}

/// Learns the key of the engine's own end of the link with `low`.
fn key_at_low_link(bench: &mut Bench) -> EndKey {
    let moved = bench.moved_to_high();
    bench.say_on(bench.low, 0, RouteMessage::Grant).unwrap();
    let heard = bench.heard(bench.high);
    let [Message::Route(link, RouteMessage::BypassMe(key))] = heard[..] else {
        panic!("{heard:?}")
    };
    assert_eq!((link, key.node), (moved.link, NodeName(3)));
    EndKey { node: NodeName(5), via: NodeName(3), ..key }
}

#[test]
fn an_offer_with_a_wrong_secret_changes_nothing() {
    let mut bench = Bench::new();
    let key = EndKey { node: NodeName(5), via: NodeName(3), link: LINK, secret: Secret(123) };
    let link = LinkId(UPPER_HALF | 3000);
    let accept = Accept { key, link, secret: Secret(1) };
    bench.say(bench.high, Message::Accept(accept)).unwrap();
    assert_eq!(bench.heard(bench.high), [Message::Route(link, RouteMessage::Fin(0))]);
    assert_eq!(bench.engine.route(bench.at_low[0]), Some(Route::Remote(NodeName(3))));
}

#[test]
fn an_offer_to_a_router_that_is_being_bypassed() {
    let mut bench = Bench::new();
    let key = key_at_low_link(&mut bench);
    let link = LinkId(UPPER_HALF | 3000);
    bench.say(bench.high, Message::Accept(Accept { key, link, secret: Secret(1) })).unwrap();
    let cause = Cause { kind: CauseKind::RouteBroken, node: Some(NodeName(5)) };
    assert!(
        bench.heard(bench.high).contains(&Message::Route(link, RouteMessage::Disconnected(cause)))
    );
    assert_eq!(bench.engine.topology().proxies, 0);
    assert!(bench.engine.has_peer(bench.high));
}
/// A portal that came from `low` on link 2000, and what must be known to replace that link.
fn arrived(bench: &mut Bench, owner: bool) -> (PortalId, EndKey) {
    let portal = Descriptor { owner, ..portal_on(2000) };
    bench.say(bench.low, parcel(LINK, 0, vec![portal])).unwrap();
    let arrived = bench.engine.get(bench.at_low[0]).unwrap().portals[0];
    let (node, via) = (NodeName(5), NodeName(3));
    (arrived, EndKey { node, via, link: portal.link, secret: portal.secret })
}

fn offer(bench: &mut Bench, key: EndKey, link: u64) -> bool {
    let link = LinkId(UPPER_HALF | link);
    bench.say(bench.high, Message::Accept(Accept { key, link, secret: Secret(1) })).unwrap();
    let heard = bench.heard(bench.high);
    let cut = |m: &Message<_>| matches!(m, Message::Route(l, RouteMessage::Disconnected(_)) if *l == link);
    !heard.iter().any(cut)
}

#[test]
fn an_offer_is_taken_once() {
    let mut bench = Bench::new();
    let (portal, key) = arrived(&mut bench, false);
    assert!(offer(&mut bench, key, 3000));
    assert_eq!(bench.engine.route(portal), Some(Route::Remote(NodeName(7))));
    assert!(!offer(&mut bench, key, 3001));
    assert!(bench.is_cut(portal));
}

#[test]
fn an_offer_for_a_link_that_is_not_the_other_ends_to_replace() {
    let mut bench = Bench::new();
    let (portal, key) = arrived(&mut bench, true);
    assert!(!offer(&mut bench, key, 3000));
    assert!(bench.is_cut(portal));
}

#[test]
fn an_offer_for_a_link_that_is_over() {
    let mut bench = Bench::new();
    let (portal, key) = arrived(&mut bench, false);
    bench.engine.put(bench.at_high[0], with(vec![portal])).unwrap();
    bench.say_on(bench.low, 2000, RouteMessage::Closed(0)).unwrap();
    bench.say_on(bench.low, 2000, RouteMessage::Fin(0)).unwrap();
    bench.asked();
    assert!(!offer(&mut bench, key, 3000));
}

#[test]
fn an_offer_of_a_key_of_elsewhere() {
    let mut bench = Bench::new();
    let (portal, key) = arrived(&mut bench, false);
    for key in [
        EndKey { node: NodeName(7), ..key },
        EndKey { via: NodeName(7), ..key },
        EndKey { via: NodeName(5), ..key },
        EndKey { link: LinkId(2001), ..key },
    ] {
        let link = LinkId(UPPER_HALF | 3000);
        bench.say(bench.high, Message::Accept(Accept { key, link, secret: Secret(1) })).unwrap();
        assert_eq!(bench.heard(bench.high), [Message::Route(link, RouteMessage::Fin(0))]);
        assert_eq!(bench.engine.route(portal), Some(Route::Remote(NodeName(3))));
    }
}

#[test]
fn numbers_that_contradict_each_other_cut_the_route() {
    let closed = |length| Message::Route(LINK, RouteMessage::Closed(length));
    let far = MAX_SEQUENCE_GAP;
    let cases = [
        ("0 twice", vec![parcel(LINK, 0, vec![]), parcel(LINK, 0, vec![])]),
        ("2 twice", vec![parcel(LINK, 2, vec![]), parcel(LINK, 2, vec![])]),
        ("two lengths", vec![closed(2), closed(3)]),
        ("shorter than what came", vec![parcel(LINK, 0, vec![]), closed(0)]),
        ("shorter than what waits", vec![parcel(LINK, 2, vec![]), closed(2)]),
        ("beyond the length", vec![closed(1), parcel(LINK, 1, vec![])]),
        ("too far ahead", vec![parcel(LINK, far + 1, vec![])]),
    ];
    for (name, messages) in cases {
        let mut bench = Bench::new();
        let (last, before) = messages.split_last().unwrap();
        for message in before {
            bench.say(bench.low, message.clone()).unwrap();
        }
        assert!(!bench.is_cut(bench.at_low[0]), "{name}");
        let said = bench.say(bench.low, last.clone());
        assert_cut(&bench, bench.low, bench.at_low[0], said);
    }
}

#[test]
fn numbers_that_are_unusual_and_right() {
    let closed = |length| Message::Route(LINK, RouteMessage::Closed(length));
    let cases = [
        vec![closed(2), closed(2)],
        vec![parcel(LINK, 0, vec![]), parcel(LINK, 2, vec![]), closed(3)],
        vec![closed(2), parcel(LINK, 1, vec![])],
        vec![parcel(LINK, MAX_SEQUENCE_GAP, vec![])],
    ];
    for messages in cases {
        let mut bench = Bench::new();
        for message in messages {
            bench.say(bench.low, message).unwrap();
        }
        assert!(!bench.is_cut(bench.at_low[0]));
    }
}

#[test]
fn what_a_proxy_cannot_pass_on_is_closed() {
    let mut bench = Bench::new();
    let moved = bench.moved_to_high();
    // The inner side is closed and over: nothing goes there any more.
    let routers = bench.engine.counts().routers;
    bench.say_on(bench.high, moved.link.0, RouteMessage::Closed(0)).unwrap();
    bench.say_on(bench.high, moved.link.0, RouteMessage::Fin(0)).unwrap();
    bench.say_on(bench.low, 0, RouteMessage::Closed(1)).unwrap();
    bench.say(bench.low, parcel(LINK, 0, vec![portal_on(2000)])).unwrap();
    bench.say_on(bench.low, 0, RouteMessage::Fin(1)).unwrap();
    let heard = bench.heard(bench.high);
    assert!(
        heard.iter().any(|m| matches!(m, Message::Parcel { portals, .. } if portals.len() == 1))
    );
    assert_eq!(bench.engine.topology().proxies, 1, "the new portal's");
    assert_eq!(bench.engine.counts().routers, routers);
}

#[test]
fn a_cut_is_passed_on_with_its_cause() {
    let mut bench = Bench::new();
    let moved = bench.moved_to_high();
    let cause = Cause { kind: CauseKind::NodeLost, node: Some(NodeName(99)) };
    bench.say_on(bench.low, 0, RouteMessage::Disconnected(cause)).unwrap();
    let passed = Message::Route(moved.link, RouteMessage::Disconnected(cause));
    assert_eq!(bench.heard(bench.high), [passed]);
    bench.say_on(bench.low, 1, RouteMessage::Disconnected(cause)).unwrap();
    assert_eq!(bench.engine.cause(bench.at_low[1]), Some(cause));
}

#[test]
fn bypasses_that_are_asked_for_and_dropped() {
    // Its broker is slow to introduce it to a node, and a peer asks for that again and again.
    let mut bench = Bench::new();
    let mut engine = ipcz_core::Engine::new(config(6, false));
    let (peer, _) = engine.connect(Relation::Broker, 1).unwrap();
    let broker = Hello { is_broker: true, wants_broker: false, ..hello(9, 1) };
    engine.handle_message(peer, Message::Hello(broker)).unwrap();
    std::mem::swap(&mut bench.engine, &mut engine);
    for round in 0..50 {
        let link = UPPER_HALF | (5000 + round);
        let portal = Descriptor { owner: false, ..portal_on(link) };
        bench.say(peer, parcel(LINK, round, vec![portal])).unwrap();
        let node = NodeName(77);
        let key = EndKey { node, via: NodeName(9), link: LinkId(3), secret: Secret(1) };
        let cause = Cause { kind: CauseKind::RouteBroken, node: None };
        bench.say_on(peer, link, RouteMessage::BypassMe(key)).unwrap();
        assert_eq!(bench.engine.holdings().waiting, 1);
        bench.say_on(peer, link, RouteMessage::Disconnected(cause)).unwrap();
        assert_eq!(bench.engine.holdings().waiting, 0, "after {round} rounds");
    }
}
