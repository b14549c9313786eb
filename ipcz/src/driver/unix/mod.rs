//! Nodes in processes of one machine, connected by Unix-domain sockets.
//!
//! | file | what it does |
//! | --- | --- |
//! | `socket` | the system calls on a stream socket, with descriptors in control messages |
//! | `framing` | how a frame looks in the byte stream, byte by byte |
//! | `outbound`, `inbound` | frames to bytes and back |
//! | `attachment` | handles, transports and regions to descriptors and back |
//! | `transport` | one end of a connection |
//! | `poller` | the epoll set in which a node sleeps |
//! | `spawn`, `parent`, `inherit` | a connection to a child process, and its other end |
//! | `listen`, `credentials` | connections between programs that did not spawn each other |
//!
//! Every descriptor that is made or received here is close-on-exec from its first moment, except
//! that a spawned child finds its end of the connection inheritable until it takes it.
//!
//! The sockets are streams, not packets; `docs/decisions/0001-stream-sockets.md` says why.

mod attachment;
#[doc(hidden)]
mod credentials;
mod framing;
mod inbound;
mod inherit;
mod listen;
mod outbound;
mod parent;
mod poller;
mod socket;
mod spawn;
mod transport;

use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::{Child, Command};
use std::sync::Arc;

pub use credentials::Credentials;
pub use listen::Listener;
pub use parent::{FromParentError, PARENT_VARIABLE, from_parent};
pub use transport::UnixTransport;

use super::{Driver, Pump, Transport};
use crate::shm::Region;
use poller::Poller;

/// The driver of a node that talks to other processes. Each has an epoll set of its own, in which
/// its [`Pump`] sleeps.
pub struct UnixDriver {
    poller: Arc<Poller>,
}

impl UnixDriver {
    /// Makes a driver. It takes two descriptors.
    ///
    /// # Errors
    /// What the system said, usually that it is out of descriptors.
    pub fn new() -> io::Result<Arc<UnixDriver>> {
        let poller = Arc::new(Poller::new()?);
        Ok(Arc::new(UnixDriver { poller }))
    }

    /// Makes a transport of a connected Unix-domain stream socket, for instance the one that
    /// [`from_parent`] gives.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] if it is something else; it is closed then.
    pub fn transport(&self, socket: OwnedFd) -> io::Result<Box<dyn Transport>> {
        if !socket::is_stream_socket(socket.as_fd()) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "a transport needs a connected Unix-domain stream socket",
            ));
        }
        Ok(self.wrap(socket))
    }

    /// Runs `command` with one end of a new connection, which it takes with [`from_parent`].
    ///
    /// The child inherits that one descriptor beside its standard ones, and learns of it by the
    /// variable [`PARENT_VARIABLE`], which is set in its environment. In this process
    /// both ends are close-on-exec at any time, so no other child ever gets them. If the child ends,
    /// or never takes its end, the transport sees the peer gone when the child exits.
    ///
    /// # Errors
    /// What the system said; nothing is left behind.
    pub fn spawn(&self, command: Command) -> io::Result<(Child, Box<dyn Transport>)> {
        let (child, socket) = spawn::spawn(command)?;
        Ok((child, self.wrap(socket)))
    }

    /// Waits for connections at `path`; see [`Listener`].
    ///
    /// # Errors
    /// The path cannot be bound. The text names it and says why.
    pub fn listen(&self, path: impl AsRef<Path>) -> io::Result<Listener> {
        Listener::bind(path.as_ref(), Arc::clone(&self.poller))
    }

    /// Connects to the process that listens at `path`, and says whose process that is: who it was
    /// when it began to listen. Blocks while that process has as many connections waiting as the
    /// system allows.
    ///
    /// # Errors
    /// Nobody listens there. The text names the path and says why.
    pub fn connect(&self, path: impl AsRef<Path>) -> io::Result<(Box<dyn Transport>, Credentials)> {
        let (socket, credentials) = listen::connect(path.as_ref())?;
        Ok((self.wrap(socket), credentials))
    }

    /// A transport of a socket that is known to be of the right kind.
    fn wrap(&self, socket: OwnedFd) -> Box<dyn Transport> {
        Box::new(UnixTransport::new(socket, Arc::clone(&self.poller)))
    }
}

impl Driver for UnixDriver {
    fn create_transports(&self) -> io::Result<(Box<dyn Transport>, Box<dyn Transport>)> {
        let (one, two) = socket::pair()?;
        Ok((self.wrap(one), self.wrap(two)))
    }

    fn allocate_region(&self, num_bytes: usize) -> io::Result<Region> {
        Region::new(num_bytes)
    }

    fn pump(&self) -> Option<&dyn Pump> {
        Some(&*self.poller)
    }
}

impl fmt::Debug for UnixDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnixDriver").finish_non_exhaustive()
    }
}
