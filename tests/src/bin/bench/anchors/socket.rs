//! Ping-pong of 64 bytes over a pair of sockets.

use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

use super::{PingPong, Service, order};
use crate::order::Handles;
use crate::peer::Peer;

const SIZE: usize = 64;

/// Which sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Stream,
    SeqPacket,
}

pub(super) struct Client(OwnedFd);

impl Client {
    pub(super) fn start(peer: &Peer, kind: Kind) -> Self {
        let kind = match kind {
            Kind::Stream => SocketType::STREAM,
            Kind::SeqPacket => SocketType::SEQPACKET,
        };
        let pair = socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None);
        let (near, far) = pair.expect("a pair of sockets");
        order(peer, Service::Socket, vec![far.into()]);
        Self(near)
    }
}

impl PingPong for Client {
    fn round(&mut self) {
        say(&self.0);
        assert!(hear(&self.0), "the other side of a socket is gone");
    }

    /// Closing it says so.
    fn stop(self) {}
}

pub(super) fn serve(handles: &mut Handles) {
    let socket = handles.os().into_fd().expect("a handle");
    while hear(&socket) {
        say(&socket);
    }
}

fn say(socket: &OwnedFd) {
    let written = rustix::io::write(socket, &[7; SIZE]).expect("a socket with room");
    assert_eq!(written, SIZE);
}

/// Reads a whole message. Gives false at the end.
fn hear(socket: &OwnedFd) -> bool {
    let mut message = [0; SIZE];
    let mut filled = 0;
    while filled < SIZE {
        let read = rustix::io::retry_on_intr(|| rustix::io::read(socket, &mut message[filled..]));
        match read.expect("a socket") {
            0 => return false,
            count => filled += count,
        }
    }
    true
}
