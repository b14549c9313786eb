//! What libraries of tasks have in common: a runtime of one thread, a Unix socket, and clocks.

use std::future::Future;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::net::UnixStream;
use tokio::task::LocalSet;

use crate::bench::{Bench, IDLE, Mode};
use crate::meter::{Meter, Sample, median};

/// Runs a future, and what it spawns, on this thread.
pub(crate) fn run<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    LocalSet::new().block_on(&runtime.expect("a runtime"), future)
}

/// A connected socket's two ends.
pub(crate) fn sockets() -> (OwnedFd, OwnedFd) {
    let (near, far) = std::os::unix::net::UnixStream::pair().expect("a pair of sockets");
    (near.into(), far.into())
}

/// For use within a runtime.
pub(crate) fn stream(socket: OwnedFd) -> UnixStream {
    let socket = std::os::unix::net::UnixStream::from(socket);
    socket.set_nonblocking(true).expect("a socket");
    UnixStream::from_std(socket).expect("a runtime")
}

/// Takes one repetition of a row of round trips.
pub(crate) async fn latency(bench: &Bench, mode: Mode, mut round: impl AsyncFnMut()) -> Sample {
    let slice = bench.plan.slice(mode);
    if mode == Mode::Hot {
        let mut meter = Meter::start(slice);
        loop {
            round().await;
            if !meter.lap() {
                return meter.finish();
            }
        }
    }
    let (start, mut singles) = (Instant::now(), Vec::new());
    while start.elapsed() < slice {
        tokio::time::sleep(IDLE).await;
        let begun = Instant::now();
        round().await;
        singles.push(begun.elapsed().as_nanos() as f64);
    }
    Sample { typical: median(&mut singles), singles }
}

/// The same, each round with something of its own that is made before the clock starts.
pub(crate) async fn prepared<T>(
    bench: &Bench,
    prepare: impl Fn() -> T,
    mut round: impl AsyncFnMut(T),
) -> Sample {
    let (start, mut singles) = (Instant::now(), Vec::new());
    while start.elapsed() < bench.plan.slice(Mode::Hot) {
        let what = prepare();
        let begun = Instant::now();
        round(what).await;
        singles.push(begun.elapsed().as_nanos() as f64);
    }
    Sample { typical: median(&mut singles), singles }
}

/// Takes one repetition of a rate: calls of which so many are under way at any time.
pub(crate) async fn outstanding<F: Future>(
    bench: &Bench,
    depth: usize,
    mut call: impl FnMut() -> F,
) -> Sample {
    let slice = bench.plan.slice(Mode::Hot);
    let mut count = async |time: Duration| {
        let (start, mut count, mut calls) = (Instant::now(), 0, FuturesUnordered::new());
        while start.elapsed() < time {
            // A look at the clock for a few calls, where they are many.
            for _ in 0..(depth / 4).max(1) {
                while calls.len() < depth {
                    calls.push(call());
                }
                calls.next().await;
                count += 1;
            }
        }
        count += calls.len() as u64;
        while calls.next().await.is_some() {}
        count
    };
    count(slice / 10).await;
    let start = Instant::now();
    let count = count(slice).await;
    Sample::rate(count, start.elapsed())
}
