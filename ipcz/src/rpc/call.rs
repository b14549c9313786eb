//! What a proxy's methods give.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::codec::{CodecError, Decoder};
use super::endpoint::Proxy;
use super::error::{CallError, Fault};
use super::message::HEAD;
use super::message::NO_ENDPOINT;
use super::outbox::join;
use super::replies::{Outcome, Replies, Reply};
use super::timer::Timer;
use crate::Handle;

type Decode<T, E> = fn(&mut Decoder<'_>) -> Result<Result<T, E>, CodecError>;

/// A call that was made and whose result can be had, by `.await` or by blocking.
///
/// The request left when the proxy's method was called, in the order of the calls, unless the server is
/// too far behind; then it waits in that order, and leaves when it may and somebody waits for this
/// or a later call. Await the call on any executor, or block for it with [`wait`](Self::wait); any number of
/// calls can be under way on one proxy, from any threads.
///
/// Dropping a call cancels it: the server is told, and drops the method's future where that waits. What
/// the method has done by then is done.
///
/// A call that is made while a method serves another call has that one's deadline, if it has one.
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
#[must_use = "a call that is dropped is cancelled: await it or `.wait()` for its result"]
pub struct Call<T, E = Infallible> {
    replies: Arc<Replies>,
    state: State,
    method: &'static str,
    decode: Option<Decode<T, E>>,
    deadline: Option<Instant>,
    timer: Timer,
    is_piped: bool,
}

enum State {
    Pending(u32),
    Failed(Fault),
    Over,
}

impl<T, E> Call<T, E> {
    pub(super) fn pending(
        replies: Arc<Replies>,
        number: u32,
        method: &'static str,
        decode: Decode<T, E>,
        deadline: Option<Instant>,
    ) -> Self {
        let (state, timer) = (State::Pending(number), Timer::default());
        Self { replies, state, method, decode: Some(decode), deadline, timer, is_piped: false }
    }

    pub(super) fn failed(replies: Arc<Replies>, fault: Fault, method: &'static str) -> Self {
        let (state, timer) = (State::Failed(fault), Timer::default());
        Self { replies, state, method, decode: None, deadline: None, timer, is_piped: false }
    }

    /// Gives the call so much time from now on, unless it has less. The server is told: after that time it
    /// drops the method's future where that waits, and meanwhile the method can [ask](crate::Context::deadline) how
    /// long it has.
    ///
    /// However it is waited for, the call then fails with [`CallError::TimedOut`].
    ///
    /// ```
    /// use std::time::Duration;
    /// # #[ipcz::interface]
    /// # trait Sloth { async fn sleep(&self); }
    /// # struct Asleep;
    /// # impl Sloth for Asleep { async fn sleep(&self) { std::future::pending().await } }
    /// # let (sloth, receiver) = SlothProxy::pair(&ipcz::Node::broker()?);
    /// # std::thread::spawn(move || receiver.serve_blocking(Asleep));
    /// let slept = sloth.sleep().deadline(Duration::from_millis(10)).wait();
    /// assert_eq!(slept, Err(ipcz::CallError::TimedOut));
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn deadline(mut self, time: Duration) -> Self {
        // A time that no clock reaches is no limit.
        let Some(at) = Instant::now().checked_add(time) else { return self };
        if self.deadline.is_none_or(|deadline| at < deadline) {
            self.deadline = Some(at);
            if let State::Pending(number) = self.state {
                self.replies.set_deadline(number, time);
            }
        }
        self
    }

    /// This call if its request has left already.
    ///
    /// # Errors
    /// [`CallError::WouldBlock`] if the server is too far behind: nothing was sent, and the arguments are
    /// dropped. Any other error that the call has met so far stays in the call.
    pub fn now(self) -> Result<Self, CallError<E>> {
        match &self.state {
            State::Pending(number) if self.replies.is_queued(*number) => Err(CallError::WouldBlock),
            _ => Ok(self),
        }
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

    /// Blocks until the result is there, for no longer than `timeout`. Unlike with
    /// [`deadline`](Self::deadline), the server does not know of it until it has passed.
    ///
    /// # Errors
    /// [`CallError::TimedOut`] if there is none by then: the call is cancelled, as if it were dropped.
    pub fn wait_timeout(self, timeout: Duration) -> Result<T, CallError<E>> {
        // A time that no clock reaches is no limit.
        self.wait_until(Instant::now().checked_add(timeout))
    }

    fn wait_until(mut self, until: Option<Instant>) -> Result<T, CallError<E>> {
        let until = [until, self.deadline].into_iter().flatten().min();
        let outcome = match &self.state {
            State::Pending(number) => {
                let outcome = self.replies.wait(*number, until);
                if matches!(outcome, Err(Fault::TimedOut)) {
                    self.replies.abandon(*number, true);
                }
                outcome
            }
            State::Failed(fault) => Err(fault.clone()),
            State::Over => Err(polled_again()),
        };
        self.state = State::Over;
        self.finish(outcome)
    }

    fn finish(&self, outcome: Outcome) -> Result<T, CallError<E>> {
        let read = |(bytes, mut handles): Reply| {
            if self.is_piped && handles.is_empty() {
                // What stood here was joined with the pipe.
                let (portal, _) = self.replies.portal.node().open_portals();
                handles.push(Handle::Portal(portal));
            }
            let mut body = Decoder::new(bytes.get(HEAD..).unwrap_or_default(), handles);
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

    fn poll_outcome(&mut self, context: &mut Context<'_>) -> Poll<Outcome> {
        let number = match &self.state {
            State::Pending(number) => *number,
            State::Failed(fault) => return Poll::Ready(Err(fault.clone())),
            State::Over => return Poll::Ready(Err(polled_again())),
        };
        if let Poll::Ready(outcome) = self.replies.poll(number, context) {
            return Poll::Ready(outcome);
        }
        let Some(deadline) = self.deadline else { return Poll::Pending };
        self.timer.poll(deadline, context).map(|()| {
            self.replies.abandon(number, true);
            Err(Fault::TimedOut)
        })
    }
}

impl<T: Proxy, E> Call<T, E> {
    /// The proxy that this call will give, to be used now: what it calls goes behind this call, without
    /// waiting for it. The other half of the result is the call, without its proxy; dropping that does not cancel it.
    ///
    /// If the call fails, so does all that was called on the proxy, with [`CallError::Pipelined`] and the cause.
    /// The method has to give a proxy that nobody has used yet, such as one of a pair that it has just made.
    ///
    /// ```
    /// # #[ipcz::interface]
    /// # trait Shop { async fn open(&self) -> Result<TillProxy, String>; }
    /// # #[ipcz::interface]
    /// # trait Till { fn total(&self) -> u32; }
    /// # struct Corner;
    /// # impl Shop for Corner {
    /// #     async fn open(&self) -> Result<TillProxy, String> {
    /// #         let (till, receiver) = TillProxy::pair(&ipcz::context().node().unwrap());
    /// #         std::thread::spawn(move || receiver.serve_blocking(Drawer));
    /// #         Ok(till)
    /// #     }
    /// # }
    /// # struct Drawer;
    /// # impl Till for Drawer { fn total(&self) -> u32 { 7 } }
    /// # let (shop, receiver) = ShopProxy::pair(&ipcz::Node::broker()?);
    /// # std::thread::spawn(move || receiver.serve_blocking(Corner));
    /// let (till, opened) = shop.open().pipelined();
    /// let total = till.total(); // Under way, before anybody knows whether the shop opens.
    /// opened.wait()?;
    /// assert_eq!(total.wait()?, 7);
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn pipelined(mut self) -> (T, Piped<T, E>) {
        let (near, far) = self.replies.portal.node().open_portals();
        match &self.state {
            State::Pending(number) => self.replies.set_pipe(*number, far),
            State::Failed(fault) => join(Err(fault.cause()), far),
            State::Over => join(Err(NO_ENDPOINT.into()), far),
        }
        self.is_piped = true;
        let proxy = T::from_portal(near);
        proxy.client().set_upstream(&self.replies);
        (proxy, Piped(self))
    }
}

/// A call whose result is in use already: see [`Call::pipelined`]. It gives whether the call worked.
#[must_use = "await it or `.wait()` to learn whether the call worked, or drop it"]
pub struct Piped<T, E = Infallible>(Call<T, E>);

impl<T, E> Piped<T, E> {
    /// Blocks until the call is over.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn wait(mut self) -> Result<(), CallError<E>> {
        self.take().wait().map(drop)
    }

    /// Blocks until the call is over, for no longer than `timeout`.
    ///
    /// # Errors
    /// As [`Call::wait_timeout`], which cancels the call.
    pub fn wait_timeout(mut self, timeout: Duration) -> Result<(), CallError<E>> {
        self.take().wait_timeout(timeout).map(drop)
    }

    fn take(&mut self) -> Call<T, E> {
        Call {
            replies: Arc::clone(&self.0.replies),
            state: std::mem::replace(&mut self.0.state, State::Over),
            method: self.0.method,
            decode: self.0.decode,
            deadline: self.0.deadline,
            timer: Timer::default(),
            is_piped: true,
        }
    }
}

/// Gives whether the call worked. Once: later polls give an error.
impl<T, E> Future for Piped<T, E> {
    type Output = Result<(), CallError<E>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map(|result| result.map(drop))
    }
}

impl<T, E> Drop for Piped<T, E> {
    fn drop(&mut self) {
        if let State::Pending(number) = std::mem::replace(&mut self.0.state, State::Over) {
            self.0.replies.abandon(number, false);
        }
    }
}

impl<T, E> fmt::Debug for Piped<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Piped").field("method", &self.0.method).finish_non_exhaustive()
    }
}

fn polled_again() -> Fault {
    Fault::BadReply(CodecError::new("the call was polled after it gave its result"))
}

/// Gives the call's result. Once: later polls give an error.
impl<T, E> Future for Call<T, E> {
    type Output = Result<T, CallError<E>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Poll::Ready(outcome) = self.poll_outcome(context) else { return Poll::Pending };
        self.state = State::Over;
        Poll::Ready(self.finish(outcome))
    }
}

impl<T, E> Drop for Call<T, E> {
    fn drop(&mut self) {
        if let State::Pending(number) = self.state {
            self.replies.abandon(number, true);
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
/// one proxy arrive in the order in which they were made. If the server is too far behind, the message waits for it
/// as long as somebody waits for this: how is the caller's choice.
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
pub struct Sent(Sending);

enum Sending {
    Done(Result<(), CallError>),
    /// The server is behind.
    Queued(Arc<Replies>, u32, &'static str),
    Over,
}

impl fmt::Debug for Sending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done(result) => result.fmt(f),
            Self::Queued(..) => f.write_str("Queued"),
            Self::Over => f.write_str("Over"),
        }
    }
}

impl Sent {
    pub(super) fn done(result: Result<(), CallError>) -> Self {
        Self(Sending::Done(result))
    }

    pub(super) fn queued(replies: Arc<Replies>, number: u32, method: &'static str) -> Self {
        Self(Sending::Queued(replies, number, method))
    }

    /// Blocks until the message is sent, which it is already unless the server is too far behind.
    ///
    /// # Errors
    /// The message was not sent; its arguments are dropped.
    pub fn wait(self) -> Result<(), CallError> {
        self.wait_until(None)
    }

    /// Blocks as [`wait`](Self::wait) does, for no longer than `timeout`.
    ///
    /// # Errors
    /// As [`wait`](Self::wait), and [`CallError::TimedOut`]: it was not sent then, and will not be.
    pub fn wait_timeout(self, timeout: Duration) -> Result<(), CallError> {
        self.wait_until(Instant::now().checked_add(timeout))
    }

    fn wait_until(mut self, until: Option<Instant>) -> Result<(), CallError> {
        match std::mem::replace(&mut self.0, Sending::Over) {
            Sending::Done(result) => result,
            Sending::Over => Ok(()),
            Sending::Queued(replies, number, method) => {
                let sent = replies.wait(number, until).map(drop);
                if matches!(sent, Err(Fault::TimedOut)) && replies.withdraw(number).is_ok() {
                    return Ok(());
                }
                sent.map_err(|fault| fault.of(method))
            }
        }
    }

    /// Whether the message is sent, without blocking.
    ///
    /// # Errors
    /// The message was not sent, and its arguments are dropped. [`CallError::WouldBlock`] if that is because
    /// the server is too far behind.
    pub fn now(mut self) -> Result<(), CallError> {
        match std::mem::replace(&mut self.0, Sending::Over) {
            Sending::Done(result) => result,
            Sending::Over => Ok(()),
            Sending::Queued(replies, number, method) => {
                replies.withdraw(number).map_err(|fault| fault.of(method))
            }
        }
    }
}

/// Gives what [`wait`](Self::wait) does.
impl Future for Sent {
    type Output = Result<(), CallError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Sending::Queued(replies, number, method) = &self.0 {
            let Poll::Ready(sent) = replies.poll(*number, context) else { return Poll::Pending };
            self.0 = Sending::Done(sent.map(drop).map_err(|fault| fault.of(method)));
        }
        match std::mem::replace(&mut self.0, Sending::Over) {
            Sending::Done(result) => Poll::Ready(result),
            _ => Poll::Ready(Ok(())),
        }
    }
}

/// What has not been sent never is.
impl Drop for Sent {
    fn drop(&mut self) {
        if let Sending::Queued(replies, number, _) = &self.0 {
            let _ = replies.withdraw(*number);
        }
    }
}
