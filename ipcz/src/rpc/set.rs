//! Many endpoints, one task.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use futures_util::stream::{FuturesUnordered, Stream};

use super::error::ServeError;
use crate::shell::block_on;
use crate::sync::lock;

type OnEnd = dyn Fn(Result<(), ServeError>) + Send + Sync;
type Serving = Pin<Box<dyn Future<Output = Result<(), ServeError>> + Send>>;

/// Endpoints that one task, or one thread, serves together: of one interface or of several, each with a server and
/// a context of its own ([`Receiver::with_data`](super::Receiver::with_data)).
///
/// It is a handle: clones are the same set. Endpoints are added at any time, also by the methods of those that are
/// served, and leave the set when they end. Dropping what serves the set drops what is in it.
///
/// ```
/// use std::sync::Arc;
/// use ipcz::{Receiver, ReceiverSet};
/// #[ipcz::interface]
/// trait Greeter {
///     async fn greet(&self) -> String;
/// }
///
/// #[derive(Clone)]
/// struct Polite;
/// impl Greeter for Polite {
///     async fn greet(&self) -> String {
///         format!("Hello {}", ipcz::context().data::<String>().unwrap())
///     }
/// }
///
/// let node = ipcz::Node::broker()?;
/// let set = ReceiverSet::new();
/// let greeters: Vec<GreeterProxy> = ["Ada", "Grace"].into_iter().map(|name| {
///     let (proxy, receiver) = GreeterProxy::pair(&node);
///     set.add(receiver.with_data(Arc::new(name.to_string())).serve(Polite));
///     proxy
/// }).collect();
/// let serving = std::thread::spawn({ let set = set.clone(); move || set.run_blocking() });
/// assert_eq!(greeters[1].greet().wait()?, "Hello Grace");
/// assert_eq!(greeters[0].greet().wait()?, "Hello Ada");
/// set.close(); // Nothing more will be added.
/// drop(greeters);
/// serving.join().unwrap();
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default)]
pub struct ReceiverSet(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    added: Vec<Serving>,
    waker: Option<Waker>,
    on_end: Option<Arc<OnEnd>>,
    len: usize,
    is_closed: bool,
}

impl ReceiverSet {
    /// Nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an endpoint: what its `serve` gives.
    pub fn add(&self, serving: impl Future<Output = Result<(), ServeError>> + Send + 'static) {
        let serving = Box::pin(serving);
        let mut state = lock(&self.0.state);
        state.added.push(serving);
        state.len += 1;
        let waker = state.waker.take();
        drop(state);
        waker.into_iter().for_each(Waker::wake);
    }

    /// Has `callback` told how each endpoint ended. It runs where the set is served, and must not block.
    pub fn on_end(&self, callback: impl Fn(Result<(), ServeError>) + Send + Sync + 'static) {
        let replaced = lock(&self.0.state).on_end.replace(Arc::new(callback));
        drop(replaced);
    }

    /// How many endpoints there are.
    #[must_use]
    pub fn len(&self) -> usize {
        lock(&self.0.state).len
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Says that nothing more will be added: what serves the set then ends with the last of its endpoints.
    pub fn close(&self) {
        let mut state = lock(&self.0.state);
        state.is_closed = true;
        let waker = state.waker.take();
        drop(state);
        waker.into_iter().for_each(Waker::wake);
    }

    /// Serves what is in the set and what is added, on any executor, until it is closed and empty. Of several that
    /// serve one set, each takes some of what is added.
    pub async fn run(&self) {
        let mut running = FuturesUnordered::new();
        poll_fn(|context| self.poll(&mut running, context)).await;
    }

    /// Serves as [`run`](Self::run) does, with this thread.
    pub fn run_blocking(&self) {
        block_on(self.run(), None);
    }

    fn poll(&self, running: &mut FuturesUnordered<Serving>, context: &mut Context<'_>) -> Poll<()> {
        loop {
            let waker = context.waker().clone();
            let mut state = lock(&self.0.state);
            running.extend(state.added.drain(..));
            let replaced = state.waker.replace(waker);
            let (is_closed, on_end) = (state.is_closed, state.on_end.clone());
            drop(state);
            drop(replaced);
            match Pin::new(&mut *running).poll_next(context) {
                Poll::Ready(Some(result)) => {
                    lock(&self.0.state).len -= 1;
                    on_end.into_iter().for_each(|on_end| on_end(result.clone()));
                }
                Poll::Ready(None) if is_closed => return Poll::Ready(()),
                Poll::Ready(None) if lock(&self.0.state).added.is_empty() => return Poll::Pending,
                Poll::Ready(None) => {}
                Poll::Pending if lock(&self.0.state).added.is_empty() => return Poll::Pending,
                Poll::Pending => {}
            }
        }
    }
}

impl fmt::Debug for ReceiverSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceiverSet").field("len", &self.len()).finish_non_exhaustive()
    }
}
