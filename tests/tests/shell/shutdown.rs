//! The end of a node, from wherever it is brought about, and what its handles do afterwards.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use ipcz::{
    Conditions, ConnectOptions, DisconnectKind, ErrorKind, Handle, Parcel, PutErrorKind, Relation,
    Route, TryRecvError,
};

use crate::nodes::{self, PATIENCE};

fn new_parcel() -> Conditions {
    Conditions { new_parcel: true, ..Conditions::default() }
}

#[test]
fn handles_of_a_node_that_was_shut_down_say_so() {
    let (node, driver) = nodes::socket_node(true);
    let (near, far) = node.open_portals();
    near.put("unread").unwrap();
    assert!(node.shut_down(PATIENCE));
    let (_, late) = node.open_portals();
    for portal in [&far, &late] {
        let Err(TryRecvError::Disconnected(why)) = portal.try_recv() else { panic!("it is open") };
        assert_eq!((why.kind(), why.node()), (DisconnectKind::Shutdown, Some(node.name())));
        assert_eq!(portal.recv_blocking().unwrap_err(), why);
        assert_eq!(portal.put("x").unwrap_err().kind(), PutErrorKind::Disconnected(why));
        assert!(portal.status().dead && portal.status().peer_closed);
        assert_eq!(portal.route(), Route::Closed);
        let refused = portal.trap(new_parcel(), |_| unreachable!()).unwrap_err();
        assert!(refused.0.flags.removed);
    }
    let (ours, theirs) = UnixStream::pair().unwrap();
    let transport = driver.transport(OwnedFd::from(ours)).unwrap();
    let error = node
        .connect_transport(transport, Relation::Client, &ConnectOptions::default())
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ShutDown);
    drop(theirs);
    assert!(node.shut_down(PATIENCE), "twice does no harm");
}

#[test]
fn every_trap_fires_at_the_end() {
    for _ in 0..200 {
        let (node, _) = nodes::socket_node(true);
        let (near, far) = node.open_portals();
        let (tell, told) = mpsc::channel();
        let first = tell.clone();
        // Keeps the pump awake while the node goes.
        far.trap(new_parcel(), move |event| first.send(event.flags.removed).unwrap()).unwrap();
        let last = tell.clone();
        near.trap(new_parcel(), move |event| last.send(event.flags.removed).unwrap()).unwrap();
        drop(tell);
        near.put("x").unwrap();
        node.shut_down(PATIENCE);
        assert_eq!(told.recv_timeout(PATIENCE), Ok(false));
        assert_eq!(told.recv_timeout(PATIENCE), Ok(true));
    }
}

#[test]
fn a_callback_may_shut_its_node_down() {
    let pair = nodes::sockets();
    let (near, far) = pair.portals();
    let (tell, told) = mpsc::channel();
    let (node, far) = (pair.client.clone(), Arc::new(far));
    let last = Arc::clone(&far);
    let end = move |_| {
        // More than the socket takes: it leaves while the callback waits.
        last.put(vec![0; 8 << 20]).unwrap();
        tell.send(node.shut_down(PATIENCE)).unwrap();
    };
    far.trap(new_parcel(), end).unwrap();
    let started = Instant::now();
    near.put("end").unwrap();
    assert!(told.recv_timeout(2 * PATIENCE).unwrap());
    assert!(started.elapsed() < PATIENCE, "the pump waited for itself");
    assert_eq!(near.recv_timeout(PATIENCE).unwrap().bytes().len(), 8 << 20);
    assert_eq!(near.recv_blocking().unwrap_err().kind(), DisconnectKind::PeerClosed);
}

#[test]
fn a_callback_may_drop_the_last_handle_of_its_node() {
    let pair = nodes::sockets();
    let (near, far) = pair.portals();
    let nodes::Pair { client, to_broker, .. } = pair;
    drop((client, to_broker));
    let (hand, handed) = mpsc::channel::<ipcz::Portal>();
    far.trap(new_parcel(), move |_| drop(handed.recv())).unwrap();
    near.put("end").unwrap();
    hand.send(far).unwrap();
    assert_eq!(near.recv_blocking().unwrap_err().kind(), DisconnectKind::PeerClosed);
    assert_eq!(pair.to_client.wait_ended(PATIENCE).unwrap().kind(), DisconnectKind::Shutdown);
}

#[test]
fn what_was_put_before_the_end_arrives() {
    let pair = nodes::sockets();
    // Who shuts down before the other has said hello cannot send it anything.
    pair.to_client.wait_connected(PATIENCE).unwrap().expect("they connect");
    let (near, far) = pair.portals();
    let (left, right) = pair.broker.open_portals();
    left.put("inside").unwrap();
    drop(left);
    for _ in 0..100 {
        near.put(vec![1; 100_000]).unwrap();
    }
    near.put(Parcel::with_handles("", vec![Handle::from(right)])).unwrap();
    assert!(pair.broker.shut_down(PATIENCE));
    for _ in 0..100 {
        assert_eq!(far.recv_timeout(PATIENCE).unwrap().bytes().len(), 100_000);
    }
    let (_, mut handles) = far.recv_timeout(PATIENCE).unwrap().into_parts();
    let Some(Handle::Portal(right)) = handles.pop() else { panic!("no portal came") };
    assert_eq!(right.recv_timeout(PATIENCE).unwrap().bytes(), b"inside");
}

/// Takes longer than a link that is closed lingers by itself: that is the point.
#[test]
fn whoever_is_patient_is_not_told_that_everything_left_when_it_did_not() {
    let (node, driver) = nodes::socket_node(true);
    let (ours, theirs) = UnixStream::pair().unwrap();
    let transport = driver.transport(OwnedFd::from(ours)).unwrap();
    let connection =
        node.connect_transport(transport, Relation::Client, &ConnectOptions::default()).unwrap();
    // Parcels wait until the peer says hello; only then does the socket fill.
    let hello = nodes::hello_frame(1);
    std::io::Write::write_all(&mut &theirs, &hello).unwrap();
    assert!(connection.wait_connected(PATIENCE).unwrap().is_some());
    connection.take_portal(0).unwrap().put(vec![0; 8 << 20]).unwrap();
    let started = Instant::now();
    assert!(!node.shut_down(Duration::from_secs(6)), "nobody read anything");
    assert!(started.elapsed() >= Duration::from_secs(6));
    drop(theirs);
}

#[test]
fn a_peer_that_does_not_read_delays_a_hasty_end_by_nothing() {
    let pair = nodes::sockets();
    assert!(pair.to_client.wait_connected(PATIENCE).unwrap().is_some());
    let _ = pair.broker.shut_down(Duration::ZERO);
    let why = pair.to_broker.wait_ended(PATIENCE).unwrap();
    assert_eq!(why.kind(), DisconnectKind::Shutdown);
}
