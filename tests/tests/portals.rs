//! Raw portals: local, between in-process nodes, and between system nodes in one process.

use std::sync::Arc;
use std::time::Duration;

use ipcz::driver::Driver;
use ipcz::driver::inproc::InProcDriver;
use ipcz::driver::unix::UnixDriver;
use ipcz::{ConnectOptions, DisconnectKind, Handle, Node, Portal, Relation, Route, TryRecvError};

const PATIENCE: Duration = Duration::from_secs(20);

/// A broker and a client, connected by one portal each.
fn connected(driver: &Arc<dyn Driver>) -> (Node, Node, Portal, Portal) {
    let broker = Node::with_driver(driver.clone(), true).unwrap();
    let (client, near, far) = client_of(&broker, driver);
    (broker, client, near, far)
}

fn client_of(broker: &Node, driver: &Arc<dyn Driver>) -> (Node, Portal, Portal) {
    let client = Node::with_driver(driver.clone(), false).unwrap();
    let (a, b) = driver.create_transports().unwrap();
    let options = ConnectOptions::default();
    let to_client = broker.connect_transport(a, Relation::Client, &options).unwrap();
    let to_broker = client.connect_transport(b, Relation::Broker, &options).unwrap();
    let portals = (to_client.take_portal(0).unwrap(), to_broker.take_portal(0).unwrap());
    (client, portals.0, portals.1)
}

fn inproc() -> Arc<dyn Driver> {
    Arc::new(InProcDriver::new())
}

#[test]
fn what_goes_in_comes_out() {
    let node = Node::broker().unwrap();
    let (a, b) = node.open_portals();
    assert!(matches!(b.try_recv(), Err(TryRecvError::Empty)));
    a.put("one").unwrap();
    a.put("two").unwrap();
    assert_eq!(b.try_recv().unwrap().bytes(), b"one");
    assert_eq!(b.recv_blocking().unwrap().bytes(), b"two");
    drop(a);
    assert_eq!(b.recv_blocking().unwrap_err().kind(), DisconnectKind::PeerClosed);
}

#[test]
fn two_nodes_in_one_process() {
    let driver = inproc();
    let (broker, client, near, far) = connected(&driver);
    near.put("down").unwrap();
    assert_eq!(far.try_recv().unwrap().bytes(), b"down");
    far.put("up").unwrap();
    assert_eq!(near.try_recv().unwrap().bytes(), b"up");
    assert_eq!(near.route(), Route::Remote(client.name()));
    assert_eq!(far.route(), Route::Remote(broker.name()));
}

#[test]
fn clients_of_a_broker_end_up_linked_directly() {
    let driver = inproc();
    let (broker, b, to_b, at_b) = connected(&driver);
    let (c, to_c, at_c) = client_of(&broker, &driver);
    let (left, right) = b.open_portals();
    left.put("queued before the move").unwrap();
    at_b.put(ipcz::Parcel::with_handles("take", vec![Handle::from(right)])).unwrap();
    to_c.put(to_b.try_recv().unwrap()).unwrap();
    let (_, mut handles) = at_c.try_recv().unwrap().into_parts();
    let Some(Handle::Portal(right)) = handles.pop() else { panic!("no portal") };
    assert_eq!(right.try_recv().unwrap().bytes(), b"queued before the move");
    right.put("straight").unwrap();
    assert_eq!(left.try_recv().unwrap().bytes(), b"straight");
    assert_eq!(right.route(), Route::Remote(b.name()));
    assert_eq!(left.route(), Route::Remote(c.name()));
    for node in [&broker, &b, &c] {
        assert_eq!(node.topology().proxies, 0);
    }
}

#[test]
fn a_lost_node_is_seen_with_its_name() {
    let driver = inproc();
    let (_broker, client, near, far) = connected(&driver);
    let name = client.name();
    far.put("last words").unwrap();
    assert!(client.shut_down(PATIENCE));
    assert_eq!(near.try_recv().unwrap().bytes(), b"last words");
    // The portal was closed before the node went: that is the reason that shows.
    let Err(TryRecvError::Disconnected(why)) = near.try_recv() else { panic!("still there") };
    assert_eq!(why.kind(), DisconnectKind::PeerClosed);
    assert!(near.put("too late").is_err());
    let _ = name;
}

#[test]
fn sockets_between_two_nodes() {
    let driver: Arc<dyn Driver> = UnixDriver::new().unwrap();
    let other: Arc<dyn Driver> = UnixDriver::new().unwrap();
    let broker = Node::with_driver(driver.clone(), true).unwrap();
    drop(other);
    let (a, b) = broker.open_portals();
    a.put(vec![7; 1 << 20]).unwrap();
    assert_eq!(b.recv_timeout(PATIENCE).unwrap().bytes().len(), 1 << 20);
}
