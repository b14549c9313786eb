//! Threads that wait: asleep until a waker is used, with or without a deadline.
//!
//! While it waits, a thread may be the node's *leader* (`lead`): it then reads the shared memory of
//! all peers itself, and sleeps in a way that peers can end. All others sleep until they are told.

use std::cell::Cell;
use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use crate::shm::doorbell::{Flag, WeakFlag};
use crate::shm::futex::{self, Watched};
use crate::sync::lock;

/// A waker that wakes the thread it was made on.
pub(super) struct Sleeper {
    thread: Thread,
    /// [`NOTIFIED`] from when the waker is used until the thread looks.
    word: AtomicU32,
    /// How the thread sleeps: one of the four below, and above its bits the number of the sleep.
    how: AtomicU32,
    /// The flag that it slept on last, whose link may be gone by now.
    flag: Mutex<Option<WeakFlag>>,
}

const QUIET: u32 = 0;
const NOTIFIED: u32 = 1;

const AWAKE: u32 = 0;
const PARKED: u32 = 1;
const ON_WORD: u32 = 2;
const ON_FLAG: u32 = 3;
const HOW: u32 = 3;

impl Wake for Sleeper {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.word.swap(NOTIFIED, Ordering::SeqCst) == NOTIFIED {
            return;
        }
        // Whoever is about to sleep says so, and then looks at its word once more: so it is seen here, or
        // the word is seen there.
        let sleep = self.how.load(Ordering::SeqCst);
        match sleep & HOW {
            PARKED => self.thread.unpark(),
            ON_WORD => drop(futex::wake(&self.word, false)),
            ON_FLAG => self.wake_from_flag(sleep),
            _ => {}
        }
    }
}

impl Sleeper {
    /// Whether the waker was used since the last time. Acquires what its user did before.
    fn take_notice(&self) -> bool {
        self.word.load(Ordering::Relaxed) == NOTIFIED
            && self.word.swap(QUIET, Ordering::Acquire) == NOTIFIED
    }

    /// Says how the thread is about to sleep. It looks at its word once more before it does.
    fn begin(&self, how: u32) {
        let last = self.how.load(Ordering::Relaxed) & !HOW;
        self.how.store(last.wrapping_add(HOW + 1) | how, Ordering::SeqCst);
    }

    fn end(&self) {
        let sleep = self.how.load(Ordering::Relaxed);
        self.how.store(sleep & !HOW | AWAKE, Ordering::Relaxed);
    }

    /// Wakes the thread from one sleep on a flag, which may be over by now: it may even sleep again, on
    /// another node's flag.
    #[cold]
    fn wake_from_flag(&self, sleep: u32) {
        // Whoever sleeps on it keeps it mapped.
        let flag = lock(&self.flag).as_ref().and_then(WeakFlag::upgrade);
        let Some(flag) = flag else { return };
        // Once is enough, unless the peer writes the flag at the same time, so that the thread, which was
        // about to sleep, does. It is about to for an instant only, or asleep.
        while !flag.wake_own_waiter() && self.how.load(Ordering::SeqCst) == sleep {
            thread::yield_now();
        }
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
            how: AtomicU32::new(AWAKE),
            flag: Mutex::new(None),
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
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let own = &self.sleeper;
        own.begin(PARKED);
        let over = left == Some(Duration::ZERO);
        if own.word.load(Ordering::SeqCst) == QUIET && !over {
            match left {
                None => thread::park(),
                Some(left) => thread::park_timeout(left),
            }
        }
        own.end();
        // Acquires what the waker's user did before: the caller looks at it next.
        !self.take_notice() && over
    }

    /// Sleeps as [`Parker::park`] does, or until one of `words` does not hold its value any more and
    /// its waker says so.
    pub(super) fn park_on<'a>(
        &'a self,
        words: impl Iterator<Item = Watched<'a>>,
        deadline: Option<Instant>,
    ) -> bool {
        let own = &self.sleeper;
        own.begin(ON_WORD);
        // The system looks at the word once more.
        let word = Watched { word: &own.word, value: QUIET, shared: false };
        let over = futex::sleep(std::iter::once(word).chain(words), deadline);
        own.end();
        self.take_notice();
        over
    }

    /// Sleeps as [`Parker::park_on`] does with one word, which is a flag that this thread has armed. It sleeps
    /// on nothing else, so its waker changes the flag.
    pub(super) fn park_on_flag(&self, flag: &Flag, deadline: Option<Instant>) -> bool {
        let own = &self.sleeper;
        {
            let mut known = lock(&own.flag);
            if !known.as_ref().is_some_and(|known| known.is(flag)) {
                *known = Some(flag.downgrade());
            }
        }
        own.begin(ON_FLAG);
        let noticed = own.word.load(Ordering::SeqCst) == NOTIFIED;
        let over = !noticed && futex::sleep_on(flag.watched(), deadline);
        own.end();
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
    use std::sync::atomic::AtomicBool;

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
