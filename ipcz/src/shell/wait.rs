//! Threads that wait: parked until a waker is used, with or without a deadline.

use std::cell::Cell;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Instant;

/// A waker that unparks the thread it was made on.
struct Unpark {
    thread: Thread,
    notified: AtomicBool,
}

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.notified.swap(true, Ordering::Release) {
            self.thread.unpark();
        }
    }
}

/// Lets the current thread sleep until its waker is used.
pub(crate) struct Parker {
    unpark: Arc<Unpark>,
    waker: Waker,
}

thread_local! {
    /// This thread's parker, while it does not wait with it.
    static IDLE: Cell<Option<Parker>> = const { Cell::new(None) };
}

impl Parker {
    fn new() -> Self {
        let unpark =
            Arc::new(Unpark { thread: thread::current(), notified: AtomicBool::new(false) });
        Self { waker: Waker::from(Arc::clone(&unpark)), unpark }
    }

    /// Runs `wait` with a parker of this thread that nobody else uses meanwhile: a wait inside of
    /// another's, say in a waker, must not swallow what that one is to be told.
    pub(crate) fn with<R>(wait: impl FnOnce(&Self) -> R) -> R {
        // There is none in a nested wait, and when the thread is taking its locals down.
        let parker = IDLE.try_with(Cell::take).ok().flatten().unwrap_or_else(Self::new);
        let result = wait(&parker);
        let _ = IDLE.try_with(|idle| idle.set(Some(parker)));
        result
    }

    pub(crate) fn waker(&self) -> &Waker {
        &self.waker
    }

    /// Sleeps until the waker is used, or was since the last call, or until `deadline`. Gives
    /// whether the deadline has passed. May return for no reason.
    pub(crate) fn park(&self, deadline: Option<Instant>) -> bool {
        if self.unpark.notified.swap(false, Ordering::Acquire) {
            return false;
        }
        match deadline {
            None => thread::park(),
            Some(deadline) => {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return true;
                }
                thread::park_timeout(left);
            }
        }
        // Acquires what the waker's user did before: the caller looks at it next.
        self.unpark.notified.swap(false, Ordering::Acquire);
        false
    }
}

/// Runs a future on this thread until it is ready or until `deadline`.
pub(crate) fn block_on<F: Future>(future: F, deadline: Option<Instant>) -> Option<F::Output> {
    let mut future = pin!(future);
    Parker::with(|parker| {
        let mut context = Context::from_waker(parker.waker());
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
                return Some(output);
            }
            if parker.park(deadline) {
                return None;
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_wait_inside_a_wait_swallows_nothing() {
        let soon = Instant::now() + Duration::from_millis(1);
        Parker::with(|outer| {
            outer.waker().wake_by_ref();
            Parker::with(|inner| while !inner.park(Some(soon)) {});
            let deadline = Instant::now() + Duration::from_secs(20);
            assert!(!outer.park(Some(deadline)));
            assert!(Instant::now() < deadline);
        });
    }

    #[test]
    fn a_parker_is_made_once() {
        let first = Parker::with(|parker| Arc::as_ptr(&parker.unpark));
        assert_eq!(Parker::with(|parker| Arc::as_ptr(&parker.unpark)), first);
    }
}
