//! How calls leave: at once if the window has room, else in order as soon as it has.

use std::collections::btree_map::Entry;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use super::codec::CodecError;
use super::error::Fault;
use super::flow::{Amount, CALLS};
use super::limits::{MAX_ABANDONED, MAX_WAITING_BYTES, MAX_WAITING_MESSAGES};
use super::message::{self, Farewell, NO_ENDPOINT};
use super::replies::{Outcome, Replies, Reply, Slot, State, Waiting};
use crate::{Handle, Parcel, Portal, PutErrorKind};

/// A message that waits for room.
pub(super) struct Outgoing {
    number: u32,
    is_call: bool,
    parcel: Parcel,
    weight: u64,
    /// How long its caller waits, if that was said after the call was made.
    deadline: Option<Duration>,
    /// What its result is to be joined with, if that was said after the call was made.
    pipe: Option<Portal>,
}

/// What became of a message that was to be sent.
pub(super) enum Submitted {
    /// It has left. This is its number, if it is a call.
    Sent(u32),
    /// It waits, under this number.
    Queued(u32),
}

impl Replies {
    /// Sends a message, or queues it. Calls are given their number.
    pub(super) fn submit(
        self: &Arc<Self>,
        mut parcel: Parcel,
        is_call: bool,
    ) -> Result<Submitted, Fault> {
        let bytes = parcel.bytes().len();
        let weight = CALLS.weight(bytes);
        let mut state = self.lock();
        if let Some(fault) = &state.fault {
            return Err(fault.clone());
        }
        let has_turn = state.queue.is_empty() && !state.flushing;
        let is_queued = !(has_turn && state.window.take_of(weight, CALLS));
        if is_queued && !state.has_place(bytes) {
            return Err(Fault::WouldBlock);
        }
        if !is_call && !is_queued {
            drop(state);
            self.put(parcel).map_err(|fault| self.take_back(None, weight, fault))?;
            return Ok(Submitted::Sent(0));
        }
        let number = state.reserve(Waiting { waker: None, is_queued, weight });
        if is_call {
            message::set_number(parcel.bytes_mut(), number);
        }
        if !is_queued {
            drop(state);
            self.put(parcel).map_err(|fault| self.take_back(Some(number), weight, fault))?;
            return Ok(Submitted::Sent(number));
        }
        state.queued_bytes += bytes as u64;
        let outgoing = Outgoing { number, is_call, parcel, weight, deadline: None, pipe: None };
        state.queue.push_back(outgoing);
        // There may be room already, of which nobody has taken notice.
        self.fetch_for_wakers(state);
        Ok(Submitted::Queued(number))
    }

    /// Undoes what was noted of a message that could not be put. Gives the reason.
    fn take_back(self: &Arc<Self>, number: Option<u32>, weight: u64, fault: Fault) -> Fault {
        let mut state = self.lock();
        state.window.give_back(Amount { messages: 1, bytes: weight });
        number.and_then(|number| state.calls.remove(&number));
        if !matches!(fault, Fault::Disconnected(_)) {
            return fault;
        }
        // What the server said before it went may be unread.
        self.fetch_for_wakers(state);
        self.lock().fault.clone().unwrap_or(fault)
    }

    /// Sends what is queued, as far as there is room.
    pub(super) fn flush(&self) {
        let mut state = self.lock();
        if state.flushing || state.queue.is_empty() {
            return;
        }
        state.flushing = true;
        while let Some(next) = state.next_outgoing() {
            drop(state);
            let Outgoing { number, is_call, parcel, weight, deadline, pipe } = next;
            let sent = self.put(parcel);
            if is_call && sent.is_ok() {
                self.send_afterthoughts(number, deadline, pipe);
            }
            state = self.lock();
            let waker = state.has_left(number, is_call, weight, sent);
            if waker.is_some() {
                drop(state);
                waker.into_iter().for_each(Waker::wake);
                state = self.lock();
            }
        }
        state.flushing = false;
        drop(state);
        self.tell_sleepers();
    }

    fn send_afterthoughts(&self, number: u32, deadline: Option<Duration>, pipe: Option<Portal>) {
        if let Some(time) = deadline {
            let _ = self.put(Parcel::new(message::deadline(number, time)));
        }
        if let Some(pipe) = pipe {
            self.send_pipe(number, pipe);
        }
    }

    fn put(&self, parcel: Parcel) -> Result<(), Fault> {
        self.portal.put_anyway(parcel).map_err(|error| match error.kind() {
            PutErrorKind::Disconnected(why) => Fault::Disconnected(why),
            // The rest is about what the arguments contain.
            kind => Fault::Encode(CodecError::new(kind.to_string())),
        })
    }

    /// Gives up the outcome of `number`. What has not left never does; of a call that has, the server is told.
    pub(super) fn abandon(self: &Arc<Self>, number: u32, tell: bool) {
        let mut state = self.lock();
        let removed = state.unqueue(number);
        if removed.is_some() {
            let dropped = (removed, state.calls.remove(&number), state.piping());
            drop(state);
            drop(dropped);
            return;
        }
        let (dropped, is_call) = match state.calls.entry(number) {
            Entry::Occupied(mut slot) => match slot.get() {
                Slot::Waiting(waiting) => {
                    let abandoned = Slot::Abandoned(waiting.weight);
                    (Some(slot.insert(abandoned)), true)
                }
                _ => (Some(slot.remove()), false),
            },
            Entry::Vacant(_) => (None, false),
        };
        state.abandoned += usize::from(is_call);
        if state.abandoned > MAX_ABANDONED {
            // Nobody may ever wait again, and what nobody fetches would pile up.
            self.fetch_for_wakers(state);
        } else {
            drop(state);
        }
        drop(dropped);
        if is_call && tell {
            let _ = self.put(Parcel::new(message::cancel(number)));
        }
    }

    /// Takes a one-way message back. An error says why it has not left; else it has.
    pub(super) fn withdraw(self: &Arc<Self>, number: u32) -> Result<(), Fault> {
        let mut state = self.lock();
        let removed = state.unqueue(number);
        let slot = state.calls.remove(&number);
        drop(state);
        match (removed, slot) {
            (Some(_), _) => Err(Fault::WouldBlock),
            (None, Some(Slot::Done(outcome))) => outcome.map(drop),
            (None, _) => Ok(()),
        }
    }

    /// Whether a call is still to leave.
    pub(super) fn is_queued(&self, number: u32) -> bool {
        let state = self.lock();
        matches!(state.calls.get(&number), Some(Slot::Waiting(waiting)) if waiting.is_queued)
    }

    /// Tells the server how long the caller of `number` waits.
    pub(super) fn set_deadline(&self, number: u32, time: Duration) {
        let mut state = self.lock();
        if let Some(queued) = state.queue.iter_mut().find(|queued| queued.number == number) {
            queued.deadline = Some(time);
            return;
        }
        let is_waiting = matches!(state.calls.get(&number), Some(Slot::Waiting(_)));
        drop(state);
        if is_waiting {
            let _ = self.put(Parcel::new(message::deadline(number, time)));
        }
    }

    /// Has the endpoint that `number` gives joined with `pipe`.
    pub(super) fn set_pipe(self: &Arc<Self>, number: u32, pipe: Portal) {
        let mut state = self.lock();
        if let Some(queued) = state.queue.iter_mut().find(|queued| queued.number == number) {
            queued.pipe = Some(pipe);
            state.piping = Some(Arc::clone(self));
            return;
        }
        match state.calls.get_mut(&number) {
            Some(Slot::Waiting(_)) => {
                // The reply may be on its way, with the endpoint itself.
                state.piped.insert(number, None);
                state.piping = Some(Arc::clone(self));
                drop(state);
                self.send_pipe(number, pipe);
                // Nobody need wait for the reply itself.
                self.fetch_for_wakers(self.lock());
            }
            Some(Slot::Done(outcome)) => {
                let given = match outcome {
                    Ok((_, handles)) => match handles.pop() {
                        Some(Handle::Portal(given)) => Ok(given),
                        _ => Err(NO_ENDPOINT.into()),
                    },
                    Err(fault) => Err(fault.cause()),
                };
                drop(state);
                join(given, pipe);
            }
            _ => {}
        }
    }

    fn send_pipe(&self, number: u32, pipe: Portal) {
        let parcel = Parcel::with_handles(message::pipe(number), vec![Handle::Portal(pipe)]);
        let _ = self.put(parcel);
    }

    /// The server had replied before it was told of the pipe, which it gives back.
    pub(super) fn pipe_came_back(&self, number: u32, mut parcel: Parcel) -> Result<(), CodecError> {
        let mut state = self.lock();
        let piped = state.piped.remove(&number);
        let piping = state.piping();
        drop(state);
        let (Some(Some(given)), Some(pipe)) = (piped, parcel.take_portal(0)) else {
            return Err(CodecError::new("a pipe came back that is not expected"));
        };
        join(given, pipe);
        drop(piping);
        Ok(())
    }
}

/// Makes one route of what a call gave and of what was to stand for it.
pub(super) fn join(given: Result<Portal, String>, pipe: Portal) {
    let (text, pipe) = match given {
        Err(text) => (text, pipe),
        Ok(given) => match given.merge(pipe) {
            Ok(()) => return,
            Err(error) => {
                let text = format!("what it gave was used before: {}", error.kind());
                (text, error.into_portals().1)
            }
        },
    };
    // Nobody may be there to read it.
    let _ = pipe.put_anyway(message::farewell(Farewell::Failed, &text).into());
}

impl State {
    /// Keeps the endpoint in the reply to a call that was piped too late, or what was in its place, until the
    /// pipe is back. Gives what is to be dropped outside the lock.
    pub(super) fn keep_piped(
        &mut self,
        number: u32,
        outcome: &mut Outcome,
        is_piped: bool,
    ) -> Option<Arc<Replies>> {
        if self.piped.is_empty() {
            return None;
        }
        if is_piped {
            self.piped.remove(&number);
        } else if let Some(place) = self.piped.get_mut(&number) {
            *place = Some(match outcome {
                Ok((_, handles)) => match handles.pop() {
                    Some(Handle::Portal(given)) => Ok(given),
                    _ => Err(NO_ENDPOINT.into()),
                },
                Err(fault) => Err(fault.cause()),
            });
        }
        self.piping()
    }

    /// What kept the portal open, if there is no reason any more.
    fn piping(&mut self) -> Option<Arc<Replies>> {
        let is_over = self.piped.is_empty() && self.queue.iter().all(|next| next.pipe.is_none());
        if is_over { self.piping.take() } else { None }
    }

    fn has_place(&self, bytes: usize) -> bool {
        self.queue.len() < MAX_WAITING_MESSAGES
            && (self.queue.is_empty() || self.queued_bytes + bytes as u64 <= MAX_WAITING_BYTES)
    }

    /// Finds a number for what somebody waits for.
    fn reserve(&mut self, waiting: Waiting) -> u32 {
        loop {
            self.last_number = self.last_number.wrapping_add(1);
            if self.last_number == 0 {
                continue;
            }
            if let Entry::Vacant(slot) = self.calls.entry(self.last_number) {
                slot.insert(Slot::Waiting(waiting));
                return self.last_number;
            }
        }
    }

    /// The next message that there is room for.
    fn next_outgoing(&mut self) -> Option<Outgoing> {
        let weight = self.queue.front()?.weight;
        if self.fault.is_some() || !self.window.take_of(weight, CALLS) {
            return None;
        }
        let next = self.queue.pop_front()?;
        self.queued_bytes -= next.parcel.bytes().len() as u64;
        if let Some(Slot::Waiting(waiting)) = self.calls.get_mut(&next.number) {
            waiting.is_queued = false;
        }
        if next.pipe.is_some() {
            self.piped.insert(next.number, None);
        }
        Some(next)
    }

    /// Notes that a queued message was put, or could not be. Gives who is to be told.
    fn has_left(
        &mut self,
        number: u32,
        is_call: bool,
        weight: u64,
        sent: Result<(), Fault>,
    ) -> Option<Waker> {
        let outcome = match sent {
            Ok(()) if is_call => return None,
            Ok(()) => Ok(Reply::default()),
            Err(fault) => {
                self.window.give_back(Amount { messages: 1, bytes: weight });
                Err(fault)
            }
        };
        match self.calls.get_mut(&number) {
            Some(Slot::Waiting(waiting)) => {
                let waker = waiting.waker.take();
                self.calls.insert(number, Slot::Done(outcome));
                waker
            }
            // Nobody is interested.
            _ => {
                if let Some(Slot::Abandoned(_)) = self.calls.remove(&number) {
                    self.abandoned -= 1;
                }
                None
            }
        }
    }

    fn unqueue(&mut self, number: u32) -> Option<Outgoing> {
        if !matches!(self.calls.get(&number), Some(Slot::Waiting(waiting)) if waiting.is_queued) {
            return None;
        }
        let at = self.queue.iter().position(|queued| queued.number == number)?;
        let removed = self.queue.remove(at)?;
        self.queued_bytes -= removed.parcel.bytes().len() as u64;
        Some(removed)
    }
}
