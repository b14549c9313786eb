//! Stopping a server in good order.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use crate::sync::lock;

/// Ends the serving of an endpoint in good order: see [`Receiver::stopper`](super::Receiver::stopper).
///
/// Any number of clones may be used, from any thread. Dropping them does nothing.
#[derive(Clone, Default)]
pub struct Stopper(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    is_stopped: bool,
    waker: Option<Waker>,
}

impl Stopper {
    /// Has the server finish the calls that it has begun, drop the streams that it still sends, refuse all other calls with
    /// [`CallError::Refused`](super::CallError::Refused), and end. Clients then see
    /// [`DisconnectKind::Stopped`](crate::DisconnectKind::Stopped). Does not wait for that.
    pub fn stop(&self) {
        let mut state = lock(&self.0);
        state.is_stopped = true;
        let waker = state.waker.take();
        drop(state);
        waker.into_iter().for_each(Waker::wake);
    }

    pub(super) fn poll(&self, context: &Context<'_>) -> Poll<()> {
        let waker = context.waker().clone();
        let mut state = lock(&self.0);
        if state.is_stopped {
            return Poll::Ready(());
        }
        let replaced = state.waker.replace(waker);
        drop(state);
        drop(replaced);
        Poll::Pending
    }
}

impl fmt::Debug for Stopper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Stopper").field(&lock(&self.0).is_stopped).finish()
    }
}
