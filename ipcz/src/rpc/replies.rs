//! Calls that wait, and who fetches their replies.
//!
//! Replies wait in the portal until somebody needs one. One thread at a time fetches, and gives each
//! reply to its call whoever waits for that:
//!
//! * a blocked call waits in the portal itself, so that it is woken directly; others that block
//!   meanwhile sleep until it has their reply or leaves its place to one of them;
//! * an awaited call arms a watcher on the portal, which fetches on whichever thread the engine
//!   reports the arrival.
//!
//! No lock is held while the portal is called or a waker is woken. How calls leave is in `outbox`.

mod fetch;

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, Weak};
use std::task::{Context, Poll, Waker};

use super::client::Load;
use super::codec::CodecError;
use super::error::Fault;
use super::flow::Amount;
use super::message::{self, Failure, Farewell, ToClient};
use super::outbox::Outgoing;
use crate::shell::Watcher;
use crate::sync::lock;
use crate::{Disconnect, DisconnectKind, Handle, Parcel, Portal, TryRecvError};

/// A reply whose head was understood: the whole message, and its handles.
pub(super) type Reply = (Vec<u8>, Vec<Handle>);

pub(super) type Outcome = Result<Reply, Fault>;

type OnDisconnect = Box<dyn FnOnce(Disconnect) + Send>;

/// The shared half of a client.
pub(super) struct Replies {
    pub(super) portal: Portal,
    state: Mutex<State>,
    /// Blocked calls that do not fetch themselves wait for `state.fetching` or their reply here.
    change: Condvar,
    watcher: Arc<dyn Watcher>,
    /// How many proxies share it.
    pub(super) clients: AtomicUsize,
    /// The client of the call that is to give this one's server.
    upstream: OnceLock<Weak<Self>>,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) last_number: u32,
    /// What somebody waits for, by its number: calls, and one-way messages that have yet to leave.
    pub(super) calls: BTreeMap<u32, Slot>,
    /// How many of them are abandoned.
    pub(super) abandoned: usize,
    /// What is on its way.
    pub(super) window: Amount,
    /// What has to wait for room in the window, in order.
    pub(super) queue: VecDeque<Outgoing>,
    pub(super) queued_bytes: u64,
    /// A thread empties the queue; what is sent meanwhile goes behind it.
    pub(super) flushing: bool,
    /// Endpoints that calls have given, whose pipes are on their way back.
    pub(super) piped: BTreeMap<u32, Option<Result<Portal, String>>>,
    /// Keeps the portal open until the pipes are back.
    pub(super) piping: Option<Arc<Replies>>,
    /// Who wants to know of the end.
    closers: Vec<Waker>,
    on_disconnect: Vec<OnDisconnect>,
    /// Why every call fails from now on.
    pub(super) fault: Option<Fault>,
    /// The server has said something.
    has_heard: bool,
    /// A thread fetches; nobody else may.
    fetching: bool,
    /// How many blocked calls sleep until something changes.
    sleepers: usize,
    /// The watcher is armed and has not fired.
    armed: bool,
    /// The watcher fired while a thread was fetching.
    rang: bool,
}

/// What somebody waits for.
pub(super) enum Slot {
    Waiting(Waiting),
    Done(Outcome),
    /// The call was dropped; its number is in use until the reply arrives. This is what it weighs.
    Abandoned(u64),
}

#[derive(Default)]
pub(super) struct Waiting {
    pub(super) waker: Option<Waker>,
    /// It has yet to leave.
    pub(super) is_queued: bool,
    /// What it weighs.
    pub(super) weight: u64,
}

impl State {
    fn is_awaited(&self) -> bool {
        let waits = |slot: &Slot| matches!(slot, Slot::Waiting(Waiting { waker: Some(_), .. }));
        let is_idle = self.closers.is_empty() && self.on_disconnect.is_empty();
        !is_idle || !self.piped.is_empty() || self.calls.values().any(waits)
    }

    fn unanswered(&self) -> usize {
        self.calls.values().filter(|slot| !matches!(slot, Slot::Done(_))).count()
    }

    fn is_done(&self, number: u32) -> bool {
        !matches!(self.calls.get(&number), Some(Slot::Waiting(_)))
    }

    fn take_outcome(&mut self, number: u32) -> Option<Outcome> {
        if !self.is_done(number) {
            return None;
        }
        match self.calls.remove(&number) {
            Some(Slot::Done(outcome)) => Some(outcome),
            // A one-way message that has left.
            _ => Some(Ok(Reply::default())),
        }
    }
}

/// Fetches when a parcel arrives. It does not keep the portal open.
struct OnArrival(Weak<Replies>);

impl Watcher for OnArrival {
    fn on_ready(self: Arc<Self>) {
        let Some(replies) = self.0.upgrade() else {
            return;
        };
        let mut state = replies.lock();
        state.armed = false;
        if state.fetching {
            state.rang = true;
            return;
        }
        replies.fetch_for_wakers(state);
    }
}

impl Replies {
    /// The client of a portal, on which so much is on its way already.
    pub(super) fn new(portal: Portal, window: Amount) -> Arc<Self> {
        let state = State { window, ..State::default() };
        Arc::new_cyclic(|weak: &Weak<Self>| Self {
            portal,
            state: Mutex::new(state),
            change: Condvar::new(),
            watcher: Arc::new(OnArrival(weak.clone())),
            clients: AtomicUsize::new(1),
            upstream: OnceLock::new(),
        })
    }

    /// Says which client's call is to give the server of this one.
    pub(super) fn set_upstream(&self, upstream: &Arc<Self>) {
        let _ = self.upstream.set(Arc::downgrade(upstream));
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// How many calls have no reply yet.
    pub(super) fn waiting(&self) -> usize {
        self.lock().unanswered()
    }

    pub(super) fn load(&self) -> Load {
        let state = self.lock();
        Load {
            calls: state.unanswered(),
            sent: state.window.messages,
            sent_bytes: state.window.bytes,
            waiting: state.queue.len(),
            waiting_bytes: state.queued_bytes,
        }
    }

    /// Moves the portal out, with the count of what is on its way.
    pub(super) fn take_portal(&self) -> Result<(Portal, Amount), String> {
        if self.clients.load(Ordering::Relaxed) > 1 {
            return Err(
                "shares its portal with associated proxies: drop those before sending it".into()
            );
        }
        let mut state = self.lock();
        match &state.fault {
            None => {}
            Some(Fault::Moved) => return Err("was moved into a message before".into()),
            Some(_) => return Err("has lost its server".into()),
        }
        let waiting = state.unanswered();
        if waiting != 0 {
            return Err(format!(
                "has {waiting} calls without a reply: wait for them before sending it"
            ));
        }
        state.fault = Some(Fault::Moved);
        let window = state.window;
        drop(state);
        let portal = self.portal.take().ok_or("has no portal any more")?;
        self.fail(&Fault::Moved);
        Ok((portal, window))
    }

    /// Gives the outcome of `number`, or has `context` woken when it is there.
    pub(super) fn poll(self: &Arc<Self>, number: u32, context: &mut Context<'_>) -> Poll<Outcome> {
        let mut state = self.lock();
        match state.take_outcome(number) {
            Some(outcome) => return Poll::Ready(outcome),
            None => set_waker(&mut state, number, context.waker()),
        }
        if state.fetching || state.armed {
            return Poll::Pending;
        }
        self.fetch_for_wakers(state);
        match self.lock().take_outcome(number) {
            Some(outcome) => Poll::Ready(outcome),
            None => Poll::Pending,
        }
    }

    /// Gives why the server is gone, or has `context` woken when it is.
    pub(super) fn poll_closed(self: &Arc<Self>, context: &mut Context<'_>) -> Poll<Disconnect> {
        let waker = context.waker().clone();
        let mut state = self.lock();
        if state.fault.is_none() {
            state.closers.retain(|closer| !closer.will_wake(&waker));
            state.closers.push(waker);
            if !state.fetching && !state.armed {
                self.fetch_for_wakers(state);
            } else {
                drop(state);
            }
            state = self.lock();
        }
        match &state.fault {
            Some(fault) => Poll::Ready(fault.disconnect()),
            None => Poll::Pending,
        }
    }

    /// Has `callback` run once the server is gone, which may be now.
    pub(super) fn on_disconnect(self: &Arc<Self>, callback: OnDisconnect) {
        let mut state = self.lock();
        if let Some(fault) = &state.fault {
            let why = fault.disconnect();
            drop(state);
            return callback(why);
        }
        state.on_disconnect.push(callback);
        if !state.fetching && !state.armed {
            self.fetch_for_wakers(state);
        }
    }

    /// Gives a reply to its call. False: there is no more.
    fn take_in(&self, parcel: Result<Parcel, TryRecvError>) -> bool {
        match parcel {
            Ok(parcel) => match self.understand(parcel) {
                Ok(()) => true,
                Err(fault) => {
                    self.fail(&fault);
                    false
                }
            },
            Err(TryRecvError::Empty) => false,
            Err(TryRecvError::Disconnected(why)) => {
                self.fail(&Fault::Disconnected(why));
                false
            }
        }
    }

    fn understand(&self, parcel: Parcel) -> Result<(), Fault> {
        let said = ToClient::parse(parcel.bytes()).map_err(Fault::BadReply)?;
        if self.upstream.get().is_some() {
            self.lock().has_heard = true;
        }
        match said {
            ToClient::Reply(number, is_piped) => {
                let outcome = Ok(parcel.into_parts());
                self.complete(number, outcome, is_piped).map_err(Fault::BadReply)
            }
            ToClient::Failure(number, failure, is_piped) => {
                let outcome = Err(failed(failure, parcel.bytes()));
                self.complete(number, outcome, is_piped).map_err(Fault::BadReply)
            }
            ToClient::Credit(amount) => {
                self.lock().window.give_back(amount);
                Ok(())
            }
            ToClient::Pipe(number) => self.pipe_came_back(number, parcel).map_err(Fault::BadReply),
            ToClient::Farewell(why) => Err(ended(why, parcel.bytes())),
        }
    }

    fn complete(
        &self,
        number: u32,
        mut outcome: Outcome,
        is_piped: bool,
    ) -> Result<(), CodecError> {
        let mut state = self.lock();
        let piping = state.keep_piped(number, &mut outcome, is_piped);
        match state.calls.remove(&number) {
            Some(Slot::Waiting(waiting)) if !waiting.is_queued => {
                state.window.give_back(Amount { messages: 1, bytes: waiting.weight });
                state.calls.insert(number, Slot::Done(outcome));
                self.changed(&state);
                drop(state);
                waiting.waker.into_iter().for_each(Waker::wake);
                Ok(())
            }
            Some(Slot::Abandoned(weight)) => {
                state.window.give_back(Amount { messages: 1, bytes: weight });
                state.abandoned -= 1;
                drop(state);
                drop((outcome, piping));
                Ok(())
            }
            Some(other @ Slot::Done(_)) => {
                state.calls.insert(number, other);
                Err(CodecError::new("a call was answered twice"))
            }
            Some(other @ Slot::Waiting(_)) => {
                state.calls.insert(number, other);
                Err(CodecError::new(format!("call {number} was answered before it was sent")))
            }
            None => Err(CodecError::new(format!("call {number} was never made"))),
        }
    }

    /// Why this client's server is gone, if that is because it never came.
    fn cause_upstream(&self, fault: &Fault) -> Option<Fault> {
        let is_close =
            matches!(fault, Fault::Disconnected(why) if why.kind() == DisconnectKind::PeerClosed);
        let upstream = self.upstream.get().filter(|_| is_close)?.upgrade()?;
        if self.lock().has_heard {
            return None;
        }
        // What its server said before it went may be unread.
        upstream.fetch_for_wakers(upstream.lock());
        let fault = upstream.lock().fault.clone()?;
        (fault != Fault::Moved).then(|| Fault::Pipelined(fault.cause()))
    }

    /// Fails every call, now and from now on.
    pub(super) fn fail(&self, fault: &Fault) {
        let upstream = self.cause_upstream(fault);
        let mut state = self.lock();
        let fault = upstream.as_ref().unwrap_or(fault);
        let fault = state.fault.get_or_insert_with(|| fault.clone()).clone();
        let mut wakers = std::mem::take(&mut state.closers);
        for slot in state.calls.values_mut() {
            if let Slot::Waiting(waiting) = slot {
                wakers.extend(waiting.waker.take());
                *slot = Slot::Done(Err(fault.clone()));
            }
        }
        state.calls.retain(|_, slot| !matches!(slot, Slot::Abandoned(_)));
        state.abandoned = 0;
        state.queued_bytes = 0;
        let dropped = std::mem::take(&mut state.queue);
        let pipes = (std::mem::take(&mut state.piped), state.piping.take());
        let callbacks = std::mem::take(&mut state.on_disconnect);
        self.changed(&state);
        drop(state);
        // A peer that broke the protocol is not listened to any more.
        drop(self.portal.take());
        drop((dropped, pipes));
        wakers.into_iter().for_each(Waker::wake);
        callbacks.into_iter().for_each(|callback| callback(fault.disconnect()));
    }
}

fn failed(failure: Failure, message: &[u8]) -> Fault {
    match failure {
        Failure::UnknownMethod => Fault::UnknownMethod,
        Failure::Panicked => Fault::Panicked,
        Failure::Malformed => Fault::Malformed(message::text(message)),
        Failure::Cancelled => Fault::Cancelled,
        Failure::TimedOut => Fault::TimedOut,
        Failure::Refused => Fault::Refused,
        Failure::BadResult | Failure::Other(_) => {
            Fault::BadReply(CodecError::new(message::text(message)))
        }
    }
}

fn ended(why: Farewell, message: &[u8]) -> Fault {
    let kind = match why {
        Farewell::Stopped => DisconnectKind::Stopped,
        Farewell::Panicked => DisconnectKind::Panicked,
        Farewell::Rejected => DisconnectKind::Rejected,
        Farewell::Failed => return Fault::Pipelined(message::text(message)),
        Farewell::Other(_) => DisconnectKind::PeerClosed,
    };
    Fault::Disconnected(Disconnect::said(kind))
}

fn set_waker(state: &mut State, number: u32, waker: &Waker) {
    if let Some(Slot::Waiting(waiting)) = state.calls.get_mut(&number) {
        match &mut waiting.waker {
            Some(old) => old.clone_from(waker),
            None => waiting.waker = Some(waker.clone()),
        }
    }
}
