//! Bytes go across, in order.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use ipcz::driver::limits::{MAX_BODY_BYTES, MAX_HEAD_BYTES};
use ipcz::driver::{Driver, Frame, Transport, TransportClosed, TransportHandler};

use super::harness::*;

pub(crate) fn many_frames_arrive_in_order(driver: &dyn Driver) {
    const COUNT: usize = 20_000;
    let (a, b) = connected(driver);
    let body_len = |number: usize| number * number % 700;
    for first in (0..COUNT).step_by(100) {
        a.send((first..first + 100).map(|number| Frame {
            body: noise(body_len(number), number as u64),
            ..numbered(number)
        }));
    }
    for (expected, frame) in receive(driver, &b, COUNT).iter().enumerate() {
        assert_eq!(number(frame), expected);
        assert_eq!(frame.body, noise(body_len(expected), expected as u64));
    }
}

pub(crate) fn empty_frames_arrive(driver: &dyn Driver) {
    let (a, b) = connected(driver);
    a.send([]);
    a.send([Frame::default(), numbered(1), Frame::default()]);
    let frames = receive(driver, &b, 3);
    assert!(frames[0].head.is_empty() && frames[0].body.is_empty());
    assert_eq!(number(&frames[1]), 1);
    assert!(frames[2].head.is_empty() && frames[2].attachments.is_empty());
}

pub(crate) fn large_bodies_cross_each_other(driver: &dyn Driver) {
    let (a, b) = connected(driver);
    let large = |seed| Frame {
        head: noise(3 << 20, seed),
        body: noise(8 << 20, seed + 1),
        ..Frame::default()
    };
    a.send([large(10), numbered(1)]);
    b.send([large(20), numbered(2)]);
    for (end, seed, after) in [(&b, 10, 1), (&a, 20, 2)] {
        let frames = receive(driver, end, 2);
        assert!(frames[0].head == noise(3 << 20, seed));
        assert!(frames[0].body == noise(8 << 20, seed + 1));
        assert_eq!(number(&frames[1]), after);
    }
}

pub(crate) fn frames_sent_before_activation_arrive(driver: &dyn Driver) {
    let (a, b) = dormant(driver);
    a.send((0..10).map(numbered));
    let large = Frame { body: noise(2 << 20, 7), ..numbered(10) };
    a.send([large]);
    b.activate();
    let frames = receive(driver, &b, 11);
    assert!(frames.iter().map(number).eq(0..11));
    assert!(frames[10].body == noise(2 << 20, 7));
    b.send([numbered(11)]);
    a.activate();
    assert_eq!(number(&receive(driver, &a, 1)[0]), 11);
}

/// Sends each frame back with the next number, up to a limit.
struct Returner {
    transport: OnceLock<Box<dyn Transport>>,
    last: AtomicUsize,
}

const RETURNS: usize = 5_000;

impl TransportHandler for Returner {
    fn on_frames(&self, frames: &mut Vec<Frame>) {
        let mut answers: VecDeque<Frame> = VecDeque::new();
        for frame in frames.drain(..) {
            self.last.fetch_max(number(&frame), Ordering::SeqCst);
            answers.push_back(numbered(number(&frame) + 1));
        }
        if self.last.load(Ordering::SeqCst) < RETURNS {
            self.transport.get().unwrap().transmit(&mut answers).unwrap();
        }
    }

    fn on_drained(&self) {}

    fn on_closed(&self, _why: TransportClosed) {}
}

pub(crate) fn a_handler_may_transmit(driver: &dyn Driver) {
    let (one, two) = driver.create_transports().unwrap();
    let returners = [one, two].map(|transport| {
        let returner = Arc::new(Returner { transport: OnceLock::new(), last: AtomicUsize::new(0) });
        assert!(returner.transport.set(transport).is_ok());
        returner
    });
    for returner in &returners {
        let transport = returner.transport.get().unwrap();
        transport.activate(returner.clone()).unwrap();
    }
    let mut first = VecDeque::from([numbered(1)]);
    let transport = returners[0].transport.get().unwrap();
    transport.transmit(&mut first).unwrap();
    pump_until(driver, "the last return", || {
        returners.iter().any(|it| it.last.load(Ordering::SeqCst) >= RETURNS)
    });
    for returner in &returners {
        returner.transport.get().unwrap().deactivate();
    }
}

pub(crate) fn what_is_queued_is_counted_and_drained(driver: &dyn Driver) {
    let (a, b) = dormant(driver);
    a.activate();
    assert_eq!(a.transport.queued_bytes(), 0);
    for number in 0..64 {
        let body = vec![0; 100_000];
        a.send([Frame { body, ..numbered(number) }]);
    }
    settle(driver);
    let queued = a.transport.queued_bytes();
    assert!(queued < 64 * 101_000);
    assert_eq!(a.seen.told().drained, 0);
    b.activate();
    pump_until(driver, "all frames", || b.seen.num_frames() == 64);
    // A driver whose other side takes everything at once never queues.
    if queued > 0 {
        pump_until(driver, "the drain", || a.seen.told().drained == 1);
    }
    assert_eq!(a.transport.queued_bytes(), 0);
    settle(driver);
    assert_eq!(a.seen.told().drained, usize::from(queued > 0));
}

pub(crate) fn a_transport_is_activated_once(driver: &dyn Driver) {
    let (a, b) = connected(driver);
    let again = a.transport.activate(Arc::<Recorder>::default());
    assert_eq!(again.unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    b.send([numbered(3)]);
    assert_eq!(number(&receive(driver, &a, 1)[0]), 3);

    let (c, _d) = dormant(driver);
    c.transport.deactivate();
    let late = c.transport.activate(Arc::<Recorder>::default());
    assert_eq!(late.unwrap_err().kind(), io::ErrorKind::NotConnected);
}

pub(crate) fn frames_beyond_the_limits_are_refused(driver: &dyn Driver) {
    let too_long = [(MAX_HEAD_BYTES + 1, 0), (0, MAX_BODY_BYTES + 1)];
    for (head, body) in too_long {
        let (a, b) = connected(driver);
        a.send([numbered(1)]);
        let (head, body) = (vec![0; head], vec![0; body]);
        let frame = Frame { head, body, ..Frame::default() };
        let refused = TransportClosed::Os(io::ErrorKind::InvalidInput);
        assert_eq!(a.try_send([frame]), Err(refused.clone()));
        assert_eq!(a.try_send([numbered(2)]), Err(refused.clone()));
        pump_until(driver, "the close", || b.seen.closed().is_some());
        assert_eq!(b.seen.closed(), Some(TransportClosed::PeerGone));
        assert_eq!(b.seen.num_frames(), 1);
        assert_eq!(a.seen.closed(), Some(refused));
    }
}

pub(crate) fn an_interrupt_ends_the_next_wait(driver: &dyn Driver) {
    let Some(pump) = driver.pump() else { return };
    for _ in 0..3 {
        pump.interrupt();
        pump.wait(None).unwrap();
    }
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| pump.wait(None).unwrap());
        pump.interrupt();
        waiter.join().unwrap();
    });
}
