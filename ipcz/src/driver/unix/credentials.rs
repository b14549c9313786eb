//! Who is at the other end of a socket.

use std::io;
use std::os::fd::BorrowedFd;

use rustix::process::Pid;

/// The process at the other end of a connection, as the kernel noted it when the connection was
/// made (for who connects) or when listening began (for who accepts).
///
/// It says who made the connection, not who holds it now: a process can hand its end on, exit, and
/// its id can be given to another. Access decisions should rest on `uid` and `gid`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Credentials {
    /// Its process id, or `None` if it has none in this process's namespace.
    pub pid: Option<u32>,
    /// Its effective user id.
    pub uid: u32,
    /// Its effective group id.
    pub gid: u32,
}

impl Credentials {
    /// Asks the kernel who is at the other end of `socket`.
    pub(super) fn of_peer(socket: BorrowedFd<'_>) -> io::Result<Credentials> {
        let peer = rustix::net::sockopt::socket_peercred(socket)?;
        let pid = u32::try_from(Pid::as_raw(Some(peer.pid))).ok();
        Ok(Credentials {
            pid: pid.filter(|&pid| pid != 0),
            uid: peer.uid.as_raw(),
            gid: peer.gid.as_raw(),
        })
    }
}
