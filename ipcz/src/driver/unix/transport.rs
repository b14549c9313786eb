//! One end of a connection over a socket.
//!
//! Locks, in the order in which one thread may take them: `inbound`, `out`, the poller's, and
//! those of the delivery last. None is held during a handler call.

use std::any::Any;
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::{Arc, Mutex};

use rustix::event::epoll::EventFlags;
use rustix::io::Errno;

use super::attachment;
use super::inbound::{Decoder, ReadEnd};
use super::outbound::{Flushed, Outgoing, SendQueue};
use super::poller::Poller;
use super::socket;
use crate::driver::delivery::Delivery;
use crate::driver::lock::lock;
use crate::driver::{Frame, Transport, TransportClosed, TransportHandler};

/// A transport over a Unix-domain stream socket. Dropping it deactivates it.
pub struct UnixTransport {
    core: Arc<Core>,
}

/// What the transport and the poller share.
pub(super) struct Core {
    /// Names this transport to the poller; never reused.
    token: u64,
    socket: OwnedFd,
    poller: Arc<Poller>,
    out: Mutex<Out>,
    inbound: Mutex<Decoder>,
    delivery: Delivery,
}

#[derive(Default)]
struct Out {
    queue: SendQueue,
    /// The queue waits for the pump to go on with it.
    waiting: bool,
    /// What the poller reports; nothing if it does not know this transport.
    interest: Interest,
    /// Nothing can be sent any more.
    closed: Option<TransportClosed>,
    /// The socket was given away.
    released: bool,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
struct Interest {
    read: bool,
    write: bool,
}

impl Interest {
    fn flags(self) -> EventFlags {
        let mut flags = EventFlags::empty();
        flags.set(EventFlags::IN | EventFlags::RDHUP, self.read);
        flags.set(EventFlags::OUT, self.write);
        flags
    }
}

/// Why a failed send closes the transport.
fn reason(errno: Errno) -> TransportClosed {
    match errno {
        Errno::PIPE | Errno::CONNRESET | Errno::NOTCONN => TransportClosed::PeerGone,
        other => TransportClosed::Os(io::Error::from(other).kind()),
    }
}

impl Core {
    pub(super) fn token(&self) -> u64 {
        self.token
    }

    pub(super) fn socket(&self) -> &OwnedFd {
        &self.socket
    }

    /// Does what the poller says is possible, and delivers. `scratch` is any memory.
    pub(super) fn ready(self: &Arc<Self>, flags: EventFlags, scratch: &mut [u8]) {
        let ended = EventFlags::HUP | EventFlags::ERR;
        if flags.intersects(EventFlags::OUT | ended) {
            self.resume_sending();
        }
        if flags.intersects(EventFlags::IN | EventFlags::RDHUP | ended) {
            self.receive(scratch);
        }
        self.delivery.run();
    }

    /// Goes on with a queue that had to wait.
    pub(super) fn resume_sending(self: &Arc<Self>) {
        let mut out = lock(&self.out);
        if !out.waiting {
            return;
        }
        let flushed = self.flush(&mut out);
        if flushed.is_ok() && !out.waiting {
            self.delivery.drained();
        }
    }

    /// Tells what [`Core::resume_sending`] brought about.
    pub(super) fn deliver(&self) {
        self.delivery.run();
    }

    fn enqueue(&self, frame: Outgoing) {
        lock(&self.out).queue.push(frame);
    }

    /// Sends what was just queued, unless earlier frames still wait.
    fn send_queued(self: &Arc<Self>) -> Result<(), TransportClosed> {
        let mut out = lock(&self.out);
        if let Some(why) = out.closed.clone() {
            out.queue = SendQueue::default();
            return Err(why);
        }
        if out.waiting {
            return Ok(());
        }
        self.flush(&mut out)
    }

    /// Sends what the socket takes, and arranges to go on with the rest.
    fn flush(self: &Arc<Self>, out: &mut Out) -> Result<(), TransportClosed> {
        let flushed = out.queue.flush(&self.socket);
        out.waiting = !out.queue.is_empty();
        let write = matches!(flushed, Flushed::Full);
        if matches!(flushed, Flushed::Exhausted) {
            self.poller.retry_soon(self);
        }
        let interest = Interest { write, ..out.interest };
        let watched = self.watch(out, interest);
        let why = match (flushed, watched) {
            (Flushed::Failed(errno), _) => reason(errno),
            (_, Err(error)) => TransportClosed::Os(error.kind()),
            _ => return Ok(()),
        };
        self.stop_sending(out, why.clone());
        Err(why)
    }

    /// Nothing can be sent any more. If the transport is active, the pump reads what had arrived,
    /// meets the end of the stream that the shutdown makes, and closes the transport.
    fn stop_sending(self: &Arc<Self>, out: &mut Out, why: TransportClosed) {
        out.closed.get_or_insert(why);
        out.queue = SendQueue::default();
        out.waiting = false;
        let interest = Interest { write: false, ..out.interest };
        // Less to report never fails, and if it did, the pump would find nothing to do.
        let _ = self.watch(out, interest);
        socket::shut_down(&self.socket);
    }

    /// Tells the poller what to report from now on.
    fn watch(self: &Arc<Self>, out: &mut Out, interest: Interest) -> io::Result<()> {
        let (old, new) = (out.interest.flags(), interest.flags());
        self.poller.watch(self, old, new)?;
        out.interest = interest;
        Ok(())
    }

    /// Reads what is there and puts it into the mailbox.
    fn receive(self: &Arc<Self>, scratch: &mut [u8]) {
        // While a handler is busy on another thread, what arrives waits in the socket.
        if !lock(&self.out).interest.read || !self.delivery.is_idle() {
            return;
        }
        let Ok(mut decoder) = self.inbound.try_lock() else {
            return;
        };
        let mut frames = VecDeque::new();
        let end = decoder.read(&self.socket, scratch, &mut |incoming| {
            frames.push_back(attachment::unpack(incoming, &self.poller)?);
            Ok(())
        });
        self.delivery.push(&mut frames);
        let why = match end {
            ReadEnd::Pause => return,
            ReadEnd::Eof => TransportClosed::PeerGone,
            ReadEnd::Violation(rule) => TransportClosed::Violation(rule),
            ReadEnd::Os(errno) => TransportClosed::Os(io::Error::from(errno).kind()),
        };
        *decoder = Decoder::default();
        drop(decoder);
        let why = self.end(why);
        self.delivery.close(why);
    }

    /// Ends both directions and forgets what is queued. Returns the reason, which is an earlier
    /// one if there is one.
    fn end(self: &Arc<Self>, why: TransportClosed) -> TransportClosed {
        let mut out = lock(&self.out);
        self.stop_sending(&mut out, why);
        let _ = self.watch(&mut out, Interest::default());
        out.closed.clone().unwrap_or(TransportClosed::Deactivated)
    }

    fn deactivate(self: &Arc<Self>, why: TransportClosed) {
        if lock(&self.out).released {
            return;
        }
        self.end(why.clone());
        self.delivery.cut(why);
        self.delivery.run();
    }

    fn activate(self: &Arc<Self>, handler: Arc<dyn TransportHandler>) -> io::Result<()> {
        self.delivery.activate(handler)?;
        let mut out = lock(&self.out);
        let interest = Interest { read: true, ..out.interest };
        let watched = self.watch(&mut out, interest);
        drop(out);
        if watched.is_err() {
            self.delivery.revert_activation();
        }
        watched
    }

    /// Makes the socket ready to be given away.
    fn release(self: &Arc<Self>) -> io::Result<()> {
        if self.delivery.is_activated() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut out = lock(&self.out);
        if !out.queue.is_empty() {
            // The rest of these frames cannot follow, so nothing may follow.
            self.stop_sending(&mut out, TransportClosed::Deactivated);
        }
        self.watch(&mut out, Interest::default())?;
        out.released = true;
        Ok(())
    }
}

impl UnixTransport {
    pub(super) fn new(socket: OwnedFd, poller: Arc<Poller>) -> UnixTransport {
        let core = Core {
            token: poller.new_token(),
            socket,
            poller,
            out: Mutex::default(),
            inbound: Mutex::default(),
            delivery: Delivery::default(),
        };
        UnixTransport { core: Arc::new(core) }
    }

    /// Gives the socket up, for sending it. A transport with bytes still queued arrives closed,
    /// behind those that the system has taken.
    ///
    /// # Errors
    /// It was activated, or the system refused.
    pub(super) fn release(self: Box<Self>) -> io::Result<OwnedFd> {
        self.core.release()?;
        let core = Arc::clone(&self.core);
        drop(self);
        match Arc::try_unwrap(core) {
            Ok(core) => Ok(core.socket),
            // The poller is just looking at it.
            Err(core) => core.socket.try_clone(),
        }
    }
}

impl Transport for UnixTransport {
    fn activate(&self, handler: Arc<dyn TransportHandler>) -> io::Result<()> {
        self.core.activate(handler)
    }

    fn transmit(&self, frames: &mut VecDeque<Frame>) -> Result<(), TransportClosed> {
        let closed = lock(&self.core.out).closed.clone();
        if let Some(why) = closed {
            frames.clear();
            return Err(why);
        }
        while let Some(frame) = frames.pop_front() {
            let Some(outgoing) = attachment::pack(frame) else {
                frames.clear();
                let why = TransportClosed::Os(io::ErrorKind::InvalidInput);
                self.core.deactivate(why.clone());
                return Err(why);
            };
            self.core.enqueue(outgoing);
        }
        self.core.send_queued()
    }

    fn queued_bytes(&self) -> usize {
        lock(&self.core.out).queue.num_bytes()
    }

    fn deactivate(&self) {
        self.core.deactivate(TransportClosed::Deactivated);
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send + Sync> {
        self
    }
}

impl Drop for UnixTransport {
    fn drop(&mut self) {
        self.deactivate();
    }
}

impl fmt::Debug for UnixTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnixTransport")
            .field("fd", &self.core.socket.as_raw_fd())
            .finish_non_exhaustive()
    }
}
