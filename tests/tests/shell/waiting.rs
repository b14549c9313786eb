//! Waiting for parcels: tasks, threads, timeouts, and wakers that do more than wake.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, RawWaker, RawWakerVTable, Wake, Waker};
use std::time::Duration;

use ipcz::{DisconnectKind, Node, Portal, TryRecvError};

use crate::block_on::block_on;
use crate::nodes::{self, PATIENCE};

/// Counts how often it is woken.
#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn the_last_waker_is_woken_once() {
    let (near, far) = Node::broker().unwrap().open_portals();
    let (first, second) = (Arc::new(Count::default()), Arc::new(Count::default()));
    let mut recv = pin!(far.recv());
    for waker in [&first, &second, &second] {
        let waker = Waker::from(Arc::clone(waker));
        assert!(recv.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    }
    near.put("x").unwrap();
    assert_eq!((first.0.load(Ordering::Relaxed), second.0.load(Ordering::Relaxed)), (0, 1));
    assert_eq!(block_on(recv).unwrap().bytes(), b"x");
}

#[test]
fn a_dropped_future_loses_no_parcel_and_is_not_woken() {
    let (near, far) = Node::broker().unwrap().open_portals();
    let count = Arc::new(Count::default());
    let waker = Waker::from(Arc::clone(&count));
    {
        let mut recv = pin!(far.recv());
        assert!(recv.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    }
    near.put("x").unwrap();
    assert_eq!(count.0.load(Ordering::Relaxed), 0);
    drop(waker);
    assert_eq!(Arc::strong_count(&count), 1, "the waker is kept by nobody");
    assert_eq!(far.try_recv().unwrap().bytes(), b"x");
}

/// A waker that uses its portal whenever it is cloned and whenever it is dropped, as a task may
/// that an executor frees there.
#[allow(unsafe_code, reason = "clones of a waker can be watched in no other way")]
mod busy {
    use super::*;

    static TABLE: RawWakerVTable = RawWakerVTable::new(clone, discard, |_| (), discard);

    fn portal(data: *const ()) -> &'static Portal {
        // SAFETY: made of a leaked box in `waker`.
        unsafe { &*data.cast::<Portal>() }
    }

    fn clone(data: *const ()) -> RawWaker {
        let _ = portal(data).status();
        RawWaker::new(data, &TABLE)
    }

    fn discard(data: *const ()) {
        let _ = portal(data).status();
    }

    pub(super) fn waker(portal: Portal) -> Waker {
        let data: *const Portal = Box::leak(Box::new(portal));
        // SAFETY: the functions of the table take what `data` points to, which lives forever.
        unsafe { Waker::from_raw(RawWaker::new(data.cast(), &TABLE)) }
    }
}

#[test]
fn wakers_are_cloned_and_dropped_under_no_lock() {
    let node = Node::broker().unwrap();
    let (near, far) = node.open_portals();
    let (one, two) = (busy::waker(node.open_portals().0), busy::waker(node.open_portals().0));
    {
        let mut recv = pin!(far.recv());
        assert!(recv.as_mut().poll(&mut Context::from_waker(&one)).is_pending());
        assert!(recv.as_mut().poll(&mut Context::from_waker(&two)).is_pending());
        near.put("x").unwrap();
        assert!(recv.as_mut().poll(&mut Context::from_waker(&two)).is_ready());
    }
    let mut recv = pin!(far.recv());
    assert!(recv.as_mut().poll(&mut Context::from_waker(&one)).is_pending());
}

#[test]
fn every_blocked_thread_gets_a_parcel() {
    let (near, far) = Node::broker().unwrap().open_portals();
    let far = &far;
    std::thread::scope(|scope| {
        let waiting: Vec<_> =
            (0..4).map(|_| scope.spawn(move || (0..50).map(|_| take(far)).sum::<u32>())).collect();
        (0..200_u32).for_each(|number| near.put(number.to_le_bytes().to_vec()).unwrap());
        let sum: u32 = waiting.into_iter().map(|thread| thread.join().unwrap()).sum();
        assert_eq!(sum, (0..200).sum());
    });
}

fn take(portal: &Portal) -> u32 {
    u32::from_le_bytes(portal.recv_timeout(PATIENCE).unwrap().bytes().try_into().unwrap())
}

#[test]
fn a_timeout_that_races_with_an_arrival_loses_nothing() {
    let (near, far) = Node::broker().unwrap().open_portals();
    let taker = std::thread::spawn(move || {
        let mut next = 0_u32;
        loop {
            match far.recv_timeout(Duration::from_micros(20)) {
                Ok(parcel) => {
                    assert_eq!(parcel.bytes(), next.to_le_bytes());
                    next += 1;
                }
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected(_)) => return next,
            }
        }
    });
    (0..20_000_u32).for_each(|number| near.put(number.to_le_bytes().to_vec()).unwrap());
    drop(near);
    assert_eq!(taker.join().unwrap(), 20_000);
}

#[test]
fn no_time_at_all_still_takes_what_is_there() {
    let (near, far) = Node::broker().unwrap().open_portals();
    assert_eq!(far.recv_timeout(Duration::ZERO).unwrap_err(), TryRecvError::Empty);
    near.put("x").unwrap();
    assert_eq!(far.recv_timeout(Duration::ZERO).unwrap().bytes(), b"x");
    near.put("y").unwrap();
    assert_eq!(far.recv_timeout(Duration::MAX).unwrap().bytes(), b"y");
}

#[test]
fn the_end_wakes_all_who_wait() {
    let node = Node::broker().unwrap();
    let (near, far) = node.open_portals();
    let (left, right) = node.open_portals();
    std::thread::scope(|scope| {
        let blocked = scope.spawn(|| far.recv_blocking().unwrap_err().kind());
        let awaiting = scope.spawn(|| block_on(far.recv()).unwrap_err().kind());
        let other = scope.spawn(|| right.recv_blocking().unwrap_err().kind());
        drop(near);
        assert_eq!(blocked.join().unwrap(), DisconnectKind::PeerClosed);
        assert_eq!(awaiting.join().unwrap(), DisconnectKind::PeerClosed);
        drop(left);
        assert_eq!(other.join().unwrap(), DisconnectKind::PeerClosed);
    });
}

/// Panics when it is woken.
struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        panic!("on purpose: a waker");
    }
}

#[test]
fn a_waker_that_panics_stops_nothing() {
    let pair = nodes::sockets();
    let (near, far) = pair.portals();
    let waker = Waker::from(Arc::new(Panics));
    let mut recv = pin!(far.recv());
    assert!(recv.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    std::thread::scope(|scope| {
        let other = scope.spawn(|| far.recv_timeout(PATIENCE).unwrap());
        near.put("one").unwrap();
        assert_eq!(other.join().unwrap().bytes(), b"one");
    });
    near.put("two").unwrap();
    assert_eq!(block_on(recv).unwrap().bytes(), b"two");
}
