//! Listening for programs that were not spawned by this one.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use ipcz_core::Relation;

use crate::driver::unix;
use crate::error::Error;
use crate::node::ConnectOptions;
use crate::{Connection, Node};

/// A path at which other programs connect to this node: see [`Node::listen`].
///
/// A program is connected once it is accepted, whether or not it ever says anything: ask
/// [`Connection::wait_connected`]. Dropping the listener removes the path and leaves the connections
/// that were accepted. To wait for a connection along with other things, wait until the descriptor
/// ([`AsFd`]) is readable and call [`Listener::try_accept`]. All methods may be called on any thread.
///
/// ```
/// use ipcz::{Listener, Node};
/// let path = std::env::temp_dir().join(format!("ipcz-doc-{}", std::process::id()));
/// let listener = Listener::bind(&path)?;
/// // Another process, usually:
/// let (_node, there) = Node::connect(&path)?;
/// let here = listener.accept()?;
/// assert_eq!(here.credentials().and_then(|who| who.pid), Some(std::process::id()));
/// here.take_portal(0)?.put("hello")?;
/// assert_eq!(there.take_portal(0)?.recv_blocking()?.bytes(), b"hello");
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Listener {
    node: Node,
    inner: unix::Listener,
}

impl Listener {
    pub(crate) fn new(node: Node, inner: unix::Listener) -> Self {
        Self { node, inner }
    }

    /// Listens at `path` with a new node, which is a broker.
    ///
    /// # Errors
    /// As [`Node::broker`] and [`Node::listen`].
    pub fn bind(path: impl AsRef<Path>) -> Result<Self, Error> {
        Node::broker()?.listen(path)
    }

    /// The node that connections lead to.
    #[must_use]
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// Where this listens.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.inner.path()
    }

    /// Waits until a program connects, with this thread, and takes the connection. It does not see
    /// its node shut down while it waits.
    ///
    /// Who it is, [`Connection::credentials`] tells; dropping the connection's portals and calling
    /// [`Connection::disconnect`] turns it away.
    ///
    /// # Errors
    /// [`ErrorKind::Os`](crate::ErrorKind::Os), usually since this process is out of descriptors: the
    /// program waits on. [`ErrorKind::ShutDown`](crate::ErrorKind::ShutDown): it is turned away.
    pub fn accept(&self) -> Result<Connection, Error> {
        self.accept_with(&ConnectOptions::default())
    }

    /// Accepts as [`Listener::accept`] does, with options.
    ///
    /// # Errors
    /// As [`Listener::accept`], and [`ErrorKind::TooManyPortals`](crate::ErrorKind::TooManyPortals)
    /// before anybody is accepted.
    pub fn accept_with(&self, options: &ConnectOptions) -> Result<Connection, Error> {
        options.check()?;
        let (transport, credentials) = self.inner.accept()?;
        let connection = self.node.connect_transport(transport, Relation::Client, options)?;
        Ok(connection.with_credentials(credentials))
    }

    /// Takes a connection if a program wants one.
    ///
    /// # Errors
    /// As [`Listener::accept`].
    pub fn try_accept(&self) -> Result<Option<Connection>, Error> {
        let Some((transport, credentials)) = self.inner.try_accept()? else { return Ok(None) };
        let options = ConnectOptions::default();
        let connection = self.node.connect_transport(transport, Relation::Client, &options)?;
        Ok(Some(connection.with_credentials(credentials)))
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.as_fd()
    }
}
