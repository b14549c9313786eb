//! Who fetches replies, and who waits for that.

use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Instant;

use super::{Outcome, Replies, State};
use crate::TryRecvError;
use crate::rpc::error::Fault;

impl Replies {
    /// Blocks until `number` has its outcome, or until `deadline`.
    pub(in crate::rpc) fn wait(
        self: &Arc<Self>,
        number: u32,
        deadline: Option<Instant>,
    ) -> Outcome {
        let mut state = self.lock();
        loop {
            if let Some(outcome) = state.take_outcome(number) {
                return outcome;
            }
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return Err(Fault::TimedOut);
            }
            state = if state.fetching {
                self.wait_for_change(state, deadline)
            } else {
                state.fetching = true;
                drop(state);
                self.fetch_blocking(number, deadline)
            };
        }
    }

    fn wait_for_change<'a>(
        &self,
        mut state: MutexGuard<'a, State>,
        deadline: Option<Instant>,
    ) -> MutexGuard<'a, State> {
        state.sleepers += 1;
        let mut state = match deadline {
            None => self.change.wait(state).unwrap_or_else(PoisonError::into_inner),
            Some(deadline) => {
                let left = deadline.saturating_duration_since(Instant::now());
                let waited = self.change.wait_timeout(state, left);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        };
        state.sleepers -= 1;
        state
    }

    /// Has every blocked call look again. With none it costs nothing: most calls are alone, and
    /// the condition variable enters the system without knowing whether somebody waits.
    pub(super) fn changed(&self, state: &State) {
        if state.sleepers > 0 {
            self.change.notify_all();
        }
    }

    /// As [`Replies::changed`], for who does not hold the lock.
    pub(in crate::rpc) fn tell_sleepers(&self) {
        self.changed(&self.lock());
    }

    /// Fetches until `number` is done or the deadline has passed, then hands over to who waits still.
    fn fetch_blocking(
        self: &Arc<Self>,
        number: u32,
        deadline: Option<Instant>,
    ) -> MutexGuard<'_, State> {
        loop {
            let parcel = match deadline {
                None => self.portal.recv_blocking().map_err(TryRecvError::Disconnected),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    self.portal.recv_timeout(left)
                }
            };
            let is_over = matches!(parcel, Err(TryRecvError::Empty));
            self.take_in(parcel);
            let mut state = self.lock();
            if !state.queue.is_empty() {
                drop(state);
                self.flush();
                state = self.lock();
            }
            if !is_over && !state.is_done(number) {
                continue;
            }
            state.fetching = false;
            self.changed(&state);
            if state.is_awaited() {
                self.fetch_for_wakers(state);
                state = self.lock();
            }
            return state;
        }
    }

    /// Takes in what has arrived, and leaves the watcher armed if a call is awaited still.
    pub(in crate::rpc) fn fetch_for_wakers<'a>(
        self: &'a Arc<Self>,
        mut state: MutexGuard<'a, State>,
    ) {
        if state.fetching {
            return;
        }
        state.fetching = true;
        loop {
            drop(state);
            while self.take_in(self.portal.try_recv()) {}
            self.flush();
            state = self.lock();
            let mut is_covered = !state.is_awaited() || state.armed;
            if !is_covered {
                state.armed = true;
                drop(state);
                is_covered = self.portal.arm(&self.watcher);
                state = self.lock();
                // Not armed: something is there. Armed and fired already: the same.
                state.armed &= is_covered;
            }
            if is_covered && !std::mem::take(&mut state.rang) {
                break;
            }
        }
        state.fetching = false;
        self.changed(&state);
    }
}
