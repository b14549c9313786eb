//! Traps: what each condition means, that a trap fires once, and what it says then.

#[path = "../support/engines/mod.rs"]
mod engines;

use engines::{Bench, Bytes, parcel, with};
use ipcz_core::{
    Effect, LinkId, Parcel, PortalId, PortalStatus, RouteMessage, TrapConditions, TrapEvent,
    TrapFlags, TrapId, TrapRefused,
};

const NONE: TrapConditions = TrapConditions {
    peer_closed: false,
    dead: false,
    above_parcels: None,
    above_bytes: None,
    new_parcel: false,
};
const CLOSED: TrapConditions = TrapConditions { peer_closed: true, ..NONE };
const DEAD: TrapConditions = TrapConditions { dead: true, ..NONE };
const NEW: TrapConditions = TrapConditions { new_parcel: true, ..NONE };
const FIRST: TrapConditions = TrapConditions { above_parcels: Some(0), ..NONE };
const ALL: TrapConditions = TrapConditions {
    peer_closed: true,
    dead: true,
    above_parcels: Some(0),
    above_bytes: Some(0),
    new_parcel: true,
};

const SILENT: TrapFlags = TrapFlags {
    removed: false,
    peer_closed: false,
    dead: false,
    above_parcels: false,
    above_bytes: false,
    new_parcel: false,
};
const REMOVED: TrapFlags = TrapFlags { removed: true, ..SILENT };

fn bytes(payload: &[u8]) -> Parcel<Bytes> {
    Parcel::new(payload.to_vec(), vec![])
}

fn fired(bench: &mut Bench) -> Vec<(u64, TrapEvent)> {
    let fired = bench.asked().into_iter().filter_map(|effect| match effect {
        Effect::Fire { trap, event } => Some((trap.0, event)),
        _ => None,
    });
    fired.collect()
}

#[test]
fn traps_fire_at_their_bound_and_not_before() {
    let mut bench = Bench::new();
    let (a, b) = bench.engine.open_portals();
    let parcels = TrapConditions { above_parcels: Some(1), ..TrapConditions::default() };
    let bytes_ = TrapConditions { above_bytes: Some(5), ..TrapConditions::default() };
    let new = TrapConditions { new_parcel: true, ..TrapConditions::default() };
    for (id, conditions) in [(1, parcels), (2, bytes_), (3, new)] {
        bench.engine.set_trap(a, conditions, TrapId(id)).unwrap();
    }
    bench.engine.put(b, bytes(b"12345")).unwrap();
    let status = PortalStatus { num_parcels: 1, num_bytes: 5, ..PortalStatus::default() };
    let flags = TrapFlags { new_parcel: true, ..TrapFlags::default() };
    assert_eq!(fired(&mut bench), [(3, TrapEvent { flags, status })]);
    bench.engine.put(b, bytes(b"6")).unwrap();
    let both: Vec<_> = fired(&mut bench).into_iter().map(|(id, event)| (id, event.flags)).collect();
    let above_parcels = TrapFlags { above_parcels: true, ..TrapFlags::default() };
    let above_bytes = TrapFlags { above_bytes: true, ..TrapFlags::default() };
    assert_eq!(both, [(1, above_parcels), (2, above_bytes)]);
    let satisfied = bench.engine.set_trap(a, parcels, TrapId(4));
    let status = PortalStatus { num_parcels: 2, num_bytes: 6, ..PortalStatus::default() };
    let event = TrapEvent { flags: above_parcels, status };
    assert_eq!(satisfied, Err(TrapRefused::Satisfied(event)));
    bench.engine.close(a);
    assert_eq!(fired(&mut bench), []);
    assert_eq!(bench.engine.set_trap(a, parcels, TrapId(5)), Err(TrapRefused::UnknownPortal));
}

#[test]
fn traps_tell_the_end_of_the_peer_and_of_what_it_sent() {
    let mut bench = Bench::new();
    let (a, b) = bench.engine.open_portals();
    let closed = TrapConditions { peer_closed: true, ..TrapConditions::default() };
    let dead = TrapConditions { dead: true, ..TrapConditions::default() };
    bench.engine.put(b, bytes(b"x")).unwrap();
    bench.engine.set_trap(a, closed, TrapId(1)).unwrap();
    bench.engine.set_trap(a, dead, TrapId(2)).unwrap();
    bench.engine.close(b);
    let flags = |bench: &mut Bench| -> Vec<_> {
        fired(bench).into_iter().map(|(id, event)| (id, event.flags)).collect()
    };
    let peer_closed = TrapFlags { peer_closed: true, ..TrapFlags::default() };
    assert_eq!(flags(&mut bench), [(1, peer_closed)]);
    bench.engine.get(a).unwrap();
    assert_eq!(flags(&mut bench), [(2, TrapFlags { dead: true, ..TrapFlags::default() })]);
}

#[test]
fn traps_are_taken_back_and_fire_when_their_portal_goes() {
    let mut bench = Bench::new();
    let (a, b) = bench.engine.open_portals();
    let closed = TrapConditions { peer_closed: true, ..TrapConditions::default() };
    for id in [1, 2] {
        bench.engine.set_trap(a, closed, TrapId(id)).unwrap();
    }
    assert!(bench.engine.clear_trap(a, TrapId(1)));
    assert!(!bench.engine.clear_trap(a, TrapId(1)));
    assert!(!bench.engine.clear_trap(b, TrapId(2)));
    let carrier = bench.at_low[0];
    bench.engine.put(carrier, with(vec![a])).unwrap();
    let removed = TrapFlags { removed: true, ..TrapFlags::default() };
    let gone: Vec<_> = fired(&mut bench).into_iter().map(|(id, event)| (id, event.flags)).collect();
    assert_eq!(gone, [(2, removed)]);
    assert!(!bench.engine.clear_trap(a, TrapId(2)));
}

/// Sets a trap with this number, which must be possible.
fn set(bench: &mut Bench, portal: PortalId, conditions: TrapConditions, id: u64) {
    assert_eq!(bench.engine.set_trap(portal, conditions, TrapId(id)), Ok(()));
}

/// The traps that fired, and what they say.
fn said(bench: &mut Bench) -> Vec<(u64, TrapFlags)> {
    fired(bench).into_iter().map(|(id, event)| (id, event.flags)).collect()
}

/// What is said instead of setting a trap.
fn refused(bench: &mut Bench, portal: PortalId, conditions: TrapConditions) -> TrapFlags {
    match bench.engine.set_trap(portal, conditions, TrapId(0)) {
        Err(TrapRefused::Satisfied(event)) => {
            assert_eq!(Some(event.status), bench.engine.status(portal));
            event.flags
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_trap_says_all_of_its_conditions_that_are_met_and_fires_once() {
    let mut bench = Bench::new();
    let (a, b) = bench.engine.open_portals();
    set(&mut bench, a, ALL, 1);
    set(&mut bench, a, NEW, 2);
    bench.engine.put(b, bytes(b"x")).unwrap();
    let flags = TrapFlags { above_parcels: true, above_bytes: true, new_parcel: true, ..SILENT };
    let new = TrapFlags { new_parcel: true, ..SILENT };
    assert_eq!(said(&mut bench), [(1, flags), (2, new)]);
    bench.engine.put(b, bytes(b"x")).unwrap();
    bench.engine.close(b);
    bench.engine.close(a);
    assert_eq!(said(&mut bench), []);
}

#[test]
fn an_empty_parcel_is_a_parcel_and_no_bytes() {
    let mut bench = Bench::new();
    let (a, b) = bench.engine.open_portals();
    set(&mut bench, a, TrapConditions { above_bytes: Some(0), ..NONE }, 1);
    set(&mut bench, a, FIRST, 2);
    bench.engine.put(b, bytes(b"")).unwrap();
    assert_eq!(said(&mut bench), [(2, TrapFlags { above_parcels: true, ..SILENT })]);
}

#[test]
fn conditions_that_last_are_met_at_once_and_the_arrival_of_a_parcel_is_not() {
    let mut bench = Bench::new();
    let (a, b) = bench.engine.open_portals();
    bench.engine.put(b, bytes(b"x")).unwrap();
    set(&mut bench, a, NEW, 1);
    assert_eq!(refused(&mut bench, a, FIRST), TrapFlags { above_parcels: true, ..SILENT });
    // One that is met is enough.
    let mixed = TrapConditions { above_bytes: Some(0), peer_closed: true, ..NEW };
    assert_eq!(refused(&mut bench, a, mixed), TrapFlags { above_bytes: true, ..SILENT });
    bench.engine.close(b);
    assert_eq!(refused(&mut bench, a, CLOSED), TrapFlags { peer_closed: true, ..SILENT });
    set(&mut bench, a, DEAD, 2);
    bench.engine.get(a).unwrap();
    assert_eq!(said(&mut bench), [(2, TrapFlags { dead: true, ..SILENT })]);
    assert_eq!(refused(&mut bench, a, DEAD), TrapFlags { dead: true, ..SILENT });
    // What waits for a parcel waits for ever, and says so in the end.
    bench.engine.close(a);
    assert_eq!(said(&mut bench), [(1, REMOVED)]);
}

#[test]
fn a_bound_that_is_passed_again_is_met_again() {
    let mut bench = Bench::new();
    let (a, b) = bench.engine.open_portals();
    for id in 1..=3 {
        set(&mut bench, a, FIRST, id);
        bench.engine.put(b, bytes(b"x")).unwrap();
        assert_eq!(said(&mut bench), [(id, TrapFlags { above_parcels: true, ..SILENT })]);
        bench.engine.get(a).unwrap();
        assert_eq!(said(&mut bench), []);
    }
}

#[test]
fn a_parcel_behind_a_gap_is_not_there_yet() {
    let mut bench = Bench::new();
    let at = bench.at_low[0];
    set(&mut bench, at, NEW, 1);
    bench.say(bench.low, parcel(LinkId(0), 1, vec![])).unwrap();
    assert_eq!(said(&mut bench), [], "nothing can be taken");
    bench.say(bench.low, parcel(LinkId(0), 0, vec![])).unwrap();
    let flags = TrapFlags { new_parcel: true, ..SILENT };
    let status = PortalStatus { num_parcels: 2, num_bytes: 6, ..PortalStatus::default() };
    assert_eq!(fired(&mut bench), [(1, TrapEvent { flags, status })]);
}

#[test]
fn the_peer_is_closed_once_all_that_it_put_is_here() {
    let mut bench = Bench::new();
    let at = bench.at_low[0];
    set(&mut bench, at, CLOSED, 1);
    bench.say_on(bench.low, 0, RouteMessage::Closed(1)).unwrap();
    assert_eq!(said(&mut bench), []);
    bench.say(bench.low, parcel(LinkId(0), 0, vec![])).unwrap();
    assert_eq!(said(&mut bench), [(1, TrapFlags { peer_closed: true, ..SILENT })]);
}

#[test]
fn a_route_that_is_cut_is_closed_and_dead_once_it_is_read() {
    let mut bench = Bench::new();
    let at = bench.at_low[0];
    bench.say(bench.low, parcel(LinkId(0), 0, vec![])).unwrap();
    set(&mut bench, at, CLOSED, 1);
    set(&mut bench, at, DEAD, 2);
    bench.engine.handle_lost(bench.low);
    assert_eq!(said(&mut bench), [(1, TrapFlags { peer_closed: true, ..SILENT })]);
    bench.engine.get(at).unwrap();
    assert_eq!(said(&mut bench), [(2, TrapFlags { dead: true, ..SILENT })]);
}

#[test]
fn every_way_to_lose_a_portal_fires_its_traps() {
    // To no condition, too: such a trap waits for just this.
    for conditions in [NONE, ALL] {
        let mut bench = Bench::new();
        let pairs = [(); 5].map(|()| bench.engine.open_portals());
        let [closed, here, there, one, other] = pairs.map(|(portal, _)| portal);
        for (id, portal) in (1..).zip([closed, here, there, one, other]) {
            set(&mut bench, portal, conditions, id);
        }
        let (carrier, _taker) = bench.engine.open_portals();
        bench.engine.close(closed);
        assert_eq!(said(&mut bench), [(1, REMOVED)]);
        bench.engine.put(carrier, with(vec![here])).unwrap();
        assert_eq!(said(&mut bench), [(2, REMOVED)], "whoever takes it is another owner");
        bench.engine.put(bench.at_low[0], with(vec![there])).unwrap();
        assert_eq!(said(&mut bench), [(3, REMOVED)]);
        bench.engine.merge(one, other).unwrap();
        assert_eq!(said(&mut bench), [(4, REMOVED), (5, REMOVED)]);
        let last = bench.engine.open_portals().0;
        set(&mut bench, last, conditions, 6);
        bench.engine.shut_down();
        assert_eq!(said(&mut bench), [(6, REMOVED)]);
    }
}

#[test]
fn a_portal_that_stays_keeps_its_traps() {
    let mut bench = Bench::new();
    let (a, b) = bench.engine.open_portals();
    let (c, _d) = bench.engine.open_portals();
    set(&mut bench, a, ALL, 1);
    // Refused puts and merges, and the peer's own travels, are nothing to it.
    let gone = bench.engine.open_portals().0;
    bench.engine.close(gone);
    assert!(bench.engine.put(c, with(vec![a, gone])).is_err());
    assert!(bench.engine.merge(a, b).is_err());
    bench.engine.put(bench.at_low[0], with(vec![b])).unwrap();
    assert_eq!(said(&mut bench), []);
    bench.engine.close(a);
    assert_eq!(said(&mut bench), [(1, REMOVED)]);
}
