//! What an engine sends on its links, and what it does not.

#[path = "../support/engines/mod.rs"]
mod engines;

use engines::{Bench, Bytes, UPPER_HALF, assert_cut, parcel, portal_on, with};
use ipcz_core::limits::MAX_INITIAL_PORTALS;
use ipcz_core::{
    CauseKind, Descriptor, Effect, EndKey, LinkId, Message, NetworkMessage, NodeName, Parcel,
    PeerId, Probe, PutRefused, Route, RouteMessage, RouterLink, Secret,
};

/// The links of portals that were sent to a peer.
fn links_to(bench: &mut Bench, peer: PeerId) -> Vec<u64> {
    let parcels = bench.heard(peer).into_iter().filter_map(|message| match message {
        Message::Parcel { portals, .. } => Some(portals),
        _ => None,
    });
    parcels.flatten().map(|portal| portal.link.0).collect()
}

#[test]
fn new_links_have_the_ids_that_follow() {
    let first = u64::from(MAX_INITIAL_PORTALS);
    for (high, half) in [(true, 0), (false, UPPER_HALF)] {
        let mut bench = Bench::new();
        let peer = if high { bench.high } else { bench.low };
        let carrier = if high { bench.at_high[0] } else { bench.at_low[0] };
        let moved: Vec<_> = (0..3).map(|_| bench.engine.open_portals().0).collect();
        bench.engine.put(carrier, with(moved)).unwrap();
        assert_eq!(links_to(&mut bench, peer), [0, 1, 2].map(|next| half + first + next));
    }
}

#[test]
fn a_proxy_asks_no_proxy_for_its_link() {
    for (owner, asked) in [(true, false), (false, false)] {
        let mut bench = Bench::new();
        let portal = Descriptor { owner, ..portal_on(2000) };
        bench.say(bench.low, parcel(LinkId(0), 0, vec![portal])).unwrap();
        let arrived = bench.engine.get(bench.at_low[0]).unwrap().portals[0];
        bench.engine.put(bench.at_high[0], with(vec![arrived])).unwrap();
        let yields = Message::Route(LinkId(2000), RouteMessage::Yield);
        assert_eq!(bench.heard(bench.low).contains(&yields), asked);
    }
    // The other end of an initial link is a terminal for all that is known.
    let mut bench = Bench::new();
    let moved = bench.at_low[1];
    bench.engine.put(bench.at_high[0], with(vec![moved])).unwrap();
    let yields = Message::Route(LinkId(1), RouteMessage::Yield);
    assert_eq!(bench.heard(bench.low), [yields]);
}

#[test]
fn what_was_not_read_does_not_follow_the_last_of_a_link() {
    // The peer is closed, with a parcel on its way, and so this end has said its last.
    let mut bench = Bench::new();
    bench.say_on(bench.low, 0, RouteMessage::Closed(1)).unwrap();
    let fin = Message::Route(LinkId(0), RouteMessage::Fin(0));
    assert_eq!(bench.heard(bench.low), [fin]);
    let (a, b) = bench.engine.open_portals();
    bench.engine.put(b, with(vec![])).unwrap();
    bench.engine.merge(a, bench.at_low[0]).unwrap();
    bench.engine.audit().unwrap();
    let heard = bench.heard(bench.low);
    assert!(!heard.iter().any(|message| matches!(message, Message::Parcel { .. })), "{heard:?}");
}

#[test]
fn a_merged_route_is_not_shortened_before_it_is_known_to_end() {
    let mut bench = Bench::new();
    bench.engine.merge(bench.at_low[0], bench.at_high[0]).unwrap();
    let heard = bench.asked();
    let probe = heard.iter().find_map(|effect| match effect {
        Effect::Send { message: Message::Route(_, RouteMessage::Probe(probe)), .. } => Some(*probe),
        _ => None,
    });
    let yields = Message::Route(LinkId(0), RouteMessage::Yield);
    assert!(heard.contains(&Effect::Send { peer: bench.low, message: yields }));
    bench.say_on(bench.low, 0, RouteMessage::Grant).unwrap();
    assert_eq!(bench.asked(), []);
    bench.say_on(bench.high, 0, RouteMessage::Answer(probe.unwrap())).unwrap();
    let heard = bench.heard(bench.high);
    assert!(
        matches!(heard[..], [Message::Route(LinkId(0), RouteMessage::BypassMe(_))]),
        "{heard:?}"
    );
}

#[test]
fn what_asks_for_the_end_of_a_route_counts_its_hops() {
    let probe = |hops| Probe { token: Secret(4), hops };
    let ask = RouteMessage::Probe(probe(7));
    // A terminal answers, and the answer has its own way.
    let mut bench = Bench::new();
    bench.say_on(bench.low, 0, ask).unwrap();
    let answer = Message::Route(LinkId(0), RouteMessage::Answer(probe(1)));
    assert_eq!(bench.heard(bench.low), [answer]);
    // A proxy passes both on.
    for say in [RouteMessage::Probe, RouteMessage::Answer] {
        let mut bench = Bench::new();
        let link = bench.moved_to_high().link;
        bench.say_on(bench.low, 0, say(probe(7))).unwrap();
        assert_eq!(bench.heard(bench.high), [Message::Route(link, say(probe(8)))]);
    }
}

fn large(len: usize) -> Parcel<Bytes> {
    Parcel::new(vec![1; len], vec![])
}

#[test]
fn a_payload_is_as_large_as_its_next_node_takes() {
    let mut bench = Bench::new();
    let most = bench.engine.max_payload_of(bench.low).unwrap() as usize;
    bench.engine.put(bench.at_low[0], large(most)).unwrap();
    let refused = bench.engine.put(bench.at_low[0], large(most + 1));
    assert_eq!(refused.map_err(|(why, _)| why), Err(PutRefused::TooLarge));
    // A proxy has nobody to tell, and cuts the route.
    for excess in [0, 1] {
        let mut bench = Bench::new();
        let moved = bench.moved_to_high();
        let message = Message::Parcel {
            link: LinkId(0),
            sequence: 0,
            hops: 0,
            relayed: None,
            payload: vec![1; most + excess],
            portals: vec![],
        };
        bench.say(bench.low, message).unwrap();
        let heard = bench.heard(bench.high);
        let passed = heard.iter().filter(|it| matches!(it, Message::Parcel { .. })).count();
        let cut = heard.iter().filter(|it| {
            matches!(it, Message::Route(link, RouteMessage::Disconnected(_)) if *link == moved.link)
        });
        assert_eq!((passed, cut.count()), (1 - excess, excess));
    }
}

#[test]
fn a_route_that_ends_short_of_its_length_is_cut() {
    let mut bench = Bench::new();
    bench.say_on(bench.low, 0, RouteMessage::Closed(1)).unwrap();
    let said = bench.say_on(bench.low, 0, RouteMessage::Fin(0));
    assert_cut(&bench, bench.low, bench.at_low[0], said);
}

#[test]
fn a_farewell_says_whose_doing_it_is() {
    let kinds = [
        (CauseKind::Violation, 5),
        (CauseKind::Rejected, 5),
        (CauseKind::Shutdown, 3),
        (CauseKind::WrongRole, 3),
    ];
    for (kind, node) in kinds {
        let mut bench = Bench::new();
        bench.say(bench.low, Message::Network(NetworkMessage::Goodbye(kind))).unwrap();
        let cause = bench.engine.cause(bench.at_low[0]).unwrap();
        assert_eq!((cause.kind, cause.node), (kind, Some(NodeName(node))));
    }
}

#[test]
fn a_node_knows_its_terminals_from_its_proxies() {
    let mut bench = Bench::new();
    assert!(!bench.engine.has_effects());
    bench.engine.put(bench.at_high[0], with(vec![bench.at_low[0]])).unwrap();
    assert!(bench.engine.has_effects());
    let topology = bench.engine.topology();
    assert_eq!((topology.terminals, topology.proxies), (3, 1));
}

#[test]
fn a_peer_that_is_rejected_hears_so() {
    let mut bench = Bench::new();
    bench.engine.reject(bench.low);
    let goodbye = Message::Network(NetworkMessage::Goodbye(CauseKind::Rejected));
    assert!(bench.heard(bench.low).contains(&goodbye));
    assert!(!bench.engine.has_peer(bench.low) && bench.engine.has_peer(bench.high));
    let cause = bench.engine.cause(bench.at_low[0]).unwrap();
    assert_eq!((cause.kind, cause.node), (CauseKind::Rejected, Some(NodeName(3))));
}

#[test]
fn a_merge_beside_a_terminal_or_of_a_closed_route_asks_nothing() {
    let probes = |bench: &mut Bench| {
        let asked = bench.asked().into_iter().filter(|effect| {
            matches!(
                effect,
                Effect::Send { message: Message::Route(_, RouteMessage::Probe(_)), .. }
            )
        });
        asked.count()
    };
    for terminal_first in [true, false] {
        let mut bench = Bench::new();
        let (_kept, merged) = bench.engine.open_portals();
        let both = [merged, bench.at_high[0]];
        let [first, second] = if terminal_first { both } else { [both[1], both[0]] };
        bench.engine.merge(first, second).unwrap();
        assert_eq!(probes(&mut bench), 0);
    }
    for closed in [true, false] {
        let mut bench = Bench::new();
        if closed {
            // A parcel is still to come, so the route is there.
            bench.say_on(bench.low, 0, RouteMessage::Closed(1)).unwrap();
        }
        bench.engine.merge(bench.at_low[0], bench.at_high[0]).unwrap();
        assert_eq!(probes(&mut bench), usize::from(!closed));
    }
}

#[test]
fn stations_are_routers_with_their_ends() {
    let mut bench = Bench::new();
    let moved = bench.moved_to_high();
    // A bypass leaves an end behind that only receives.
    let key = EndKey { node: NodeName(7), via: NodeName(3), link: LinkId(9), secret: Secret(1) };
    bench.say_on(bench.low, 1, RouteMessage::BypassMe(key)).unwrap();
    let stations = bench.engine.stations();
    let ends = |router| {
        let station = stations.iter().find(|station| station.router == router).unwrap();
        let ends = station.ends.iter().map(|end| match end.far {
            RouterLink::There { node, link, .. } => (node.unwrap().0, link.0, end.decays),
            RouterLink::Here(_) => panic!("all links lead away"),
        });
        (station.is_proxy, ends.collect::<Vec<_>>())
    };
    assert_eq!(stations.len(), 4);
    assert_eq!(ends(bench.at_high[0]), (false, vec![(7, 0, false)]));
    assert_eq!(ends(bench.at_low[0]), (true, vec![(3, 0, false), (7, moved.link.0, false)]));
    let replaced = vec![(7, moved.link.0 + 1, false), (3, 1, true)];
    assert_eq!(ends(bench.at_low[1]), (false, replaced));
}

#[test]
fn who_hears_that_its_peer_is_closed_is_parted_from_it() {
    // Two portals of one route meet on this node, and an old way to one of them says that the other is closed.
    let mut bench = Bench::new();
    let portal = Descriptor { owner: false, ..portal_on(2000) };
    bench.say(bench.low, parcel(LinkId(1), 0, vec![portal])).unwrap();
    let far = bench.engine.get(bench.at_low[1]).unwrap().portals[0];
    let link = LinkId(2000);
    let key = EndKey { node: NodeName(5), via: NodeName(3), link, secret: portal.secret };
    bench.say_on(bench.low, 0, RouteMessage::BypassMe(key)).unwrap();
    assert_eq!(bench.engine.route(far), Some(Route::Local));
    bench.say_on(bench.low, 2000, RouteMessage::Closed(0)).unwrap();
    let refused = bench.engine.put(far, with(vec![])).map_err(|(refused, _)| refused);
    assert_eq!(refused, Err(PutRefused::PeerClosed));
}
