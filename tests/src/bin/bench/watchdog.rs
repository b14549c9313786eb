//! Ends a run that does not get on: nothing here waits for ever.

use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// Longer than any one step takes, on a busy machine too.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it looks: seldom enough to disturb nothing.
const TICK: Duration = Duration::from_secs(5);

#[derive(Default)]
struct State {
    /// What goes on, and how many steps were begun.
    step: Mutex<String>,
    begun: AtomicU64,
}

/// Watches the steps of a run. The other processes go with this one.
pub(crate) struct Watchdog(Arc<State>);

impl Watchdog {
    pub(crate) fn start() -> Self {
        let state = Arc::new(State::default());
        let watched = Arc::clone(&state);
        thread::spawn(move || watch(&watched));
        Self(state)
    }

    /// A step begins, which ends before the next one does.
    pub(crate) fn expect(&self, step: &str) {
        let mut name = self.0.step.lock().unwrap_or_else(PoisonError::into_inner);
        name.clear();
        name.push_str(step);
        self.0.begun.fetch_add(1, Ordering::Relaxed);
    }
}

fn watch(state: &State) {
    let (mut last, mut stuck) = (0, Duration::ZERO);
    loop {
        thread::sleep(TICK);
        let begun = state.begun.load(Ordering::Relaxed);
        stuck = if begun == last { stuck + TICK } else { Duration::ZERO };
        last = begun;
        if begun > 0 && stuck >= PATIENCE {
            let step = state.step.lock().unwrap_or_else(PoisonError::into_inner);
            eprintln!("bench: {step}: no end of it within {PATIENCE:?}");
            process::exit(1);
        }
    }
}
