//! Connections between programs that did not spawn each other, by a path in the file system.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use super::credentials::Credentials;
use super::poller::Poller;
use super::transport::UnixTransport;
use crate::driver::Transport;

/// A socket in the file system at which other programs connect.
///
/// Who may connect is a matter of the permissions of the socket (as the process's umask gives
/// them) and of the folder it is in; who did is told by [`Credentials`].
///
/// Dropping it removes the socket from the file system, if what is found there is still this one.
/// A process that is killed leaves it behind; the next [`UnixDriver::listen`] at that path finds
/// that nobody listens there and replaces it.
///
/// To wait for a connection along with other things, wait until the descriptor ([`AsFd`]) is
/// readable and call [`Listener::try_accept`]. All methods may be called from any thread.
///
/// [`UnixDriver::listen`]: super::UnixDriver::listen
#[derive(Debug)]
pub struct Listener {
    socket: UnixListener,
    bound: Bound,
    poller: PollerRef,
}

/// The socket in the file system, removed on drop.
#[derive(Debug)]
struct Bound {
    path: PathBuf,
    id: (u64, u64),
}

struct PollerRef(Arc<Poller>);

impl std::fmt::Debug for PollerRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Poller")
    }
}

/// The device and inode of what is at `path` itself, and whether it is a socket.
fn identify(path: &Path) -> io::Result<((u64, u64), bool)> {
    let found = fs::symlink_metadata(path)?;
    Ok(((found.dev(), found.ino()), found.file_type().is_socket()))
}

/// Adds to `error` what was being done where.
fn at(path: &Path, doing: &str, error: &io::Error) -> io::Error {
    let text = format!("cannot {doing} at {}: {error}", path.display());
    io::Error::new(error.kind(), text)
}

impl Listener {
    /// Binds `path`, replacing a socket at which nobody listens any more, and nothing else.
    pub(super) fn bind(path: &Path, poller: Arc<Poller>) -> io::Result<Listener> {
        let fail = |error| at(path, "listen", &error);
        let socket = match UnixListener::bind(path) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => replace(path),
            other => other,
        };
        let socket = socket.map_err(fail)?;
        let id = identify(path).map_err(fail)?.0;
        let path = path.to_path_buf();
        let bound = Bound { path, id };
        socket.set_nonblocking(true)?;
        Ok(Listener { socket, bound, poller: PollerRef(poller) })
    }

    /// Where this listens.
    pub fn path(&self) -> &Path {
        &self.bound.path
    }

    /// Waits until somebody connects.
    ///
    /// # Errors
    /// What the system said, usually that the process is out of descriptors. Who wanted to connect
    /// then waits on.
    pub fn accept(&self) -> io::Result<(Box<dyn Transport>, Credentials)> {
        loop {
            if let Some(accepted) = self.try_accept()? {
                return Ok(accepted);
            }
            let mut ready = [PollFd::new(&self.socket, PollFlags::IN)];
            retry_on_intr(|| poll(&mut ready, None))?;
        }
    }

    /// Takes a connection if somebody wants one.
    ///
    /// # Errors
    /// As [`Listener::accept`].
    pub fn try_accept(&self) -> io::Result<Option<(Box<dyn Transport>, Credentials)>> {
        let socket = loop {
            match self.socket.accept() {
                Ok((socket, _)) => break socket,
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return Ok(None),
                    // Whoever that was is gone.
                    io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted => {}
                    _ => return Err(at(self.path(), "accept a connection", &error)),
                },
            }
        };
        let credentials = Credentials::of_peer(socket.as_fd())?;
        let transport = UnixTransport::new(socket.into(), Arc::clone(&self.poller.0));
        Ok(Some((Box::new(transport), credentials)))
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        if identify(&self.path).is_ok_and(|(id, _)| id == self.id) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Binds `path`, where something is, if that is a socket at which nobody listens.
///
/// Two processes that do this at once must not take each other's new socket for the old one, so the
/// folder is locked meanwhile.
fn replace(path: &Path) -> io::Result<UnixListener> {
    let _locked = lock_folder(path)?;
    match identify(path) {
        Ok((_, false)) => {
            let text = "something that is no socket is there";
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
        }
        Ok((_, true)) if is_alive(path)? => {
            let text = "another process listens there";
            return Err(io::Error::new(io::ErrorKind::AddrInUse, text));
        }
        Ok((_, true)) => fs::remove_file(path)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    UnixListener::bind(path)
}

/// Locks the folder of `path` against others that replace a socket in it, until it is dropped. Does
/// not wait: a lock that is held for long is not held by one of these.
fn lock_folder(path: &Path) -> io::Result<OwnedFd> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = rustix::fs::open(folder, flags, Mode::empty())?;
    match rustix::fs::flock(&folder, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(folder),
        Err(Errno::WOULDBLOCK) => Err(io::Error::new(
            io::ErrorKind::AddrInUse,
            "an old socket is there, and another process is just replacing one in this folder",
        )),
        Err(errno) => Err(errno.into()),
    }
}

/// Whether somebody listens at `path`. The listener sees a connection that ends at once.
fn is_alive(path: &Path) -> io::Result<bool> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    match rustix::net::connect(&socket, &SocketAddrUnix::new(path)?) {
        Err(Errno::CONNREFUSED) => Ok(false),
        // Connected; or its queue is full; or it is a socket of another type.
        Ok(()) | Err(Errno::AGAIN | Errno::PROTOTYPE) => Ok(true),
        Err(errno) => Err(errno.into()),
    }
}

/// Connects to whoever listens at `path`.
pub(super) fn connect(path: &Path) -> io::Result<(OwnedFd, Credentials)> {
    let fail = |error| at(path, "connect to a node", &error);
    let socket = UnixStream::connect(path).map_err(fail)?;
    let credentials = Credentials::of_peer(socket.as_fd()).map_err(fail)?;
    Ok((socket.into(), credentials))
}
