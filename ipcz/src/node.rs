//! Nodes: a process's place in the network.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ipcz_core::{Config, NodeName, PortalId, Relation};

use crate::connection::Connection;
use crate::driver::unix::UnixDriver;
use crate::driver::{Driver, Transport};
use crate::error::{Error, ErrorKind};
use crate::shell::{Guard, Shared};
use crate::{Allocation, Child, ConnectOptions, Listener, NodeOptions, Portal, Topology, wire};

/// A process's place in a network of portals.
///
/// A process usually has one node; it may have more. Portals belong to the node that made or
/// received them. One node of a network is its *broker*: it accepts and spawns the others, and
/// introduces them to each other when their portals meet.
///
/// A `Node` is a handle and cheap to clone. The node lives until the last handle to it and to its
/// portals, connections, listeners and children is dropped; it then shuts down, as by
/// [`Node::shut_down`] without waiting. All handles may be used, and dropped, on any thread.
///
/// Each node has one background thread, which sleeps while nothing arrives, and ends with it.
///
/// ```
/// use ipcz::{Handle, Node, Parcel};
/// let node = Node::broker()?;
/// let (near, far) = node.open_portals();
/// near.put("hello")?;
/// assert_eq!(far.recv_blocking()?.bytes(), b"hello");
/// assert!(node.shut_down(std::time::Duration::from_secs(1)));
/// assert!(near.put("too late").is_err());
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Node {
    guard: Arc<Guard>,
}

/// What is waited for in place of what no clock reaches.
const FOREVER: Duration = Duration::from_secs(1 << 30);

impl Node {
    /// Makes a node that is a broker.
    ///
    /// # Errors
    /// [`ErrorKind::Os`] if the system gives no more descriptors, threads or random numbers.
    pub fn broker() -> Result<Self, Error> {
        NodeOptions::default().broker()
    }

    /// Makes a node with a driver of one's own, such as
    /// [`InProcDriver`](crate::driver::inproc::InProcDriver) in tests.
    ///
    /// A driver that has a [`Pump`](crate::driver::Pump) serves one node: two that share it would
    /// take each other's wake-ups. Such a node neither spawns, nor listens, nor connects to paths.
    ///
    /// # Errors
    /// [`ErrorKind::Os`] if the system gives no thread or no random numbers.
    pub fn with_driver(driver: Arc<dyn Driver>, is_broker: bool) -> Result<Self, Error> {
        NodeOptions::default().with_driver(driver, is_broker)
    }

    pub(crate) fn system(options: &NodeOptions, is_broker: bool) -> Result<Self, Error> {
        let driver = UnixDriver::new()?;
        let any: Arc<dyn Driver> = driver.clone();
        Self::start(options, any, Some(driver), is_broker)
    }

    pub(crate) fn start(
        options: &NodeOptions,
        driver: Arc<dyn Driver>,
        system: Option<Arc<UnixDriver>>,
        is_broker: bool,
    ) -> Result<Self, Error> {
        let config = Config {
            name: NodeName(u128::from_le_bytes(random()?)),
            is_broker,
            key: random()?,
            features: options.features(&*driver, is_broker),
            max_payload: wire::MAX_PAYLOAD as u64,
            takes_referrals: true,
            may_allocate: options.may_allocate,
            relays_handles: options.relays_handles,
        };
        let shared = Shared::new(driver, system, config, options.spins, options.queue_limit)?;
        Ok(Self { guard: Arc::new(Guard(shared)) })
    }

    pub(crate) fn from_guard(guard: Arc<Guard>) -> Self {
        Self { guard }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.guard.0
    }

    /// The node's name: 128 random bits.
    #[must_use]
    pub fn name(&self) -> NodeName {
        self.shared().name
    }

    /// Whether it accepts, spawns and introduces other nodes.
    #[must_use]
    pub fn is_broker(&self) -> bool {
        self.shared().is_broker
    }

    /// Makes a pair of entangled portals. Either may be sent to any node. If the node was shut down,
    /// they are closed from the start.
    #[must_use]
    pub fn open_portals(&self) -> (Portal, Portal) {
        let (a, b) = self.shared().step(|state| match state.stopped {
            false => state.engine.open_portals(),
            // The engine knows no portal by this.
            true => (PortalId::from_bits(0), PortalId::from_bits(0)),
        });
        (self.portal(a), self.portal(b))
    }

    pub(crate) fn portal(&self, id: PortalId) -> Portal {
        Portal::new(Arc::clone(&self.guard), id)
    }

    /// Asks for shared memory of `num_bytes` bytes, which are zero: of the node's allocation delegate
    /// if it has one ([`ConnectOptions::delegate_allocation`]), else of the system.
    ///
    /// Never blocks; the [`Allocation`] is awaited, or waited for with a thread. Memory that comes from
    /// a delegate is as good as any other, and stays when the delegate goes.
    ///
    /// # Errors
    /// See [`Allocation`].
    pub fn allocate_memory(&self, num_bytes: usize) -> Allocation {
        Allocation::new(self.shared().allocate(num_bytes))
    }

    /// What this node knows of the network at this moment.
    #[must_use]
    pub fn topology(&self) -> Topology {
        self.shared().look(|state| state.engine.topology())
    }

    /// Runs a program that has a node of its own, connected to this one by one portal.
    ///
    /// The program says [`Node::from_parent`]. It is handed one descriptor and nothing else. This returns
    /// once the program runs, not once it has a node: what is put waits for that, and
    /// [`Connection::wait_connected`] tells whether it ever comes.
    ///
    /// # Errors
    /// [`ErrorKind::NoBroker`] if this node has none to share, [`ErrorKind::ShutDown`] if it was shut
    /// down, [`ErrorKind::Os`] if the program cannot be run; nothing is left behind then.
    pub fn spawn(&self, command: Command) -> Result<Child, Error> {
        self.spawn_with(command, &ConnectOptions::default())
    }

    /// Runs a program as [`Node::spawn`] does, with options.
    ///
    /// # Errors
    /// As [`Node::spawn`], and [`ErrorKind::TooManyPortals`] before anything is run.
    pub fn spawn_with(&self, command: Command, options: &ConnectOptions) -> Result<Child, Error> {
        // Whatever would fail afterwards, so that nothing is run in vain.
        options.check()?;
        self.check_not_stopped()?;
        if !self.shared().look(|state| state.engine.can_have_clients()) {
            return Err(Error::new(ErrorKind::NoBroker));
        }
        let (process, transport) = self.system_driver()?.spawn(command)?;
        match self.connect_transport(transport, Relation::Client, options) {
            Ok(connection) => Ok(Child::new(process, connection)),
            Err(error) => {
                drop(Child::reap(process));
                Err(error)
            }
        }
    }

    /// Makes the node of a program that [`Node::spawn`] runs, and its connection to its parent.
    /// Works once in a process.
    ///
    /// # Errors
    /// [`ErrorKind::NoParent`] if this process was not spawned so, or has done this before; the
    /// source says which. [`ErrorKind::Os`] as [`Node::broker`].
    pub fn from_parent() -> Result<(Self, Connection), Error> {
        Self::from_parent_with(&ConnectOptions::default())
    }

    /// Makes the node of a spawned program as [`Node::from_parent`] does, with options.
    ///
    /// # Errors
    /// As [`Node::from_parent`], and [`ErrorKind::TooManyPortals`], which leaves the connection to
    /// be taken by a later call.
    pub fn from_parent_with(options: &ConnectOptions) -> Result<(Self, Connection), Error> {
        NodeOptions::default().from_parent(options)
    }

    /// Listens at a path of the file system for programs that say [`Node::connect`].
    ///
    /// # Errors
    /// [`ErrorKind::Os`] if the path cannot be listened at, which the text names;
    /// [`ErrorKind::ShutDown`] if the node was shut down.
    pub fn listen(&self, path: impl AsRef<Path>) -> Result<Listener, Error> {
        self.check_not_stopped()?;
        Ok(Listener::new(self.clone(), self.system_driver()?.listen(path)?))
    }

    /// Makes a node that is connected to the broker that listens at `path`.
    ///
    /// # Errors
    /// [`ErrorKind::Os`] if nobody listens there, or this process may not connect; the source names
    /// the path.
    pub fn connect(path: impl AsRef<Path>) -> Result<(Self, Connection), Error> {
        Self::connect_with(path, &ConnectOptions::default())
    }

    /// Connects as [`Node::connect`] does, with options.
    ///
    /// # Errors
    /// As [`Node::connect`], and [`ErrorKind::TooManyPortals`].
    pub fn connect_with(
        path: impl AsRef<Path>,
        options: &ConnectOptions,
    ) -> Result<(Self, Connection), Error> {
        NodeOptions::default().connect(path, options)
    }

    /// Joins the network of the broker that listens at `path`, which says
    /// [`Listener::accept_broker`]. This node must be a broker too.
    ///
    /// From then on the nodes of both networks find each other, as do those of all networks that
    /// either has joined before. That is a matter of trust: brokers believe whatever introductions
    /// the others make, so one that lies can put itself in the place of any node that nodes
    /// of this network look for. [`Connection::credentials`] tells whose process listens, but only
    /// after the fact: join at paths where nobody else can listen.
    ///
    /// If one of the brokers goes, the other goes on, without the nodes of the one that went.
    ///
    /// ```
    /// use ipcz::{ConnectOptions, Listener, Node};
    /// let path = std::env::temp_dir().join(format!("ipcz-join-{}", std::process::id()));
    /// let listener = Listener::bind(&path)?;
    /// // Another process, usually:
    /// let there = Node::broker()?.join(&path)?;
    /// let here = listener.accept_broker(&ConnectOptions::default())?;
    /// here.take_portal(0)?.put("hello")?;
    /// assert_eq!(there.take_portal(0)?.recv_blocking()?.bytes(), b"hello");
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::NotBroker`], [`ErrorKind::ShutDown`], and [`ErrorKind::Os`] as [`Node::connect`].
    /// If the other side is no broker, or takes this one for a client, the connection ends with
    /// [`DisconnectKind::WrongRole`](crate::DisconnectKind::WrongRole).
    pub fn join(&self, path: impl AsRef<Path>) -> Result<Connection, Error> {
        self.join_with(path, &ConnectOptions::default())
    }

    /// Joins as [`Node::join`] does, with options.
    ///
    /// # Errors
    /// As [`Node::join`], and [`ErrorKind::TooManyPortals`].
    pub fn join_with(
        &self,
        path: impl AsRef<Path>,
        options: &ConnectOptions,
    ) -> Result<Connection, Error> {
        self.check_broker()?;
        options.check()?;
        let (transport, credentials) = self.system_driver()?.connect(path)?;
        let connection = self.connect_transport(transport, Relation::Broker, options)?;
        Ok(connection.with_credentials(credentials))
    }

    /// Connects this node, which has lost its broker, to the one that listens at `path`: another, or
    /// the same once more. It may also be any node that shares its own, as for [`Node::connect`].
    ///
    /// What was linked directly went on without a broker and still does; from now on the node is
    /// introduced to those whom the new broker knows. A broker that has yet to notice that the old
    /// connection is over refuses the new one, which ends with
    /// [`DisconnectKind::AlreadyConnected`](crate::DisconnectKind::AlreadyConnected): try again.
    ///
    /// ```
    /// use ipcz::{ConnectOptions, Listener, Node};
    /// use std::time::Duration;
    /// # let path = std::env::temp_dir().join(format!("ipcz-again-{}", std::process::id()));
    /// let listener = Listener::bind(&path)?;
    /// let (node, first) = Node::connect(&path)?;
    /// let there = listener.accept()?;
    /// there.disconnect();
    /// first.wait_ended(Duration::MAX);
    ///
    /// let again = node.reconnect(&path, &ConnectOptions::default())?;
    /// let there = listener.accept()?;
    /// there.take_portal(0)?.put("welcome back")?;
    /// assert_eq!(again.take_portal(0)?.recv_blocking()?.bytes(), b"welcome back");
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::HasBroker`] if this node is a broker, or still has or expects one;
    /// [`ErrorKind::TooManyPortals`], [`ErrorKind::HasDelegate`], [`ErrorKind::ShutDown`], and
    /// [`ErrorKind::Os`] as [`Node::connect`].
    pub fn reconnect(
        &self,
        path: impl AsRef<Path>,
        options: &ConnectOptions,
    ) -> Result<Connection, Error> {
        if self.is_broker() {
            return Err(Error::new(ErrorKind::HasBroker));
        }
        options.check()?;
        let (transport, credentials) = self.system_driver()?.connect(path)?;
        let connection = self.connect_transport(transport, Relation::Broker, options)?;
        Ok(connection.with_credentials(credentials))
    }

    pub(crate) fn check_broker(&self) -> Result<(), Error> {
        match self.is_broker() {
            true => Ok(()),
            false => Err(Error::new(ErrorKind::NotBroker)),
        }
    }

    /// Connects this node to another one over a transport, whose other end that node has.
    ///
    /// [`Relation`] says what the other node is to this one; the other node must say the opposite.
    /// The connection's portals can be used at once.
    ///
    /// # Errors
    /// [`ErrorKind::TooManyPortals`], [`ErrorKind::NoBroker`], [`ErrorKind::HasBroker`] or
    /// [`ErrorKind::ShutDown`]. The transport is closed then.
    pub fn connect_transport(
        &self,
        transport: Box<dyn Transport>,
        relation: Relation,
        options: &ConnectOptions,
    ) -> Result<Connection, Error> {
        Connection::begin(self, transport, relation, options)
    }

    fn check_not_stopped(&self) -> Result<(), Error> {
        match self.shared().look(|state| state.stopped) {
            true => Err(Error::new(ErrorKind::ShutDown)),
            false => Ok(()),
        }
    }

    pub(crate) fn system_driver(&self) -> Result<&UnixDriver, Error> {
        let missing = || Error::with(ErrorKind::Os, "this node's driver has no processes");
        self.shared().system.as_deref().ok_or_else(missing)
    }

    /// Closes all portals and connections of this node, and waits until everything that was put
    /// before has left, or until `linger` has passed. Gives whether every peer that stayed took
    /// everything.
    ///
    /// Peers see the portals closed and the node gone on purpose. All traps fire. What this node's
    /// own portals had not read is dropped. Portals that are still held behave as closed, and
    /// nothing new can be begun. What has not left when this returns may still do so: each
    /// connection has `linger`, and five seconds if that is less, before it is closed.
    ///
    /// May be called from anywhere and more than once. A trap's callback may call it; in a waker on
    /// the background thread, only without waiting.
    pub fn shut_down(&self, linger: Duration) -> bool {
        let now = Instant::now();
        let deadline = now.checked_add(linger).unwrap_or(now + FOREVER);
        self.shared().shut_down(deadline);
        self.shared().wait_idle(deadline)
    }
}

fn random() -> Result<[u8; 16], Error> {
    let mut bytes = [0; 16];
    let mut filled = 0;
    while filled < bytes.len() {
        let flags = rustix::rand::GetRandomFlags::empty();
        match rustix::rand::getrandom(&mut bytes[filled..], flags) {
            Ok(count) => filled += count,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(std::io::Error::from(error).into()),
        }
    }
    Ok(bytes)
}
