//! Whether an operation costs the same among a thousand portals and among a million.
//!
//! The work is the same; the memory is not: portals that were not used lately are in no cache. So
//! each size has a row of its own for what that means on this machine, loads that each wait for the
//! one before, all over as much memory as the portals take; and one that says how many such loads a
//! put and get costs more than among a thousand portals.

use ipcz::{Node, Portal};

use crate::memory::allocated;
use crate::rows::Rows;

const PUTS: usize = 100_000;
const LOADS: usize = 200_000;
/// Prime to every number of pairs here and far apart in memory, so that no cache foresees it.
const STEP: usize = 7919;
const SIZES: [usize; 4] = [1_000, 10_000, 100_000, 1_000_000];

pub(crate) fn measure(rows: &mut Rows) {
    let mut among_few = None;
    for size in SIZES {
        let anchor = among_few.map(|_| "scale.putget");
        let before = allocated();
        let node = Node::broker().expect("a node");
        let pairs: Vec<_> = (0..size / 2).map(|_| node.open_portals()).collect();
        let bytes = allocated() - before;
        let time = put_and_get(rows, size, anchor, &pairs);
        drop(pairs);
        let load = chase(rows, size, bytes);
        let few = *among_few.get_or_insert(time);
        rows.note("scale.misses", size, (time - few) / load, "loads");
    }
}

fn put_and_get(
    rows: &mut Rows,
    size: usize,
    anchor: Option<&'static str>,
    pairs: &[(Portal, Portal)],
) -> f64 {
    let mut next = 0;
    rows.time("scale.putget", size, "portals", anchor, PUTS, |count| {
        for _ in 0..count {
            next = (next + STEP) % pairs.len();
            let (near, far) = &pairs[next];
            near.put(vec![7; 64]).expect("put");
            std::hint::black_box(far.try_recv().expect("got"));
        }
    })
}

/// A cache line that says where the next one is.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line(usize);

/// Times loads in an order that leads through all of so many bytes.
fn chase(rows: &mut Rows, size: usize, bytes: usize) -> f64 {
    let mut lines = vec![Line(0); bytes / size_of::<Line>()];
    // One ring through all lines, in an order that a small generator shuffles (Sattolo's algorithm).
    let mut order: Vec<_> = (0..lines.len()).collect();
    let mut random = 1_u64;
    for last in (1..order.len()).rev() {
        random =
            random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        order.swap(last, (random >> 33) as usize % last);
    }
    for (line, next) in lines.iter_mut().zip(order) {
        line.0 = next;
    }
    let mut at = 0;
    rows.time("scale.load", size, "portals", None, LOADS, |count| {
        for _ in 0..count {
            at = lines[at].0;
        }
        std::hint::black_box(at);
    })
}
