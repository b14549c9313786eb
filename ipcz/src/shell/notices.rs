//! Who is told that a trap fired, and how.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Waker;

use ipcz_core::{PortalId, TrapConditions, TrapEvent, TrapId, TrapRefused};

use super::state::State;

/// A part of this crate that wants to know when a portal has something for it.
pub(crate) trait Watcher: Send + Sync {
    /// Called once for each time it was armed, under no lock, on whichever thread brought the news.
    /// It does the crate's own work only: no code of the application but wakers runs in it.
    fn on_ready(self: Arc<Self>);
}

/// What is done when a trap fires.
pub(crate) enum Notice {
    /// Wakes a task.
    Wake(Waker),
    /// Wakes a thread that waits, and reads for itself while it does.
    Thread(Waker),
    /// Tells a part of this crate.
    Watch(Arc<dyn Watcher>),
    /// Runs the application's own code, on the pump's thread if there is one.
    Call(Box<dyn FnOnce(TrapEvent) + Send>),
}

/// The notices of a node's traps.
#[derive(Default)]
pub(crate) struct Notices {
    by_trap: BTreeMap<TrapId, Notice>,
    last: u64,
    /// How many of them are no thread's, for whoever wants to know without the node's lock.
    others: Arc<AtomicU32>,
}

impl Notices {
    /// A name for a new trap.
    pub(crate) fn add(&mut self, notice: Notice) -> TrapId {
        self.last += 1;
        let trap = TrapId(self.last);
        if !matches!(notice, Notice::Thread(_)) {
            self.others.fetch_add(1, Ordering::SeqCst);
        }
        self.by_trap.insert(trap, notice);
        trap
    }

    pub(crate) fn remove(&mut self, trap: TrapId) -> Option<Notice> {
        let notice = self.by_trap.remove(&trap)?;
        if !matches!(notice, Notice::Thread(_)) {
            self.others.fetch_sub(1, Ordering::SeqCst);
        }
        Some(notice)
    }

    pub(super) fn others(&self) -> Arc<AtomicU32> {
        Arc::clone(&self.others)
    }

    pub(crate) fn contains(&self, trap: TrapId) -> bool {
        self.by_trap.contains_key(&trap)
    }

    pub(crate) fn get_mut(&mut self, trap: TrapId) -> Option<&mut Notice> {
        self.by_trap.get_mut(&trap)
    }
}

impl State {
    /// Sets a trap that gives `notice`, or gives it back.
    pub(crate) fn set_trap(
        &mut self,
        portal: PortalId,
        conditions: TrapConditions,
        notice: Notice,
    ) -> Result<TrapId, (TrapRefused, Option<Notice>)> {
        let trap = self.notices.add(notice);
        match self.engine.set_trap(portal, conditions, trap) {
            Ok(()) => Ok(trap),
            Err(refused) => Err((refused, self.notices.remove(trap))),
        }
    }

    /// Takes a trap back. What it would have done is to be dropped outside the lock.
    pub(crate) fn disarm(&mut self, portal: PortalId, trap: TrapId) -> Option<Notice> {
        self.engine.clear_trap(portal, trap);
        self.notices.remove(trap)
    }
}
