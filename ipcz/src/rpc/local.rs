//! Servers of this process, called without a portal.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;

use futures_util::lock::{Mutex, MutexGuard};

use super::error::CallError;

/// A server of this process as something that is called: for a trait `Words`, it implements `WordsClient`, as
/// `WordsProxy` does. Arguments and results are moved; nothing is encoded, and no portal is needed.
///
/// It is for programs that run with their services in other processes or without, and for tests: a server that is
/// written for a test, with what it does not need left to default bodies, stands in for a proxy. A call is
/// a future that runs the method itself where it is awaited. It begins when it is first awaited, and dropping it
/// drops the method; [`context`](super::context) knows of no call.
///
/// It is a handle: clones are the same server.
///
/// ```
/// #[ipcz::interface]
/// trait Adder {
///     async fn add(&self, a: u32, b: u32) -> Result<u32, String>;
/// }
///
/// struct Exact;
/// impl Adder for Exact {
///     async fn add(&self, a: u32, b: u32) -> Result<u32, String> {
///         a.checked_add(b).ok_or("too large".into())
///     }
/// }
///
/// /// Works with an adder anywhere.
/// async fn twice(adder: &impl AdderClient, n: u32) -> Result<u32, ipcz::CallError<String>> {
///     adder.add(n, n).await
/// }
///
/// let node = ipcz::Node::broker()?;
/// let (proxy, receiver) = AdderProxy::pair(&node);
/// std::thread::spawn(move || receiver.serve_blocking(Exact));
/// let local = ipcz::Local::new(Exact);
/// # fn block_on<F: Future>(future: F) -> F::Output {
/// #     let mut future = std::pin::pin!(future);
/// #     let mut context = std::task::Context::from_waker(std::task::Waker::noop());
/// #     loop { if let std::task::Poll::Ready(it) = future.as_mut().poll(&mut context) { return it } }
/// # }
/// # block_on(async {
/// assert_eq!(twice(&proxy, 4).await, Ok(8));
/// assert_eq!(twice(&local, 4).await, Ok(8));
/// # });
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub struct Local<S>(Arc<S>);

impl<S> Local<S> {
    /// Takes a server.
    pub fn new(server: S) -> Self {
        Self(Arc::new(server))
    }

    /// The server.
    #[must_use]
    pub fn server(&self) -> &S {
        &self.0
    }
}

impl<S> Clone for Local<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S> fmt::Debug for Local<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Local").finish_non_exhaustive()
    }
}

/// What the methods of a client trait give: a future that can move between threads, which gives the result of a
/// call. A [`Call`](super::Call) is one.
pub trait Calling<T, E = Infallible>: Future<Output = Result<T, CallError<E>>> + Send {}

impl<T, E, F: Future<Output = Result<T, CallError<E>>> + Send> Calling<T, E> for F {}

/// As [`Calling`], of an interface whose servers stay on one thread.
pub trait CallingLocal<T, E = Infallible>: Future<Output = Result<T, CallError<E>>> {}

impl<T, E, F: Future<Output = Result<T, CallError<E>>>> CallingLocal<T, E> for F {}

/// As [`Local`], of an interface with methods that take `&mut self`: calls take turns.
pub struct LocalExclusive<S>(Arc<Mutex<S>>);

impl<S> LocalExclusive<S> {
    /// Takes a server.
    pub fn new(server: S) -> Self {
        Self(Arc::new(Mutex::new(server)))
    }

    /// The server, once it is this caller's turn.
    pub async fn server(&self) -> MutexGuard<'_, S> {
        self.0.lock().await
    }
}

impl<S> Clone for LocalExclusive<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S> fmt::Debug for LocalExclusive<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalExclusive").finish_non_exhaustive()
    }
}
