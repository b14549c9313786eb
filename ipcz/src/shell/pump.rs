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

use ipcz_core::{Message, NetworkMessage, PeerId, ProtocolViolation, Provided, Relay};

use super::link::Link;
use super::origin::Origin;
use super::payload::{Contents, Slot};
use super::state::{Shared, State};
use crate::driver::{Attachment, Frame, Pump, TransportClosed, TransportHandler};
use crate::wire::{self, HandleKind};

/// How long a link that is closed on purpose may take to hand over what was put before, unless
/// whoever shuts the node down says more.
pub(super) const LINGER: Duration = Duration::from_secs(5);

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
        let more = self.callbacks.is_due().then_some(Duration::ZERO);
        let waited = pump.wait([timeout, more].into_iter().flatten().min());
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
    /// What parcels from there remember.
    origin: Arc<Origin>,
}

impl LinkHandler {
    pub(super) fn new(shared: Arc<Shared>, link: Arc<Link>) -> Self {
        let origin = Arc::new(Origin::new(&shared, &link));
        Self { shared, link, origin }
    }

    fn message_of(&self, frame: Frame) -> Incoming {
        let mut message = into_message(frame);
        if let Ok((Message::Parcel { payload, .. }, _)) = &mut message {
            payload.origin = Some(Arc::clone(&self.origin));
        }
        message
    }

    fn peer(&self) -> PeerId {
        self.link.peer
    }
}

impl TransportHandler for LinkHandler {
    /// One lock for the whole batch: decoding happens before it, everything that follows after it.
    ///
    /// A panic in here is a defect of this crate that the peer has found. It costs the peer its
    /// connection, and no other peer anything.
    fn on_frames(&self, frames: &mut Vec<Frame>) {
        let took = catch_unwind(AssertUnwindSafe(|| {
            let messages: Vec<_> = frames.drain(..).map(|frame| self.message_of(frame)).collect();
            self.shared.step(|state| {
                for message in messages {
                    state.take_message(self.peer(), message);
                }
            });
        }));
        if took.is_err() {
            guarded(|| self.shared.step(|state| state.engine.handle_garbage(self.peer())));
            self.link.close_now();
        }
    }

    fn on_drained(&self) {
        self.link.drained();
    }

    fn on_closed(&self, why: TransportClosed) {
        guarded(|| {
            self.shared.step(|state| match why {
                TransportClosed::Violation(_) => state.engine.handle_garbage(self.peer()),
                _ => state.engine.handle_lost(self.peer()),
            });
        });
        self.shared.transport_gone(&self.link);
    }
}

/// A message as it arrived, with the transport or the memory that it brought.
type Incoming = Result<(Message<Contents>, Option<Attachment>), ProtocolViolation>;

impl State {
    fn take_message(&mut self, peer: PeerId, message: Incoming) {
        match message {
            Ok((mut message, carried)) => {
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

fn into_message(frame: Frame) -> Incoming {
    let Frame { head, body, attachments } = frame;
    let mut attachments = attachments.into_iter();
    let mut carried = None;
    let message = match wire::decode(&head)? {
        Message::Parcel { link, sequence, hops, relayed, payload, portals } => {
            let payload = contents(body, &payload, &mut attachments)?;
            Message::Parcel { link, sequence, hops, relayed, payload, portals }
        }
        Message::Relay(Relay { from, to, id, handles }) if body.is_empty() => {
            let handles = contents(body, &handles, &mut attachments)?;
            Message::Relay(Relay { from, to, id, handles })
        }
        _ if !body.is_empty() => return Err(ProtocolViolation("a payload without a parcel")),
        Message::Network(message) => {
            carried = match (message.transport(), message.memory()) {
                (None, None) => None,
                wanted => match (wanted, attachments.next()) {
                    ((Some(_), _), Some(it @ Attachment::Transport(_))) => Some(it),
                    ((_, Some(_)), Some(it @ Attachment::Region(_))) => Some(it),
                    _ => return Err(ProtocolViolation("a transport or memory that is missing")),
                },
            };
            Message::Network(message)
        }
        Message::Hello(hello) => Message::Hello(hello),
        Message::Route(link, message) => Message::Route(link, message),
        Message::Accept(accept) => Message::Accept(accept),
        // With a body, which was refused above.
        Message::Relay(_) => return Err(ProtocolViolation("a payload without a parcel")),
    };
    match attachments.next() {
        None => Ok((message, carried)),
        Some(_) => Err(ProtocolViolation("an attachment that nothing names")),
    }
}

/// Makes the contents of what arrived. The list of kinds is a whole tree: decoding has seen to that.
fn contents(
    mut data: Vec<u8>,
    kinds: &[HandleKind],
    attachments: &mut impl Iterator<Item = Attachment>,
) -> Result<Contents, ProtocolViolation> {
    if data.len() > wire::MAX_PAYLOAD {
        return Err(ProtocolViolation("a payload that is too large"));
    }
    let within = kinds.iter().map(|kind| match kind {
        HandleKind::Parcel { num_bytes, .. } => u64::from(*num_bytes),
        HandleKind::Portal | HandleKind::Attachment | HandleKind::Relayed => 0,
    });
    let own = (data.len() as u64).checked_sub(within.sum());
    let own = own.ok_or(ProtocolViolation("parcels with more data than there is"))?;
    let within = match own as usize {
        0 => std::mem::take(&mut data),
        own => data.split_off(own),
    };
    let mut kinds = kinds.iter();
    let count = kinds.len();
    let slots = slots(count, &mut kinds, &mut within.as_slice(), attachments)?;
    Ok(Contents::new(data, slots))
}

/// Makes the slots of one parcel: `count` of them, or as many as there are.
fn slots(
    count: usize,
    kinds: &mut std::slice::Iter<'_, HandleKind>,
    data: &mut &[u8],
    attachments: &mut impl Iterator<Item = Attachment>,
) -> Result<Vec<Slot>, ProtocolViolation> {
    let mut made = Vec::with_capacity(count.min(kinds.len()));
    while made.len() < count
        && let Some(kind) = kinds.next()
    {
        made.push(match kind {
            HandleKind::Portal => Slot::Portal,
            HandleKind::Relayed => Slot::Relayed,
            HandleKind::Attachment => match attachments.next() {
                Some(Attachment::Handle(handle)) => Slot::Os(handle),
                Some(Attachment::Region(region)) => Slot::Memory(region),
                _ => return Err(ProtocolViolation("a handle that is missing or of another kind")),
            },
            HandleKind::Parcel { num_bytes, handles } => {
                let own = data.split_off(..*num_bytes as usize).unwrap_or_default().to_vec();
                let within = slots((*handles).into(), kinds, data, attachments)?;
                Slot::Parcel(Box::new(Contents::new(own, within)))
            }
        });
    }
    Ok(made)
}
