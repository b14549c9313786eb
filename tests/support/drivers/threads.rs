//! Several threads at once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread;

use ipcz::driver::{Driver, Frame, TransportClosed, TransportHandler};

use super::harness::*;

const FRAMES: usize = 2_000;

/// Two threads pump and two send on one transport; the recorder complains of an overlap.
pub(crate) fn handler_calls_never_overlap(driver: &dyn Driver) {
    let (a, b) = connected(driver);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let senders = [0, 1].map(|parity| {
            let a = &a;
            scope.spawn(move || {
                for number in 0..FRAMES {
                    a.send([Frame { body: vec![0; number], ..numbered(number * 2 + parity) }]);
                }
            })
        });
        if let Some(pump) = driver.pump() {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !done.load(Ordering::SeqCst) {
                        pump.wait(None).unwrap();
                    }
                    pump.interrupt();
                });
            }
        }
        let joined = senders.map(|sender| sender.join());
        yield_until("all frames", || b.seen.num_frames() >= 2 * FRAMES);
        done.store(true, Ordering::SeqCst);
        if let Some(pump) = driver.pump() {
            pump.interrupt();
        }
        assert!(joined.iter().all(Result::is_ok));
    });
    let frames = receive(driver, &b, 2 * FRAMES);
    for parity in [0, 1] {
        let numbers = frames.iter().map(number).filter(|it| it % 2 == parity);
        assert!(numbers.eq((0..FRAMES).map(|number| number * 2 + parity)));
    }
}

/// Stays in its first call until it may leave, and tells of each step.
struct Lingerer {
    steps: Sender<&'static str>,
    leave: Mutex<Receiver<()>>,
}

impl TransportHandler for Lingerer {
    fn on_frames(&self, _frames: &mut Vec<Frame>) {
        self.steps.send("entered").unwrap();
        self.leave.lock().unwrap().recv().unwrap();
        self.steps.send("left").unwrap();
    }

    fn on_drained(&self) {}

    fn on_closed(&self, _why: TransportClosed) {
        self.steps.send("closed").unwrap();
    }
}

pub(crate) fn a_deactivation_elsewhere_waits_for_the_handler(driver: &dyn Driver) {
    let (a, b) = dormant(driver);
    let (steps, told) = mpsc::channel();
    let (leave, may_leave) = mpsc::channel();
    let lingerer = Lingerer { steps, leave: Mutex::new(may_leave) };
    b.transport.activate(Arc::new(lingerer)).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            a.send([numbered(1)]);
            if let Some(pump) = driver.pump() {
                pump.wait(None).unwrap();
            }
        });
        assert_eq!(told.recv().unwrap(), "entered");
        b.transport.deactivate();
        assert!(told.try_recv().is_err());
        leave.send(()).unwrap();
    });
    assert_eq!(told.try_iter().collect::<Vec<_>>(), ["left", "closed"]);
}

/// Both ends send, one thread pumps, and one end is deactivated in the middle of it.
pub(crate) fn a_deactivation_may_come_at_any_time(driver: &dyn Driver) {
    for round in 0..100 {
        let (a, b) = connected(driver);
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            for end in [&a, &b] {
                scope.spawn(move || {
                    let frame = || Frame { body: vec![0; 5_000], ..numbered(0) };
                    while end.try_send([frame()]).is_ok() {
                        thread::yield_now();
                    }
                });
            }
            if let Some(pump) = driver.pump() {
                scope.spawn(|| {
                    while !over.load(Ordering::SeqCst) {
                        pump.wait(None).unwrap();
                    }
                });
            }
            yield_until("some frames", || b.seen.num_frames() >= round % 10);
            b.transport.deactivate();
            yield_until("both closes", || a.seen.closed().is_some() && b.seen.closed().is_some());
            over.store(true, Ordering::SeqCst);
            driver.pump().inspect(|pump| pump.interrupt());
        });
        assert_eq!(a.seen.closed(), Some(TransportClosed::PeerGone));
        assert_eq!(b.seen.closed(), Some(TransportClosed::Deactivated));
    }
}
