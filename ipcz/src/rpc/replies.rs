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
//! No lock is held while the portal is called or a waker is woken.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use super::codec::CodecError;
use super::error::Fault;
use super::message::{Failure, ReplyHead, failure_text};
use crate::shell::Watcher;
use crate::{Handle, Parcel, Portal, PutErrorKind, TryRecvError};

/// How many calls may be abandoned before their replies are fetched for nobody's sake.
const MAX_ABANDONED: usize = 32;

/// A reply whose head was understood: the whole message, and its handles.
pub(super) type Reply = (Vec<u8>, Vec<Handle>);

type Outcome = Result<Reply, Fault>;

/// The receiving half of a client.
pub(super) struct Replies {
    portal: Portal,
    state: Mutex<State>,
    /// Blocked calls that do not fetch themselves wait for `state.fetching` or their reply here.
    change: Condvar,
    watcher: Arc<dyn Watcher>,
}

#[derive(Default)]
struct State {
    last_call: u32,
    calls: BTreeMap<u32, Slot>,
    /// How many of them are abandoned.
    abandoned: usize,
    /// Why every call fails from now on.
    fault: Option<Fault>,
    /// A thread fetches; nobody else may.
    fetching: bool,
    /// How many blocked calls sleep until something changes.
    sleepers: usize,
    /// The watcher is armed and has not fired.
    armed: bool,
    /// The watcher fired while a thread was fetching.
    rang: bool,
}

enum Slot {
    Waiting(Option<Waker>),
    Done(Outcome),
    /// The call was dropped; its number is in use until the reply arrives.
    Abandoned,
}

impl State {
    fn is_awaited(&self) -> bool {
        self.calls.values().any(|slot| matches!(slot, Slot::Waiting(Some(_))))
    }

    fn unanswered(&self) -> usize {
        self.calls.values().filter(|slot| !matches!(slot, Slot::Done(_))).count()
    }

    fn is_done(&self, call: u32) -> bool {
        !matches!(self.calls.get(&call), Some(Slot::Waiting(_)))
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
    pub(super) fn new(portal: Portal) -> Arc<Self> {
        Arc::new_cyclic(|weak: &Weak<Self>| Self {
            portal,
            state: Mutex::default(),
            change: Condvar::new(),
            watcher: Arc::new(OnArrival(weak.clone())),
        })
    }

    pub(super) fn portal(&self) -> &Portal {
        &self.portal
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing under this lock can unwind half-way: a poisoned state is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reserves the number of a new call.
    pub(super) fn begin(&self) -> Result<u32, Fault> {
        let mut state = self.lock();
        if let Some(fault) = &state.fault {
            return Err(fault.clone());
        }
        let mut call = state.last_call;
        loop {
            call = call.wrapping_add(1);
            if !state.calls.contains_key(&call) {
                break;
            }
        }
        state.last_call = call;
        state.calls.insert(call, Slot::Waiting(None));
        Ok(call)
    }

    /// Forgets a call that was never sent.
    pub(super) fn forget(&self, call: u32) {
        self.lock().calls.remove(&call);
    }

    /// Gives up the result of a call.
    pub(super) fn abandon(self: &Arc<Self>, call: u32) {
        let mut state = self.lock();
        let dropped = match state.calls.get_mut(&call) {
            Some(slot @ Slot::Waiting(_)) => {
                let waiting = std::mem::replace(slot, Slot::Abandoned);
                state.abandoned += 1;
                Some(waiting)
            }
            Some(Slot::Done(_)) => state.calls.remove(&call),
            _ => None,
        };
        if state.abandoned > MAX_ABANDONED {
            // Nobody may ever wait again, and what nobody fetches would pile up.
            self.fetch_for_wakers(state);
        } else {
            drop(state);
        }
        drop(dropped);
    }

    pub(super) fn put(&self, parcel: Parcel) -> Result<(), Fault> {
        self.portal.put_anyway(parcel).map_err(|error| match error.kind() {
            PutErrorKind::Disconnected(why) => Fault::Disconnected(why),
            // The rest is about what the arguments contain.
            kind => Fault::Encode(CodecError::new(kind.to_string())),
        })
    }

    /// Why every call fails from now on, if so.
    pub(super) fn fault(&self) -> Option<Fault> {
        self.lock().fault.clone()
    }

    /// How many calls have no reply yet.
    pub(super) fn waiting(&self) -> usize {
        self.lock().unanswered()
    }

    pub(super) fn take_portal(&self) -> Result<Portal, String> {
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
        drop(state);
        self.portal.take().ok_or_else(|| "has no portal any more".into())
    }

    /// Gives the reply of `call`, or has `context` woken when it is there.
    pub(super) fn poll(self: &Arc<Self>, call: u32, context: &mut Context<'_>) -> Poll<Outcome> {
        let mut state = self.lock();
        match Self::take_outcome(&mut state, call) {
            Some(outcome) => return Poll::Ready(outcome),
            None => set_waker(&mut state, call, context.waker()),
        }
        if state.fetching || state.armed {
            return Poll::Pending;
        }
        self.fetch_for_wakers(state);
        match Self::take_outcome(&mut self.lock(), call) {
            Some(outcome) => Poll::Ready(outcome),
            None => Poll::Pending,
        }
    }

    /// Blocks until `call` has its reply, or until `deadline`.
    pub(super) fn wait(self: &Arc<Self>, call: u32, deadline: Option<Instant>) -> Outcome {
        let mut state = self.lock();
        loop {
            if let Some(outcome) = Self::take_outcome(&mut state, call) {
                return outcome;
            }
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return Err(Fault::TimedOut);
            }
            state = if state.fetching {
                self.wait_for_change(state, deadline)
            } else {
                state.fetching = true;
                drop(state);
                self.fetch_blocking(call, deadline)
            };
        }
    }

    fn take_outcome(state: &mut State, call: u32) -> Option<Outcome> {
        if !state.is_done(call) {
            return None;
        }
        match state.calls.remove(&call) {
            Some(Slot::Done(outcome)) => Some(outcome),
            // A call asks for its outcome once, so this is not reached.
            _ => Some(Err(Fault::BadReply(CodecError::new("the call is over")))),
        }
    }

    fn wait_for_change<'a>(
        &self,
        mut state: MutexGuard<'a, State>,
        deadline: Option<Instant>,
    ) -> MutexGuard<'a, State> {
        state.sleepers += 1;
        let mut state = match deadline {
            None => self.change.wait(state).unwrap_or_else(PoisonError::into_inner),
            Some(deadline) => {
                let left = deadline.saturating_duration_since(Instant::now());
                let waited = self.change.wait_timeout(state, left);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        };
        state.sleepers -= 1;
        state
    }

    /// Has every blocked call look again. With none it costs nothing: most calls are alone, and
    /// the condition variable enters the system without knowing whether somebody waits.
    fn changed(&self, state: &State) {
        if state.sleepers > 0 {
            self.change.notify_all();
        }
    }

    /// Fetches until `call` is done or the deadline has passed, then hands over to who waits still.
    fn fetch_blocking(
        self: &Arc<Self>,
        call: u32,
        deadline: Option<Instant>,
    ) -> MutexGuard<'_, State> {
        loop {
            let parcel = match deadline {
                None => self.portal.recv_blocking().map_err(TryRecvError::Disconnected),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    self.portal.recv_timeout(left)
                }
            };
            let is_over = matches!(parcel, Err(TryRecvError::Empty));
            self.take_in(parcel);
            let mut state = self.lock();
            if !is_over && !state.is_done(call) {
                continue;
            }
            state.fetching = false;
            self.changed(&state);
            if state.is_awaited() {
                self.fetch_for_wakers(state);
                state = self.lock();
            }
            return state;
        }
    }

    /// Takes in what has arrived, and leaves the watcher armed if a call is awaited still.
    fn fetch_for_wakers<'a>(self: &'a Arc<Self>, mut state: MutexGuard<'a, State>) {
        if state.fetching {
            return;
        }
        state.fetching = true;
        loop {
            drop(state);
            while self.take_in(self.portal.try_recv()) {}
            state = self.lock();
            let mut is_covered = !state.is_awaited() || state.armed;
            if !is_covered {
                state.armed = true;
                drop(state);
                is_covered = self.portal.arm(&self.watcher);
                state = self.lock();
                // Not armed: something is there. Armed and fired already: the same.
                state.armed &= is_covered;
            }
            if is_covered && !std::mem::take(&mut state.rang) {
                break;
            }
        }
        state.fetching = false;
        self.changed(&state);
    }

    /// Gives a reply to its call. False: there is no more.
    fn take_in(&self, parcel: Result<Parcel, TryRecvError>) -> bool {
        match parcel {
            Ok(parcel) => match self.complete(parcel) {
                Ok(()) => true,
                Err(error) => {
                    self.fail(&Fault::BadReply(error));
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

    fn complete(&self, parcel: Parcel) -> Result<(), CodecError> {
        let head = ReplyHead::parse(parcel.bytes())?;
        let (bytes, handles) = parcel.into_parts();
        let outcome = match head.failure {
            None => Ok((bytes, handles)),
            Some(Failure::UnknownMethod) => Err(Fault::UnknownMethod),
            Some(Failure::Panicked) => Err(Fault::Panicked),
            Some(Failure::Malformed) => Err(Fault::Malformed(failure_text(&bytes))),
            Some(_) => Err(Fault::BadReply(CodecError::new(failure_text(&bytes)))),
        };
        let mut state = self.lock();
        match state.calls.remove(&head.call) {
            Some(Slot::Waiting(waker)) => {
                state.calls.insert(head.call, Slot::Done(outcome));
                self.changed(&state);
                drop(state);
                waker.into_iter().for_each(Waker::wake);
                Ok(())
            }
            Some(Slot::Abandoned) => {
                state.abandoned -= 1;
                Ok(())
            }
            Some(done @ Slot::Done(_)) => {
                state.calls.insert(head.call, done);
                Err(CodecError::new("a call was answered twice"))
            }
            None => Err(CodecError::new(format!("call {} was never made", head.call))),
        }
    }

    /// Fails every call, now and from now on.
    fn fail(&self, fault: &Fault) {
        let mut state = self.lock();
        let fault = state.fault.get_or_insert_with(|| fault.clone()).clone();
        let mut wakers = Vec::new();
        for slot in state.calls.values_mut() {
            if let Slot::Waiting(waker) = slot {
                wakers.extend(waker.take());
                *slot = Slot::Done(Err(fault.clone()));
            }
        }
        state.calls.retain(|_, slot| !matches!(slot, Slot::Abandoned));
        state.abandoned = 0;
        self.changed(&state);
        drop(state);
        // A peer that broke the protocol is not listened to any more.
        drop(self.portal.take());
        wakers.into_iter().for_each(Waker::wake);
    }
}

fn set_waker(state: &mut State, call: u32, waker: &Waker) {
    if let Some(Slot::Waiting(slot)) = state.calls.get_mut(&call) {
        match slot {
            Some(old) => old.clone_from(waker),
            None => *slot = Some(waker.clone()),
        }
    }
}
