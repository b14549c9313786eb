//! How nodes and connections start.

use std::path::Path;
use std::sync::Arc;

use ipcz_core::Relation;
use ipcz_core::limits::MAX_INITIAL_PORTALS;

use crate::driver::Driver;
use crate::driver::unix;
use crate::error::{Error, ErrorKind};
use crate::wire::feature;
use crate::{Connection, Node};

/// What a node may do, for nodes that may less than others: usually those of sandboxed processes.
///
/// ```
/// use ipcz::{ConnectOptions, Listener, NodeOptions};
/// let path = std::env::temp_dir().join(format!("ipcz-options-{}", std::process::id()));
/// let listener = Listener::bind(&path)?;
/// // Another process, usually:
/// let options = ConnectOptions::default().delegate_allocation();
/// let (node, _there) = NodeOptions::default().without_allocation().connect(&path, &options)?;
/// let _here = listener.accept()?;
/// assert_eq!(node.allocate_memory(4096).wait()?.len(), 4096); // the listener's node made it
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct NodeOptions {
    pub(crate) may_allocate: bool,
    pub(crate) relays_handles: bool,
    pub(crate) shares_memory: bool,
    pub(crate) spins: bool,
    pub(crate) queue_limit: Option<usize>,
}

impl Default for NodeOptions {
    /// A node that may do everything, and refuses no put for what is queued.
    fn default() -> Self {
        Self {
            may_allocate: true,
            relays_handles: false,
            shares_memory: true,
            spins: true,
            queue_limit: None,
        }
    }
}

impl NodeOptions {
    /// A node that may not make shared memory. It needs a delegate that does:
    /// [`ConnectOptions::delegate_allocation`]. That makes the memory of its links, too, where the
    /// node at the other end may not; a link whose ends both have no delegate stays on its transport.
    #[must_use]
    pub fn without_allocation(mut self) -> Self {
        self.may_allocate = false;
        self
    }

    /// A node that sends OS handles and shared memory to nobody but its broker, which passes them on
    /// to whom they are for. They arrive with their parcel, which keeps its place on its route: nothing
    /// shows but the time that takes. What the nodes that it is connected to send is their choice.
    ///
    /// If the node has no broker, a put of handles is refused with
    /// [`PutErrorKind::NoRelay`](crate::PutErrorKind::NoRelay), unless its peer is on this node.
    /// Where handles were on their way when a broker was lost, or the broker does not know the other
    /// node, the parcel's route ends with
    /// [`DisconnectKind::NotRelayed`](crate::DisconnectKind::NotRelayed). For a broker, this
    /// changes nothing.
    #[must_use]
    pub fn with_relayed_handles(mut self) -> Self {
        self.relays_handles = true;
        self
    }

    /// A node whose links stay on their transports: it neither makes nor takes memory that it would
    /// share with its peers. Slower; for systems that forbid it, and to find out what it brings.
    #[must_use]
    pub fn without_shared_links(mut self) -> Self {
        self.shares_memory = false;
        self
    }

    /// A node whose waiting threads sleep at once. Otherwise they stay awake for some 50 microseconds, where that has
    /// paid before, and only while the peer runs on another processor: being woken there takes as
    /// long.
    #[must_use]
    pub fn without_spinning(mut self) -> Self {
        self.spins = false;
        self
    }

    /// A node that refuses puts ([`PutErrorKind::QueueFull`](crate::PutErrorKind::QueueFull)) while more than
    /// `num_bytes` bytes are queued for the connection that they would leave by, because the node at its
    /// other end does not read as fast as this one puts, or not at all. [`Portal::put_ready`] waits until half
    /// of that is left. Each connection has the whole limit for itself, and with 0 nothing is put
    /// while anything is queued.
    ///
    /// Without this, nothing is refused: a peer that is stopped has all that is put for it grow this process.
    ///
    /// What counts is what has yet to leave this process: the bytes of parcels and 256 for each,
    /// not what lies in shared memory or in the system's buffers already. A parcel that is put while there is
    /// room is taken whole, so the limit may be exceeded by the largest parcel of each thread that puts at
    /// that moment. Never refused, but counted, are what the node itself has to say, unread parcels that
    /// move with their portal, what is passed on for other nodes, and typed calls and their
    /// results, whose number the callers bound by waiting. Parcels put before a connection has
    /// been made, and those between portals of this node, do not count.
    ///
    /// [`Portal::put_ready`]: crate::Portal::put_ready
    #[must_use]
    pub fn with_queue_limit(mut self, num_bytes: usize) -> Self {
        self.queue_limit = Some(num_bytes);
        self
    }

    /// What the node's hellos say of it.
    pub(crate) fn features(&self, driver: &dyn Driver, is_broker: bool) -> u64 {
        // What arrives through memory is read by whoever waits, or by the pump's thread.
        if !self.shares_memory || driver.pump().is_none() {
            return 0;
        }
        let features = feature::SHARED_MEMORY | feature::BORROWS_MEMORY;
        match self.may_allocate && (!self.relays_handles || is_broker) {
            true => features | feature::OFFERS_MEMORY,
            false => features,
        }
    }

    /// Makes a node as [`Node::broker`] does.
    ///
    /// # Errors
    /// As there.
    pub fn broker(&self) -> Result<Node, Error> {
        Node::system(self, true)
    }

    /// Makes a node as [`Node::with_driver`] does.
    ///
    /// # Errors
    /// As there.
    pub fn with_driver(&self, driver: Arc<dyn Driver>, is_broker: bool) -> Result<Node, Error> {
        Node::start(self, driver, None, is_broker)
    }

    /// Makes a node as [`Node::from_parent_with`] does.
    ///
    /// # Errors
    /// As there.
    pub fn from_parent(&self, options: &ConnectOptions) -> Result<(Node, Connection), Error> {
        options.check()?;
        let node = Node::system(self, false)?;
        let socket =
            unix::from_parent().map_err(|error| Error::with(ErrorKind::NoParent, error))?;
        let transport = node.system_driver()?.transport(socket)?;
        let connection = node.connect_transport(transport, Relation::Broker, options)?;
        Ok((node, connection))
    }

    /// Makes a node as [`Node::connect_with`] does.
    ///
    /// # Errors
    /// As there.
    pub fn connect(
        &self,
        path: impl AsRef<Path>,
        options: &ConnectOptions,
    ) -> Result<(Node, Connection), Error> {
        options.check()?;
        let node = Node::system(self, false)?;
        let (transport, credentials) = node.system_driver()?.connect(path)?;
        let connection = node.connect_transport(transport, Relation::Broker, options)?;
        Ok((node, connection.with_credentials(credentials)))
    }
}

/// How a connection starts.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConnectOptions {
    /// How many portals each side gets, entangled with the other side's by their number. If the
    /// two sides ask for different numbers, the surplus portals see their peer closed.
    pub portals: u32,
    /// See [`ConnectOptions::delegate_allocation`].
    pub delegates_allocation: bool,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self::portals(1)
    }
}

impl ConnectOptions {
    /// A connection that starts with this many portals.
    #[must_use]
    pub fn portals(portals: u32) -> Self {
        Self { portals, delegates_allocation: false }
    }

    /// Makes the node at the other end this node's allocation delegate: from now on, it makes the
    /// shared memory that this node asks for ([`Node::allocate_memory`]), or has its own delegate do
    /// so. A node has one delegate at most, until it loses the connection; the connection is
    /// refused with [`ErrorKind::HasDelegate`] if it has one. If the nodes at both ends ask for this,
    /// the connection ends with [`DisconnectKind::WrongRole`](crate::DisconnectKind::WrongRole).
    #[must_use]
    pub fn delegate_allocation(mut self) -> Self {
        self.delegates_allocation = true;
        self
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        match self.portals > MAX_INITIAL_PORTALS {
            true => Err(Error::new(ErrorKind::TooManyPortals)),
            false => Ok(()),
        }
    }
}
