//! What the way of a parcel costs in allocations: none of its own between portals of one node, once
//! what it needs is there, and as many as the tables beside the code say over a link.

#[allow(dead_code, reason = "shared with other tests, which use all of it")]
#[path = "../support/nodes.rs"]
mod nodes;
#[path = "../support/links/pairs.rs"]
mod pairs;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use ipcz::{Handle, Node, NodeOptions, Parcel};
use nodes::PATIENCE;
use pairs::{join, member, settle};

/// Counts the allocations of each thread: nodes have threads of their own.
struct Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: every call goes to the system's allocator as it came; counting changes nothing of it, and
// allocates nothing: the counter is made with its thread and needs no destructor.
#[allow(unsafe_code, reason = "an allocator cannot be written without")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: the caller keeps `alloc`'s contract, which is this one's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: `memory` came from `alloc` above, with this layout.
        unsafe { System.dealloc(memory, layout) }
    }
}

const ROUNDS: usize = 1000;

/// How many allocations `ROUNDS` times the same make, once the first times have made room.
fn allocations(mut work: impl FnMut()) -> usize {
    (0..10).for_each(|_| work());
    let before = COUNT.get();
    (0..ROUNDS).for_each(|_| work());
    COUNT.get() - before
}

#[test]
fn a_plain_parcel_costs_none_but_its_own_bytes() {
    let node = Node::broker().unwrap();
    let (near, far) = node.open_portals();
    let made = allocations(|| {
        near.put(vec![7; 64]).unwrap();
        assert_eq!(far.try_recv().unwrap().bytes().len(), 64);
    });
    assert_eq!(made, ROUNDS);
    let moved = allocations(|| {
        near.put(Vec::new()).unwrap();
        drop(far.try_recv().unwrap());
    });
    assert_eq!(moved, 0);
}

#[test]
fn queues_share_their_memory() {
    let node = Node::broker().unwrap();
    let pairs: Vec<_> = (0..ROUNDS).map(|_| node.open_portals()).collect();
    let mut by_turns = pairs.iter().cycle();
    let made = allocations(|| {
        let (near, far) = by_turns.next().unwrap();
        (0..3).for_each(|_| near.put(Vec::new()).unwrap());
        (0..3).for_each(|_| drop(far.try_recv().unwrap()));
    });
    assert_eq!(made, 0);
}

#[test]
fn a_pair_that_comes_and_goes_costs_none() {
    let node = Node::broker().unwrap();
    assert_eq!(allocations(|| drop(node.open_portals())), 0);
}

#[test]
fn handles_cost_their_lists() {
    let node = Node::broker().unwrap();
    let (near, far) = node.open_portals();
    let (_kept, sent) = node.open_portals();
    let mut travels = Some(Handle::from(sent));
    let made = allocations(|| {
        let handles = vec![travels.take().unwrap()];
        near.put(Parcel::with_handles(Vec::new(), handles)).unwrap();
        let (_, mut handles) = far.try_recv().unwrap().into_parts();
        travels = handles.pop();
    });
    // The caller's, and not many more: the engine's list, the places, and what checks them.
    assert!((ROUNDS..=10 * ROUNDS).contains(&made), "{made}");
}

/// The allocations of a put of so many bytes over shared memory, and those of the thread that gets it, in the median
/// of many rounds: now and then a table grows, or another thread has read what came.
fn over_a_link(num_bytes: usize) -> (usize, usize) {
    let (broker, client) =
        (member(&NodeOptions::default(), true), member(&NodeOptions::default(), false));
    let joined = join(&broker, &client, 1);
    let (near, far) = joined.portals(0);
    settle(&near, &far);
    let (mut puts, mut gets) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let bytes = vec![7; num_bytes];
        let before = COUNT.get();
        near.put(bytes).unwrap();
        let between = COUNT.get();
        let parcel = far.recv_timeout(PATIENCE).unwrap();
        assert_eq!(parcel.bytes().len(), num_bytes);
        puts.push(between - before);
        gets.push(COUNT.get() - between);
    }
    let median = |mut counts: Vec<usize>| {
        counts.sort_unstable();
        counts[ROUNDS / 2]
    };
    (median(puts), median(gets))
}

#[test]
fn over_a_link_small_parcels_cost_their_bytes() {
    let (put, got) = over_a_link(64);
    assert_eq!(put, 0, "a put");
    assert!(got <= 1, "a get makes {got}");
}

#[test]
fn over_a_link_large_parcels_cost_their_places_and_a_copy() {
    let (put, got) = over_a_link(64 << 10);
    // One more where blocks of the other direction go back with it.
    assert!(put <= 2, "a put makes {put}");
    assert!(got <= 2, "a get makes {got}");
}
