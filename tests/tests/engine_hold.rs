//! Parcels that an embedder makes ready before they leave, with an engine that is driven by hand.

#[path = "../support/engines/mod.rs"]
mod engines;

use engines::portal_on;
use engines::things::{Bench, FIXED, LARGE, OBJECT, READY, Thing, ready, sequences};
use ipcz_core::limits::MAX_PORTALS_PER_PARCEL;
use ipcz_core::{
    Cause, CauseKind, LinkId, Message, NodeName, Parcel, PortalId, PutRefused, RouteMessage,
};

#[test]
fn parcels_keep_their_order_whatever_order_they_are_made_ready_in() {
    let mut bench = Bench::new();
    for thing in [OBJECT, OBJECT, READY, OBJECT] {
        bench.put(0, thing, vec![]);
    }
    let (sent, mut out) = bench.asked();
    assert_eq!((sent.len(), out.len()), (0, 3));
    for (answered, expected) in [(2, vec![]), (1, vec![]), (0, vec![0, 1, 2, 3])] {
        let (ticket, parcel) = out.remove(answered);
        bench.answer(ticket, ready(parcel));
        assert_eq!(sequences(&bench.asked().0), expected);
    }
    bench.put(0, READY, vec![]);
    assert_eq!(sequences(&bench.asked().0), [4]);
}

#[test]
fn another_route_does_not_wait() {
    let mut bench = Bench::new();
    bench.put(0, OBJECT, vec![]);
    bench.put(1, READY, vec![]);
    assert_eq!(sequences(&bench.asked().0), [0]);
}

#[test]
fn an_object_that_stays_is_never_asked_for() {
    let mut bench = Bench::new();
    let (a, b) = bench.engine.open_portals();
    for thing in [OBJECT, FIXED] {
        bench.engine.put(a, Parcel::new(thing, vec![])).unwrap();
        assert_eq!(bench.engine.get(b).unwrap().payload, thing);
    }
    assert!(!bench.engine.has_effects());
}

#[test]
fn the_end_of_a_link_waits_for_what_it_counts() {
    let mut bench = Bench::new();
    bench.put(0, OBJECT, vec![]);
    let (ticket, parcel) = bench.handed_out();
    bench.engine.close(bench.there[0]);
    // The other side has ended too: nothing but the parcel keeps the link.
    for message in [RouteMessage::Closed(0), RouteMessage::Fin(0)] {
        bench.engine.handle_message(bench.peer, Message::Route(LinkId(0), message)).unwrap();
        bench.engine.audit().unwrap();
    }
    assert_eq!(bench.asked().0, [Message::Route(LinkId(0), RouteMessage::Closed(1))]);
    let before = bench.engine.counts();
    bench.answer(ticket, ready(parcel));
    let (sent, _) = bench.asked();
    let fin = Message::Route(LinkId(0), RouteMessage::Fin(1));
    assert!(matches!(&sent[..], [Message::Parcel { .. }, last] if *last == fin), "{sent:?}");
    assert_eq!(bench.engine.counts().ends, before.ends - 1);
}

#[test]
fn a_portal_departs_when_its_parcel_does() {
    let mut bench = Bench::new();
    let (kept, moved) = bench.engine.open_portals();
    bench.put(0, OBJECT, vec![moved]);
    let (ticket, parcel) = bench.handed_out();
    bench.engine.put(kept, Parcel::new(READY, vec![])).unwrap();
    bench.engine.put(kept, Parcel::new(OBJECT, vec![])).unwrap();
    assert!(!bench.engine.has_effects());
    // What it had not read follows it, on a link of its own, and is made ready in its turn.
    bench.answer(ticket, ready(parcel));
    let (sent, out) = bench.asked();
    assert!(matches!(&sent[..], [Message::Parcel { portals, .. }, Message::Parcel { link, .. }]
        if portals[0].link == *link));
    assert_eq!(out.len(), 1);
}

#[test]
fn an_answer_that_cannot_be_used_cuts_the_route() {
    let cases: [fn(&mut Bench, &mut Parcel<Thing>); 7] = [
        |_, parcel| parcel.payload = OBJECT,
        |_, parcel| parcel.payload = FIXED,
        |_, parcel| parcel.portals.push(parcel.portals[0]),
        |bench, parcel| parcel.portals.push(bench.there[0]),
        |_, parcel| parcel.portals.push(PortalId::from_bits(1 << 40 | 77)),
        |bench, parcel| {
            let more = |_| bench.engine.open_portals().0;
            parcel.portals.extend((0..MAX_PORTALS_PER_PARCEL).map(more));
        },
        |bench, parcel| {
            let (_, other) = bench.engine.open_portals();
            bench.engine.close(other);
            parcel.portals.push(other);
        },
    ];
    for (number, spoil) in cases.into_iter().enumerate() {
        let mut bench = Bench::new();
        let (kept, moved) = bench.engine.open_portals();
        bench.put(0, OBJECT, vec![moved]);
        let (ticket, mut parcel) = bench.handed_out();
        parcel.payload = READY;
        spoil(&mut bench, &mut parcel);
        bench.answer(ticket, Ok(parcel));
        // The route's own portal, if it was in there, went with the parcel.
        let cut = bench
            .engine
            .status(bench.there[0])
            .is_none_or(|_| bench.cause(0) == Some(CauseKind::Unsendable));
        assert!(cut && bench.is_closed(kept), "case {number}");
        assert_eq!(bench.cause(1), None, "case {number}");
        assert!(sequences(&bench.asked().0).is_empty(), "case {number}");
    }
}

#[test]
fn a_parcel_that_grew_too_large_cuts_the_route() {
    let mut bench = Bench::new();
    let (kept, moved) = bench.engine.open_portals();
    bench.put(0, OBJECT, vec![moved]);
    bench.put(0, OBJECT, vec![]);
    let (_, mut out) = bench.asked();
    let (later, second) = out.remove(1);
    bench.answer(later, ready(second));
    let (ticket, parcel) = out.remove(0);
    bench.answer(ticket, Ok(Parcel { payload: LARGE, ..parcel }));
    assert_eq!(bench.cause(0), Some(CauseKind::RouteBroken));
    assert!(bench.is_closed(kept));
    assert!(sequences(&bench.asked().0).is_empty());
}

#[test]
fn a_refusal_cuts_one_route_and_says_who() {
    let mut bench = Bench::new();
    let (kept, moved) = bench.engine.open_portals();
    let (other, behind) = bench.engine.open_portals();
    bench.put(0, OBJECT, vec![moved]);
    let (ticket, parcel) = bench.handed_out();
    bench.put(0, READY, vec![behind]);
    bench.answer(ticket, Err(parcel));
    let cause = Cause { kind: CauseKind::Unsendable, node: Some(NodeName(5)) };
    assert_eq!(bench.engine.cause(bench.there[0]), Some(cause));
    assert!(bench.is_closed(kept) && bench.is_closed(other));
    let told = Message::Route(LinkId(0), RouteMessage::Disconnected(cause));
    assert_eq!(bench.asked().0, [told]);
}

#[test]
fn an_answer_may_come_too_late() {
    let mut bench = Bench::new();
    let (kept, moved) = bench.engine.open_portals();
    bench.put(0, OBJECT, vec![moved]);
    bench.put(0, OBJECT, vec![]);
    let (_, out) = bench.asked();
    bench.engine.handle_lost(bench.peer);
    bench.engine.audit().unwrap();
    assert!(bench.is_closed(kept));
    let (more, fresh) = bench.engine.open_portals();
    let [(first, mut parcel), (second, refused)] = <[_; 2]>::try_from(out).unwrap();
    parcel.portals.push(fresh);
    bench.answer(first, ready(parcel));
    bench.answer(second, Err(refused));
    assert!(bench.is_closed(more));
}

#[test]
fn an_answer_counts_once() {
    let mut bench = Bench::new();
    bench.put(0, OBJECT, vec![]);
    bench.put(0, OBJECT, vec![]);
    let (_, out) = bench.asked();
    let (kept, twice) = bench.engine.open_portals();
    let (second, parcel) = out[1].clone();
    bench.answer(second, ready(parcel));
    // A defect of the embedder's: what it brings is closed, and what was ready stays so.
    bench.answer(second, Err(Parcel::new(READY, vec![twice])));
    assert!(bench.is_closed(kept));
    let (first, parcel) = out[0].clone();
    bench.answer(first, ready(parcel));
    assert_eq!(sequences(&bench.asked().0), [0, 1]);
}

#[test]
fn a_portal_that_an_answer_leaves_out_is_closed() {
    let mut bench = Bench::new();
    let (kept, moved) = bench.engine.open_portals();
    bench.put(0, OBJECT, vec![moved]);
    let (ticket, _) = bench.handed_out();
    bench.answer(ticket, Ok(Parcel::new(READY, vec![])));
    assert!(bench.is_closed(kept));
    assert_eq!(sequences(&bench.asked().0), [0]);
}

#[test]
fn what_cannot_leave_is_refused_where_the_peer_is_elsewhere() {
    let mut bench = Bench::new();
    let (kept, moved) = bench.engine.open_portals();
    let parcel = Parcel::new(FIXED, vec![moved]);
    let refused = bench.engine.put(bench.there[0], parcel.clone());
    assert_eq!(refused, Err((PutRefused::CannotLeave, parcel)));
    assert_eq!(bench.cause(0), None);
    assert!(!bench.is_closed(kept));
}

#[test]
fn what_turns_out_to_leave_cuts_its_route_and_no_more() {
    let mut bench = Bench::new();
    let (near, far) = bench.engine.open_portals();
    let (kept, moved) = bench.engine.open_portals();
    bench.engine.put(near, Parcel::new(FIXED, vec![moved])).unwrap();
    bench.engine.put(near, Parcel::new(READY, vec![])).unwrap();
    bench.put(0, READY, vec![far]);
    let cause = bench.engine.cause(near).map(|cause| cause.kind);
    assert_eq!(cause, Some(CauseKind::Unsendable));
    assert!(bench.is_closed(kept));
    assert_eq!(bench.cause(0), None);
}

/// Puts what the other node will not take into a connection that has yet to say hello.
#[test]
fn what_cannot_follow_an_initial_portal_cuts_it() {
    for thing in [LARGE, FIXED] {
        let mut bench = Bench::before_hello();
        for _ in 0..3 {
            bench.put(0, thing, vec![]);
        }
        bench.put(1, READY, vec![]);
        bench.greet();
        bench.engine.audit().unwrap();
        assert!(bench.cause(0).is_some(), "{thing:?}");
        assert_eq!(bench.cause(1), None);
    }
}

/// The same, where the initial portal was merged before, so that its route leads on.
#[test]
fn what_cannot_pass_a_merge_cuts_both_sides() {
    let mut bench = Bench::new();
    let (near, middle) = bench.engine.open_portals();
    for _ in 0..2 {
        bench.engine.put(near, Parcel::new(FIXED, vec![])).unwrap();
    }
    bench.engine.merge(middle, bench.there[0]).unwrap();
    bench.engine.audit().unwrap();
    assert_eq!(bench.engine.cause(near).map(|cause| cause.kind), Some(CauseKind::Unsendable));
    assert_eq!(bench.engine.counts().ends, 2);
}

#[test]
fn what_nobody_takes_comes_back_to_be_dropped() {
    let mut bench = Bench::new();
    let (near, far) = bench.engine.open_portals();
    for thing in [OBJECT, READY, FIXED] {
        bench.engine.put(near, Parcel::new(thing, vec![])).unwrap();
    }
    bench.engine.close(far);
    bench.asked();
    assert_eq!(bench.discarded, [OBJECT, FIXED]);
    // What cannot leave, what is refused, and what comes back too late.
    let (near, far) = bench.engine.open_portals();
    bench.engine.put(near, Parcel::new(FIXED, vec![])).unwrap();
    bench.put(0, READY, vec![far]);
    for via in [1, 2] {
        bench.put(via, OBJECT, vec![]);
    }
    let (_, out) = bench.asked();
    let [(refused, parcel), (late, other)] = <[_; 2]>::try_from(out).unwrap();
    bench.answer(refused, Err(parcel));
    bench.engine.handle_lost(bench.peer);
    bench.answer(late, Err(other));
    bench.asked();
    assert_eq!(bench.discarded[2..], [FIXED, OBJECT, OBJECT]);
}

#[test]
fn a_shutdown_waits_for_nobody() {
    let mut bench = Bench::new();
    let (_, moved) = bench.engine.open_portals();
    bench.put(0, OBJECT, vec![moved]);
    let (ticket, parcel) = bench.handed_out();
    bench.engine.shut_down();
    bench.engine.audit().unwrap();
    assert_eq!(bench.engine.counts(), ipcz_core::Counts::default());
    bench.answer(ticket, ready(parcel));
    assert_eq!(bench.engine.counts(), ipcz_core::Counts::default());
}

/// A proxy whose portal went to where it came from passes on what its neighbours here put.
#[test]
fn a_bypass_does_not_wait_for_what_is_on_hold() {
    let mut bench = Bench::new();
    let payload = READY;
    let portals = vec![portal_on(5000 | 1 << 63)];
    let message =
        Message::Parcel { link: LinkId(0), sequence: 0, hops: 1, relayed: None, payload, portals };
    bench.engine.handle_message(bench.peer, message).unwrap();
    let moved = bench.engine.get(bench.there[0]).unwrap().portals[0];
    bench.there[2] = moved;
    bench.put(2, OBJECT, vec![]);
    let (ticket, parcel) = bench.handed_out();
    bench.put(1, READY, vec![moved]);
    let (sent, _) = bench.asked();
    assert_eq!(sequences(&sent), [0]);
    bench.answer(ticket, ready(parcel));
    let (sent, _) = bench.asked();
    assert_eq!(sequences(&sent), [0]);
}

#[test]
fn an_answer_may_hold_as_many_portals_as_a_parcel() {
    let mut bench = Bench::new();
    bench.put(0, OBJECT, vec![]);
    let (ticket, mut parcel) = bench.handed_out();
    parcel.portals.extend((0..MAX_PORTALS_PER_PARCEL).map(|_| bench.engine.open_portals().0));
    bench.answer(ticket, ready(parcel));
    let (sent, _) = bench.asked();
    let moved = sent.iter().map(|message| match message {
        Message::Parcel { portals, .. } => portals.len(),
        _ => 0,
    });
    assert_eq!(moved.collect::<Vec<_>>(), [MAX_PORTALS_PER_PARCEL]);
    assert_eq!(bench.cause(0), None);
}
