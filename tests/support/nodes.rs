//! Nodes of one process that are connected to each other, for tests.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ipcz::driver::inproc::InProcDriver;
use ipcz::driver::unix::UnixDriver;
use ipcz::driver::{Driver, Transport};
use ipcz::{ConnectOptions, Connection, Node, Portal, Relation};

/// Longer than anything here takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// What two nodes see of their connection.
pub(crate) struct Pair {
    pub(crate) broker: Node,
    pub(crate) client: Node,
    pub(crate) to_client: Connection,
    pub(crate) to_broker: Connection,
}

impl Pair {
    /// The first portal of either side.
    pub(crate) fn portals(&self) -> (Portal, Portal) {
        (self.to_client.take_portal(0).unwrap(), self.to_broker.take_portal(0).unwrap())
    }
}

fn join(broker: Node, a: Box<dyn Transport>, client: Node, b: Box<dyn Transport>) -> Pair {
    let options = ConnectOptions::default();
    let to_client = broker.connect_transport(a, Relation::Client, &options).unwrap();
    let to_broker = client.connect_transport(b, Relation::Broker, &options).unwrap();
    Pair { broker, client, to_client, to_broker }
}

/// A broker and a client of it, synchronous.
pub(crate) fn inproc() -> Pair {
    let driver = Arc::new(InProcDriver::new());
    let broker = Node::with_driver(driver.clone(), true).unwrap();
    inproc_client(&broker)
}

/// Another client of a broker.
pub(crate) fn inproc_client(broker: &Node) -> Pair {
    let driver = Arc::new(InProcDriver::new());
    let client = Node::with_driver(driver.clone(), false).unwrap();
    let (a, b) = driver.create_transports().unwrap();
    join(broker.clone(), a, client, b)
}

/// A broker without a thread.
pub(crate) fn inproc_broker() -> Node {
    Node::with_driver(Arc::new(InProcDriver::new()), true).unwrap()
}

/// An honest client, to see that it is left alone.
pub(crate) struct Honest(pub(crate) Pair, Portal, Portal);

impl Honest {
    pub(crate) fn client_of(broker: &Node) -> Self {
        let pair = inproc_client(broker);
        let (near, far) = pair.portals();
        Self(pair, near, far)
    }

    pub(crate) fn check(&self) {
        self.1.put("down").unwrap();
        assert_eq!(self.2.try_recv().unwrap().bytes(), b"down");
        self.2.put("up").unwrap();
        assert_eq!(self.1.try_recv().unwrap().bytes(), b"up");
        assert!(self.0.to_client.ended().is_none());
    }
}

/// A node that sleeps in a pump, and its driver.
pub(crate) fn socket_node(is_broker: bool) -> (Node, Arc<UnixDriver>) {
    let driver = UnixDriver::new().unwrap();
    (Node::with_driver(driver.clone(), is_broker).unwrap(), driver)
}

/// A broker and a client of it, each with its pump, over a socket.
pub(crate) fn sockets() -> Pair {
    let (broker, brokers) = socket_node(true);
    let (client, clients) = socket_node(false);
    let (a, b) = UnixStream::pair().unwrap();
    let a = brokers.transport(OwnedFd::from(a)).unwrap();
    let b = clients.transport(OwnedFd::from(b)).unwrap();
    join(broker, a, client, b)
}

/// Waits until `condition` holds.
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::yield_now();
    }
}

/// The head of a hello, as the wire format describes it, from a node named `name` that takes the
/// other one for its broker.
pub(crate) fn hello(name: u128) -> Vec<u8> {
    let mut head = vec![1, 1, 0, 2];
    head.extend(1_u32.to_le_bytes());
    head.extend(0_u64.to_le_bytes());
    head.extend((1_u64 << 28).to_le_bytes());
    head.extend(name.to_le_bytes());
    head.extend(7_u128.to_le_bytes());
    head
}

/// The same as bytes on a socket.
pub(crate) fn hello_frame(name: u128) -> Vec<u8> {
    let head = hello(name);
    let mut frame = b"ipcz".to_vec();
    frame.extend(u32::try_from(head.len()).expect("a short head").to_le_bytes());
    frame.extend([0; 8]);
    frame.extend(head);
    frame
}
