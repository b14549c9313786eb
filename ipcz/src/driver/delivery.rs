//! Hands to a handler what arrived for it, one call at a time.
//!
//! Every driver owes its handlers the same things: calls never overlap, no lock is held during
//! one, frames come in order, `on_closed` comes once and last. All of it is here.
//!
//! What is to be told lies in a mailbox. Whoever puts something in calls [`Delivery::run`]
//! afterwards. The first becomes the *runner* and tells everything, including what others put in
//! meanwhile, nested in a handler call or on another thread: those leave at once.

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::sync::{Arc, Mutex};

use super::lock::lock;
use super::{Frame, TransportClosed, TransportHandler};

/// A batch above this capacity is not kept for the next one.
const KEPT_CAPACITY: usize = 256;

/// The mailbox of one transport.
#[derive(Default)]
pub(super) struct Delivery {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// From activation until `on_closed`.
    handler: Option<Arc<dyn TransportHandler>>,
    activated: bool,
    /// Somebody is the runner.
    running: bool,
    frames: Vec<Frame>,
    /// An empty vector that keeps its memory for the next batch.
    spare: Vec<Frame>,
    drained: bool,
    closed: Option<TransportClosed>,
}

/// What a handler is to be told next.
enum Step {
    Frames,
    Drained,
    Closed(TransportClosed),
    Idle,
}

impl Delivery {
    /// Sets the handler. What arrived before is delivered by the next [`Delivery::run`].
    pub(super) fn activate(&self, handler: Arc<dyn TransportHandler>) -> io::Result<()> {
        let mut state = lock(&self.state);
        if state.activated {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if state.closed == Some(TransportClosed::Deactivated) {
            return Err(io::ErrorKind::NotConnected.into());
        }
        state.activated = true;
        state.handler = Some(handler);
        Ok(())
    }

    /// Takes an activation back that could not be completed. No handler call has been made.
    pub(super) fn revert_activation(&self) {
        let mut state = lock(&self.state);
        state.activated = false;
        let handler = state.handler.take();
        drop(state);
        drop(handler);
    }

    pub(super) fn is_activated(&self) -> bool {
        lock(&self.state).activated
    }

    /// Nobody is in a handler call, so nothing piles up if more is put in now.
    pub(super) fn is_idle(&self) -> bool {
        !lock(&self.state).running
    }

    /// Why it was closed, if it was.
    pub(super) fn closed(&self) -> Option<TransportClosed> {
        lock(&self.state).closed.clone()
    }

    /// Puts `frames` in and leaves them empty. Once closed, nothing is taken.
    pub(super) fn push(&self, frames: &mut VecDeque<Frame>) {
        let mut state = lock(&self.state);
        if state.closed.is_none() {
            state.frames.extend(frames.drain(..));
        }
    }

    /// Notes that what was queued for sending has left.
    pub(super) fn drained(&self) {
        let mut state = lock(&self.state);
        state.drained = state.activated && state.closed.is_none();
    }

    /// Ends the delivery behind what is in already. Only the first call has an effect.
    pub(super) fn close(&self, why: TransportClosed) {
        lock(&self.state).closed.get_or_insert(why);
    }

    /// Ends the delivery at once, dropping what is in.
    pub(super) fn cut(&self, why: TransportClosed) {
        let mut state = lock(&self.state);
        state.closed.get_or_insert(why);
        let frames = mem::take(&mut state.frames);
        drop(state);
        drop(frames);
    }

    /// Tells the handler everything that is in, unless somebody else is already at it.
    pub(super) fn run(&self) {
        let Some((handler, mut batch)) = self.begin() else {
            return;
        };
        loop {
            match self.next(&mut batch) {
                Step::Frames => handler.on_frames(&mut batch),
                Step::Drained => handler.on_drained(),
                Step::Closed(why) => return handler.on_closed(why),
                Step::Idle => return,
            }
            batch.clear();
        }
    }

    /// Becomes the runner if there is none and a handler waits.
    fn begin(&self) -> Option<(Arc<dyn TransportHandler>, Vec<Frame>)> {
        let mut state = lock(&self.state);
        if state.running {
            return None;
        }
        let handler = state.handler.clone()?;
        state.running = true;
        Some((handler, mem::take(&mut state.spare)))
    }

    /// The next thing to tell; at [`Step::Idle`] and [`Step::Closed`] the caller is no runner any
    /// more. `batch` is empty and receives the frames.
    fn next(&self, batch: &mut Vec<Frame>) -> Step {
        let mut state = lock(&self.state);
        if !state.frames.is_empty() {
            mem::swap(&mut state.frames, batch);
            return Step::Frames;
        }
        if mem::take(&mut state.drained) {
            return Step::Drained;
        }
        state.running = false;
        if let Some(why) = state.closed.clone() {
            // The runner's own reference keeps the handler alive until it was told.
            state.handler = None;
            return Step::Closed(why);
        }
        if batch.capacity() <= KEPT_CAPACITY {
            state.spare = mem::take(batch);
        }
        Step::Idle
    }
}
