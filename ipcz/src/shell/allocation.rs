//! Shared memory that is asked for, by this node or through it.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll, Waker};

use ipcz_core::{AllocateFailed, AllocateRefused, AllocationId, Cause, MemoryId};

use super::link::Link;
use super::pump::guarded;
use super::state::{Shared, State};
use crate::shm::Region;
use crate::sync::lock;

/// Why there is no memory.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The size is zero, or too large.
    BadSize,
    /// This node may not allocate, and has nobody to do so.
    NoDelegate,
    /// The node was shut down.
    ShutDown,
    /// The delegate could not.
    Refused,
    /// The connection to the delegate ended.
    DelegateLost(Cause),
    /// This node's driver could not.
    Os(io::Error),
}

/// What became of a request.
pub(super) type Outcome = Result<Region, Failure>;

/// Whom memory is for.
pub(super) enum Asker {
    Handle(Arc<Waiting>),
    /// A link, unless it is gone.
    Link(Weak<Link>),
}

/// Who waits for memory.
#[derive(Debug, Default)]
pub(crate) struct Waiting(Mutex<Slot>);

#[derive(Debug, Default)]
struct Slot {
    outcome: Option<Outcome>,
    waker: Option<Waker>,
    /// What the driver said, where it was this node's own.
    os_error: Option<io::Error>,
}

impl Waiting {
    /// Says what became of the request. Called under no lock.
    pub(super) fn finish(&self, outcome: Outcome) {
        let waker = {
            let mut slot = lock(&self.0);
            let os_error = slot.os_error.take();
            slot.outcome = Some(match (outcome, os_error) {
                (Err(Failure::Refused), Some(error)) => Err(Failure::Os(error)),
                (outcome, _) => outcome,
            });
            slot.waker.take()
        };
        if let Some(waker) = waker {
            guarded(|| waker.wake());
        }
    }
}

/// Waits for memory, on any executor. Dropped, it waits no more, and what comes is released.
#[derive(Debug)]
pub(crate) struct Allocating(Arc<Waiting>);

impl Future for Allocating {
    type Output = Outcome;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        // Cloned and dropped outside the lock: that is the executor's code.
        let waker = cx.waker().clone();
        let mut slot = lock(&self.0.0);
        if let Some(outcome) = slot.outcome.take() {
            return Poll::Ready(outcome);
        }
        let replaced = slot.waker.replace(waker);
        drop(slot);
        drop(replaced);
        Poll::Pending
    }
}

impl Shared {
    /// Asks for memory.
    pub(crate) fn allocate(self: &Arc<Self>, num_bytes: usize) -> Allocating {
        let waiting = Arc::new(Waiting::default());
        let refused = self.step(|state| {
            if state.stopped {
                return Some(Failure::ShutDown);
            }
            match state.engine.allocate(num_bytes as u64) {
                Ok(id) => {
                    state.allocations.insert(id, Asker::Handle(Arc::clone(&waiting)));
                    None
                }
                Err(AllocateRefused::BadSize) => Some(Failure::BadSize),
                Err(AllocateRefused::NoDelegate) => Some(Failure::NoDelegate),
            }
        });
        if let Some(failure) = refused {
            waiting.finish(Err(failure));
        }
        Allocating(waiting)
    }

    /// Asks for memory for a link. It hears what becomes of that, at once if it is nothing.
    pub(super) fn allocate_for_link(self: &Arc<Self>, link: &Arc<Link>, num_bytes: usize) {
        let is_asked = self.step(|state| {
            if state.stopped {
                return false;
            }
            let asked = state.engine.allocate(num_bytes as u64);
            asked.is_ok_and(|id| {
                state.allocations.insert(id, Asker::Link(Arc::downgrade(link)));
                true
            })
        });
        if !is_asked {
            link.take_memory(self, None);
        }
    }

    /// Tells whoever asked for memory what became of it. Called under no lock.
    pub(super) fn give_memory(self: &Arc<Self>, asker: Asker, outcome: Outcome) {
        match asker {
            Asker::Handle(waiting) => waiting.finish(outcome),
            Asker::Link(link) => {
                if let Some(link) = link.upgrade() {
                    link.take_memory(self, outcome.ok());
                }
            }
        }
    }

    /// Makes memory that the engine asks for. Called under no lock.
    pub(super) fn make_memory(self: &Arc<Self>, request: AllocationId, size: u64) {
        let made = match usize::try_from(size) {
            Ok(size) => self.driver.allocate_region(size),
            Err(_) => Err(io::ErrorKind::OutOfMemory.into()),
        };
        self.step(|state| {
            let memory = match made {
                Ok(region) => Some(state.park_memory(region)),
                Err(error) => {
                    if let Some(Asker::Handle(waiting)) = state.allocations.get(&request) {
                        lock(&waiting.0).os_error = Some(error);
                    }
                    None
                }
            };
            state.engine.handle_memory(request, memory);
        });
    }
}

impl State {
    /// Takes a request off the list, with what became of it.
    pub(super) fn finish_allocation(
        &mut self,
        request: AllocationId,
        memory: Result<MemoryId, AllocateFailed>,
    ) -> Option<(Asker, Outcome)> {
        let outcome = match memory {
            // The engine speaks of what was parked.
            Ok(id) => self.memory.remove(&id).ok_or(Failure::Refused),
            Err(AllocateFailed::Refused) => Err(Failure::Refused),
            Err(AllocateFailed::DelegateLost(cause)) => Err(Failure::DelegateLost(cause)),
        };
        Some((self.allocations.remove(&request)?, outcome))
    }
}
