//! What runs in the background: delivery from the driver, the application's callbacks, lingering
//! links.
//!
//! One thread a node sleeps in the driver's pump. It is awake only while something arrives, a
//! callback is to run, or a closed link still has something to send. A driver without a pump
//! delivers on threads of its own, and callbacks then run there, at the end of the step that
//! caused them.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use ipcz_core::{Message, PeerId, ProtocolViolation, TrapEvent};

use super::link::Link;
use super::payload::{Contents, Slot};
use super::state::{Shared, State};
use crate::driver::{Attachment, Frame, Pump, Transport, TransportClosed, TransportHandler};
use crate::sync::lock;
use crate::wire::{self, HandleKind};

/// How long a link that is closed on purpose may take to hand over what was put before.
pub(super) const LINGER: Duration = Duration::from_secs(5);

type Callback = Box<dyn FnOnce(TrapEvent) + Send>;

/// What the pump's thread does besides pumping.
#[derive(Default)]
pub(crate) struct Callbacks {
    due: Mutex<VecDeque<(Callback, TrapEvent)>>,
    lingering: Mutex<Vec<(Arc<Link>, Instant)>>,
}

impl Callbacks {
    pub(super) fn push(&self, callback: Callback, event: TrapEvent) {
        lock(&self.due).push_back((callback, event));
    }

    pub(super) fn linger(&self, link: Arc<Link>, until: Instant) {
        lock(&self.lingering).push((link, until));
    }

    /// Runs what is due, oldest first.
    fn run(&self) {
        loop {
            let next = lock(&self.due).pop_front();
            let Some((callback, event)) = next else { return };
            callback(event);
        }
    }

    /// Takes the links whose time is up, and says how long the next one has.
    fn expire(&self, now: Instant) -> (Vec<Arc<Link>>, Option<Duration>) {
        let mut lingering = lock(&self.lingering);
        let (expired, left) = std::mem::take(&mut *lingering)
            .into_iter()
            .filter(|(link, _)| !link.is_closed())
            .partition::<Vec<_>, _>(|(_, until)| *until <= now);
        *lingering = left;
        let next = lingering.iter().map(|(_, until)| *until).min();
        let wait = next.map(|until| until.saturating_duration_since(now));
        (expired.into_iter().map(|(link, _)| link).collect(), wait)
    }
}

impl Shared {
    /// Starts the pump's thread, if the driver wants one.
    pub(super) fn start_pump(self: &Arc<Self>) -> io::Result<()> {
        if self.driver.pump().is_none() {
            return Ok(());
        }
        let shared = Arc::clone(self);
        let name = format!("ipcz-{}", self.name);
        thread::Builder::new().name(name).spawn(move || {
            if let Some(pump) = shared.driver.pump() {
                shared.run_pump(pump);
            }
        })?;
        Ok(())
    }

    fn run_pump(self: &Arc<Self>, pump: &dyn Pump) {
        loop {
            let (expired, timeout) = self.callbacks.expire(Instant::now());
            for link in expired {
                link.close_now();
            }
            if self.look(|state| state.stopped && state.open_transports == 0) {
                self.callbacks.run();
                return;
            }
            if pump.wait(timeout).is_err() {
                // The wait itself cannot fail while the driver lives; without it nothing arrives.
                let peers = self.look(|state| state.links.keys().copied().collect::<Vec<_>>());
                self.step(|state| peers.iter().for_each(|&peer| state.engine.handle_lost(peer)));
                self.callbacks.run();
                return;
            }
            self.callbacks.run();
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
        Self { shared, link }
    }

    fn peer(&self) -> PeerId {
        self.link.peer
    }
}

impl TransportHandler for LinkHandler {
    /// One lock for the whole batch: decoding happens before it, everything that follows after it.
    fn on_frames(&self, frames: &mut Vec<Frame>) {
        let messages: Vec<_> = frames.drain(..).map(into_message).collect();
        self.shared.step(|state| {
            for message in messages {
                state.take_message(self.peer(), message);
            }
        });
    }

    fn on_drained(&self) {
        self.link.drained();
    }

    fn on_closed(&self, why: TransportClosed) {
        self.shared.step(|state| match why {
            TransportClosed::Violation(_) => state.engine.handle_garbage(self.peer()),
            _ => state.engine.handle_lost(self.peer()),
        });
        self.shared.transport_gone();
        if let Some(pump) = self.shared.driver.pump() {
            pump.interrupt();
        }
    }
}

/// A message as it arrived, with the transport that an introduction brought.
type Incoming = Result<(Message<Contents>, Option<Box<dyn Transport>>), ProtocolViolation>;

impl State {
    fn take_message(&mut self, peer: PeerId, message: Incoming) {
        match message {
            Ok((mut message, transport)) => {
                let id = transport.map(|transport| self.park_transport(transport));
                if let (Message::Network(message), Some(id)) = (&mut message, id)
                    && let Some(transport) = message.transport_mut()
                {
                    *transport = id;
                }
                // The engine has dealt with a peer that breaks the rules.
                let _ = self.engine.handle_message(peer, message);
            }
            Err(_) => self.engine.handle_garbage(peer),
        }
    }
}

fn into_message(frame: Frame) -> Incoming {
    let Frame { head, body, attachments } = frame;
    let mut attachments = attachments.into_iter();
    let mut transport = None;
    let message = match wire::decode(&head)? {
        Message::Parcel { link, sequence, hops, payload, portals } => {
            let payload = contents(body, &payload, &mut attachments)?;
            Message::Parcel { link, sequence, hops, payload, portals }
        }
        _ if !body.is_empty() => return Err(ProtocolViolation("a payload without a parcel")),
        Message::Network(message) => {
            if message.transport().is_some() {
                let Some(Attachment::Transport(carried)) = attachments.next() else {
                    return Err(ProtocolViolation("a transport that is missing"));
                };
                transport = Some(carried);
            }
            Message::Network(message)
        }
        Message::Hello(hello) => Message::Hello(hello),
        Message::Route(link, message) => Message::Route(link, message),
        Message::Accept(accept) => Message::Accept(accept),
    };
    match attachments.next() {
        None => Ok((message, transport)),
        Some(_) => Err(ProtocolViolation("an attachment that nothing names")),
    }
}

fn contents(
    data: Vec<u8>,
    kinds: &[HandleKind],
    attachments: &mut impl Iterator<Item = Attachment>,
) -> Result<Contents, ProtocolViolation> {
    if data.len() > wire::MAX_PAYLOAD {
        return Err(ProtocolViolation("a payload that is too large"));
    }
    let slots = kinds.iter().map(|kind| match kind {
        HandleKind::Portal => Ok(Slot::Portal),
        HandleKind::Attachment => match attachments.next() {
            Some(Attachment::Handle(handle)) => Ok(Slot::Os(handle)),
            _ => Err(ProtocolViolation("a handle that is missing or of another kind")),
        },
    });
    let slots = slots.collect::<Result<_, _>>()?;
    Ok(Contents { num_bytes: data.len(), data, slots })
}
