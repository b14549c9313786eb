//! Two nodes whose link is over shared memory, if their options let it be.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use ipcz::driver::unix::UnixDriver;
use ipcz::{ConnectOptions, Connection, Node, NodeOptions, Portal, Relation};

use crate::nodes::PATIENCE;

/// A node and its driver.
pub(crate) struct Member {
    pub(crate) node: Node,
    driver: Arc<UnixDriver>,
}

pub(crate) fn member(options: &NodeOptions, is_broker: bool) -> Member {
    let driver = UnixDriver::new().unwrap();
    Member { node: options.with_driver(driver.clone(), is_broker).unwrap(), driver }
}

/// A connection of two nodes, with a pair of portals for each number.
pub(crate) struct Joined {
    pub(crate) there: Connection,
    pub(crate) here: Connection,
}

impl Joined {
    pub(crate) fn portals(&self, index: usize) -> (Portal, Portal) {
        (self.there.take_portal(index).unwrap(), self.here.take_portal(index).unwrap())
    }
}

/// Connects a client to a broker over a socket, with so many portals.
pub(crate) fn join(broker: &Member, client: &Member, portals: u32) -> Joined {
    join_with(broker, client, portals, &ConnectOptions::portals(portals))
}

/// The same, where the client asks for what it likes.
pub(crate) fn join_with(
    broker: &Member,
    client: &Member,
    portals: u32,
    theirs: &ConnectOptions,
) -> Joined {
    let options = ConnectOptions::portals(portals);
    let (a, b) = UnixStream::pair().unwrap();
    let a = broker.driver.transport(OwnedFd::from(a)).unwrap();
    let b = client.driver.transport(OwnedFd::from(b)).unwrap();
    let there = broker.node.connect_transport(a, Relation::Client, &options).unwrap();
    let here = client.node.connect_transport(b, Relation::Broker, theirs).unwrap();
    there.wait_connected(PATIENCE).unwrap().expect("they connect");
    here.wait_connected(PATIENCE).unwrap().expect("they connect");
    Joined { there, here }
}

/// A parcel goes there and back: the link has changed over, if it does.
pub(crate) fn settle(near: &Portal, far: &Portal) {
    for _ in 0..3 {
        near.put("there").unwrap();
        assert_eq!(far.recv_timeout(PATIENCE).unwrap().bytes(), b"there");
        far.put("back").unwrap();
        assert_eq!(near.recv_timeout(PATIENCE).unwrap().bytes(), b"back");
    }
}
