//! What a server has read from its client and what it owes it, whatever the interface.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::stream::{AbortHandle, FuturesUnordered, Stream};

use super::codec::CodecError;
use super::context::{self, CallState, End, Served};
use super::endpoint::Incoming;
use super::error::ServeError;
use super::flow::{Account, CALLS};
use super::message::{self, Failure, Farewell, RequestHead, ToServer};
use super::outbox::join;
use super::request::Request;
use super::stop::Stopper;
use super::stream::Driver;
use super::timer::Timer;
use crate::recv::Recv;
use crate::{Disconnect, DisconnectKind, Parcel, Portal, PutErrorKind};

/// What running a request gives: the reply, if there is one, or what makes it no request.
pub(super) type Outcome = Result<Option<Parcel>, CodecError>;

/// How a method ended.
pub(super) enum Done {
    Answered(Outcome),
    Panicked,
    /// Its future was dropped.
    GivenUp,
}

/// A request that was read and not begun.
pub(super) struct Job {
    pub(super) request: Request,
    pub(super) begun: Begun,
}

/// What is to be remembered of a request once it has begun.
pub(super) struct Begun {
    pub(super) number: Option<u32>,
    pub(super) call: Arc<CallState>,
    weight: u64,
}

/// A call that has no reply yet.
struct Active {
    call: Arc<CallState>,
    abort: Option<AbortHandle>,
    pipe: Option<Portal>,
}

pub(super) struct Inbox<'a> {
    portal: &'a Portal,
    served: Arc<Served>,
    stopper: Option<Stopper>,
    is_stopping: bool,
    is_open: bool,
    arrival: Recv<'a>,
    account: Account,
    queue: VecDeque<Job>,
    active: BTreeMap<u32, Active>,
    deadlines: BTreeSet<(Instant, u32)>,
    timer: Timer,
    /// What sends the items of streams that methods gave.
    drivers: FuturesUnordered<Driver>,
}

impl<'a> Inbox<'a> {
    pub(super) fn new(incoming: &'a Incoming) -> Self {
        let portal = incoming.portal();
        Self {
            portal,
            served: Arc::new(incoming.served()),
            stopper: incoming.existing_stopper(),
            is_stopping: false,
            is_open: true,
            arrival: portal.recv(),
            account: Account::default(),
            queue: VecDeque::new(),
            active: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            timer: Timer::default(),
            drivers: FuturesUnordered::new(),
        }
    }

    /// Whether only the client can bring more to do, if nothing is running.
    pub(super) fn waits_for_client(&self) -> bool {
        let is_idle = self.queue.is_empty() && self.active.is_empty() && self.drivers.is_empty();
        self.is_open && is_idle && self.stopper.is_none()
    }

    /// Whether nothing more will come, but from what is running.
    pub(super) fn is_over(&self) -> bool {
        let is_stopped = self.is_stopping && self.active.is_empty();
        self.queue.is_empty() && (is_stopped || (!self.is_open && self.drivers.is_empty()))
    }

    pub(super) fn next_job(&mut self) -> Option<Job> {
        self.queue.pop_front()
    }

    /// Reads with this thread, until something comes.
    pub(super) fn read_blocking(&mut self) -> Result<(), ServeError> {
        let arrival = self.portal.recv_blocking();
        self.take_in(arrival)
    }

    /// Waits until something has changed.
    pub(super) async fn change(&mut self) -> Result<(), ServeError> {
        poll_fn(|context| self.poll(context)).await
    }

    /// Ready when something has changed: a message came, a time has passed, or the server is to stop.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<(), ServeError>> {
        if !self.is_stopping
            && self.stopper.as_ref().is_some_and(|stopper| stopper.poll(context).is_ready())
        {
            return Poll::Ready(self.stop());
        }
        if let Some(&(at, _)) = self.deadlines.first()
            && self.timer.poll(at, context).is_ready()
        {
            self.expire();
            return Poll::Ready(Ok(()));
        }
        while let Poll::Ready(Some(())) = Pin::new(&mut self.drivers).poll_next(context) {
            if self.is_over() {
                return Poll::Ready(Ok(()));
            }
        }
        if self.is_open
            && let Poll::Ready(arrival) = Pin::new(&mut self.arrival).poll(context)
        {
            return Poll::Ready(self.take_in(arrival));
        }
        Poll::Pending
    }

    fn take_in(&mut self, arrival: Result<Parcel, Disconnect>) -> Result<(), ServeError> {
        let mut parcel = match arrival {
            Ok(parcel) => parcel,
            Err(why) => {
                self.is_open = false;
                return closed(why);
            }
        };
        match ToServer::parse(parcel.bytes())? {
            ToServer::Request(head, arguments) => self.take_request(head, arguments, parcel),
            ToServer::Cancel(number) => {
                self.give_up(number, End::Cancelled);
                Ok(())
            }
            ToServer::Deadline(number, time) => {
                self.set_deadline(number, time);
                Ok(())
            }
            ToServer::Pipe(number) => {
                let pipe = parcel.take_portal(0).ok_or_else(|| CodecError::new("no pipe came"))?;
                match self.active.get_mut(&number) {
                    Some(active) => active.pipe = Some(pipe),
                    None => put_back(self.portal, number, pipe),
                }
                Ok(())
            }
        }
    }

    fn take_request(
        &mut self,
        head: RequestHead,
        arguments: usize,
        parcel: Parcel,
    ) -> Result<(), ServeError> {
        let weight = CALLS.weight(parcel.bytes().len());
        self.account.arrived(weight)?;
        let call = Arc::new(CallState::new(&self.served, parcel.origin().cloned()));
        if let Some(number) = head.call {
            let active = Active { call: Arc::clone(&call), abort: None, pipe: None };
            if self.active.insert(number, active).is_some() {
                let text = format!("call {number} was made twice");
                return Err(CodecError::new(text).into());
            }
            if let Some(time) = head.deadline {
                self.set_deadline(number, time);
            }
        }
        let begun = Begun { number: head.call, call, weight };
        if self.is_stopping {
            return self.refuse(begun);
        }
        self.queue.push_back(Job { request: Request::new(head, arguments, parcel), begun });
        Ok(())
    }

    fn set_deadline(&mut self, number: u32, time: Duration) {
        // A time that no clock reaches is no limit.
        let Some(at) = Instant::now().checked_add(time) else { return };
        if let Some(active) = self.active.get(&number) {
            if let Some(before) = active.call.set_deadline(at) {
                self.deadlines.remove(&(before, number));
            }
            self.deadlines.insert((at, number));
        }
    }

    fn expire(&mut self) {
        let now = Instant::now();
        while let Some(&(at, number)) = self.deadlines.first()
            && at <= now
        {
            self.deadlines.pop_first();
            self.give_up(number, End::TimedOut);
        }
    }

    /// Gives up a call, if it is not over.
    fn give_up(&mut self, number: u32, why: End) {
        let Some(active) = self.active.get(&number) else { return };
        active.call.give_up(why);
        if let Some(abort) = &active.abort {
            abort.abort();
            return;
        }
        let waits = |job: &Job| job.begun.number == Some(number);
        if let Some(at) = self.queue.iter().position(waits)
            && let Some(job) = self.queue.remove(at)
        {
            // Nothing of it can reject the client.
            let _ = self.finish(job.begun, Done::GivenUp);
        }
    }

    /// Notes how a call that goes on is ended early.
    pub(super) fn set_abort(&mut self, begun: &Begun, abort: AbortHandle) {
        if let Some(active) = begun.number.and_then(|number| self.active.get_mut(&number)) {
            active.abort = Some(abort);
        }
    }

    /// Refuses everything that has not begun, now and from now on.
    fn stop(&mut self) -> Result<(), ServeError> {
        self.is_stopping = true;
        for job in std::mem::take(&mut self.queue) {
            self.refuse(job.begun)?;
        }
        loop {
            match self.portal.try_recv() {
                Ok(parcel) => self.take_in(Ok(parcel))?,
                Err(crate::TryRecvError::Empty) => return Ok(()),
                Err(crate::TryRecvError::Disconnected(why)) => return self.take_in(Err(why)),
            }
        }
    }

    fn refuse(&mut self, begun: Begun) -> Result<(), ServeError> {
        let refusal = begun.number.map(|call| message::failure(call, Failure::Refused, ""));
        self.finish(begun, Done::Answered(Ok(refusal.map(Parcel::new))))
    }

    /// Says goodbye, if the server was stopped.
    pub(super) fn farewell(&mut self) -> Result<(), ServeError> {
        if self.is_stopping && self.is_open {
            self.stop()?;
            let _ = self.portal.put_anyway(message::farewell(Farewell::Stopped, "").into());
        }
        Ok(())
    }

    /// Answers a request, and gives back what it took.
    pub(super) fn finish(&mut self, begun: Begun, done: Done) -> Result<(), ServeError> {
        let Begun { number, call, weight } = begun;
        let progress = call.take_progress();
        self.drivers.extend(progress.drivers);
        if let Some(why) = progress.rejected {
            let _ = self.portal.put_anyway(message::farewell(Farewell::Rejected, &why).into());
            call.blame(&why);
            return Err(ServeError::Rejected(why));
        }
        let failure = |failure, text: &str| {
            number.map(|call| Parcel::new(message::failure(call, failure, text)))
        };
        let (reply, error) = match done {
            Done::Answered(Ok(reply)) => (reply, None),
            Done::Answered(Err(error)) => {
                (failure(Failure::Malformed, &error.to_string()), Some(error))
            }
            // The panic hook has said why; the client is not told what may be none of its business.
            Done::Panicked => (failure(Failure::Panicked, ""), None),
            Done::GivenUp if progress.end == Some(End::TimedOut) => {
                (failure(Failure::TimedOut, ""), None)
            }
            Done::GivenUp => (failure(Failure::Cancelled, ""), None),
        };
        match number {
            Some(number) => {
                self.account.answered(weight);
                let active = self.active.remove(&number);
                if let Some(deadline) = progress.deadline {
                    self.deadlines.remove(&(deadline, number));
                }
                answer(self.portal, reply, active.and_then(|active| active.pipe));
            }
            None => {
                if let Some(credit) = self.account.consumed(weight) {
                    let _ = self.portal.put_anyway(message::credit(credit).into());
                }
            }
        }
        error.map_or(Ok(()), |error| Err(error.into()))
    }
}

/// Runs a method as that of its call. One that panics costs its caller the call, and nobody else anything.
pub(super) async fn run<F: Future<Output = Outcome>>(call: Arc<CallState>, method: F) -> Done {
    let method = context::within(call, method);
    // The server is used again after a panic, as it would be if the panic had ended a thread of many.
    match AssertUnwindSafe(method).catch_unwind().await {
        Ok(outcome) => Done::Answered(outcome),
        Err(_panic) => Done::Panicked,
    }
}

/// Gives back a pipe whose call has its reply.
fn put_back(portal: &Portal, number: u32, pipe: Portal) {
    let _ = portal.put_anyway(Parcel::with_handles(message::pipe(number), vec![pipe.into()]));
}

/// Puts a reply. If the client is gone, nobody misses it, and the next receive says so.
fn answer(portal: &Portal, reply: Option<Parcel>, pipe: Option<Portal>) {
    let Some(mut reply) = reply else {
        return;
    };
    if let Some(pipe) = pipe {
        let given = reply.take_portal(0).filter(|_| reply.handles().is_empty());
        let cause = || message::failure_cause(reply.bytes());
        join(given.ok_or_else(cause), pipe);
        message::set_piped(reply.bytes_mut());
    }
    let Err(error) = portal.put_anyway(reply) else {
        return;
    };
    if matches!(error.kind(), PutErrorKind::Disconnected(_)) {
        return;
    }
    // What the result contains cannot travel here. The caller must not wait for it forever.
    let text = format!("the server could not send its result: {}", error.kind());
    if let Some(number) = message::number(error.into_parcel().bytes()) {
        let _ = portal.put_anyway(message::failure(number, Failure::BadResult, &text).into());
    }
}

/// What the end of a connection means to a server.
fn closed(why: Disconnect) -> Result<(), ServeError> {
    match why.kind() {
        DisconnectKind::PeerClosed => Ok(()),
        _ => Err(ServeError::Disconnected(why)),
    }
}

/// Tells the client, if a server panics outside of its methods.
pub(super) struct Witness<'a>(pub(super) &'a Portal);

impl Drop for Witness<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = self.0.put_anyway(message::farewell(Farewell::Panicked, "").into());
        }
    }
}
