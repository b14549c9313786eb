//! Typed calls of which 64 are under way at any time.

use std::collections::VecDeque;
use std::time::Instant;

use ipcz::{Endpoint, Parcel};

use crate::bench::Bench;
use crate::contest::Contest;
use crate::groups::call::ServiceProxy;
use crate::meter::Sample;
use crate::order::{Order, Wait};
use crate::rows::{Label, Row};

const OUTSTANDING: usize = 64;

pub(super) fn measure(bench: &Bench) -> Vec<Row> {
    let mut contest = Contest::default();
    let label = Label::rate("outstanding.64", 16, "hot").against("outstanding.raw");
    contest.row(label, || calls(bench));
    contest.row(Label::rate("outstanding.raw", 64, "hot"), || echoes(bench));
    contest.run(bench)
}

/// `add(u64, u64)`: the oldest call is waited for, then the next one made.
fn calls(bench: &Bench) -> Sample {
    let peer = bench.peer();
    let proxy = ServiceProxy::from_portal(peer.portal(Order::Serve));
    let mut waiting = VecDeque::with_capacity(OUTSTANDING);
    let mut next = 0;
    let sample = repeat(bench, || {
        if waiting.len() == OUTSTANDING {
            let (sum, call): (u64, ipcz::Call<u64>) = waiting.pop_front().expect("the oldest");
            assert_eq!(call.wait().expect("a sum"), sum);
        }
        waiting.push_back((next + 1, proxy.add(next, 1)));
        next += 1;
    });
    drop((waiting, proxy));
    peer.done();
    sample
}

/// The same with parcels of 64 bytes.
fn echoes(bench: &Bench) -> Sample {
    let peer = bench.peer();
    let portal = peer.portal(Order::Echo(Wait::Blocking));
    let mut fresh = OUTSTANDING;
    let sample = repeat(bench, || {
        let ball = match fresh {
            0 => portal.recv_blocking().expect("an answer"),
            _ => Parcel::new([7; 64]),
        };
        fresh = fresh.saturating_sub(1);
        portal.put(ball).expect("put");
    });
    drop(portal);
    peer.done();
    sample
}

/// Counts what is done in a slice, after a tenth of it.
fn repeat(bench: &Bench, mut operation: impl FnMut()) -> Sample {
    let slice = bench.plan.slice;
    let mut run = |time| {
        let (start, mut count) = (Instant::now(), 0);
        while start.elapsed() < time {
            for _ in 0..OUTSTANDING {
                operation();
            }
            count += OUTSTANDING as u64;
        }
        Sample::rate(count, start.elapsed())
    };
    run(slice / 10);
    run(slice)
}
