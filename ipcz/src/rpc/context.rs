//! What a method knows of the call that it serves.

use std::any::Any;
use std::cell::RefCell;
use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use ipcz_core::NodeName;

use super::stream::Driver;
use crate::Node;
use crate::shell::Origin;
use crate::sync::lock;

/// What belongs to an endpoint that is served, whatever the call.
pub(super) struct Served {
    pub(super) node: Node,
    pub(super) data: Option<Arc<dyn Any + Send + Sync>>,
}

/// What is known of one call.
pub(super) struct CallState {
    served: Arc<Served>,
    origin: Option<Arc<Origin>>,
    progress: Mutex<Progress>,
}

/// How far a call is.
#[derive(Default)]
pub(super) struct Progress {
    pub(super) deadline: Option<Instant>,
    /// Why it is to be given up.
    pub(super) end: Option<End>,
    /// Its method rejected it, and said this.
    pub(super) rejected: Option<String>,
    /// What is to send the items of the streams in its result.
    pub(super) drivers: Vec<Driver>,
}

/// Why a call is to be given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Cancelled,
    TimedOut,
}

impl CallState {
    pub(super) fn new(served: &Arc<Served>, origin: Option<Arc<Origin>>) -> Self {
        Self { served: Arc::clone(served), origin, progress: Mutex::default() }
    }

    /// Sets the deadline. Gives the one before.
    pub(super) fn set_deadline(&self, deadline: Instant) -> Option<Instant> {
        lock(&self.progress).deadline.replace(deadline)
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        lock(&self.progress).deadline
    }

    pub(super) fn give_up(&self, why: End) {
        lock(&self.progress).end.get_or_insert(why);
    }

    pub(super) fn end(&self) -> Option<End> {
        lock(&self.progress).end
    }

    /// What is to be known of it once its method has ended, taken under one lock.
    pub(super) fn take_progress(&self) -> Progress {
        let mut progress = lock(&self.progress);
        let (rejected, drivers) = (progress.rejected.take(), std::mem::take(&mut progress.drivers));
        Progress { deadline: progress.deadline, end: progress.end, rejected, drivers }
    }

    /// Ends the connection that the call came over.
    pub(super) fn blame(&self, why: &str) {
        if let Some(origin) = &self.origin {
            origin.report(why);
            origin.reject();
        }
    }
}

thread_local! {
    /// The call whose method runs on this thread.
    static CURRENT: RefCell<Option<Arc<CallState>>> = const { RefCell::new(None) };
}

/// Puts back what was current before, also when the method unwinds.
struct Restore(Option<Arc<CallState>>);

impl Drop for Restore {
    fn drop(&mut self) {
        let before = self.0.take();
        let left = CURRENT.try_with(|current| current.replace(before));
        drop(left);
    }
}

/// Runs `method` as that of `call`.
pub(super) async fn within<F: Future>(call: Arc<CallState>, method: F) -> F::Output {
    let mut method = pin!(method);
    poll_fn(|context| {
        let before = CURRENT.with(|current| current.replace(Some(Arc::clone(&call))));
        let _restore = Restore(before);
        method.as_mut().poll(context)
    })
    .await
}

/// Leaves a stream's items to the server of the call that is being served on this thread.
pub(super) fn leave_driver(driver: Driver) -> Option<()> {
    let call = CURRENT.try_with(|current| current.borrow().clone()).ok().flatten()?;
    lock(&call.progress).drivers.push(driver);
    Some(())
}

/// The deadline of the call that is being served on this thread.
pub(super) fn deadline() -> Option<Instant> {
    CURRENT.try_with(|current| current.borrow().as_ref()?.deadline()).ok().flatten()
}

/// What can be known of the call that a method serves: see [`context`].
///
/// It is a handle, cheap to clone, and may be kept and sent to other threads.
#[derive(Clone)]
pub struct Context(Option<Arc<CallState>>);

/// The call that is being served: to be asked in a method of a server, or in whatever that calls or awaits.
///
/// Elsewhere, and in tasks and threads that the method has started, there is none: take it along.
///
/// ```
/// use std::time::Duration;
/// #[ipcz::interface]
/// trait Baker {
///     async fn bake(&self) -> bool;
/// }
///
/// struct Oven;
/// impl Baker for Oven {
///     async fn bake(&self) -> bool {
///         let call = ipcz::context();
///         call.is_call() && !call.is_cancelled() && call.caller().is_none()
///     }
/// }
///
/// let (baker, receiver) = BakerProxy::pair(&ipcz::Node::broker()?);
/// std::thread::spawn(move || receiver.serve_blocking(Oven));
/// assert!(baker.bake().deadline(Duration::from_secs(60)).wait()?);
/// assert!(!ipcz::context().is_call());
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn context() -> Context {
    Context(CURRENT.try_with(|current| current.borrow().clone()).ok().flatten())
}

impl Context {
    /// Whether there is a call.
    #[must_use]
    pub fn is_call(&self) -> bool {
        self.0.is_some()
    }

    /// When the caller stops waiting, if it said so. A deadline that the caller gave after it made the call
    /// arrives behind it.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.0.as_ref()?.deadline()
    }

    /// Whether the caller waits no more: it dropped the call, or the deadline has passed. The method's
    /// future is dropped then, so this is for work that goes on elsewhere.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.as_ref().is_some_and(|call| {
            call.end().is_some() || call.deadline().is_some_and(|at| at <= Instant::now())
        })
    }

    /// The node of the caller: the one at the other end of the connection that brought the call. On a route that
    /// has just changed that may be one that passed it on. None if it came from this node.
    #[must_use]
    pub fn caller(&self) -> Option<NodeName> {
        self.0.as_ref()?.origin.as_ref()?.node()
    }

    /// The node that serves the call.
    #[must_use]
    pub fn node(&self) -> Option<Node> {
        Some(self.0.as_ref()?.served.node.clone())
    }

    /// What the endpoint was given by [`Receiver::with_data`](super::Receiver::with_data), if that is a `T`.
    #[must_use]
    pub fn data<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        let data = self.0.as_ref()?.served.data.clone()?;
        data.downcast::<T>().ok()
    }

    /// Says that the caller should not have made this call: not a mistake, but what only a broken or hostile
    /// program does. Once the method has ended, whatever it gives, serving ends with
    /// [`ServeError::Rejected`](super::ServeError::Rejected), and so does the connection to the
    /// node that the call came from: its routes are cut, and say
    /// [`DisconnectKind::Rejected`](crate::DisconnectKind::Rejected) with that node's name. A caller of this node
    /// loses the endpoint only.
    pub fn reject(&self, why: impl Into<String>) {
        if let Some(call) = &self.0 {
            lock(&call.progress).rejected.get_or_insert_with(|| why.into());
        }
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("is_call", &self.is_call())
            .field("deadline", &self.deadline())
            .field("is_cancelled", &self.is_cancelled())
            .finish_non_exhaustive()
    }
}
