//! A child process with one end of a connection.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::process::{Child, Command};

use super::inherit::{self, FIRST_FREE};
use super::parent::{PARENT_VARIABLE, Ticket};
use super::socket;

/// Runs `command` with one end of a connection, and returns the other end.
pub(super) fn spawn(mut command: Command) -> io::Result<(Child, OwnedFd)> {
    let (ours, childs) = socket::pair()?;
    let childs = above_standard_streams(childs)?;
    let stat = rustix::fs::fstat(&childs)?;
    let ticket = Ticket { fd: childs.as_raw_fd(), device: stat.st_dev, inode: stat.st_ino };
    command.env(PARENT_VARIABLE, ticket.to_string());
    inherit::make_inheritable_in_child(&mut command, childs);
    match command.spawn() {
        Ok(child) => Ok((child, ours)),
        Err(error) => {
            let program = command.get_program().to_string_lossy();
            Err(io::Error::new(error.kind(), format!("cannot run {program}: {error}")))
        }
    }
}

/// The same socket under a number that the child's standard streams do not take. It has another only
/// in a process that closed its own.
fn above_standard_streams(fd: OwnedFd) -> io::Result<OwnedFd> {
    if fd.as_raw_fd() >= FIRST_FREE {
        return Ok(fd);
    }
    Ok(rustix::io::fcntl_dupfd_cloexec(fd.as_fd(), FIRST_FREE)?)
}
