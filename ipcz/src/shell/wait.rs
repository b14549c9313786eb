//! Threads that wait: asleep until a waker is used, with or without a deadline.
//!
//! While it waits, a thread may be the node's *leader* (`lead`): it then reads the shared memory of
//! all peers itself, and sleeps in a way that peers can end. All others sleep until they are told.

use std::cell::Cell;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Instant;

use crate::shm::futex::{self, Watched};

/// A waker that wakes the thread it was made on.
pub(super) struct Sleeper {
    thread: Thread,
    /// [`NOTIFIED`] from when the waker is used until the thread looks.
    word: AtomicU32,
    /// Whether the thread sleeps on its word, rather than parked.
    on_word: AtomicBool,
}

const QUIET: u32 = 0;
const NOTIFIED: u32 = 1;

impl Wake for Sleeper {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.word.swap(NOTIFIED, Ordering::SeqCst) == NOTIFIED {
            return;
        }
        // Whoever says that it sleeps on its word does so before it sleeps, and the system looks at the
        // word once more: so it is seen here, or the word is seen there.
        if self.on_word.load(Ordering::SeqCst) {
            futex::wake(&self.word, false);
        } else {
            self.thread.unpark();
        }
    }
}

impl Sleeper {
    /// Whether the waker was used since the last time. Acquires what its user did before.
    fn take_notice(&self) -> bool {
        self.word.load(Ordering::Relaxed) == NOTIFIED
            && self.word.swap(QUIET, Ordering::Acquire) == NOTIFIED
    }
}

/// Lets the current thread sleep until its waker is used.
pub(crate) struct Parker {
    sleeper: Arc<Sleeper>,
    waker: Waker,
}

thread_local! {
    /// This thread's parker, while it does not wait with it.
    static IDLE: Cell<Option<Parker>> = const { Cell::new(None) };
}

impl Parker {
    fn new() -> Self {
        let sleeper = Arc::new(Sleeper {
            thread: thread::current(),
            word: AtomicU32::new(QUIET),
            on_word: AtomicBool::new(false),
        });
        Self { waker: Waker::from(Arc::clone(&sleeper)), sleeper }
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

    pub(super) fn sleeper(&self) -> &Arc<Sleeper> {
        &self.sleeper
    }

    /// Whether the waker was used since the last time this, or a sleep, said so.
    pub(super) fn take_notice(&self) -> bool {
        self.sleeper.take_notice()
    }

    /// Sleeps until the waker is used, or was since the last call, or until `deadline`. Gives
    /// whether the deadline has passed. May return for no reason.
    pub(crate) fn park(&self, deadline: Option<Instant>) -> bool {
        if self.take_notice() {
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
        self.take_notice();
        false
    }

    /// Sleeps as [`Parker::park`] does, or until one of `words` does not hold its value any more and
    /// its waker says so.
    pub(super) fn park_on<'a>(
        &'a self,
        words: impl Iterator<Item = Watched<'a>>,
        deadline: Option<Instant>,
    ) -> bool {
        self.sleeper.on_word.store(true, Ordering::SeqCst);
        let own = Watched { word: &self.sleeper.word, value: QUIET, shared: false };
        let over = futex::sleep(std::iter::once(own).chain(words), deadline);
        self.sleeper.on_word.store(false, Ordering::Relaxed);
        self.take_notice();
        over
    }

    /// Whether the waker was used, and nobody has looked.
    pub(super) fn has_notice(&self) -> bool {
        self.sleeper.word.load(Ordering::Relaxed) == NOTIFIED
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
        let first = Parker::with(|parker| Arc::as_ptr(&parker.sleeper));
        assert_eq!(Parker::with(|parker| Arc::as_ptr(&parker.sleeper)), first);
    }

    #[test]
    fn a_thread_on_its_word_is_woken_by_its_waker() {
        Parker::with(|parker| {
            let waker = parker.waker().clone();
            let woken = Arc::new(AtomicBool::new(false));
            let said = Arc::clone(&woken);
            let thread = thread::spawn(move || {
                said.store(true, Ordering::Release);
                waker.wake();
            });
            while !woken.load(Ordering::Acquire) {
                assert!(!parker.park_on(std::iter::empty(), None));
            }
            thread.join().unwrap();
        });
    }
}
