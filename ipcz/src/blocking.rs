//! Waiting for a parcel with a thread.
//!
//! | a blocking receive | system calls | copies | allocations | locks | wake-ups |
//! | --- | --- | --- | --- | --- | --- |
//! | that finds a parcel | - | - | - | the node's, once | - |
//! | whose thread leads, and is awake when it comes | - | `inlet`'s | `inlet`'s | the node's, 3 times: to look, for what is read, to take it; `lead`'s | - |
//! | whose thread leads, and sleeps | 1 to sleep | the same | the same | the node's, 2 times more | 1, by the peer |
//! | whose thread follows another | 1 to sleep | - | 1, of the trap's place | the node's, once a look | 1, by the leader, or to lead |
//!
//! A thread's waker is made once. With a timeout, the clock is read once more, and once a sleep.

use std::time::{Duration, Instant};

use ipcz_core::{GetRefused, PortalId, TrapId};

use crate::error::{Disconnect, TryRecvError};
use crate::recv::wait_conditions;
use crate::shell::{Asleep, Look, Notice, State};
use crate::{Parcel, Portal};

/// How a sleeping thread is told of its parcel: a trap is set, unless the node itself keeps in mind what
/// its leader wants.
#[derive(Default)]
struct Told {
    trap: Option<TrapId>,
    leads: bool,
}

impl Told {
    fn tell(&mut self, state: &mut State, portal: PortalId, asleep: Asleep<'_>) {
        self.leads |= asleep.leads;
        if asleep.leads {
            state.set_claim(portal, asleep.waker);
        } else if !self.trap.is_some_and(|trap| state.notices.contains(trap)) {
            let notice = Notice::Thread(asleep.waker.clone());
            self.trap = state.set_trap(portal, wait_conditions(), notice).ok();
        }
    }

    fn forget(&mut self, state: &mut State, portal: PortalId) {
        if self.leads {
            state.clear_claim();
        }
        if let Some(trap) = self.trap.take() {
            drop(state.disarm(portal, trap));
        }
    }
}

impl Portal {
    /// Waits for the next parcel, with this thread, for as long as it takes. Several threads and
    /// tasks may wait at once; each parcel goes to one.
    ///
    /// While it waits, the thread may do the node's reading: what arrives for others goes to them
    /// from here, and their wakers are used here. Callbacks of traps are not run here.
    ///
    /// Must not be called in a trap's callback or in a waker: on the node's background thread, which
    /// would deliver the parcel, it never ends.
    ///
    /// # Errors
    /// Why no parcel will come.
    pub fn recv_blocking(&self) -> Result<Parcel, Disconnect> {
        match self.recv_until(None) {
            Ok(parcel) => Ok(parcel),
            Err(TryRecvError::Disconnected(why)) => Err(why),
            Err(TryRecvError::Empty) => unreachable!("there is no deadline to pass"),
        }
    }

    /// Waits as [`Portal::recv_blocking`] does, for at most `timeout`. A parcel that is there when the
    /// time has passed is taken.
    ///
    /// # Errors
    /// [`TryRecvError::Empty`] once `timeout` has passed, [`TryRecvError::Disconnected`] if no
    /// parcel will come.
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Parcel, TryRecvError> {
        // A timeout beyond the clock's range is none.
        self.recv_until(Instant::now().checked_add(timeout))
    }

    fn recv_until(&self, deadline: Option<Instant>) -> Result<Parcel, TryRecvError> {
        let mut told = Told::default();
        let taken = self.shared().wait(deadline, |look| {
            let taken = self.shared().step(|state| {
                let taken = state.engine.get(self.id());
                match (&taken, look) {
                    (Err(GetRefused::Empty), Look::Awake) => {}
                    (Err(GetRefused::Empty), Look::Asleep(asleep)) => {
                        told.tell(state, self.id(), asleep);
                    }
                    _ => told.forget(state, self.id()),
                }
                taken
            });
            Some(taken).filter(|taken| !matches!(taken, Err(GetRefused::Empty)))
        });
        match taken.unwrap_or(Err(GetRefused::Empty)) {
            Ok(parcel) => Ok(self.receive(parcel)),
            Err(refused) => Err(self.try_recv_error(refused)),
        }
    }
}
