//! The child's end of the connection to the process that spawned it.

use std::env;
use std::fmt;
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::str::FromStr;
use std::sync::Mutex;

use super::inherit::{self, FIRST_FREE};
use super::socket;
use crate::driver::lock::lock;

/// The environment variable by which a spawned process learns of its descriptor.
///
/// Its value is `FD:DEVICE:INODE` in decimal: the number of the descriptor, and which socket is to
/// be found there. A process further down that inherits the variable but not the socket is told so,
/// instead of taking whatever else has that number.
pub const PARENT_VARIABLE: &str = "IPCZ_PARENT";

/// Why there is no connection to a parent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FromParentError {
    /// It was taken before in this process.
    #[error("the connection to the parent was taken before; it can be taken once in a process")]
    AlreadyTaken,
    /// The variable is not set.
    #[error(
        "{PARENT_VARIABLE} is not set: this process was not spawned by an ipcz node; start it by \
         `Node::spawn`"
    )]
    NotSpawned,
    /// The variable is set to something else than a node sets it to.
    #[error(
        "{PARENT_VARIABLE} is set to {0:?}, which no ipcz node does; remove it from the environment"
    )]
    Malformed(String),
    /// The descriptor is not open here.
    #[error(
        "{PARENT_VARIABLE} names descriptor {0}, which is not open: the variable was meant for \
         another process, or something closed the descriptor before it was taken"
    )]
    NotOpen(i32),
    /// The descriptor is open here, but it is no socket.
    #[error(
        "{PARENT_VARIABLE} names descriptor {0}, which is no socket: the variable was meant for \
         another process, or something closed the descriptor and its number was used again"
    )]
    NotASocket(i32),
    /// The descriptor is open here, but it is another socket.
    #[error(
        "{PARENT_VARIABLE} names descriptor {0}, which is another socket than the parent made: the \
         variable was meant for another process"
    )]
    OtherSocket(i32),
    /// The descriptor is the right one, but it was not inherited: something here owns it.
    #[error(
        "{PARENT_VARIABLE} names descriptor {0}, which is close-on-exec: another part of this \
         process has taken it"
    )]
    NotInherited(i32),
    /// The socket is not of the kind that transports are made of.
    #[error(
        "{PARENT_VARIABLE} names descriptor {0}, which is no Unix-domain stream socket: was the \
         parent built with another version of ipcz?"
    )]
    WrongKind(i32),
}

/// What the variable says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ticket {
    /// Not a standard stream.
    pub(super) fd: RawFd,
    pub(super) device: u64,
    pub(super) inode: u64,
}

impl fmt::Display for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.fd, self.device, self.inode)
    }
}

impl FromStr for Ticket {
    type Err = ();

    fn from_str(text: &str) -> Result<Ticket, ()> {
        let mut fields = text.split(':').map(number);
        let mut next = || fields.next().flatten().ok_or(());
        let (fd, device, inode) = (next()?, next()?, next()?);
        let fd = RawFd::try_from(fd).map_err(drop)?;
        if fields.next().is_some() || fd < FIRST_FREE {
            return Err(());
        }
        Ok(Ticket { fd, device, inode })
    }
}

/// Digits only: `parse` would accept a sign.
fn number(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

/// Takes this process's end of the connection to the process that spawned it, close-on-exec.
///
/// Succeeds at most once in a process. What the environment names is checked to be the very socket
/// that the parent made, so that a stale variable never makes an owner of a foreign descriptor. The
/// variable stays set: changing the environment is not safe in a process with threads, and
/// [`UnixDriver::spawn`](super::UnixDriver::spawn) replaces it for children.
///
/// May be called from any thread; does not block.
///
/// # Errors
/// There is no such connection; the variant says which check failed. A later call may succeed.
pub fn from_parent() -> Result<OwnedFd, FromParentError> {
    static TAKEN: Mutex<bool> = Mutex::new(false);
    let mut taken = lock(&TAKEN);
    if *taken {
        return Err(FromParentError::AlreadyTaken);
    }
    let ticket = read_ticket()?;
    let socket = inherit::adopt(ticket)?;
    *taken = true;
    if !socket::is_stream_socket(socket.as_fd()) {
        return Err(FromParentError::WrongKind(ticket.fd));
    }
    Ok(socket)
}

fn read_ticket() -> Result<Ticket, FromParentError> {
    let text = env::var_os(PARENT_VARIABLE).ok_or(FromParentError::NotSpawned)?;
    let text = text.to_string_lossy();
    text.parse().map_err(|()| FromParentError::Malformed(text.chars().take(100).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tickets_survive_the_environment() {
        let ticket = Ticket { fd: 7, device: 8, inode: u64::MAX };
        assert_eq!(ticket.to_string().parse(), Ok(ticket));
    }

    #[test]
    fn other_texts_are_no_tickets() {
        let texts = [
            "",
            "3",
            "3:4",
            "3:4:5:6",
            "-3:4:5",
            "+3:4:5",
            "3::5",
            "2:4:5",
            " 3:4:5",
            "x:4:5",
            "4294967296:4:5",
            "3:4:99999999999999999999",
        ];
        for text in texts {
            assert_eq!(text.parse::<Ticket>(), Err(()), "{text:?}");
        }
    }
}
