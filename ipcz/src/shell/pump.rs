//! What runs in the background: delivery from the driver, the application's callbacks, lingering
//! links.
//!
//! One thread a node sleeps in the driver's pump. It is awake only while something arrives, a
//! callback is to run, or a closed link still has something to send. It ends once the node was shut
//! down and its last transport is closed. A driver without a pump delivers on threads of its own,
//! and callbacks then run there, at the end of the step that caused them.
//!
//! Code of the application that panics on a thread of this crate's stops nothing: see [`guarded`].

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use ipcz_core::{Message, NetworkMessage, PeerId, Provided};

use super::link::{Incoming, Link, into_message};
use super::state::{Shared, State};
use crate::driver::{Attachment, Frame, Pump, TransportClosed, TransportHandler};
use crate::wire::LinkMessage;

/// How long a link that is closed on purpose may take to hand over what was put before, unless
/// whoever shuts the node down says more.
pub(super) const LINGER: Duration = Duration::from_secs(5);

/// How many batches of a peer's are read after its transport was closed: what a ring can hold, and more.
const MAX_LAST_BATCHES: usize = 256;

/// Runs code of the application, and outlives its panic, of which the panic hook has told already.
/// What else the step has to do must not be lost with it: others wait for that.
pub(super) fn guarded(run: impl FnOnce()) {
    // What was caught is leaked: to drop it could panic again.
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(std::mem::forget);
}

impl Shared {
    /// Starts the pump's thread, if the driver wants one.
    pub(super) fn start_pump(self: &Arc<Self>) -> io::Result<()> {
        if self.driver.pump().is_none() {
            return Ok(());
        }
        let shared = Arc::clone(self);
        let name = format!("ipcz-{}", self.name);
        let thread = thread::Builder::new().name(name).spawn(move || {
            if let Some(pump) = shared.driver.pump() {
                while shared.pump_once(pump).is_ok_and(|()| !shared.is_over()) {}
                shared.callbacks.run();
            }
        })?;
        self.callbacks.set_thread(thread.thread().id());
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.look(|state| state.stopped && state.open_transports == 0)
    }

    /// Runs what is due, then sleeps until something happens.
    fn pump_once(self: &Arc<Self>, pump: &dyn Pump) -> io::Result<()> {
        self.callbacks.run();
        let timeout = self.expire_links(Instant::now());
        if self.is_over() {
            return Ok(());
        }
        let tick = self.read_in_background();
        let shrink = self.shrink(Instant::now());
        let more = self.callbacks.is_due().then_some(Duration::ZERO);
        let waited = pump.wait([timeout, more, tick, shrink].into_iter().flatten().min());
        if waited.is_err() {
            // The wait itself cannot fail while the driver lives; without it nothing arrives.
            let peers = self.look(|state| state.links.keys().copied().collect::<Vec<_>>());
            self.step(|state| peers.iter().for_each(|&peer| state.engine.handle_lost(peer)));
        }
        waited
    }

    /// Closes the links whose time is up, and says how long the next one has.
    fn expire_links(&self, now: Instant) -> Option<Duration> {
        let (expired, next) = self.callbacks.expire(now);
        for link in expired {
            if link.has_unsent() {
                // First: whoever waits for the last transport looks at it when that is closed.
                self.look(|state| state.cut_short = true);
            }
            link.close_now();
        }
        next.map(|until| until.saturating_duration_since(now))
    }

    /// Waits until every transport is closed, or until `deadline`. Gives whether they are, and
    /// everything had left.
    pub(crate) fn wait_idle(self: &Arc<Self>, deadline: Instant) -> bool {
        match self.driver.pump() {
            // Nobody else would pump meanwhile. Callbacks wait: this may be one of them.
            Some(pump) if self.callbacks.is_pumping() => self.pump_idle(pump, deadline),
            _ => self.sleep_idle(deadline),
        }
    }

    fn pump_idle(self: &Arc<Self>, pump: &dyn Pump, deadline: Instant) -> bool {
        loop {
            let now = Instant::now();
            let timeout = self.expire_links(now);
            if self.is_over() || now >= deadline {
                return self.has_left();
            }
            let left = Some(deadline - now);
            if pump.wait([timeout, left].into_iter().flatten().min()).is_err() {
                return false;
            }
        }
    }
}

/// Takes what arrives from one peer.
pub(super) struct LinkHandler {
    shared: Arc<Shared>,
    link: Arc<Link>,
}

impl LinkHandler {
    pub(super) fn new(shared: Arc<Shared>, link: Arc<Link>) -> Self {
        link.set_origin(&shared);
        Self { shared, link }
    }

    fn peer(&self) -> PeerId {
        self.link.peer
    }
}

impl LinkHandler {
    /// Takes what came over the transport: messages, words about the link, and what belongs to
    /// records of the ring.
    fn take_frames(&self, frames: &mut Vec<Frame>) {
        let mut messages = Vec::new();
        for frame in frames.drain(..) {
            let Some(mut frame) = self.link.take_frame(frame) else { continue };
            match LinkMessage::decode(&frame.head) {
                None => {
                    let mut message = into_message(frame);
                    self.link.stamp(&mut message);
                    messages.push(message);
                }
                Some(word) => {
                    self.take_messages(&mut messages);
                    let attachments = std::mem::take(&mut frame.attachments);
                    let taken =
                        word.and_then(|word| self.link.take_word(&self.shared, word, attachments));
                    if taken.is_err() {
                        return self.shared.step(|state| state.engine.handle_garbage(self.peer()));
                    }
                }
            }
        }
        self.take_messages(&mut messages);
    }

    fn take_messages(&self, messages: &mut Vec<Incoming>) {
        if messages.is_empty() {
            return;
        }
        self.shared.step(|state| {
            for message in messages.drain(..) {
                state.take_message(self.peer(), message);
            }
        });
    }
}

impl TransportHandler for LinkHandler {
    /// One lock for the whole batch: decoding happens before it, everything that follows after it.
    ///
    /// A panic in here is a defect of this crate that the peer has found. It costs the peer its
    /// connection, and no other peer anything.
    fn on_frames(&self, frames: &mut Vec<Frame>) {
        let took = catch_unwind(AssertUnwindSafe(|| self.take_frames(frames)));
        if took.is_err() {
            guarded(|| self.shared.step(|state| state.engine.handle_garbage(self.peer())));
            self.link.close_now();
        }
        self.shared.read_for_nobody(&self.link);
    }

    fn on_drained(&self) {
        self.link.drained();
    }

    fn on_closed(&self, why: TransportClosed) {
        if let Some(why) = self.link.end(why) {
            self.shared.link_ended(&self.link, why);
        }
    }
}

impl Shared {
    /// A link's transport is closed, and nobody is reading what came over the link.
    pub(super) fn link_ended(self: &Arc<Self>, link: &Arc<Link>, why: TransportClosed) {
        // What the peer wrote before it went is there still. It may be writing yet, if it lies.
        for _ in 0..MAX_LAST_BATCHES {
            if !link.read(self) {
                break;
            }
        }
        // Somebody may have begun to read meanwhile.
        let Some(why) = link.end(why) else { return };
        self.lead.remove(link);
        guarded(|| {
            self.step(|state| match why {
                _ if link.is_broken() => state.engine.handle_garbage(link.peer),
                TransportClosed::Violation(_) => state.engine.handle_garbage(link.peer),
                _ => state.engine.handle_lost(link.peer),
            });
        });
        self.transport_gone(link);
    }
}

impl State {
    pub(super) fn take_message(&mut self, peer: PeerId, message: Incoming) {
        match message {
            Ok((mut message, carried)) => {
                if !matches!(message, Message::Parcel { .. }) {
                    self.routes_may_change();
                }
                if let (Message::Network(message), Some(carried)) = (&mut message, carried) {
                    self.park(message, carried);
                }
                // The engine has dealt with a peer that breaks the rules.
                let _ = self.engine.handle_message(peer, message);
            }
            Err(_) => self.engine.handle_garbage(peer),
        }
    }

    /// Puts what a message brought where the engine can speak of it.
    fn park(&mut self, message: &mut NetworkMessage, carried: Attachment) {
        match (carried, message) {
            (Attachment::Region(region), NetworkMessage::ProvideMemory { memory, .. }) => {
                let size = region.num_bytes() as u64;
                *memory = Some(Provided { memory: self.park_memory(region), size });
            }
            (Attachment::Transport(carried), message) => {
                if let Some(transport) = message.transport_mut() {
                    *transport = self.park_transport(carried);
                }
            }
            _ => {}
        }
    }
}
