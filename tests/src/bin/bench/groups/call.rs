//! Typed calls, one at a time, each waited for with the calling thread.

use std::thread;
use std::time::Instant;

use ipcz::{Endpoint, Portal};

use crate::bench::{Bench, Mode};
use crate::contest::Contest;
use crate::groups::rtt::round_trips;
use crate::meter::{Sample, operations, prepared};
use crate::order::{Order, Wait};
use crate::rows::{Label, Row};

/// What a call of a vector carries.
const LARGE: usize = 1 << 20;

/// What workers serve.
#[ipcz::interface(name = "bench.Service")]
pub(crate) trait Service {
    /// Two numbers in, one out.
    async fn add(&self, a: u64, b: u64) -> u64;
    /// The same bytes again.
    async fn echo32(&self, bytes: [u8; 32]) -> [u8; 32];
    /// How many bytes came.
    async fn take(&self, bytes: Vec<u8>) -> u64;
}

struct Server;

impl Service for Server {
    async fn add(&self, a: u64, b: u64) -> u64 {
        a.wrapping_add(b)
    }

    async fn echo32(&self, bytes: [u8; 32]) -> [u8; 32] {
        bytes
    }

    async fn take(&self, bytes: Vec<u8>) -> u64 {
        bytes.len() as u64
    }
}

pub(crate) fn measure(bench: &Bench) -> Vec<Row> {
    let mut contest = Contest::default();
    for mode in [Mode::Hot, Mode::Asleep] {
        let label = |name, size| Label::time(name, size, mode.name());
        contest.row(label("call.add", 16).against("call.raw"), move || {
            calls(bench, mode, |proxy| {
                assert_eq!(proxy.add(3, 4).wait().expect("a sum"), 7);
            })
        });
        contest.row(label("call.echo32", 32).against("call.raw"), move || {
            calls(bench, mode, |proxy| {
                assert_eq!(proxy.echo32([5; 32]).wait().expect("an echo"), [5; 32]);
            })
        });
        contest.row(label("call.raw", 64), move || round_trips(bench, Wait::Blocking, mode));
        contest.row(label("call.vec", LARGE).against("anchor.copy"), move || vectors(bench, mode));
    }
    contest.row(Label::time("anchor.copy", LARGE, Mode::Hot.name()), || {
        let (from, mut to) = (vec![7_u8; LARGE], vec![0; LARGE]);
        operations(bench.plan.slice, || {
            to.copy_from_slice(std::hint::black_box(&from));
            std::hint::black_box(&mut to);
        })
    });
    contest.run(bench)
}

/// One repetition.
fn calls(bench: &Bench, mode: Mode, call: impl Fn(&ServiceProxy)) -> Sample {
    let peer = bench.peer();
    let proxy = ServiceProxy::from_portal(peer.portal(Order::Serve));
    let sample = bench.latency(mode, || call(&proxy));
    drop(proxy);
    peer.done();
    sample
}

/// One repetition with a vector. It is the caller's, who has made it before the call.
fn vectors(bench: &Bench, mode: Mode) -> Sample {
    let peer = bench.peer();
    let proxy = ServiceProxy::from_portal(peer.portal(Order::Serve));
    let prepare = || {
        bench.plan.pause(mode).into_iter().for_each(thread::sleep);
        vec![7; LARGE]
    };
    let sample = prepared(bench.plan.slice(mode), prepare, |bytes| {
        let taken = proxy.take(bytes).wait().expect("a number");
        assert_eq!(taken, LARGE as u64);
        Instant::now()
    });
    drop(proxy);
    peer.done();
    sample
}

/// The other side: serves until the proxy is gone.
pub(crate) fn serve(portal: Portal) {
    ServiceReceiver::from_portal(portal).serve_blocking(Server).expect("a client that makes sense");
}
