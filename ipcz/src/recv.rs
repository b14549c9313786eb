//! Waiting for a parcel in a task.
//!
//! A poll that finds a parcel, or that its waker is in place, takes the node's lock once; one that
//! has to set its waker takes it twice, because the waker is cloned between. Nothing is allocated
//! but the place of the trap.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use ipcz_core::{GetRefused, TrapConditions, TrapId};

use crate::error::{Disconnect, TryRecvError};
use crate::shell::{Contents, Notice};
use crate::{Parcel, Portal};

/// What a receiver waits for: a parcel, or the certainty that none will come.
pub(crate) fn wait_conditions() -> TrapConditions {
    TrapConditions { above_parcels: Some(0), dead: true, ..TrapConditions::default() }
}

/// The next parcel of a portal: see [`Portal::recv`].
///
/// It may be polled by different tasks, one after another: the last one is woken. Dropping it loses
/// no parcel.
#[derive(Debug)]
#[must_use = "a future does nothing until it is awaited"]
pub struct Recv<'a> {
    portal: &'a Portal,
    trap: Option<TrapId>,
}

/// How far one look at the portal came.
enum Look {
    Done(Result<ipcz_core::Parcel<Contents>, GetRefused>),
    /// Nothing is there, and the waker that is to be told of more is in place.
    Armed,
    /// Nothing is there, and a waker must be set.
    Unarmed,
}

impl<'a> Recv<'a> {
    pub(crate) fn new(portal: &'a Portal) -> Self {
        Self { portal, trap: None }
    }

    /// Takes a parcel if there is one; else sees to it that `cx` is woken when there is. `waker`
    /// is a clone of its waker for the trap, if that is needed: cloning, like dropping, is the
    /// executor's code and happens under no lock.
    fn look(&mut self, cx: &Context<'_>, waker: Option<Waker>) -> Look {
        let (id, trap) = (self.portal.id(), &mut self.trap);
        let mut waker = waker.map(Notice::Wake);
        // What is replaced or taken back is dropped here: a waker may own anything.
        let (look, _replaced, _unused) = self.portal.shared().step(|state| {
            let taken = state.engine.get(id);
            if !matches!(taken, Err(GetRefused::Empty)) {
                let disarmed = trap.take().and_then(|trap| state.disarm(id, trap));
                return (Look::Done(taken), disarmed, waker);
            }
            let set = trap.and_then(|trap| state.notices.get_mut(trap));
            match (set, waker.take()) {
                (Some(Notice::Wake(set)), None) if set.will_wake(cx.waker()) => {
                    (Look::Armed, None, None)
                }
                (_, None) => (Look::Unarmed, None, None),
                (Some(set), Some(waker)) => {
                    (Look::Armed, Some(std::mem::replace(set, waker)), None)
                }
                (None, Some(waker)) => {
                    let armed = state.set_trap(id, wait_conditions(), waker);
                    *trap = armed.as_ref().ok().copied();
                    (Look::Armed, None, armed.err().and_then(|(_, waker)| waker))
                }
            }
        });
        look
    }
}

impl Future for Recv<'_> {
    type Output = Result<Parcel, Disconnect>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut look = self.look(cx, None);
        if matches!(look, Look::Unarmed) {
            look = self.look(cx, Some(cx.waker().clone()));
            self.portal.shared().wait_in_background();
        }
        match look {
            Look::Done(Ok(parcel)) => Poll::Ready(Ok(self.portal.receive(parcel))),
            Look::Done(Err(refused)) => match self.portal.try_recv_error(refused) {
                TryRecvError::Disconnected(why) => Poll::Ready(Err(why)),
                TryRecvError::Empty => Poll::Pending,
            },
            Look::Armed | Look::Unarmed => Poll::Pending,
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
