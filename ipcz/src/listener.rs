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
/// Dropping it removes the path and leaves the connections that were accepted. To wait for a
/// connection along with other things, wait until the descriptor ([`AsFd`]) is readable and call
/// [`Listener::try_accept`].
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

    /// Waits until a program connects, with this thread, and takes the connection.
    ///
    /// Who it is, [`Connection::credentials`] tells; dropping the connection's portals and calling
    /// [`Connection::disconnect`] turns it away.
    ///
    /// # Errors
    /// What the system said, usually that this process is out of descriptors.
    pub fn accept(&self) -> Result<Connection, Error> {
        self.accept_with(&ConnectOptions::default())
    }

    /// Accepts as [`Listener::accept`] does, with options.
    ///
    /// # Errors
    /// As [`Listener::accept`], and [`ErrorKind::TooManyPortals`](crate::ErrorKind::TooManyPortals).
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
