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
        Attachment::Region(region) => {
            let kind = if region.is_writable() { Kind::Region } else { Kind::ReadOnlyRegion };
            Some((kind, region.into()))
        }
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
        Kind::Region => Attachment::Region(region(fd, true)?),
        Kind::ReadOnlyRegion => Attachment::Region(region(fd, false)?),
        Kind::Transport => {
            if !socket::is_stream_socket(fd.as_fd()) {
                return Err("an attached transport is no stream socket");
            }
            Attachment::Transport(Box::new(UnixTransport::new(fd, Arc::clone(poller))))
        }
    })
}

/// A region that can be written or not, as was said of it: its seals tell.
fn region(fd: OwnedFd, is_writable: bool) -> Result<Region, &'static str> {
    let region = Region::from_fd(fd).map_err(|_| "an attached region is no sealed memory")?;
    match region.is_writable() == is_writable {
        true => Ok(region),
        false => Err("an attached region is not what was said of it"),
    }
}
