//! Connects nodes of one process, without the operating system.
//!
//! For tests: everything is synchronous and happens in the order in which it is asked for, so one
//! thread sees the same run every time. [`Transport::transmit`] runs the other side's handler
//! before it returns, unless that handler is running already: then the call that runs it delivers
//! these frames too, and `transmit` returns at once. So nested transmits neither recurse through
//! the same transport twice nor reorder anything.
//!
//! Attachments are moved as they are: a transport stays the same object. Nothing collects
//! transports that were sent into each other and lost, as the kernel does with sockets.

use std::any::Any;
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::Arc;

use super::delivery::Delivery;
use super::{
    Attachment, Driver, Frame, Pump, Transport, TransportClosed, TransportHandler, limits,
};
use crate::shm::Region;

/// Makes transports between nodes of this process.
#[derive(Debug, Default, Clone, Copy)]
pub struct InProcDriver;

impl InProcDriver {
    /// A driver. All of them are alike, and their transports can be mixed.
    pub fn new() -> InProcDriver {
        InProcDriver
    }
}

impl Driver for InProcDriver {
    fn create_transports(&self) -> io::Result<(Box<dyn Transport>, Box<dyn Transport>)> {
        let (a, b) = (Arc::new(Delivery::default()), Arc::new(Delivery::default()));
        let one = InProcTransport { mine: Arc::clone(&a), peers: Arc::clone(&b) };
        let two = InProcTransport { mine: b, peers: a };
        Ok((Box::new(one), Box::new(two)))
    }

    fn allocate_region(&self, num_bytes: usize) -> io::Result<Region> {
        Region::new(num_bytes)
    }

    fn pump(&self) -> Option<&dyn Pump> {
        None
    }
}

/// One end: two mailboxes, one to receive from and one to send to.
struct InProcTransport {
    mine: Arc<Delivery>,
    peers: Arc<Delivery>,
}

impl InProcTransport {
    /// Ends this side for `why`; the other side hears of it behind what was sent to it.
    fn end(&self, why: TransportClosed) {
        self.mine.cut(why);
        self.peers.close(TransportClosed::PeerGone);
        self.mine.run();
        self.peers.run();
    }
}

/// Whether `frame` is something that this driver can send.
fn can_send(frame: &Frame) -> bool {
    limits::fits(frame) && frame.attachments.iter().all(can_attach)
}

fn can_attach(attachment: &Attachment) -> bool {
    match attachment {
        Attachment::Handle(handle) => !handle.is_empty(),
        Attachment::Region(_) => true,
        Attachment::Transport(transport) => {
            let any: &dyn Any = &**transport;
            any.downcast_ref::<InProcTransport>().is_some_and(|it| !it.mine.is_activated())
        }
    }
}

impl Transport for InProcTransport {
    fn activate(&self, handler: Arc<dyn TransportHandler>) -> io::Result<()> {
        self.mine.activate(handler)?;
        self.mine.run();
        Ok(())
    }

    fn transmit(&self, frames: &mut VecDeque<Frame>) -> Result<(), TransportClosed> {
        if let Some(why) = self.mine.closed() {
            frames.clear();
            return Err(why);
        }
        if !frames.iter().all(can_send) {
            frames.clear();
            let why = TransportClosed::Os(io::ErrorKind::InvalidInput);
            self.end(why.clone());
            return Err(why);
        }
        self.peers.push(frames);
        self.peers.run();
        // The other side may have gone since the check: then nothing was taken.
        frames.clear();
        Ok(())
    }

    fn queued_bytes(&self) -> usize {
        0
    }

    fn deactivate(&self) {
        self.end(TransportClosed::Deactivated);
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send + Sync> {
        self
    }
}

impl Drop for InProcTransport {
    fn drop(&mut self) {
        self.deactivate();
    }
}

impl fmt::Debug for InProcTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InProcTransport")
    }
}
