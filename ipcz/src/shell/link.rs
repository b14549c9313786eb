//! The way out to one peer: a queue of messages, and whoever flushes it.
//!
//! The queue is filled under the node's lock, so its order is the engine's. It is emptied by one
//! *flusher* at a time, under no lock: callers that find one at work leave their messages to it. That
//! also makes a driver that calls back before it returns harmless.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Mutex;

use ipcz_core::{Message, PeerId};

use super::payload::{Contents, Slot};
use crate::driver::{Attachment, Frame, Transport};
use crate::sync::lock;
use crate::wire::{self, HandleKind};

/// A message, and the transport that an introduction carries.
pub(crate) type Outgoing = (Message<Contents>, Option<Box<dyn Transport>>);

/// The connection to a peer, as far as sending goes.
pub(crate) struct Link {
    pub(crate) peer: PeerId,
    pub(crate) transport: Box<dyn Transport>,
    outbox: Mutex<Outbox>,
}

#[derive(Default)]
struct Outbox {
    messages: VecDeque<Outgoing>,
    flushing: bool,
    /// Close the transport once everything has left.
    closing: bool,
    closed: bool,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("peer", &self.peer).finish_non_exhaustive()
    }
}

impl Link {
    pub(crate) fn new(peer: PeerId, transport: Box<dyn Transport>) -> Self {
        Self { peer, transport, outbox: Mutex::default() }
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

    /// Sends what is queued, unless somebody is at it.
    pub(crate) fn flush(&self) {
        {
            let mut outbox = lock(&self.outbox);
            if outbox.flushing {
                return;
            }
            outbox.flushing = true;
        }
        let mut frames = VecDeque::new();
        loop {
            let batch = {
                let mut outbox = lock(&self.outbox);
                if outbox.messages.is_empty() {
                    outbox.flushing = false;
                    break;
                }
                std::mem::take(&mut outbox.messages)
            };
            frames.extend(batch.into_iter().map(into_frame));
            if self.transport.transmit(&mut frames).is_err() {
                // The handler hears of it, or has: what is lost here is lost with the peer.
                frames.clear();
            }
        }
        self.close_if_done();
    }

    /// Everything that the transport had queued has left.
    pub(crate) fn drained(&self) {
        self.close_if_done();
    }

    fn close_if_done(&self) {
        {
            let mut outbox = lock(&self.outbox);
            let done = outbox.closing && !outbox.flushing && outbox.messages.is_empty();
            if !done || outbox.closed || self.transport.queued_bytes() > 0 {
                return;
            }
            outbox.closed = true;
        }
        self.transport.deactivate();
    }

    pub(crate) fn is_closed(&self) -> bool {
        lock(&self.outbox).closed
    }

    /// Closes the transport now, whatever is queued.
    pub(crate) fn close_now(&self) {
        {
            let mut outbox = lock(&self.outbox);
            outbox.closing = true;
            outbox.messages.clear();
            if std::mem::replace(&mut outbox.closed, true) {
                return;
            }
        }
        self.transport.deactivate();
    }
}

fn into_frame((mut message, transport): Outgoing) -> Frame {
    let mut body = Vec::new();
    let mut attachments = Vec::new();
    let mut kinds = Vec::new();
    if let Message::Parcel { payload, .. } = &mut message {
        body = std::mem::take(&mut payload.data);
        for slot in payload.slots.drain(..) {
            kinds.push(match slot {
                Slot::Portal => HandleKind::Portal,
                Slot::Os(handle) => {
                    attachments.push(Attachment::Handle(handle));
                    HandleKind::Attachment
                }
            });
        }
    }
    attachments.extend(transport.map(Attachment::Transport));
    Frame { head: wire::encode(&message, &kinds), body, attachments }
}
