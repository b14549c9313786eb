//! What the pump's thread does besides pumping: the application's callbacks, and links that linger.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::{self, ThreadId};
use std::time::Instant;

use ipcz_core::TrapEvent;

use super::link::Link;
use super::pump::guarded;
use crate::sync::lock;

/// Code of the application that is told of a trap.
pub(crate) type Callback = Box<dyn FnOnce(TrapEvent) + Send>;

#[derive(Default)]
pub(crate) struct Callbacks {
    thread: OnceLock<ThreadId>,
    due: Mutex<VecDeque<(Callback, TrapEvent)>>,
    lingering: Mutex<Vec<(Arc<Link>, Instant)>>,
}

impl Callbacks {
    pub(super) fn set_thread(&self, thread: ThreadId) {
        // Set once, by whoever started it.
        let _ = self.thread.set(thread);
    }

    /// Whether this is the pump's own thread, which looks here before it sleeps.
    pub(super) fn is_pumping(&self) -> bool {
        self.thread.get() == Some(&thread::current().id())
    }

    /// Adds a callback. Called under the node's lock, so that the order is the engine's, and the
    /// pump, which looks at the node before it ends, never ends with one left. Gives whether the
    /// pump may have to be woken for it.
    pub(super) fn push(&self, callback: Callback, event: TrapEvent) -> bool {
        let mut due = lock(&self.due);
        due.push_back((callback, event));
        due.len() == 1
    }

    pub(super) fn is_due(&self) -> bool {
        !lock(&self.due).is_empty()
    }

    /// Runs what is due now, oldest first. What that makes due has its turn after what arrived.
    pub(super) fn run(&self) {
        let count = lock(&self.due).len();
        for _ in 0..count {
            let next = lock(&self.due).pop_front();
            let Some((callback, event)) = next else { return };
            guarded(|| callback(event));
        }
    }

    pub(super) fn linger(&self, link: Arc<Link>, until: Instant) {
        lock(&self.lingering).push((link, until));
    }

    /// Gives links more time, if they have less.
    pub(super) fn linger_all(&self, at_least: Instant) {
        for (_, until) in lock(&self.lingering).iter_mut() {
            *until = at_least.max(*until);
        }
    }

    /// Takes the links whose time is up, and says when that of the next one is.
    pub(super) fn expire(&self, now: Instant) -> (Vec<Arc<Link>>, Option<Instant>) {
        let mut lingering = lock(&self.lingering);
        if lingering.is_empty() {
            return (Vec::new(), None);
        }
        let (expired, left) = std::mem::take(&mut *lingering)
            .into_iter()
            .filter(|(link, _)| !link.is_closed())
            .partition::<Vec<_>, _>(|(_, until)| *until <= now);
        *lingering = left;
        let next = lingering.iter().map(|(_, until)| *until).min();
        (expired.into_iter().map(|(link, _)| link).collect(), next)
    }
}
