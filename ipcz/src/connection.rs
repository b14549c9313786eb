//! Connections: what two nodes see of each other when they meet.

use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use ipcz_core::{ConnectRefused, NodeName, PeerId, Relation};

use crate::driver::Transport;
use crate::driver::unix::Credentials;
use crate::error::{Disconnect, Error, ErrorKind};
use crate::rpc::DirectoryProxy;
use crate::shell::ConnectionState;
use crate::sync::lock;
use crate::{ConnectOptions, Endpoint, Node, Portal};

/// A connection to another node, and the portals that it started with.
///
/// This is a handle to ask by: dropping it closes the portals that were not taken, and leaves the
/// connection as it is. The connection is over when either node disconnects, shuts down or is lost;
/// it is not made anew. Once a portal shows its end, so does [`Connection::ended`].
///
/// ```
/// # use ipcz::driver::{Driver, inproc::InProcDriver};
/// # use std::sync::Arc;
/// # let driver = InProcDriver::new();
/// # let broker = ipcz::Node::with_driver(Arc::new(driver), true)?;
/// # let client = ipcz::Node::with_driver(Arc::new(driver), false)?;
/// # let (a, b) = driver.create_transports()?;
/// # let options = ipcz::ConnectOptions::default();
/// # let _here = broker.connect_transport(a, ipcz::Relation::Client, &options)?;
/// # let connection = client.connect_transport(b, ipcz::Relation::Broker, &options)?;
/// use std::time::Duration;
/// let portal = connection.take_portal(0)?; // can be used at once
/// let name = connection.wait_connected(Duration::from_secs(1))?;
/// assert_eq!(name, Some(broker.name()));
/// connection.disconnect();
/// assert_eq!(connection.ended().unwrap().kind(), ipcz::DisconnectKind::Shutdown);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Connection {
    node: Node,
    peer: PeerId,
    portals: Mutex<Vec<Option<Portal>>>,
    state: Arc<ConnectionState>,
    credentials: Option<Credentials>,
    /// What the other side offers, once somebody has asked.
    directory: OnceLock<Option<DirectoryProxy>>,
}

impl Connection {
    pub(crate) fn begin(
        node: &Node,
        transport: Box<dyn Transport>,
        relation: Relation,
        options: &ConnectOptions,
    ) -> Result<Self, Error> {
        let shared = node.shared();
        let state = Arc::new(ConnectionState::default());
        // Given back rather than dropped under the lock: its end is news to the other side, which
        // may be this node too.
        let begun = shared.step(|inner| {
            if inner.stopped {
                return Err((ErrorKind::ShutDown, transport));
            }
            let begun = match options.delegates_allocation {
                false => inner.engine.connect(relation, options.portals),
                true => inner.engine.connect_to_delegate(relation, options.portals),
            };
            match begun {
                Ok((peer, portals)) => {
                    inner.connections.insert(peer, Arc::clone(&state));
                    Ok((peer, portals, inner.add_link(peer, transport)))
                }
                Err(refused) => Err((error_kind(refused), transport)),
            }
        });
        let (peer, portals, link) = begun.map_err(|(kind, _transport)| Error::new(kind))?;
        let portals = portals.into_iter().map(|id| Some(node.portal(id)));
        let portals = Mutex::new(portals.collect());
        shared.activate(&link);
        Ok(Self {
            node: node.clone(),
            peer,
            portals,
            state,
            credentials: None,
            directory: OnceLock::new(),
        })
    }

    pub(crate) fn with_credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = Some(credentials);
        self
    }

    /// The node of this side.
    #[must_use]
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// Takes initial portal number `index`. It can be used at once, before the other side answers.
    ///
    /// # Errors
    /// [`ErrorKind::NoSuchPortal`] if there is none of that number, or it was taken before.
    pub fn take_portal(&self, index: usize) -> Result<Portal, Error> {
        let portal = lock(&self.portals).get_mut(index).and_then(Option::take);
        portal.ok_or_else(|| Error::new(ErrorKind::NoSuchPortal))
    }

    /// Makes a proxy or a receiver of the first initial portal. One side takes the proxy, the other
    /// side the receiver of the same interface.
    ///
    /// # Errors
    /// [`ErrorKind::NoSuchPortal`] if the portal was taken before.
    pub fn bootstrap<E: Endpoint>(&self) -> Result<E, Error> {
        self.take_portal(0).map(E::from_portal)
    }

    pub(crate) fn directory(&self) -> &OnceLock<Option<DirectoryProxy>> {
        &self.directory
    }

    /// Who made the connection, as the kernel knows it: for connections over a path.
    #[must_use]
    pub fn credentials(&self) -> Option<Credentials> {
        self.credentials
    }

    /// The other node's name, once it has said hello.
    #[must_use]
    pub fn peer_name(&self) -> Option<NodeName> {
        lock(&self.state.progress).name
    }

    /// Why the connection is over, if it is.
    #[must_use]
    pub fn ended(&self) -> Option<Disconnect> {
        lock(&self.state.progress).ended.map(Disconnect::from)
    }

    /// Waits, with this thread and for at most `timeout`, until the other node has said hello.
    /// Gives its name, or nothing if the time has passed.
    ///
    /// # Errors
    /// [`ErrorKind::NotConnected`] if the connection ended before; the source is the reason.
    pub fn wait_connected(&self, timeout: Duration) -> Result<Option<NodeName>, Error> {
        let known = self.wait(timeout, |name, ended| match (name, ended) {
            (Some(name), _) => Some(Ok(name)),
            (None, Some(why)) => Some(Err(Error::with(ErrorKind::NotConnected, why))),
            (None, None) => None,
        });
        known.transpose()
    }

    /// Waits, with this thread and for at most `timeout`, until the connection is over. Gives the
    /// reason, or nothing if the time has passed.
    #[must_use]
    pub fn wait_ended(&self, timeout: Duration) -> Option<Disconnect> {
        self.wait(timeout, |_, ended| ended)
    }

    fn wait<R>(
        &self,
        timeout: Duration,
        look: impl Fn(Option<NodeName>, Option<Disconnect>) -> Option<R>,
    ) -> Option<R> {
        let deadline = Instant::now().checked_add(timeout);
        let mut progress = lock(&self.state.progress);
        loop {
            if let Some(found) = look(progress.name, progress.ended.map(Disconnect::from)) {
                return Some(found);
            }
            let now = Instant::now();
            let left = deadline.map_or(timeout, |deadline| deadline.saturating_duration_since(now));
            if left.is_zero() {
                return None;
            }
            let waited = self.state.changed.wait_timeout(progress, left);
            progress = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until the connection is over, on any executor, and gives the reason. Any number of
    /// tasks may wait; dropping the future leaves nothing behind.
    pub async fn closed(&self) -> Disconnect {
        Closed { state: &self.state, waiter: None }.await
    }

    /// Ends the connection. Routes over it are cut, on both sides; what was put before still
    /// leaves. Other connections of the two nodes are untouched.
    pub fn disconnect(&self) {
        self.node.shared().step(|state| state.engine.disconnect(self.peer));
    }
}

fn error_kind(refused: ConnectRefused) -> ErrorKind {
    match refused {
        ConnectRefused::TooManyPortals => ErrorKind::TooManyPortals,
        ConnectRefused::NoBroker => ErrorKind::NoBroker,
        ConnectRefused::HasBroker => ErrorKind::HasBroker,
        ConnectRefused::HasDelegate => ErrorKind::HasDelegate,
    }
}

/// Waits for a connection's end.
struct Closed<'a> {
    state: &'a ConnectionState,
    /// The number under which its waker is kept.
    waiter: Option<u64>,
}

impl Future for Closed<'_> {
    type Output = Disconnect;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Disconnect> {
        // Cloned and dropped outside the lock: that is the executor's code.
        let waker = cx.waker().clone();
        let mut progress = lock(&self.state.progress);
        if let Some(cause) = progress.ended {
            return Poll::Ready(cause.into());
        }
        let waiter = *self.waiter.get_or_insert_with(|| {
            progress.last_waiter += 1;
            progress.last_waiter
        });
        let replaced = progress.wakers.insert(waiter, waker);
        drop(progress);
        drop(replaced);
        Poll::Pending
    }
}

impl Drop for Closed<'_> {
    fn drop(&mut self) {
        if let Some(waiter) = self.waiter {
            let waker = lock(&self.state.progress).wakers.remove(&waiter);
            drop(waker);
        }
    }
}
