//! Several interfaces on one portal, which keep one order among them.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;

use super::codec::CodecError;
use super::endpoint::{Incoming, Receiver};
use super::error::ServeError;
use super::request::Request;
use super::server::{
    ServeExclusive, ServeShared, serve_exclusive, serve_exclusive_blocking, serve_shared,
    serve_shared_blocking,
};
use crate::Parcel;

/// A receiver whose portal carries the calls of two interfaces, `A` and `B`: see [`Receiver::associate`]. Either may
/// be such a pair itself.
///
/// Calls of both arrive in the order in which they were made, and share one window of credit.
///
/// ```
/// use ipcz::{Proxy, Receiver};
/// #[ipcz::interface]
/// trait Canvas {
///     #[oneway]
///     fn draw(&self, what: String);
/// }
/// #[ipcz::interface]
/// trait Printer {
///     async fn print(&self) -> Vec<String>;
/// }
///
/// #[derive(Clone, Default)]
/// struct Page(std::sync::Arc<std::sync::Mutex<Vec<String>>>);
/// impl Canvas for Page {
///     fn draw(&self, what: String) {
///         self.0.lock().unwrap().push(what);
///     }
/// }
/// impl Printer for Page {
///     async fn print(&self) -> Vec<String> {
///         self.0.lock().unwrap().clone()
///     }
/// }
///
/// let (canvas, receiver) = CanvasProxy::pair(&ipcz::Node::broker()?);
/// let page = Page::default();
/// let receiver = receiver.associate::<PrinterReceiver>();
/// std::thread::spawn(move || receiver.serve_blocking((page.clone(), page)));
///
/// let printer: PrinterProxy = canvas.associate();
/// canvas.draw("a line".into()).now()?;
/// let printed = printer.print(); // Behind the line, and in front of the circle.
/// canvas.draw("a circle".into()).now()?;
/// assert_eq!(printed.wait()?, ["a line"]);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub struct Associated<A, B> {
    incoming: Incoming,
    interfaces: PhantomData<fn(A, B)>,
}

type Outcome = Result<Option<Parcel>, CodecError>;

impl<A, B> Associated<A, B> {
    pub(super) fn new(incoming: Incoming) -> Self {
        Self { incoming, interfaces: PhantomData }
    }

    /// Adds a third interface, and so on. Its server is the other half of a pair: `((a, b), c)`.
    #[must_use]
    pub fn associate<C: Receiver>(self) -> Associated<Self, C> {
        Associated::new(self.incoming)
    }

    /// Has the `servers` of both interfaces take the calls, on any executor, until the client closes its end. Calls
    /// start in order, and run at the same time.
    ///
    /// # Errors
    /// See [`ServeError`].
    pub fn serve<S>(self, servers: S) -> impl Future<Output = Result<(), ServeError>>
    where
        Self: ServeShared<S>,
    {
        serve_shared::<Self, S>(self.incoming, servers)
    }

    /// Serves as [`serve`](Self::serve) does, on this thread.
    ///
    /// # Errors
    /// See [`ServeError`].
    pub fn serve_blocking<S>(self, servers: S) -> Result<(), ServeError>
    where
        Self: ServeShared<S>,
    {
        serve_shared_blocking::<Self, S>(self.incoming, servers)
    }

    /// Serves interfaces with methods that take `&mut self`: one call of either runs at a time, in order.
    ///
    /// # Errors
    /// See [`ServeError`].
    pub fn serve_exclusive<S>(self, servers: S) -> impl Future<Output = Result<(), ServeError>>
    where
        Self: ServeExclusive<S>,
    {
        serve_exclusive::<Self, S>(self.incoming, servers)
    }

    /// Serves as [`serve_exclusive`](Self::serve_exclusive) does, on this thread.
    ///
    /// # Errors
    /// See [`ServeError`].
    pub fn serve_exclusive_blocking<S>(self, servers: S) -> Result<(), ServeError>
    where
        Self: ServeExclusive<S>,
    {
        serve_exclusive_blocking::<Self, S>(self.incoming, servers)
    }
}

impl<A: ServeShared<S>, B: ServeShared<T>, S, T> ServeShared<(S, T)> for Associated<A, B> {
    async fn dispatch((first, second): &(S, T), request: Request) -> Outcome {
        let (request, leftover, outer) = request.or_leave();
        let outcome = A::dispatch(first, request).await?;
        match leftover.take() {
            Some(request) => B::dispatch(second, request.leaving_to(outer)).await,
            None => Ok(outcome),
        }
    }
}

impl<A: ServeExclusive<S>, B: ServeExclusive<T>, S, T> ServeExclusive<(S, T)> for Associated<A, B> {
    async fn dispatch((first, second): &mut (S, T), request: Request) -> Outcome {
        let (request, leftover, outer) = request.or_leave();
        let outcome = A::dispatch(first, request).await?;
        match leftover.take() {
            Some(request) => B::dispatch(second, request.leaving_to(outer)).await,
            None => Ok(outcome),
        }
    }
}

impl<A, B> fmt::Debug for Associated<A, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Associated").finish_non_exhaustive()
    }
}
