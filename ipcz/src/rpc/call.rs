//! What a proxy's methods give.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::codec::{CodecError, Decoder};
use super::error::{CallError, Fault};
use super::message::REPLY_HEAD;
use super::replies::{Replies, Reply};

type Decode<T, E> = fn(&mut Decoder<'_>) -> Result<Result<T, E>, CodecError>;

/// A call that was made and whose result can be had, by `.await` or by blocking.
///
/// The request left when the proxy's method was called, in the order of the calls; nothing more has
/// to be done for the server to act. Await the call on any executor, or block for it with
/// [`wait`](Self::wait); any number of calls can be under way on one proxy, from any threads.
///
/// Dropping a call gives up its result. The server is not told yet: it finishes the method.
///
/// ```
/// # #[ipcz::interface]
/// # trait Adder { async fn add(&self, a: u32, b: u32) -> Result<u32, String>; #[oneway] fn reset(&self); }
/// # struct Exact;
/// # impl Adder for Exact {
/// #     async fn add(&self, a: u32, b: u32) -> Result<u32, String> { a.checked_add(b).ok_or("too large".into()) }
/// #     fn reset(&self) {}
/// # }
/// # let (adder, receiver) = AdderProxy::pair(&ipcz::Node::broker()?);
/// # std::thread::spawn(move || receiver.serve_blocking(Exact));
/// let first = adder.add(1, 2); // Both are on their way now.
/// let second = adder.add(3, 4);
/// assert_eq!(second.wait()?, 7);
/// assert_eq!(first.wait()?, 3);
///
/// match adder.add(u32::MAX, 1).wait() {
///     Err(ipcz::CallError::Application(why)) => assert_eq!(why, "too large"),
///     other => panic!("{other:?}"),
/// }
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[must_use = "the request was sent; await the call or `.wait()` for its result, or drop it to ignore that"]
pub struct Call<T, E = Infallible> {
    state: State,
    method: &'static str,
    decode: Option<Decode<T, E>>,
}

enum State {
    Pending(Arc<Replies>, u32),
    Failed(Fault),
    Over,
}

impl<T, E> Call<T, E> {
    pub(super) fn pending(
        replies: Arc<Replies>,
        call: u32,
        method: &'static str,
        decode: Decode<T, E>,
    ) -> Self {
        Self { state: State::Pending(replies, call), method, decode: Some(decode) }
    }

    pub(super) fn failed(fault: Fault, method: &'static str) -> Self {
        Self { state: State::Failed(fault), method, decode: None }
    }

    /// Blocks until the result is there.
    ///
    /// Needs no executor, and must not be called on a thread that one needs. If the server runs on
    /// this very thread, the wait never ends.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn wait(self) -> Result<T, CallError<E>> {
        self.wait_until(None)
    }

    /// Blocks until the result is there, for no longer than `timeout`.
    ///
    /// # Errors
    /// [`CallError::TimedOut`] if there is none by then: it is given up, as if the call were dropped.
    pub fn wait_timeout(self, timeout: Duration) -> Result<T, CallError<E>> {
        // A time that no clock reaches is no limit.
        self.wait_until(Instant::now().checked_add(timeout))
    }

    fn wait_until(mut self, deadline: Option<Instant>) -> Result<T, CallError<E>> {
        let outcome = match &self.state {
            State::Pending(replies, call) => {
                let outcome = replies.wait(*call, deadline);
                if matches!(outcome, Err(Fault::TimedOut)) {
                    replies.abandon(*call);
                }
                outcome
            }
            State::Failed(fault) => Err(fault.clone()),
            State::Over => Err(polled_again()),
        };
        self.state = State::Over;
        self.finish(outcome)
    }

    fn finish(&self, outcome: Result<Reply, Fault>) -> Result<T, CallError<E>> {
        let read = |(bytes, handles): Reply| {
            let mut body = Decoder::new(bytes.get(REPLY_HEAD..).unwrap_or_default(), handles);
            let decode = self.decode.ok_or_else(|| CodecError::new("the call failed before"))?;
            let result = decode(&mut body)?;
            body.finish(self.method)?;
            Ok(result)
        };
        outcome
            .and_then(|reply| read(reply).map_err(Fault::BadReply))
            .map_err(|fault| fault.of(self.method))?
            .map_err(CallError::Application)
    }
}

fn polled_again() -> Fault {
    Fault::BadReply(CodecError::new("the call was polled after it gave its result"))
}

/// Gives the call's result. Once: later polls give an error.
impl<T, E> Future for Call<T, E> {
    type Output = Result<T, CallError<E>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = match &self.state {
            State::Pending(replies, call) => match replies.poll(*call, context) {
                Poll::Ready(outcome) => outcome,
                Poll::Pending => return Poll::Pending,
            },
            State::Failed(fault) => Err(fault.clone()),
            State::Over => Err(polled_again()),
        };
        self.state = State::Over;
        Poll::Ready(self.finish(outcome))
    }
}

impl<T, E> Drop for Call<T, E> {
    fn drop(&mut self) {
        if let State::Pending(replies, call) = &self.state {
            replies.abandon(*call);
        }
    }
}

impl<T, E> fmt::Debug for Call<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("method", &self.method).finish_non_exhaustive()
    }
}

/// A one-way message, sent when the proxy's method was called.
///
/// That it was sent does not say that the server took it: nothing comes back. Messages and calls on
/// one proxy arrive in the order in which they were made.
///
/// ```
/// # #[ipcz::interface]
/// # trait Adder { async fn add(&self, a: u32, b: u32) -> Result<u32, String>; #[oneway] fn reset(&self); }
/// # struct Exact;
/// # impl Adder for Exact {
/// #     async fn add(&self, a: u32, b: u32) -> Result<u32, String> { a.checked_add(b).ok_or("too large".into()) }
/// #     fn reset(&self) {}
/// # }
/// # let (adder, receiver) = AdderProxy::pair(&ipcz::Node::broker()?);
/// # std::thread::spawn(move || receiver.serve_blocking(Exact));
/// adder.reset().now()?;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[must_use = "use `.now()?`, `.wait()?` or `.await?` to learn whether the message was sent"]
#[derive(Debug)]
pub struct Sent {
    result: Option<Result<(), CallError>>,
}

impl Sent {
    pub(super) fn new(result: Result<(), CallError>) -> Self {
        Self { result: Some(result) }
    }

    /// Blocks until the message is sent. It does not block yet: nothing bounds what may be queued.
    ///
    /// # Errors
    /// The message was not sent; its arguments are dropped.
    pub fn wait(self) -> Result<(), CallError> {
        self.now()
    }

    /// Whether the message is sent, without blocking.
    ///
    /// # Errors
    /// The message was not sent; its arguments are dropped.
    pub fn now(mut self) -> Result<(), CallError> {
        self.result.take().unwrap_or(Ok(()))
    }
}

/// Gives what [`now`](Self::now) does.
impl Future for Sent {
    type Output = Result<(), CallError>;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(self.result.take().unwrap_or(Ok(())))
    }
}
