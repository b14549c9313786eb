//! An operating-system handle as a value that can be sent.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::process::{ChildStderr, ChildStdin, ChildStdout};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// An owned handle of the operating system: on Unix, a file descriptor.
///
/// Dropping it closes the descriptor. Sending it moves the descriptor out: since a serializer
/// sees its value only by shared reference, the move happens behind `&self`, and what stays behind
/// is an *empty* handle. An empty handle owns nothing; every use of it fails with
/// [`io::ErrorKind::NotFound`] and dropping it does nothing. A handle is emptied by no one but the
/// library, while it sends, so code that does not keep a handle it sent never meets an empty one.
///
/// Can be used from several threads; a use that reads the descriptor and a send exclude each other.
///
/// ```
/// # let (near, far) = ipcz::Node::broker()?.open_portals();
/// use ipcz::{Handle, OsHandle, Parcel};
/// use std::fs::File;
/// use std::io::Read;
///
/// let file = File::open("Cargo.toml")?;
/// near.put(Parcel::with_handles("a file", vec![Handle::from(OsHandle::from(file))]))?;
///
/// let (_, mut handles) = far.recv_blocking()?.into_parts();
/// let Some(Handle::Os(handle)) = handles.pop() else { panic!("it was put") };
/// let mut text = String::new();
/// File::try_from(handle)?.read_to_string(&mut text)?;
/// assert!(text.starts_with("[package]"));
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub struct OsHandle {
    fd: Mutex<Option<OwnedFd>>,
}

impl OsHandle {
    /// Gives the descriptor up.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] if this handle was sent.
    pub fn into_fd(self) -> io::Result<OwnedFd> {
        self.take().ok_or_else(sent)
    }

    /// Calls `use_fd` with the descriptor, for a system call that needs no ownership.
    ///
    /// The handle cannot be sent meanwhile; `use_fd` must not touch this handle.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] if this handle was sent.
    pub fn with_fd<R>(&self, use_fd: impl FnOnce(&OwnedFd) -> R) -> io::Result<R> {
        self.lock().as_ref().map(use_fd).ok_or_else(sent)
    }

    /// A second handle of the same open file, close-on-exec.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] if this handle was sent, else what the system said, usually that
    /// the process is out of descriptors.
    pub fn try_clone(&self) -> io::Result<OsHandle> {
        self.with_fd(OwnedFd::try_clone)?.map(OsHandle::from)
    }

    /// Whether this handle was sent and owns nothing any more.
    pub fn is_empty(&self) -> bool {
        self.lock().is_none()
    }

    /// Moves the descriptor out and leaves the handle empty; `None` if it was empty.
    pub(crate) fn take(&self) -> Option<OwnedFd> {
        self.lock().take()
    }

    fn lock(&self) -> MutexGuard<'_, Option<OwnedFd>> {
        self.fd.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn sent() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "this handle was sent and is empty now")
}

impl fmt::Debug for OsHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.lock().as_ref() {
            Some(fd) => f.debug_tuple("OsHandle").field(&fd.as_fd().as_raw_fd()).finish(),
            None => f.write_str("OsHandle(empty)"),
        }
    }
}

impl From<OwnedFd> for OsHandle {
    fn from(fd: OwnedFd) -> OsHandle {
        OsHandle { fd: Mutex::new(Some(fd)) }
    }
}

impl TryFrom<OsHandle> for OwnedFd {
    type Error = io::Error;

    fn try_from(handle: OsHandle) -> io::Result<OwnedFd> {
        handle.into_fd()
    }
}

/// What owns a descriptor becomes a handle.
macro_rules! from_owner {
    ($($owner:ty),*) => {$(
        impl From<$owner> for OsHandle {
            fn from(owner: $owner) -> OsHandle {
                OsHandle::from(OwnedFd::from(owner))
            }
        }
    )*};
}

/// A handle becomes what owns a descriptor. Whether the descriptor is of that kind shows at its
/// first use: the system knows, the type does not.
macro_rules! into_owner {
    ($($owner:ty),*) => {$(
        impl TryFrom<OsHandle> for $owner {
            type Error = io::Error;

            fn try_from(handle: OsHandle) -> io::Result<$owner> {
                handle.into_fd().map(<$owner>::from)
            }
        }
    )*};
}

from_owner!(
    File,
    UnixStream,
    UnixListener,
    UnixDatagram,
    std::net::TcpStream,
    std::net::TcpListener,
    std::net::UdpSocket,
    std::io::PipeReader,
    std::io::PipeWriter,
    ChildStdin,
    ChildStdout,
    ChildStderr
);
into_owner!(
    File,
    UnixStream,
    UnixListener,
    UnixDatagram,
    std::net::TcpStream,
    std::net::TcpListener,
    std::net::UdpSocket,
    std::io::PipeReader,
    std::io::PipeWriter
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_handle_is_empty_and_says_so() {
        let (reader, _writer) = std::io::pipe().unwrap();
        let handle = OsHandle::from(reader);
        assert!(!handle.is_empty());
        assert!(handle.take().is_some());
        assert!(handle.is_empty());
        assert!(handle.take().is_none());
        assert_eq!(handle.try_clone().unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(handle.into_fd().unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_clone_is_the_same_open_file() {
        use std::io::{Read, Write};
        let (reader, mut writer) = std::io::pipe().unwrap();
        let handle = OsHandle::from(reader);
        let mut copy = std::io::PipeReader::try_from(handle.try_clone().unwrap()).unwrap();
        drop(handle);
        writer.write_all(b"x").unwrap();
        let mut got = [0];
        copy.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"x");
    }
}
