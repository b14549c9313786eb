//! Round trips of 64 bytes over raw portals: put, received, put back, received.

use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use ipcz::{Conditions, Parcel, Portal, TryRecvError};

use crate::anchors::{Kind, Way};
use crate::bench::{Bench, Mode};
use crate::block_on::block_on;
use crate::contest::Contest;
use crate::meter::{Meter, Sample, prepared};
use crate::order::{Order, Wait};
use crate::rows::{Label, Row};

const SIZE: usize = 64;
/// Longer than any slice; the watchdog is faster with what it says.
const PATIENCE: Duration = Duration::from_secs(100);

pub(crate) fn measure(bench: &Bench) -> Vec<Row> {
    let mut contest = Contest::default();
    for mode in [Mode::Hot, Mode::Asleep] {
        let anchor = if mode == Mode::Hot { Way::Spin } else { Way::Futex };
        for (name, wait) in
            [("rtt.blocking", Wait::Blocking), ("rtt.async", Wait::Async), ("rtt.trap", Wait::Trap)]
        {
            let label = Label::time(name, SIZE, mode.name()).against(anchor.name());
            contest.row(label, move || round_trips(bench, wait, mode));
        }
        if mode == Mode::Hot {
            add_anchor(&mut contest, bench, Way::Spin, mode);
        }
        add_anchor(&mut contest, bench, Way::Futex, mode);
        add_anchor(&mut contest, bench, Way::Eventfd, mode);
        add_anchor(&mut contest, bench, Way::Socket(Kind::Stream), mode);
        add_anchor(&mut contest, bench, Way::Socket(Kind::SeqPacket), mode);
    }
    let mode = Mode::Stranger;
    let label = Label::time("rtt.blocking", SIZE, mode.name()).against(Way::Futex.name());
    contest.row(label, move || round_trips(bench, Wait::Blocking, mode));
    add_anchor(&mut contest, bench, Way::Futex, mode);
    contest.run(bench)
}

/// Adds an anchor's row.
pub(super) fn add_anchor<'a>(contest: &mut Contest<'a>, bench: &'a Bench, way: Way, mode: Mode) {
    let size = if matches!(way, Way::Socket(_)) { SIZE } else { 0 };
    let label = Label::time(way.name(), size, mode.name());
    contest.row(label, move || way.measure(bench, mode));
}

/// One repetition.
pub(super) fn round_trips(bench: &Bench, wait: Wait, mode: Mode) -> Sample {
    let peer = bench.peer();
    let portal = peer.portal(Order::Echo(wait));
    let sample = match wait {
        Wait::Blocking => blocking(bench, mode, portal),
        Wait::Async => in_a_task(bench, mode, portal),
        Wait::Trap => in_the_trap(bench, mode, portal),
    };
    peer.done();
    sample
}

/// The other side: sends back what comes, until the portal is closed.
pub(crate) fn echo(wait: Wait, portal: Portal) {
    match wait {
        Wait::Blocking => {
            while let Ok(parcel) = portal.recv_blocking() {
                if portal.put(parcel).is_err() {
                    break;
                }
            }
        }
        Wait::Async => block_on(async {
            while let Ok(parcel) = portal.recv().await {
                if portal.put(parcel).is_err() {
                    break;
                }
            }
        }),
        Wait::Trap => {
            let (held, ended) = channel::<()>();
            attend(portal, move |portal, parcel| {
                let _held = &held;
                portal.put(parcel).is_ok()
            });
            // Nothing is ever sent: this ends when the callback is dropped.
            let _ = ended.recv();
        }
    }
}

/// What goes back and forth. It is moved, not copied, so that no side allocates one.
fn ball() -> Parcel {
    Parcel::new([7; SIZE])
}

fn blocking(bench: &Bench, mode: Mode, portal: Portal) -> Sample {
    let mut ball = ball();
    bench.latency(mode, || {
        portal.put(std::mem::take(&mut ball)).expect("put");
        ball = portal.recv_blocking().expect("an answer");
    })
}

fn in_a_task(bench: &Bench, mode: Mode, portal: Portal) -> Sample {
    let mut ball = ball();
    if bench.plan.pause(mode).is_some() {
        return bench.latency(mode, || {
            portal.put(std::mem::take(&mut ball)).expect("put");
            ball = block_on(portal.recv()).expect("an answer");
        });
    }
    let mut meter = Meter::start(bench.plan.slice(mode));
    block_on(async {
        loop {
            portal.put(std::mem::take(&mut ball)).expect("put");
            ball = portal.recv().await.expect("an answer");
            if !meter.lap() {
                break meter.finish();
            }
        }
    })
}

fn in_the_trap(bench: &Bench, mode: Mode, portal: Portal) -> Sample {
    match bench.plan.pause(mode) {
        None => bounced(bench.plan.slice(mode), portal),
        Some(pause) => caught(bench.plan.slice(mode), pause, portal),
    }
}

/// The next round begins in the callback that ends the one before.
fn bounced(slice: Duration, portal: Portal) -> Sample {
    let (tell, told) = channel();
    let mut meter = Some(Meter::start(slice));
    portal.put(ball()).expect("put");
    attend(portal, move |portal, ball| {
        if meter.as_mut().is_some_and(Meter::lap) {
            return portal.put(ball).is_ok();
        }
        let _ = meter.take().map(|meter| tell.send(meter.finish()));
        false
    });
    told.recv_timeout(PATIENCE).expect("callbacks that go on")
}

/// Each round is begun by this thread, and over when the callback runs.
fn caught(slice: Duration, pause: Duration, portal: Portal) -> Sample {
    let (tell, told) = channel();
    let portal = attend(portal, move |_, parcel| {
        let is_last = parcel.bytes().is_empty();
        tell.send((Instant::now(), parcel)).is_ok() && !is_last
    });
    let mut ball = ball();
    let round = |()| {
        portal.put(std::mem::take(&mut ball)).expect("put");
        let (end, back) = told.recv_timeout(PATIENCE).expect("a callback");
        ball = back;
        end
    };
    let sample = prepared(slice, || thread::sleep(pause), round);
    // The callback holds the portal until it has seen this one.
    portal.put("").expect("put");
    told.recv_timeout(PATIENCE).expect("a callback");
    sample
}

/// Calls `each` for every parcel, on the node's background thread, until it gives false or the portal
/// is dead.
fn attend<F>(portal: Portal, each: F) -> Arc<Portal>
where
    F: FnMut(&Portal, Parcel) -> bool + Send + 'static,
{
    let portal = Arc::new(portal);
    go_on(Arc::clone(&portal), Arc::new(Mutex::new(each)));
    portal
}

fn go_on<F>(portal: Arc<Portal>, each: Arc<Mutex<F>>)
where
    F: FnMut(&Portal, Parcel) -> bool + Send + 'static,
{
    let conditions = Conditions { above_parcels: Some(0), dead: true, ..Conditions::default() };
    loop {
        match portal.try_recv() {
            Ok(parcel) => {
                let mut each = each.lock().unwrap_or_else(PoisonError::into_inner);
                if !each(&portal, parcel) {
                    return;
                }
            }
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected(_)) => return,
        }
        let next = (Arc::clone(&portal), Arc::clone(&each));
        if portal.trap(conditions, move |_| go_on(next.0, next.1)).is_ok() {
            return;
        }
    }
}
