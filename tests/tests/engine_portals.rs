//! What an engine tells the application that holds its portals: refusals and status.

#[path = "../support/engines/mod.rs"]
mod engines;

use engines::{Bench, Bytes, parcel, with};
use ipcz_core::limits::MAX_PORTALS_PER_PARCEL;
use ipcz_core::{
    Effect, GetRefused, LinkId, MergeRefused, Message, NodeName, Parcel, PortalId, PutRefused,
    Route, RouteMessage, RouterId, TrapConditions, TrapId,
};

fn bytes(payload: &[u8]) -> Parcel<Bytes> {
    Parcel::new(payload.to_vec(), vec![])
}

fn refused(bench: &mut Bench, portal: PortalId, portals: Vec<PortalId>) -> Option<PutRefused> {
    let parcel = with(portals);
    let result = bench.engine.put(portal, parcel.clone());
    result.err().map(|(refused, back)| {
        assert_eq!(back, parcel);
        refused
    })
}

#[test]
fn puts_that_are_refused() {
    let mut bench = Bench::new();
    let (a, b) = bench.engine.open_portals();
    let (c, _) = bench.engine.open_portals();
    let gone = bench.engine.open_portals().0;
    bench.engine.close(gone);
    assert_eq!(refused(&mut bench, gone, vec![]), Some(PutRefused::UnknownPortal));
    assert_eq!(refused(&mut bench, a, vec![c, a]), Some(PutRefused::OwnRoute { index: 1 }));
    assert_eq!(refused(&mut bench, a, vec![b]), Some(PutRefused::OwnRoute { index: 0 }));
    assert_eq!(refused(&mut bench, a, vec![c, c]), Some(PutRefused::BadPortal { index: 1 }));
    assert_eq!(refused(&mut bench, a, vec![c, gone]), Some(PutRefused::BadPortal { index: 1 }));
    let many: Vec<_> =
        (0..=MAX_PORTALS_PER_PARCEL).map(|_| bench.engine.open_portals().0).collect();
    assert_eq!(refused(&mut bench, a, many.clone()), Some(PutRefused::TooManyPortals));
    assert_eq!(refused(&mut bench, a, many[1..].to_vec()), None);
    bench.engine.close(b);
    assert_eq!(refused(&mut bench, a, vec![]), Some(PutRefused::PeerClosed));
    bench.engine.handle_lost(bench.low);
    let cause = bench.engine.cause(bench.at_low[0]).unwrap();
    let cut = bench.at_low[0];
    assert_eq!(refused(&mut bench, cut, vec![]), Some(PutRefused::Disconnected(cause)));
}

#[test]
fn gets_that_give_nothing() {
    let mut bench = Bench::new();
    let (a, b) = bench.engine.open_portals();
    assert_eq!(bench.engine.get(a), Err(GetRefused::Empty));
    bench.engine.put(b, bytes(b"x")).unwrap();
    bench.engine.close(b);
    assert_eq!(bench.engine.route(a), Some(Route::Closed));
    assert_eq!(bench.engine.peek(a).map(|parcel| &parcel.payload[..]), Some(&b"x"[..]));
    bench.engine.peek_mut(a).unwrap()[0] = b'y';
    assert_eq!(bench.engine.get(a).map(|parcel| parcel.payload), Ok(b"y".to_vec()));
    assert_eq!(bench.engine.peek(a), None);
    assert_eq!(bench.engine.peek_mut(a), None);
    assert_eq!(bench.engine.get(a), Err(GetRefused::PeerClosed));
    assert!(bench.engine.close(a));
    assert_eq!(bench.engine.get(a), Err(GetRefused::UnknownPortal));
    assert_eq!(bench.engine.status(a), None);
    assert!(!bench.engine.close(a));
    bench.engine.handle_lost(bench.low);
    let cause = bench.engine.cause(bench.at_low[0]).unwrap();
    assert_eq!(bench.engine.get(bench.at_low[0]), Err(GetRefused::Disconnected(cause)));
    assert_eq!(bench.engine.cause(bench.at_high[0]), None);
}

#[test]
fn portals_have_numbers() {
    let mut bench = Bench::new();
    let (a, b) = bench.engine.open_portals();
    assert_ne!(a.to_bits(), b.to_bits());
    assert_eq!(RouterId::from_bits(a.to_bits()), a);
    assert_eq!(bench.engine.status(RouterId::from_bits(0)), None);
    assert_eq!(bench.engine.route(a), Some(Route::Local));
    assert!(!bench.engine.has_effects());
    assert_eq!(NodeName(0x1234_5678 << 96).to_string(), "12345678");
}

#[test]
fn merges_that_are_refused() {
    let mut bench = Bench::new();
    let (a, b) = bench.engine.open_portals();
    let (c, d) = bench.engine.open_portals();
    let (e, f) = bench.engine.open_portals();
    assert_eq!(bench.engine.merge(a, a), Err(MergeRefused::SameRoute));
    assert_eq!(bench.engine.merge(a, b), Err(MergeRefused::SameRoute));
    bench.engine.put(c, bytes(b"x")).unwrap();
    assert_eq!(bench.engine.merge(a, c), Err(MergeRefused::Used));
    // What waits does not keep a portal from being merged; what was taken does.
    bench.engine.put(f, bytes(b"y")).unwrap();
    bench.engine.get(d).unwrap();
    assert_eq!(bench.engine.merge(a, d), Err(MergeRefused::Used));
    bench.engine.merge(a, e).unwrap();
    assert_eq!(bench.engine.get(b).map(|parcel| parcel.payload), Ok(b"y".to_vec()));
    assert_eq!(bench.engine.merge(a, b), Err(MergeRefused::UnknownPortal));
}

#[test]
fn what_was_put_before_a_close_arrives_after_it() {
    let mut bench = Bench::new();
    bench.say_on(bench.low, 0, RouteMessage::Closed(2)).unwrap();
    let at = bench.at_low[0];
    for sequence in [1, 0] {
        assert!(!bench.engine.status(at).unwrap().peer_closed);
        bench.say(bench.low, parcel(LinkId(0), sequence, vec![])).unwrap();
    }
    let status = bench.engine.status(at).unwrap();
    assert_eq!((status.peer_closed, status.dead, status.num_bytes), (true, false, 6));
    bench.engine.get(at).unwrap();
    bench.engine.get(at).unwrap();
    assert_eq!(bench.engine.status(at).unwrap().num_bytes, 0);
    assert!(bench.engine.status(at).unwrap().dead);
}

#[test]
fn what_a_portal_had_not_read_follows_before_its_peer_is_closed() {
    // A merge passes `t` on to another node, with a parcel that it has not read, and drops `u`, its peer.
    let mut bench = Bench::new();
    let [(a, to_a), (b, to_b), (t, u)] = [(); 3].map(|()| bench.engine.open_portals());
    bench.engine.put(u, with(vec![])).unwrap();
    bench.engine.put(to_a, with(vec![t])).unwrap();
    bench.engine.close(to_a);
    bench.engine.put(to_b, with(vec![u])).unwrap();
    bench.engine.put(bench.at_low[0], with(vec![to_b])).unwrap();
    bench.asked();
    bench.engine.merge(a, b).unwrap();
    let heard = bench.heard(bench.low);
    let moved = heard.iter().find_map(|message| match message {
        Message::Parcel { portals, .. } => portals.first(),
        _ => None,
    });
    let new = moved.expect("the portal moves").link;
    let on_new = |message: &&Message<_>| match message {
        Message::Parcel { link, .. } | Message::Route(link, _) => *link == new,
        _ => false,
    };
    let [first, rest @ ..] = &heard.iter().filter(on_new).collect::<Vec<_>>()[..] else {
        panic!("{heard:?}")
    };
    assert!(matches!(first, Message::Parcel { sequence: 0, .. }), "{heard:?}");
    let ends = [RouteMessage::Closed(1), RouteMessage::Fin(1)].map(|end| Message::Route(new, end));
    assert_eq!(rest, ends.iter().collect::<Vec<_>>());
}

#[test]
fn where_a_put_goes_is_known_before() {
    let mut bench = Bench::new();
    let (local, _) = bench.engine.open_portals();
    assert_eq!(bench.engine.next_hop(local), None);
    assert_eq!(bench.engine.next_hop(bench.at_low[0]), Some(bench.low));
    let gone = bench.at_low[0];
    bench.engine.close(gone);
    assert_eq!(bench.engine.next_hop(gone), None);
}

#[test]
fn a_message_is_given_alone_only_if_it_is() {
    let mut bench = Bench::new();
    let (first, low) = (bench.at_low[0], bench.low);
    while bench.engine.poll_effect().is_some() {}
    assert_eq!(bench.engine.poll_only_message(), None);
    bench.engine.put(first, bytes(b"one")).unwrap();
    let only = bench.engine.poll_only_message();
    assert!(
        matches!(&only, Some((peer, Message::Parcel { payload, .. })) if *peer == low && payload == b"one"),
        "{only:?}"
    );
    assert!(!bench.engine.has_effects());
    bench.engine.put(first, bytes(b"two")).unwrap();
    bench.engine.put(first, bytes(b"three")).unwrap();
    assert_eq!(bench.engine.poll_only_message(), None);
    let both = [bench.engine.poll_effect(), bench.engine.poll_effect()];
    assert!(both.iter().all(|effect| matches!(effect, Some(Effect::Send { .. }))), "{both:?}");
    // One that is no message.
    let conditions = TrapConditions { above_parcels: Some(0), ..TrapConditions::default() };
    let (a, b) = bench.engine.open_portals();
    bench.engine.set_trap(b, conditions, TrapId(1)).unwrap();
    bench.engine.put(a, bytes(b"four")).unwrap();
    assert_eq!(bench.engine.poll_only_message(), None);
    assert!(matches!(bench.engine.poll_effect(), Some(Effect::Fire { .. })));
}
