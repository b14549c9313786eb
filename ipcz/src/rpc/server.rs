//! The serving end of a typed portal: takes requests, runs handlers, puts replies.
//!
//! The emitted code knows an interface's methods and this module nothing of them: for each request it
//! calls `dispatch`, which decodes the arguments, runs the handler and encodes the result.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use futures_util::future::{AbortHandle, Abortable};
use futures_util::stream::{FuturesUnordered, Stream};

use super::codec::CodecError;
use super::endpoint::Incoming;
use super::error::ServeError;
use super::inbox::{Begun, Done, Inbox, Job, Witness, run};
use super::request::Request;
use crate::Parcel;
use crate::shell;

/// How many handlers of one endpoint run at once. Further requests wait.
const MAX_RUNNING: usize = 1024;

type Outcome = Result<Option<Parcel>, CodecError>;

/// An interface whose methods all take `&self`: calls start in order and run at the same time.
///
/// Whether that can move between threads depends on the interface, and the compiler finds out.
pub trait ServeShared<S> {
    /// Runs one request. An error is no request of the interface: it ends the connection.
    fn dispatch(server: &S, request: Request) -> impl Future<Output = Outcome>;
}

/// An interface with a method that takes `&mut self`: one call runs at a time, in order.
pub trait ServeExclusive<S> {
    /// Runs one request. An error is no request of the interface: it ends the connection.
    fn dispatch(server: &mut S, request: Request) -> impl Future<Output = Outcome>;
}

/// Serves `incoming` until its peer closes it and every call is finished.
///
/// # Errors
/// See [`ServeError`].
pub async fn serve_shared<I: ServeShared<S>, S>(
    incoming: Incoming,
    server: S,
) -> Result<(), ServeError> {
    let _witness = Witness(incoming.portal());
    let dispatch = |job: Job| {
        let Job { request, begun } = job;
        (run(begun.call.clone(), I::dispatch(&server, request)), begun)
    };
    let mut calls = Calls::new(&incoming, dispatch);
    while calls.step().await? {}
    calls.inbox.farewell()
}

/// Serves `incoming` as [`serve_shared`] does, on this thread.
///
/// # Errors
/// See [`ServeError`].
pub fn serve_shared_blocking<I: ServeShared<S>, S>(
    incoming: Incoming,
    server: S,
) -> Result<(), ServeError> {
    let _witness = Witness(incoming.portal());
    let dispatch = |job: Job| {
        let Job { request, begun } = job;
        (run(begun.call.clone(), I::dispatch(&server, request)), begun)
    };
    let mut calls = Calls::new(&incoming, dispatch);
    loop {
        if calls.running.is_empty() && calls.inbox.waits_for_client() {
            // Nothing but the portal can wake this thread, so it waits there, which is quickest.
            calls.inbox.read_blocking()?;
        }
        if !block_on(calls.step())? {
            return calls.inbox.farewell();
        }
    }
}

/// Serves `incoming` until its peer closes it.
///
/// # Errors
/// See [`ServeError`].
pub async fn serve_exclusive<I: ServeExclusive<S>, S>(
    incoming: Incoming,
    mut server: S,
) -> Result<(), ServeError> {
    let _witness = Witness(incoming.portal());
    let mut inbox = Inbox::new(&incoming);
    loop {
        match inbox.next_job() {
            Some(Job { request, begun }) => {
                let method = run(begun.call.clone(), I::dispatch(&mut server, request));
                alone(&mut inbox, begun, method).await?;
            }
            None if inbox.is_over() => return inbox.farewell(),
            None => inbox.change().await?,
        }
    }
}

/// Serves `incoming` as [`serve_exclusive`] does, on this thread.
///
/// # Errors
/// See [`ServeError`].
pub fn serve_exclusive_blocking<I: ServeExclusive<S>, S>(
    incoming: Incoming,
    mut server: S,
) -> Result<(), ServeError> {
    let _witness = Witness(incoming.portal());
    let mut inbox = Inbox::new(&incoming);
    loop {
        match inbox.next_job() {
            Some(Job { request, begun }) => {
                let method = run(begun.call.clone(), I::dispatch(&mut server, request));
                block_on(alone(&mut inbox, begun, method))?;
            }
            None if inbox.is_over() => return inbox.farewell(),
            None if inbox.waits_for_client() => inbox.read_blocking()?,
            None => block_on(inbox.change())?,
        }
    }
}

/// Runs one method to its end, and reads meanwhile, so that it can be given up.
async fn alone(
    inbox: &mut Inbox<'_>,
    begun: Begun,
    method: impl Future<Output = Done>,
) -> Result<(), ServeError> {
    let mut method = pin!(method);
    let done = poll_fn(|context| {
        if let Poll::Ready(done) = method.as_mut().poll(context) {
            return Poll::Ready(Ok(done));
        }
        loop {
            match inbox.poll(context) {
                Poll::Ready(Ok(())) if begun.call.end().is_some() => {
                    return Poll::Ready(Ok(Done::GivenUp));
                }
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
    });
    let done = done.await?;
    inbox.finish(begun, done)
}

/// The calls of one endpoint whose handlers run at the same time.
struct Calls<'a, D, F> {
    inbox: Inbox<'a>,
    dispatch: D,
    running: FuturesUnordered<Running<F>>,
}

/// A call that did not end at once.
struct Running<F> {
    begun: Option<Begun>,
    method: Abortable<Pin<Box<F>>>,
}

impl<F: Future<Output = Done>> Future for Running<F> {
    type Output = (Option<Begun>, Done);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let done = Pin::new(&mut self.method).poll(context);
        done.map(|done| (self.begun.take(), done.unwrap_or(Done::GivenUp)))
    }
}

impl<'a, D: Fn(Job) -> (F, Begun), F: Future<Output = Done>> Calls<'a, D, F> {
    fn new(incoming: &'a Incoming, dispatch: D) -> Self {
        Self { inbox: Inbox::new(incoming), dispatch, running: FuturesUnordered::new() }
    }

    /// Begins what has arrived, or waits until something has changed. False: there is nothing more to do.
    async fn step(&mut self) -> Result<bool, ServeError> {
        let mut has_begun = false;
        while self.running.len() < MAX_RUNNING
            && let Some(job) = self.inbox.next_job()
        {
            self.begin(job).await?;
            has_begun = true;
        }
        if has_begun {
            return Ok(true);
        }
        if self.running.is_empty() && self.inbox.is_over() {
            return Ok(false);
        }
        let (inbox, running) = (&mut self.inbox, &mut self.running);
        let finished = poll_fn(|context| {
            if let Poll::Ready(Some(finished)) = Pin::new(&mut *running).poll_next(context) {
                return Poll::Ready(Ok(Some(finished)));
            }
            inbox.poll(context).map(|change| change.map(|()| None))
        });
        if let Some((Some(begun), done)) = finished.await? {
            self.inbox.finish(begun, done)?;
        }
        Ok(true)
    }

    async fn begin(&mut self, job: Job) -> Result<(), ServeError> {
        let (method, begun) = (self.dispatch)(job);
        let mut method = Box::pin(method);
        // Started here, so that calls start in order, and most end without being queued at all.
        let first = poll_fn(|context| match method.as_mut().poll(context) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending => Poll::Ready(None),
        });
        if let Some(done) = first.await {
            return self.inbox.finish(begun, done);
        }
        let (abort, registration) = AbortHandle::new_pair();
        self.inbox.set_abort(&begun, abort);
        let method = Abortable::new(method, registration);
        self.running.push(Running { begun: Some(begun), method });
        Ok(())
    }
}

/// Runs `future` on this thread. It may itself block while it is polled.
fn block_on<F: Future>(future: F) -> F::Output {
    match shell::block_on(future, None) {
        Some(output) => output,
        None => unreachable!("there is no deadline to pass"),
    }
}
