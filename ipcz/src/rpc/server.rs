//! The serving end of a typed portal: takes requests, runs handlers, puts replies.
//!
//! The emitted code knows an interface's methods and this module nothing of them: for each request it
//! calls `dispatch`, which decodes the arguments, runs the handler and encodes the result.

use std::future::{Future, poll_fn};
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::task::Poll;

use futures_util::FutureExt;
use futures_util::stream::{FuturesUnordered, Stream};

use super::codec::{CodecError, EncodeAs, Encoder};
use super::endpoint::Incoming;
use super::error::ServeError;
use super::message::{Failure, REQUEST_HEAD, ReplyHead, RequestHead};
use crate::shell;
use crate::{Disconnect, DisconnectKind, Handle, Parcel, Portal, PutErrorKind};

/// How many handlers of one endpoint run at once. Further requests wait in the portal.
const MAX_RUNNING: usize = 1024;

/// A request whose head was understood.
pub struct Request {
    head: RequestHead,
    bytes: Vec<u8>,
    handles: Vec<Handle>,
}

impl Request {
    fn parse(parcel: Parcel) -> Result<Self, CodecError> {
        let head = RequestHead::parse(parcel.bytes())?;
        let (bytes, handles) = parcel.into_parts();
        Ok(Self { head, bytes, handles })
    }

    /// The id of the method that is called.
    #[must_use]
    pub fn method(&self) -> u64 {
        self.head.method
    }

    /// What makes the answer, the message with the arguments, and its handles.
    #[must_use]
    pub fn split(self) -> (Answer, Message, Vec<Handle>) {
        (Answer { call: self.head.call }, Message(self.bytes), self.handles)
    }

    /// The answer to a method that does not exist.
    #[must_use]
    pub fn unknown_method(self) -> Option<Parcel> {
        let call = self.head.call?;
        Some(Parcel::new(ReplyHead::failure(call, Failure::UnknownMethod, "")))
    }
}

/// The private copy of a request.
pub struct Message(Vec<u8>);

impl Message {
    /// The encoded arguments.
    #[must_use]
    pub fn arguments(&self) -> &[u8] {
        self.0.get(REQUEST_HEAD..).unwrap_or_default()
    }
}

/// Where a result goes.
#[derive(Clone, Copy)]
pub struct Answer {
    call: Option<u32>,
}

impl Answer {
    /// The reply with `result`, if the caller wants one.
    pub fn reply<S: EncodeAs<T>, T>(self, place: &'static str, result: T) -> Option<Parcel> {
        let call = self.call?;
        let mut encoder = Encoder::new(&ReplyHead::reply(call));
        let reply = encoder.put::<S, T>(place, result).and_then(|()| encoder.finish());
        Some(reply.unwrap_or_else(|error| {
            let text = format!("the server could not encode its result: {error}");
            Parcel::new(ReplyHead::failure(call, Failure::BadResult, &text))
        }))
    }
}

type Outcome = Result<Option<Parcel>, CodecError>;

/// Runs one request. A handler that panics costs its caller the call; a request that is none costs the
/// client the connection. Either is told.
async fn run<F: Future<Output = Outcome>>(
    portal: &Portal,
    call: Option<u32>,
    handler: F,
) -> Outcome {
    let fail =
        |failure, text: &str| call.map(|call| Parcel::new(ReplyHead::failure(call, failure, text)));
    // The server is used again after a panic, as it would be if the panic had ended a thread of many.
    match AssertUnwindSafe(handler).catch_unwind().await {
        Ok(Ok(reply)) => Ok(reply),
        Ok(Err(error)) => {
            answer(portal, fail(Failure::Malformed, &error.to_string()));
            Err(error)
        }
        // The panic hook has said why; the client is not told what may be none of its business.
        Err(_panic) => Ok(fail(Failure::Panicked, "")),
    }
}

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
    let portal = incoming.portal();
    let mut calls =
        Calls::new(portal, |request| run(portal, request.head.call, I::dispatch(&server, request)));
    while calls.is_open || !calls.running.is_empty() {
        calls.step().await?;
    }
    Ok(())
}

/// Serves `incoming` as [`serve_shared`] does, on this thread.
///
/// # Errors
/// See [`ServeError`].
pub fn serve_shared_blocking<I: ServeShared<S>, S>(
    incoming: Incoming,
    server: S,
) -> Result<(), ServeError> {
    let portal = incoming.portal();
    let mut calls =
        Calls::new(portal, |request| run(portal, request.head.call, I::dispatch(&server, request)));
    while calls.is_open || !calls.running.is_empty() {
        if calls.running.is_empty() {
            // Nothing but the portal can wake this thread, so it waits there, which is quickest.
            let arrival = portal.recv_blocking();
            block_on(calls.arrived(arrival))?;
        } else {
            block_on(calls.step())?;
        }
    }
    Ok(())
}

/// Serves `incoming` until its peer closes it.
///
/// # Errors
/// See [`ServeError`].
pub async fn serve_exclusive<I: ServeExclusive<S>, S>(
    incoming: Incoming,
    mut server: S,
) -> Result<(), ServeError> {
    let portal = incoming.portal();
    loop {
        match portal.recv().await {
            Ok(parcel) => {
                let request = Request::parse(parcel)?;
                let call = request.head.call;
                answer(portal, run(portal, call, I::dispatch(&mut server, request)).await?);
            }
            Err(why) => return closed(why),
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
    let portal = incoming.portal();
    loop {
        match portal.recv_blocking() {
            Ok(parcel) => {
                let request = Request::parse(parcel)?;
                let call = request.head.call;
                answer(portal, block_on(run(portal, call, I::dispatch(&mut server, request)))?);
            }
            Err(why) => return closed(why),
        }
    }
}

/// The calls of one endpoint whose handlers run at the same time.
struct Calls<'a, D, F> {
    portal: &'a Portal,
    dispatch: D,
    running: FuturesUnordered<Pin<Box<F>>>,
    is_open: bool,
}

enum Event {
    Arrived(Result<Parcel, Disconnect>),
    Finished(Outcome),
}

impl<'a, D: Fn(Request) -> F, F: Future<Output = Outcome>> Calls<'a, D, F> {
    fn new(portal: &'a Portal, dispatch: D) -> Self {
        Self { portal, dispatch, running: FuturesUnordered::new(), is_open: true }
    }

    /// Waits until a handler is finished or a request arrives, and does what that needs.
    async fn step(&mut self) -> Result<(), ServeError> {
        let is_taking = self.is_open && self.running.len() < MAX_RUNNING;
        let running = &mut self.running;
        let mut arrival = pin!(self.portal.recv());
        let event = poll_fn(|context| {
            if let Poll::Ready(Some(outcome)) = Pin::new(&mut *running).poll_next(context) {
                return Poll::Ready(Event::Finished(outcome));
            }
            if !is_taking {
                return Poll::Pending;
            }
            arrival.as_mut().poll(context).map(Event::Arrived)
        });
        match event.await {
            Event::Arrived(arrival) => self.arrived(arrival).await,
            Event::Finished(outcome) => {
                answer(self.portal, outcome?);
                Ok(())
            }
        }
    }

    async fn arrived(&mut self, arrival: Result<Parcel, Disconnect>) -> Result<(), ServeError> {
        let parcel = match arrival {
            Ok(parcel) => parcel,
            Err(why) => {
                self.is_open = false;
                return closed(why);
            }
        };
        let request = Request::parse(parcel)?;
        let mut handler = Box::pin((self.dispatch)(request));
        // Started here, so that calls start in order, and most end without being queued at all.
        let first = poll_fn(|context| match handler.as_mut().poll(context) {
            Poll::Ready(outcome) => Poll::Ready(Some(outcome)),
            Poll::Pending => Poll::Ready(None),
        });
        match first.await {
            Some(outcome) => answer(self.portal, outcome?),
            None => self.running.push(handler),
        }
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

/// Puts a reply. If the client is gone, nobody misses it, and the next receive says so.
fn answer(portal: &Portal, reply: Option<Parcel>) {
    let Some(reply) = reply else {
        return;
    };
    let Err(error) = portal.put_anyway(reply) else {
        return;
    };
    if matches!(error.kind(), PutErrorKind::Disconnected(_)) {
        return;
    }
    // What the result contains cannot travel here. The caller must not wait for it forever.
    let text = format!("the server could not send its result: {}", error.kind());
    if let Ok(head) = ReplyHead::parse(error.into_parcel().bytes()) {
        let failure = ReplyHead::failure(head.call, Failure::BadResult, &text);
        let _ = portal.put_anyway(failure.into());
    }
}

/// What the end of a connection means to a server.
fn closed(why: Disconnect) -> Result<(), ServeError> {
    match why.kind() {
        DisconnectKind::PeerClosed => Ok(()),
        _ => Err(ServeError::Disconnected(why)),
    }
}
