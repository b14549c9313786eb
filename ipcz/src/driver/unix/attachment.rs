//! Attachments as descriptors, both ways.

use std::any::Any;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use super::framing::Kind;
use super::inbound::Incoming;
use super::outbound::Outgoing;
use super::poller::Poller;
use super::socket;
use super::transport::UnixTransport;
use crate::OsHandle;
use crate::driver::{Attachment, Frame, limits};
use crate::shm::Region;

/// Takes a frame apart for sending; `None` if it cannot be sent.
pub(super) fn pack(frame: Frame) -> Option<Outgoing> {
    if !limits::fits(&frame) {
        return None;
    }
    let attachments: Option<Vec<_>> = frame.attachments.into_iter().map(pack_one).collect();
    Some(Outgoing::new(frame.head, frame.body, attachments?))
}

fn pack_one(attachment: Attachment) -> Option<(Kind, OwnedFd)> {
    match attachment {
        Attachment::Handle(handle) => Some((Kind::Handle, handle.take()?)),
        Attachment::Region(region) => Some((Kind::Region, region.into())),
        Attachment::Transport(transport) => {
            let transport: Box<dyn Any> = transport.into_any();
            let transport = transport.downcast::<UnixTransport>().ok()?;
            Some((Kind::Transport, transport.release().ok()?))
        }
    }
}

/// Makes a frame of what came. Every attachment is checked to be what it says.
pub(super) fn unpack(incoming: Incoming, poller: &Arc<Poller>) -> Result<Frame, &'static str> {
    let attachments: Result<Vec<_>, _> = incoming
        .kinds
        .into_iter()
        .zip(incoming.fds)
        .map(|(kind, fd)| unpack_one(Kind::decode(kind)?, fd, poller))
        .collect();
    Ok(Frame { head: incoming.head, body: incoming.body, attachments: attachments? })
}

fn unpack_one(kind: Kind, fd: OwnedFd, poller: &Arc<Poller>) -> Result<Attachment, &'static str> {
    Ok(match kind {
        Kind::Handle => Attachment::Handle(OsHandle::from(fd)),
        Kind::Region => Attachment::Region(
            Region::from_fd(fd).map_err(|_| "an attached region is no sealed memory")?,
        ),
        Kind::Transport => {
            if !socket::is_stream_socket(fd.as_fd()) {
                return Err("an attached transport is no stream socket");
            }
            Attachment::Transport(Box::new(UnixTransport::new(fd, Arc::clone(poller))))
        }
    })
}
