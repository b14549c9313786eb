//! The way out to one peer: a queue of messages, and whoever flushes it.
//!
//! The queue is filled under the node's lock, so its order is the engine's. It is emptied by one
//! *flusher* at a time, under no lock: callers that find one at work leave their messages to it. That
//! also makes a driver that calls back before it returns harmless.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use ipcz_core::{Message, PeerId, ThinVec};

use super::payload::{Contents, Slot};
use crate::driver::{Attachment, Frame, Transport};
use crate::sync::lock;
use crate::wire::{self, HandleKind};

/// A message, and the transport or the memory that it carries.
pub(crate) type Outgoing = (Message<Contents>, Option<Attachment>);

/// The connection to a peer, as far as sending goes.
pub(crate) struct Link {
    pub(crate) peer: PeerId,
    pub(crate) transport: Box<dyn Transport>,
    outbox: Mutex<Outbox>,
    /// Whether the node was told that the transport is closed.
    gone: AtomicBool,
}

#[derive(Default)]
struct Outbox {
    messages: VecDeque<Outgoing>,
    /// Memory that the last flusher left for the next.
    spare: Buffers,
    flushing: bool,
    /// Take nothing more, and close the transport once everything has left.
    closing: bool,
    /// Close the transport as soon as everything was handed to it, whether or not it has left.
    hurry: bool,
    closed: bool,
}

/// What a flusher works with, so that a message costs no allocation for its place in a queue.
#[derive(Default)]
struct Buffers {
    messages: VecDeque<Outgoing>,
    frames: VecDeque<Frame>,
}

/// Buffers above this capacity are not kept for the next flusher.
const KEPT_CAPACITY: usize = 256;

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("peer", &self.peer).finish_non_exhaustive()
    }
}

impl Link {
    pub(crate) fn new(peer: PeerId, transport: Box<dyn Transport>) -> Self {
        Self { peer, transport, outbox: Mutex::default(), gone: AtomicBool::new(false) }
    }

    /// Queues a message. Whoever calls this flushes the link after releasing the node's lock.
    pub(crate) fn push(&self, message: Outgoing) {
        let mut outbox = lock(&self.outbox);
        if !outbox.closing {
            outbox.messages.push_back(message);
        }
    }

    /// Queues the end: nothing is taken after it.
    pub(crate) fn close_after_flush(&self) {
        lock(&self.outbox).closing = true;
    }

    /// Queues the end, as [`Link::close_after_flush`] did, of a peer that is not waited for.
    pub(crate) fn close_soon(&self) {
        lock(&self.outbox).hurry = true;
        self.flush();
    }

    /// Sends what is queued, unless somebody is at it.
    pub(crate) fn flush(&self) {
        let mut buffers = {
            let mut outbox = lock(&self.outbox);
            if outbox.flushing {
                return;
            }
            outbox.flushing = true;
            std::mem::take(&mut outbox.spare)
        };
        while self.next_batch(&mut buffers) {
            buffers.frames.extend(buffers.messages.drain(..).map(into_frame));
            if self.transport.transmit(&mut buffers.frames).is_err() {
                // The handler hears of it, or has: what is lost here is lost with the peer.
                buffers.frames.clear();
            }
        }
        self.close_if_done();
    }

    /// Takes what is queued. If that is nothing, the caller is no flusher any more.
    fn next_batch(&self, buffers: &mut Buffers) -> bool {
        let mut outbox = lock(&self.outbox);
        if outbox.messages.is_empty() {
            outbox.flushing = false;
            if buffers.messages.capacity().max(buffers.frames.capacity()) <= KEPT_CAPACITY {
                outbox.spare = std::mem::take(buffers);
            }
            return false;
        }
        std::mem::swap(&mut outbox.messages, &mut buffers.messages);
        true
    }

    /// Everything that the transport had queued has left.
    pub(crate) fn drained(&self) {
        self.close_if_done();
    }

    fn close_if_done(&self) {
        {
            let mut outbox = lock(&self.outbox);
            let done = outbox.closing && !outbox.flushing && outbox.messages.is_empty();
            if !done || outbox.closed || (!outbox.hurry && self.transport.queued_bytes() > 0) {
                return;
            }
            outbox.closed = true;
        }
        self.transport.deactivate();
    }

    pub(crate) fn is_closed(&self) -> bool {
        lock(&self.outbox).closed
    }

    /// Whether something was put that the system has not taken.
    pub(super) fn has_unsent(&self) -> bool {
        let outbox = lock(&self.outbox);
        outbox.flushing || !outbox.messages.is_empty() || self.transport.queued_bytes() > 0
    }

    /// Closes the transport now, whatever is queued.
    pub(crate) fn close_now(&self) {
        let unsent = {
            let mut outbox = lock(&self.outbox);
            outbox.closing = true;
            if std::mem::replace(&mut outbox.closed, true) {
                return;
            }
            std::mem::take(&mut outbox.messages)
        };
        self.transport.deactivate();
        drop(unsent);
    }

    /// Notes that the transport is closed. Gives whether that is news.
    pub(super) fn set_gone(&self) -> bool {
        !self.gone.swap(true, Ordering::Relaxed)
    }
}

fn into_frame((mut message, carried): Outgoing) -> Frame {
    let mut frame = Frame::default();
    let mut kinds = Vec::new();
    match &mut message {
        Message::Parcel { payload, .. } => {
            frame.body = std::mem::take(&mut payload.data);
            flatten(std::mem::take(&mut payload.slots), &mut frame, &mut kinds);
        }
        Message::Relay(relay) => {
            flatten(std::mem::take(&mut relay.handles.slots), &mut frame, &mut kinds);
        }
        _ => frame.attachments.extend(carried),
    }
    frame.head = wire::encode(&message, &kinds);
    frame
}

/// Moves what a parcel holds beside its bytes, with the parcels in it, into a frame. Lists what stood
/// where. The engine lets no values through.
fn flatten(slots: ThinVec<Slot>, frame: &mut Frame, kinds: &mut Vec<HandleKind>) {
    for slot in slots {
        kinds.push(match slot {
            Slot::Portal => HandleKind::Portal,
            Slot::Relayed => HandleKind::Relayed,
            Slot::Os(handle) => {
                frame.attachments.push(Attachment::Handle(handle));
                HandleKind::Attachment
            }
            Slot::Memory(region) => {
                frame.attachments.push(Attachment::Region(region));
                HandleKind::Attachment
            }
            Slot::Object(_) => HandleKind::Parcel { num_bytes: 0, handles: 0 },
            Slot::Parcel(contents) => {
                let Contents { data, slots, .. } = *contents;
                let (num_bytes, handles) = (data.len() as u32, slots.len() as u16);
                kinds.push(HandleKind::Parcel { num_bytes, handles });
                frame.body.extend(data);
                flatten(slots, frame, kinds);
                continue;
            }
        });
    }
}
