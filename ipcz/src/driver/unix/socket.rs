//! The system calls on a stream socket, and what they need to be safe to use.
//!
//! Every call is non-blocking by its own flag: the mode of the open file is shared with whoever
//! holds a duplicate, so a peer that sent us a socket could change it.

use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::{Errno, retry_on_intr};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, sockopt,
};

/// The most descriptors that one message carries on Linux (`SCM_MAX_FD`).
pub(super) const MAX_FDS_A_MESSAGE: usize = 253;

/// What one receive call brought, besides the descriptors.
pub(super) struct Received {
    /// How many bytes; zero at the end of the stream.
    pub(super) num_bytes: usize,
    /// Descriptors were sent but did not all arrive.
    pub(super) fds_lost: bool,
    /// The kernel added something that nobody here asks it for.
    pub(super) foreign_control: bool,
}

/// Makes two sockets connected to each other.
pub(super) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let pair = rustix::net::socketpair(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    Ok(pair)
}

/// Whether `fd` is a Unix-domain stream socket that is not a listening one.
pub(super) fn is_stream_socket(fd: BorrowedFd<'_>) -> bool {
    sockopt::socket_domain(fd) == Ok(AddressFamily::UNIX)
        && sockopt::socket_type(fd) == Ok(SocketType::STREAM)
        && sockopt::socket_acceptconn(fd) == Ok(false)
}

/// Sends as much of `parts` as the socket takes; `fds` go with the first byte.
///
/// If it takes no byte, the error is [`Errno::AGAIN`] and no descriptor left either. A peer that
/// is gone is an error, never a signal.
pub(super) fn send(
    socket: &OwnedFd,
    parts: &[IoSlice<'_>],
    fds: &[OwnedFd],
) -> Result<usize, Errno> {
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    if fds.is_empty() {
        let mut control = SendAncillaryBuffer::default();
        return retry_on_intr(|| rustix::net::sendmsg(socket, parts, &mut control, flags));
    }
    let borrowed: Vec<BorrowedFd<'_>> = fds.iter().map(AsFd::as_fd).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS_A_MESSAGE))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(&borrowed)) {
        return Err(Errno::INVAL);
    }
    retry_on_intr(|| rustix::net::sendmsg(socket, parts, &mut control, flags))
}

/// Receives into `parts`; descriptors that came along, close-on-exec, go behind those in `fds`.
///
/// The kernel hands out the descriptors of at most one sent message, together with its first byte.
pub(super) fn receive(
    socket: &OwnedFd,
    parts: &mut [IoSliceMut<'_>],
    fds: &mut VecDeque<OwnedFd>,
) -> Result<Received, Errno> {
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS_A_MESSAGE))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let got = retry_on_intr(|| rustix::net::recvmsg(socket, parts, &mut control, flags))?;
    Ok(Received {
        num_bytes: got.bytes,
        fds_lost: got.flags.contains(ReturnFlags::CTRUNC),
        foreign_control: !take_fds(&mut control, fds),
    })
}

/// Takes the descriptors out of `control`; whether there was nothing else.
///
/// Whoever holds a duplicate of a socket can have the kernel add credentials or a descriptor for the
/// sender (`SO_PASSPIDFD`) to everything that is received here. Such a descriptor is of a type that
/// is not reported, so it would stay open unseen with every message. It comes last, which is how it is
/// noticed: something is left, but nothing that is known.
fn take_fds(control: &mut RecvAncillaryBuffer<'_>, fds: &mut VecDeque<OwnedFd>) -> bool {
    let mut nothing_else = true;
    let mut messages = control.drain();
    while messages.size_hint().1 != Some(0) {
        match messages.next() {
            Some(RecvAncillaryMessage::ScmRights(received)) => fds.extend(received),
            _ => nothing_else = false,
        }
    }
    nothing_else
}

/// Ends both directions. What was sent before still arrives.
pub(super) fn shut_down(socket: &OwnedFd) {
    // Fails only if the other side is gone, which is just as well.
    let _ = rustix::net::shutdown(socket, rustix::net::Shutdown::Both);
}
