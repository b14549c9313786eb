//! A peer that writes what it likes.

use std::io::{IoSlice, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use ipcz::driver::TransportClosed;
use ipcz::driver::unix::UnixDriver;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

use crate::harness::{End, pump_until};

/// A bare socket, connected to an active transport.
pub(crate) struct Raw {
    pub(crate) socket: UnixStream,
    pub(crate) end: End,
    pub(crate) driver: Arc<UnixDriver>,
}

impl Raw {
    pub(crate) fn new(driver: &Arc<UnixDriver>) -> Raw {
        let (socket, other) = UnixStream::pair().unwrap();
        Raw::over(driver, socket, other)
    }

    /// Two connected sockets, of which `other` becomes the transport.
    pub(crate) fn over(driver: &Arc<UnixDriver>, socket: UnixStream, other: UnixStream) -> Raw {
        let end = End::new(driver.transport(other.into()).unwrap());
        end.activate();
        let driver = Arc::clone(driver);
        Raw { socket, end, driver }
    }

    pub(crate) fn write(&self, bytes: &[u8]) {
        (&self.socket).write_all(bytes).unwrap();
    }

    /// Writes `bytes` with `fds`; as one message, so they must be few.
    pub(crate) fn write_with(&self, bytes: &[u8], fds: &[OwnedFd]) {
        let fds: Vec<BorrowedFd<'_>> = fds.iter().map(AsFd::as_fd).collect();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(253))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        assert!(control.push(SendAncillaryMessage::ScmRights(&fds)));
        let parts = [IoSlice::new(bytes)];
        let sent = sendmsg(&self.socket, &parts, &mut control, SendFlags::empty());
        assert_eq!(sent, Ok(bytes.len()));
    }

    /// How the transport ended, after all that was written.
    pub(crate) fn ended(&self) -> TransportClosed {
        let seen = &self.end.seen;
        pump_until(&*self.driver, "the close", || seen.closed().is_some());
        seen.closed().unwrap()
    }

    /// The rule that the transport says was broken.
    pub(crate) fn broken_rule(&self) -> &'static str {
        match self.ended() {
            TransportClosed::Violation(rule) => rule,
            other => panic!("taken for no violation: {other:?}"),
        }
    }
}

/// The header of a frame.
pub(crate) fn header(head: u32, body: u32, attachments: u16) -> Vec<u8> {
    let mut bytes = b"ipcz".to_vec();
    bytes.extend(head.to_le_bytes());
    bytes.extend(body.to_le_bytes());
    bytes.extend(attachments.to_le_bytes());
    bytes.extend([0, 0]);
    bytes
}

/// Any descriptors.
pub(crate) fn descriptors(count: usize) -> Vec<OwnedFd> {
    let open = || std::fs::File::open("/dev/null").unwrap().into();
    (0..count).map(|_| open()).collect()
}
