//! What ipcz asks of an operating system.
//!
//! A [`Driver`] makes transports and memory; a [`Transport`] carries [`Frame`]s between two nodes,
//! reliably and in order. Everything above this module is the same on every platform.
//!
//! | driver | what it is |
//! | --- | --- |
//! | [`unix`] | sockets, descriptors in control messages, sealed memfd regions, one epoll set a node |
//! | [`inproc`] | nodes of one process, synchronous and deterministic: for tests |
//!
//! A new platform supplies: a [`Driver`], its [`Transport`], its [`Pump`] unless it delivers from
//! threads of its own, and its kind of region. All of them must pass the conformance suite in
//! `tests/support/drivers`, which is written against these traits alone.

mod delivery;
pub mod inproc;
pub mod limits;
mod lock;
pub mod unix;

use std::any::Any;
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::OsHandle;
use crate::shm::Region;

/// One message between two nodes.
///
/// `head` holds what the engine says, `body` what an application put. They are apart so that a
/// large body is neither copied behind its head nor out from behind it.
#[derive(Debug, Default)]
pub struct Frame {
    /// Control bytes.
    pub head: Vec<u8>,
    /// Payload bytes.
    pub body: Vec<u8>,
    /// What travels beside the bytes, in order.
    pub attachments: Vec<Attachment>,
}

/// Something that bytes cannot express.
#[derive(Debug)]
pub enum Attachment {
    /// A handle of the operating system.
    Handle(OsHandle),
    /// A transport that has not been activated.
    Transport(Box<dyn Transport>),
    /// A region of shared memory.
    Region(Region),
}

/// Why a transport carries nothing any more.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TransportClosed {
    /// This side called [`Transport::deactivate`].
    Deactivated,
    /// The other side is gone: it closed its end, or its process ended.
    PeerGone,
    /// The other side broke the framing rules. The text says which.
    Violation(&'static str),
    /// The operating system refused to go on.
    Os(io::ErrorKind),
}

/// Takes what arrives on a transport.
///
/// Calls for one transport never overlap. No lock of the transport is held during a call, so a
/// handler may transmit on the same transport, and deactivate or drop it.
///
/// A handler that panics takes its transport with it: no further call is made.
pub trait TransportHandler: Send + Sync {
    /// Takes the frames that arrived, in order. What is left in `frames` is dropped.
    fn on_frames(&self, frames: &mut Vec<Frame>);
    /// Everything that an earlier transmit had to leave queued is now with the operating system.
    /// Not called for what left before activation.
    fn on_drained(&self);
    /// Nothing arrives or leaves any more. The last call for this transport, made exactly once.
    fn on_closed(&self, why: TransportClosed);
}

/// One end of a connection between two nodes.
///
/// Before it is activated, a transport may be sent over another one as an [`Attachment`], to a
/// node of the same driver. What its peer sent into it goes along. If it has bytes queued itself, it
/// arrives closed: they cannot follow it.
///
/// Dropping a transport deactivates it.
pub trait Transport: Send + Sync + fmt::Debug + Any {
    /// Starts delivery to `handler`, beginning with what arrived before.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] if it was activated before,
    /// [`io::ErrorKind::NotConnected`] if it was deactivated, else what the system said.
    fn activate(&self, handler: Arc<dyn TransportHandler>) -> io::Result<()>;

    /// Sends `frames` in order and leaves the queue empty.
    ///
    /// Never blocks: what the system cannot take now stays queued in the transport and follows
    /// when it can. Usable before activation. One caller at a time; a synchronous driver runs the
    /// other side's handler before this returns.
    ///
    /// # Errors
    /// The transport is closed; the frames are dropped. A frame that cannot be sent closes it with
    /// [`io::ErrorKind::InvalidInput`]: one beyond the [`limits`], or with an attachment that is an
    /// empty handle or a transport that is active or of another driver.
    fn transmit(&self, frames: &mut VecDeque<Frame>) -> Result<(), TransportClosed>;

    /// The number of bytes that [`Transport::transmit`] left queued.
    fn queued_bytes(&self) -> usize;

    /// Ends delivery and closes this end; what is still queued is dropped.
    ///
    /// [`TransportHandler::on_closed`] follows, on this thread or another, unless the transport
    /// was never activated. Further calls do nothing.
    fn deactivate(&self);

    /// Hears that an application rejects something that came over this transport, and why. The node
    /// disconnects the other side by itself, where it has to be.
    fn report_bad_activity(&self, why: &str) {
        let _ = why;
    }

    /// This transport as the concrete type of its driver, so that the driver can send it.
    fn into_any(self: Box<Self>) -> Box<dyn Any + Send + Sync>;
}

/// Makes what nodes are connected with.
pub trait Driver: Send + Sync + fmt::Debug {
    /// Makes two transports that are connected to each other.
    ///
    /// # Errors
    /// What the system said, usually that it is out of descriptors.
    fn create_transports(&self) -> io::Result<(Box<dyn Transport>, Box<dyn Transport>)>;

    /// Makes a zeroed region of shared memory of `num_bytes`, which can be sent and mapped.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] for zero bytes or more than fit an address space, else what
    /// the system said.
    fn allocate_region(&self, num_bytes: usize) -> io::Result<Region>;

    /// What a node must run to have frames delivered, or `None` if the driver delivers by itself.
    fn pump(&self) -> Option<&dyn Pump>;
}

/// Waits for the operating system and delivers what it has.
pub trait Pump: Send + Sync {
    /// Sleeps until something arrives, `timeout` passes or [`Pump::interrupt`] is called, and
    /// delivers all of one batch. One caller at a time.
    ///
    /// May return early with nothing delivered. A second caller at the same time does no harm, but
    /// may find that the first is at everything there is to do, and not sleep.
    ///
    /// # Errors
    /// What the system said of the wait itself. A failing transport is no error here: its handler
    /// hears of it.
    fn wait(&self, timeout: Option<Duration>) -> io::Result<()>;

    /// Makes the current wait return soon, or the next one at once.
    fn interrupt(&self);
}
