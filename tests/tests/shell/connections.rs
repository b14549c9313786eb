//! Connections: how they begin, what is known of them, how they end.

use std::future::Future;
use std::os::unix::net::UnixStream;
use std::pin::pin;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use ipcz::driver::Driver;
use ipcz::driver::inproc::InProcDriver;
use ipcz::{ConnectOptions, DisconnectKind, ErrorKind, Listener, Node, Relation};

use crate::block_on::block_on;
use crate::nodes::{self, PATIENCE};

#[test]
fn a_refused_connection_closes_its_transport_under_no_lock() {
    let driver = InProcDriver::new();
    let node = Node::with_driver(Arc::new(driver), true).unwrap();
    let (a, b) = driver.create_transports().unwrap();
    let options = ConnectOptions::default();
    let connection = node.connect_transport(a, Relation::Client, &options).unwrap();
    // The other end of a connection of the same node: it hears of the end at once.
    let too_many = ConnectOptions::portals(1025);
    let error = node.connect_transport(b, Relation::Client, &too_many).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooManyPortals);
    assert_eq!(connection.ended().unwrap().kind(), DisconnectKind::NodeLost);
}

#[test]
fn what_a_portal_shows_its_connection_shows_too() {
    for _ in 0..200 {
        let pair = nodes::sockets();
        let (near, far) = pair.portals();
        near.put("x").unwrap();
        while far.try_recv().is_err() {}
        assert_eq!(pair.to_broker.peer_name(), Some(pair.broker.name()));
        pair.to_client.disconnect();
        while far.put("y").is_ok() {}
        assert_eq!(pair.to_broker.ended().unwrap().kind(), DisconnectKind::Shutdown);
    }
}

struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn the_end_wakes_those_who_wait_for_it_and_keeps_no_others() {
    let pair = nodes::inproc();
    let gone = Arc::new(Count(AtomicUsize::new(0)));
    {
        let waker = Waker::from(Arc::clone(&gone));
        let mut closed = pin!(pair.to_client.closed());
        assert!(closed.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    }
    assert_eq!(Arc::strong_count(&gone), 1, "the waker is kept by nobody");
    let count = Arc::new(Count(AtomicUsize::new(0)));
    let waker = Waker::from(Arc::clone(&count));
    let mut closed = pin!(pair.to_client.closed());
    assert!(closed.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    pair.to_broker.disconnect();
    assert_eq!(count.0.load(Ordering::Relaxed), 1);
    assert_eq!(block_on(closed).kind(), DisconnectKind::Shutdown);
}

#[test]
fn a_silent_client_holds_up_nobody() {
    let path = std::env::temp_dir().join(format!("ipcz-silent-{}", std::process::id()));
    let listener = Listener::bind(&path).unwrap();
    assert!(listener.try_accept().unwrap().is_none());
    let silent = UnixStream::connect(&path).unwrap();
    let unborn = listener.accept().unwrap();
    assert_eq!(unborn.wait_connected(Duration::ZERO).unwrap(), None);
    // Its portals work, as far as they can.
    let waiting = unborn.take_portal(0).unwrap();
    waiting.put("for nobody yet").unwrap();
    let (_client, to_broker) = Node::connect(&path).unwrap();
    let connection = listener.accept().unwrap();
    assert_eq!(to_broker.wait_connected(PATIENCE).unwrap(), Some(listener.node().name()));
    let (near, far) = (connection.take_portal(0).unwrap(), to_broker.take_portal(0).unwrap());
    near.put("hello").unwrap();
    assert_eq!(far.recv_timeout(PATIENCE).unwrap().bytes(), b"hello");
    drop(silent);
    assert_eq!(waiting.recv_blocking().unwrap_err().kind(), DisconnectKind::NodeLost);
    let error = unborn.wait_connected(PATIENCE).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotConnected);
}

#[test]
fn what_would_fail_afterwards_is_refused_before_anything_is_run() {
    let node = Node::broker().unwrap();
    let options = ConnectOptions::portals(1025);
    let marker = std::env::temp_dir().join(format!("ipcz-never-{}", std::process::id()));
    let mut command = Command::new("touch");
    command.arg(&marker);
    let error = node.spawn_with(command, &options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooManyPortals);
    assert_eq!(Node::from_parent_with(&options).unwrap_err().kind(), ErrorKind::TooManyPortals);
    let error = Node::connect_with("/no/such/path", &options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooManyPortals);
    assert!(!marker.exists());
}

#[test]
fn two_connections_of_the_same_nodes_are_one_too_many() {
    let driver = InProcDriver::new();
    let broker = Node::with_driver(Arc::new(driver), true).unwrap();
    let first = nodes::inproc_client(&broker);
    let (a, b) = driver.create_transports().unwrap();
    let options = ConnectOptions::default();
    let _second = broker.connect_transport(a, Relation::Client, &options).unwrap();
    let error = first.client.connect_transport(b, Relation::Broker, &options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::HasBroker);
    assert!(first.to_client.ended().is_none());
}
