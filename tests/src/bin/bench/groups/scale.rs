//! Whether an operation costs the same among a thousand portals and among a million; and between 1 and
//! 32 nodes.
//!
//! The work is the same; the memory is not: portals that were not used lately are in no cache. So
//! each size has a row of its own for what that means on this machine, loads that each wait for the
//! one before, all over as much memory as the portals take; and one that says how many such loads a
//! put and get costs more than among a thousand portals.

use std::hint::black_box;

use ipcz::{Node, Portal};

use crate::bench::Bench;
use crate::contest::Contest;
use crate::counting::Count;
use crate::meter::operations;
use crate::rows::{Label, Row, Unit, compare};

/// Prime to every number of pairs here and far apart in memory, so that no cache foresees it.
const STEP: usize = 7919;
const SIZES: [usize; 4] = [1_000, 10_000, 100_000, 1_000_000];
/// The loads of one operation, so that the clock's own cost does not show.
const LOADS: usize = 16;

pub(super) fn measure(bench: &Bench) -> Vec<Row> {
    let (mut rows, mut nodes) = (Vec::new(), Vec::new());
    for size in SIZES {
        bench.watchdog.expect(&format!("scale: {size} portals"));
        let count = Count::start();
        let node = Node::broker().expect("a node");
        let pairs: Vec<_> = (0..size / 2).map(|_| node.open_portals()).collect();
        let bytes = count.bytes().unsigned_abs();
        drop(count);
        rows.extend(among(bench, size, bytes, &pairs));
        // What a node frees, it frees in its own time, and not while the next ones are counted.
        nodes.push(node);
    }
    compare(&mut rows);
    let few = rows[0].median;
    let misses = rows.chunks(2).map(|pair| {
        let label = Label::time("scale.misses", pair[0].label.size, "portals").unit(Unit::Loads);
        Row::exact(label, (pair[0].median - few) / pair[1].median)
    });
    let misses: Vec<_> = misses.collect();
    rows.extend(misses);
    drop(nodes);
    rows.extend(super::nodes::measure(bench));
    rows
}

/// Puts and gets among so many portals, and loads all over as much memory.
fn among(bench: &Bench, size: usize, bytes: usize, pairs: &[(Portal, Portal)]) -> Vec<Row> {
    let mut contest = Contest::default();
    let mut next = 0;
    let label = Label::time("scale.putget", size, "portals");
    let label = if size == SIZES[0] { label } else { label.against("scale.putget") };
    contest.row(label, move || {
        operations(bench.plan.slice, || {
            next = (next + STEP) % pairs.len();
            let (near, far) = &pairs[next];
            near.put(vec![7; 64]).expect("put");
            black_box(far.try_recv().expect("got"));
        })
    });
    let (lines, mut at) = (ring_of_lines(bytes), 0);
    contest.row(Label::time("scale.load", size, "portals"), move || {
        let mut loads = operations(bench.plan.slice, || {
            for _ in 0..LOADS {
                at = lines[at].0;
            }
            black_box(at);
        });
        loads.typical /= LOADS as f64;
        loads.singles.iter_mut().for_each(|load| *load /= LOADS as f64);
        loads
    });
    contest.run(bench)
}

/// A cache line that says where the next one is.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line(usize);

/// So many bytes of lines, in an order that leads through all of them.
fn ring_of_lines(bytes: usize) -> Vec<Line> {
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
    lines
}
