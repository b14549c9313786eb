//! The end of a connection is told once, last, and to both.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use ipcz::driver::{Driver, Frame, Transport, TransportClosed, TransportHandler};

use super::harness::*;

/// One side sends before the other is active, and parts; what `part` returns is kept to the end.
fn parting(driver: &dyn Driver, part: impl Fn(End) -> Option<End>) {
    let (a, b) = dormant(driver);
    a.send((0..100).map(numbered));
    let _kept = part(a);
    b.activate();
    pump_until(driver, "the close", || b.seen.closed().is_some());
    assert_eq!(b.seen.closed(), Some(TransportClosed::PeerGone));
    assert!(b.seen.take_frames().iter().map(number).eq(0..100));
}

pub(crate) fn a_drop_shows_after_all_that_was_sent(driver: &dyn Driver) {
    parting(driver, |_| None);
}

pub(crate) fn a_deactivation_shows_after_all_that_was_sent(driver: &dyn Driver) {
    parting(driver, |end| {
        end.transport.deactivate();
        Some(end)
    });
    // What is unread on the closing side does not keep the other from reading.
    let (a, b) = connected(driver);
    b.send((0..3).map(numbered));
    a.send((0..3).map(numbered));
    a.transport.deactivate();
    assert_eq!(a.seen.closed(), Some(TransportClosed::Deactivated));
    pump_until(driver, "the close", || b.seen.closed().is_some());
    assert!(b.seen.take_frames().iter().map(number).eq(0..3));
}

pub(crate) fn closing_is_told_once(driver: &dyn Driver) {
    let (a, b) = connected(driver);
    a.transport.deactivate();
    a.transport.deactivate();
    pump_until(driver, "both closes", || a.seen.closed().is_some() && b.seen.closed().is_some());
    b.transport.deactivate();
    let (seen_a, seen_b) = (a.seen, b.seen);
    drop((a.transport, b.transport));
    settle(driver);
    assert_eq!(seen_a.told().closed, [TransportClosed::Deactivated]);
    assert_eq!(seen_b.told().closed, [TransportClosed::PeerGone]);
    // Nothing holds a handler any more.
    assert_eq!((Arc::strong_count(&seen_a), Arc::strong_count(&seen_b)), (1, 1));
}

pub(crate) fn transmitting_on_a_closed_transport_fails(driver: &dyn Driver) {
    let (a, b) = connected(driver);
    a.transport.deactivate();
    let closed = a.try_send([numbered(1)]);
    assert_eq!(closed, Err(TransportClosed::Deactivated));
    pump_until(driver, "the close", || b.seen.closed().is_some());
    assert_eq!(b.try_send([numbered(1)]), Err(TransportClosed::PeerGone));
    assert_eq!(b.transport.queued_bytes(), 0);

    // Without activation it shows at the latest when something is sent.
    let (c, d) = dormant(driver);
    drop(d);
    assert_eq!(c.try_send([numbered(1)]), Err(TransportClosed::PeerGone));
}

/// Deactivates its transport at the first frames, and counts what it is told.
#[derive(Default)]
struct Quitter {
    transport: OnceLock<Box<dyn Transport>>,
    frames: AtomicUsize,
    closes: AtomicUsize,
}

impl TransportHandler for Quitter {
    fn on_frames(&self, frames: &mut Vec<Frame>) {
        let transport = self.transport.get().unwrap();
        transport.deactivate();
        assert_eq!(self.closes.load(Ordering::SeqCst), 0);
        let mut more = VecDeque::from([numbered(0)]);
        let closed = transport.transmit(&mut more);
        assert_eq!(closed, Err(TransportClosed::Deactivated));
        self.frames.fetch_add(frames.len(), Ordering::SeqCst);
    }

    fn on_drained(&self) {}

    fn on_closed(&self, why: TransportClosed) {
        assert_eq!(why, TransportClosed::Deactivated);
        self.closes.fetch_add(1, Ordering::SeqCst);
    }
}

pub(crate) fn a_handler_may_deactivate(driver: &dyn Driver) {
    let (transport, other) = driver.create_transports().unwrap();
    let other = End::new(other);
    other.activate();
    let quitter = Arc::new(Quitter::default());
    assert!(quitter.transport.set(transport).is_ok());
    let transport = quitter.transport.get().unwrap();
    transport.activate(quitter.clone()).unwrap();
    other.send([numbered(1)]);
    pump_until(driver, "the close", || other.seen.closed().is_some());
    settle(driver);
    assert_eq!(quitter.frames.load(Ordering::SeqCst), 1);
    assert_eq!(quitter.closes.load(Ordering::SeqCst), 1);
}

pub(crate) fn nothing_is_told_without_activation(driver: &dyn Driver) {
    let (a, b) = dormant(driver);
    a.send([numbered(1)]);
    b.transport.deactivate();
    b.transport.deactivate();
    settle(driver);
    assert!(b.seen.told().closed.is_empty());
    a.activate();
    pump_until(driver, "the close", || a.seen.closed().is_some());
    assert_eq!(a.seen.closed(), Some(TransportClosed::PeerGone));
}
