//! Waking at a time, on any executor: one thread for the whole process, which exists while anything waits.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use crate::sync::lock;

/// How long the thread stays when nothing waits.
const IDLE: Duration = Duration::from_secs(1);

struct Clock {
    state: Mutex<Waiting>,
    changed: Condvar,
}

struct Waiting {
    wakers: BTreeMap<(Instant, u64), Waker>,
    last: u64,
    is_running: bool,
}

static CLOCK: Clock = Clock {
    state: Mutex::new(Waiting { wakers: BTreeMap::new(), last: 0, is_running: false }),
    changed: Condvar::new(),
};

/// Wakes its task at a time. Dropping it forgets that.
#[derive(Debug, Default)]
pub(super) struct Timer {
    key: Option<(Instant, u64)>,
}

impl Timer {
    /// Whether `until` has passed; else has `context` woken then, in place of any other time.
    pub(super) fn poll(&mut self, until: Instant, context: &Context<'_>) -> Poll<()> {
        if until <= Instant::now() {
            self.forget();
            return Poll::Ready(());
        }
        // Cloned and dropped outside the lock: that is the executor's code.
        let waker = context.waker().clone();
        let mut state = lock(&CLOCK.state);
        let _replaced = match self.key.filter(|(at, _)| *at == until) {
            Some(key) => state.wakers.insert(key, waker),
            None => {
                let old = self.key.take().and_then(|key| state.wakers.remove(&key));
                state.last += 1;
                let key = (until, state.last);
                self.key = Some(key);
                state.wakers.insert(key, waker);
                if state.wakers.first_key_value().is_some_and(|(first, _)| *first == key) {
                    state.notice();
                }
                old
            }
        };
        drop(state);
        Poll::Pending
    }

    fn forget(&mut self) {
        if let Some(key) = self.key.take() {
            let waker = lock(&CLOCK.state).wakers.remove(&key);
            drop(waker);
        }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.forget();
    }
}

impl Waiting {
    /// Has the thread look at the earliest time again.
    fn notice(&mut self) {
        if self.is_running {
            CLOCK.changed.notify_one();
        } else {
            // Without a thread, times show when something else wakes their tasks.
            let thread = thread::Builder::new().name("ipcz-timer".into()).spawn(run);
            self.is_running = thread.is_ok();
        }
    }
}

fn run() {
    let mut state = lock(&CLOCK.state);
    let mut is_idle = false;
    loop {
        let now = Instant::now();
        let wait = match state.wakers.first_key_value() {
            Some((&(at, number), _)) if at <= now => {
                let waker = state.wakers.remove(&(at, number));
                drop(state);
                waker.into_iter().for_each(Waker::wake);
                state = lock(&CLOCK.state);
                continue;
            }
            Some((&(at, _), _)) => at - now,
            None if is_idle => {
                state.is_running = false;
                return;
            }
            None => IDLE,
        };
        is_idle = state.wakers.is_empty();
        state = match CLOCK.changed.wait_timeout(state, wait) {
            Ok((state, _)) => state,
            Err(poisoned) => poisoned.into_inner().0,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::block_on;

    fn sleep(time: Duration) {
        let (until, mut timer) = (Instant::now() + time, Timer::default());
        block_on(std::future::poll_fn(|context| timer.poll(until, context)), None);
        assert!(until <= Instant::now());
    }

    #[test]
    fn times_pass_in_any_order() {
        thread::scope(|scope| {
            for time in [30, 5, 20, 0, 10] {
                scope.spawn(move || sleep(Duration::from_millis(time)));
            }
        });
    }

    #[test]
    fn a_time_that_is_forgotten_leaves_nothing() {
        let far = Instant::now() + Duration::from_secs(3600);
        let mut timer = Timer::default();
        assert!(timer.poll(far, &Context::from_waker(Waker::noop())).is_pending());
        let key = timer.key.unwrap();
        assert!(lock(&CLOCK.state).wakers.contains_key(&key));
        drop(timer);
        assert!(!lock(&CLOCK.state).wakers.contains_key(&key));
    }
}
