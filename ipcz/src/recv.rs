//! Waiting for a parcel in a task.

use std::pin::Pin;
use std::task::{Context, Poll};

use ipcz_core::{GetRefused, TrapConditions, TrapId};

use crate::error::{Disconnect, TryRecvError};
use crate::portal::try_recv_error;
use crate::shell::Notice;
use crate::{Parcel, Portal};

/// What a receiver waits for: a parcel, or the certainty that none will come.
pub(crate) fn wait_conditions() -> TrapConditions {
    TrapConditions { above_parcels: Some(0), dead: true, ..TrapConditions::default() }
}

/// The next parcel of a portal: see [`Portal::recv`].
#[derive(Debug)]
#[must_use = "a future does nothing until it is awaited"]
pub struct Recv<'a> {
    portal: &'a Portal,
    trap: Option<TrapId>,
}

impl<'a> Recv<'a> {
    pub(crate) fn new(portal: &'a Portal) -> Self {
        Self { portal, trap: None }
    }
}

impl Future for Recv<'_> {
    type Output = Result<Parcel, Disconnect>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let (id, trap) = (this.portal.id(), &mut this.trap);
        // What is replaced or taken back is dropped outside the lock: a waker may own anything.
        let (taken, _replaced) = this.portal.shared().step(|state| {
            let taken = state.engine.get(id);
            if !matches!(taken, Err(GetRefused::Empty)) {
                return (taken, trap.take().and_then(|trap| state.disarm(id, trap)));
            }
            let waker = Notice::Wake(cx.waker().clone());
            if let Some(set) = trap.and_then(|trap| state.notices.get_mut(trap)) {
                return (taken, Some(std::mem::replace(set, waker)));
            }
            *trap = state.arm(id, wait_conditions(), waker);
            (taken, None)
        });
        match taken {
            Ok(parcel) => Poll::Ready(Ok(this.portal.receive(parcel))),
            Err(GetRefused::Empty) => Poll::Pending,
            Err(refused) => match try_recv_error(refused) {
                TryRecvError::Disconnected(why) => Poll::Ready(Err(why)),
                TryRecvError::Empty => Poll::Pending,
            },
        }
    }
}

impl Drop for Recv<'_> {
    fn drop(&mut self) {
        if let Some(trap) = self.trap.take() {
            let id = self.portal.id();
            drop(self.portal.shared().step(|state| state.disarm(id, trap)));
        }
    }
}
