//! Sleeping until one of several words changes, in this process's memory or in shared memory.
//!
//! This is how a waiting thread sleeps that reads shared memory itself: its own wakers and every peer
//! can wake it, each through a word of its own. A peer that has gone mad can wake it for nothing, and cannot
//! keep whoever wakes it waiting: unlike a full eventfd or pipe, a futex never blocks its waker,
//! whatever others do with it.

use std::sync::OnceLock;
use std::sync::atomic::AtomicU32;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::thread::ClockId;
use rustix::thread::futex::{self, Flags, Wait, WaitFlags, WaitPtr, WaitvFlags};
use rustix::time::{Timespec, clock_gettime};

/// How many words one sleep can watch.
pub(crate) const MAX_WORDS: usize = 128;

/// A word to sleep on, and what it holds while there is reason to sleep.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watched<'a> {
    pub(crate) word: &'a AtomicU32,
    pub(crate) value: u32,
    /// Whether other processes have it too.
    pub(crate) shared: bool,
}

impl Watched<'_> {
    fn as_wait(&self) -> Wait {
        let mut wait = Wait::new();
        wait.val = u64::from(self.value);
        wait.uaddr = WaitPtr::new(self.word.as_ptr().cast());
        wait.flags = WaitFlags::SIZE_U32;
        if !self.shared {
            wait.flags |= WaitFlags::PRIVATE;
        }
        wait
    }
}

/// Sleeps until one of `words` does not hold its value and its waker says so, or until `deadline`. Gives
/// whether the deadline has passed. May return for no reason.
///
/// Watches the first [`MAX_WORDS`] words.
pub(crate) fn sleep<'a>(
    words: impl Iterator<Item = Watched<'a>>,
    deadline: Option<Instant>,
) -> bool {
    let mut waits = [Wait::new(); MAX_WORDS];
    let count = waits.iter_mut().zip(words).map(|(wait, word)| *wait = word.as_wait()).count();
    let until = match deadline.map(|deadline| deadline.checked_duration_since(Instant::now())) {
        None => None,
        Some(None) => return true,
        Some(Some(left)) => Some(on_the_clock(left)),
    };
    let slept = futex::waitv(&waits[..count], WaitvFlags::empty(), until.as_ref(), CLOCK);
    slept == Err(Errno::TIMEDOUT)
}

/// Sleeps as [`sleep`] does, on one word: that costs the system about half as much.
pub(crate) fn sleep_on(word: Watched<'_>, deadline: Option<Instant>) -> bool {
    let left = match deadline.map(|deadline| deadline.checked_duration_since(Instant::now())) {
        None => None,
        Some(None) => return true,
        Some(Some(left)) => Timespec::try_from(left).ok(),
    };
    let flags = if word.shared { Flags::empty() } else { Flags::PRIVATE };
    futex::wait(word.word, flags, word.value, left.as_ref()) == Err(Errno::TIMEDOUT)
}

const CLOCK: ClockId = ClockId::Monotonic;

/// The time so long from now.
fn on_the_clock(left: Duration) -> Timespec {
    let now = clock_gettime(CLOCK);
    let far = Timespec { tv_sec: i64::MAX, tv_nsec: 0 };
    Timespec::try_from(left).ok().and_then(|left| now.checked_add(left)).unwrap_or(far)
}

/// Wakes whoever sleeps on `word`, and gives whether anybody did. `shared` as whoever sleeps has it.
pub(crate) fn wake(word: &AtomicU32, shared: bool) -> bool {
    let flags = if shared { Flags::empty() } else { Flags::PRIVATE };
    // A word that is there, and a system without futexes would have failed before.
    futex::wake(word, flags, 1).is_ok_and(|woken| woken > 0)
}

/// Whether the system can sleep on several words at once: Linux can since 5.16, unless a sandbox forbids
/// it.
pub(crate) fn is_available() -> bool {
    static AVAILABLE: OnceLock<bool> = OnceLock::new();
    *AVAILABLE.get_or_init(|| {
        let word = AtomicU32::new(1);
        let wait = Watched { word: &word, value: 0, shared: false }.as_wait();
        let outcome = futex::waitv(&[wait], WaitvFlags::empty(), None, CLOCK);
        outcome == Err(Errno::AGAIN)
    })
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::atomic::Ordering;
    use std::thread;

    use super::*;

    #[test]
    fn any_of_the_words_wakes() {
        assert!(is_available());
        for which in 0..2 {
            let words = [AtomicU32::new(7), AtomicU32::new(8)];
            thread::scope(|scope| {
                scope.spawn(|| {
                    words[which].store(0, Ordering::SeqCst);
                    wake(&words[which], which == 1);
                });
                let watched = [
                    Watched { word: &words[0], value: 7, shared: false },
                    Watched { word: &words[1], value: 8, shared: true },
                ];
                while words[which].load(Ordering::SeqCst) != 0 {
                    assert!(!sleep(watched.into_iter(), None));
                }
            });
        }
    }

    #[test]
    fn a_sleep_ends_with_its_deadline() {
        let word = AtomicU32::new(0);
        let watched = [Watched { word: &word, value: 0, shared: false }];
        let deadline = Instant::now() + Duration::from_millis(2);
        while !sleep(watched.into_iter(), Some(deadline)) {}
        assert!(Instant::now() >= deadline);
    }
}
