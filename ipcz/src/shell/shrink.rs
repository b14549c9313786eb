//! Memory that links do not need any more is given back.
//!
//! An arena that has grown is looked at once in a [`PERIOD`]; regions that nothing was put into meanwhile, and that
//! nothing is in, are dropped at both ends. What the peer has not handed back is asked for, and when that arrives, the
//! arena is looked at again. The background thread has a timer for this only while there is
//! something to find.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::state::Shared;
use crate::sync::lock;

/// How long a region is kept that is not used: far longer than memory takes to be made anew.
const PERIOD: Duration = Duration::from_secs(1);

/// When the arenas of a node are looked at next.
#[derive(Default)]
pub(crate) struct Shrinking {
    is_due: AtomicBool,
    /// The background thread's own.
    at: Mutex<Option<Instant>>,
}

impl Shared {
    /// There is an arena that may have memory to give back soon.
    pub(super) fn shrink_soon(&self) {
        let is_due = &self.shrinking.is_due;
        if !is_due.load(Ordering::Relaxed) && !is_due.swap(true, Ordering::SeqCst) {
            self.wake_pump();
        }
    }

    /// Has the links look for memory to give back, if it is time. Gives how long the background thread may
    /// sleep.
    pub(super) fn shrink(self: &Arc<Self>, now: Instant) -> Option<Duration> {
        let Shrinking { is_due, at } = &self.shrinking;
        if !is_due.load(Ordering::SeqCst) {
            return None;
        }
        let until = *lock(at).get_or_insert(now + PERIOD);
        if now < until {
            return Some(until - now);
        }
        *lock(at) = None;
        // Before looking: what changes afterwards is looked at again.
        is_due.store(false, Ordering::SeqCst);
        self.lead.links().iter().flat_map(|links| links.iter()).for_each(|link| link.shrink());
        is_due.load(Ordering::SeqCst).then(|| {
            *lock(at) = Some(now + PERIOD);
            PERIOD
        })
    }
}
