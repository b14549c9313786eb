//! Two threads that stream over two portals of one link, against one.

use std::thread;
use std::time::Instant;

use crate::bench::{Bench, Mode};
use crate::contest::Contest;
use crate::groups::stream::{Flow, Pacer, produce};
use crate::meter::Sample;
use crate::order::{Order, Read};
use crate::rows::{Label, Row};

const STREAMS: [(usize, u64); 2] = [(64, 1024), (16 << 10, 64)];

pub(super) fn measure(bench: &Bench) -> Vec<Row> {
    let mut contest = Contest::default();
    for (size, window) in STREAMS {
        let flow = Flow { size, window, pacer: Pacer::NONE };
        let label = |name| Label::rate(name, size, Mode::Hot.name());
        contest.row(label("threads.one"), move || streams(bench, flow, 1));
        let two = label("threads.two").against("threads.one");
        contest.row(two, move || streams(bench, flow, 2));
    }
    contest.run(bench)
}

/// The rate of all threads together.
fn streams(bench: &Bench, flow: Flow, threads: usize) -> Sample {
    let peer = bench.peer();
    let portals = peer.portals(Order::Sink { read: Read::Copied, window: flow.window }, threads);
    let run = |time| {
        let start = Instant::now();
        let count = thread::scope(|scope| {
            let produce = |portal| scope.spawn(move || produce(portal, flow, time));
            let running: Vec<_> = portals.iter().map(produce).collect();
            running.into_iter().map(|thread| thread.join().expect("a producer")).sum()
        });
        Sample::rate(count, start.elapsed())
    };
    run(bench.plan.slice / 10);
    let sample = run(bench.plan.slice);
    drop(portals);
    peer.done();
    sample
}
