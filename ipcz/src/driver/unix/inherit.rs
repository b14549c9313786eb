//! The two steps of handing a descriptor to a child that the type system cannot follow.
//!
//! # Safety
//!
//! [`make_inheritable_in_child`] runs code between `fork` and `exec`, where only async-signal-safe
//! functions may be called. [`adopt`] makes an owner of a number. Each block says why it may.
#![allow(unsafe_code)]

use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::fs::FileType;
use rustix::io::FdFlags;

use super::parent::{FromParentError, Ticket};

/// The first descriptor number behind the standard streams.
pub(super) const FIRST_FREE: i32 = 3;

/// Has the child that `command` becomes inherit `fd`, under the same number. Only the child's
/// copy is made inheritable; the descriptor of this process stays close-on-exec. The command owns
/// `fd` and closes it when it is dropped.
pub(super) fn make_inheritable_in_child(command: &mut Command, fd: OwnedFd) {
    let clear = move || Ok(rustix::io::fcntl_setfd(&fd, FdFlags::empty())?);
    // SAFETY: `clear` runs in the child between `fork` and `exec`. It makes one `fcntl` system
    // call, which POSIX lists as async-signal-safe; it takes no lock, allocates nothing (an error
    // is made of a bare error number) and touches no memory but the number of the descriptor, which
    // it owns and which the fork duplicated. `fd` is 3 or above, so that setting up the standard
    // streams does not replace it.
    unsafe { command.pre_exec(clear) };
}

/// Takes ownership of the descriptor that a ticket names, if it is what the ticket says, and makes
/// it close-on-exec.
pub(super) fn adopt(ticket: Ticket) -> Result<OwnedFd, FromParentError> {
    let number = ticket.fd;
    // SAFETY: a ticket's number is never negative. Until all checks below are passed, the borrow is
    // used only for system calls that read properties and act on nothing: should the number not be
    // open, or be closed meanwhile, they fail or describe another file. It ends with this function.
    let fd = unsafe { BorrowedFd::borrow_raw(number) };
    let stat = rustix::fs::fstat(fd).map_err(|_| FromParentError::NotOpen(number))?;
    if !FileType::from_raw_mode(stat.st_mode).is_socket() {
        return Err(FromParentError::NotASocket(number));
    }
    if (stat.st_dev, stat.st_ino) != (ticket.device, ticket.inode) {
        return Err(FromParentError::OtherSocket(number));
    }
    let flags = rustix::io::fcntl_getfd(fd).map_err(|_| FromParentError::NotOpen(number))?;
    if flags.contains(FdFlags::CLOEXEC) {
        return Err(FromParentError::NotInherited(number));
    }
    rustix::io::fcntl_setfd(fd, FdFlags::CLOEXEC).map_err(|_| FromParentError::NotOpen(number))?;
    // SAFETY: the descriptor is open: it was just looked at. It is the very socket that the parent
    // made for this process, and was not close-on-exec, so it came by inheritance: whatever in this
    // process could own it would have got it from here, after which it is close-on-exec.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}
