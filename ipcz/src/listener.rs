//! Listening for programs that were not spawned by this one.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use ipcz_core::Relation;

use crate::driver::Transport;
use crate::driver::unix::{self, Credentials};
use crate::error::Error;
use crate::{ConnectOptions, Connection, Node};

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
        self.welcome(self.inner.accept()?, Relation::Client, options)
    }

    /// Waits for the broker of another network, as [`Listener::accept`] does for a program, and joins
    /// the two networks: see [`Node::join`], which the other side says.
    ///
    /// Brokers believe each other: the other one, and every broker that it knows, will introduce
    /// whomever it likes to the nodes of this one. So whoever comes becomes a broker here by this
    /// call alone: [`Listener::accept`] turns brokers away, whatever they say of themselves, and this
    /// turns away who is none. Both show as [`DisconnectKind::WrongRole`](crate::DisconnectKind::WrongRole).
    /// Listen for brokers at a path of their own, in a folder that only they may enter.
    ///
    /// # Errors
    /// As [`Listener::accept_with`], and [`ErrorKind::NotBroker`](crate::ErrorKind::NotBroker) if this
    /// node is none.
    pub fn accept_broker(&self, options: &ConnectOptions) -> Result<Connection, Error> {
        self.node.check_broker()?;
        options.check()?;
        self.welcome(self.inner.accept()?, Relation::Broker, options)
    }

    /// Takes a connection if a program wants one.
    ///
    /// # Errors
    /// As [`Listener::accept`].
    pub fn try_accept(&self) -> Result<Option<Connection>, Error> {
        let options = ConnectOptions::default();
        let accepted = self.inner.try_accept()?;
        accepted.map(|it| self.welcome(it, Relation::Client, &options)).transpose()
    }

    fn welcome(
        &self,
        (transport, credentials): (Box<dyn Transport>, Credentials),
        relation: Relation,
        options: &ConnectOptions,
    ) -> Result<Connection, Error> {
        let connection = self.node.connect_transport(transport, relation, options)?;
        Ok(connection.with_credentials(credentials))
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.as_fd()
    }
}
