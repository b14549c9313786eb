//! Nodes that may do less than others: no shared memory of their own, no handles but by the broker.

#[path = "../support/block_on.rs"]
mod block_on;
#[allow(dead_code, reason = "shared with other tests, which use all of it")]
#[path = "../support/nodes.rs"]
mod nodes;

use std::io::{Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ipcz::driver::Driver;
use ipcz::driver::inproc::InProcDriver;
use ipcz::{
    ConnectOptions, Connection, DisconnectKind, ErrorKind, Handle, Node, NodeOptions, Object,
    OsHandle, Parcel, Portal, PutErrorKind, Relation, Route, SharedMemory,
};

/// A client of a broker that is made with options of its own.
fn client(
    broker: &Node,
    options: &NodeOptions,
    connect: &ConnectOptions,
) -> [(Node, Connection); 2] {
    let driver = Arc::new(InProcDriver::new());
    let node = options.with_driver(driver.clone(), false).unwrap();
    let (a, b) = driver.create_transports().unwrap();
    let plain = ConnectOptions::default();
    let here = broker.connect_transport(a, Relation::Client, &plain).unwrap();
    let there = node.connect_transport(b, Relation::Broker, connect).unwrap();
    [(broker.clone(), here), (node, there)]
}

fn broker() -> Node {
    Node::with_driver(Arc::new(InProcDriver::new()), true).unwrap()
}

fn sandboxed() -> NodeOptions {
    NodeOptions::default().without_allocation()
}

fn delegating() -> ConnectOptions {
    ConnectOptions::default().delegate_allocation()
}

#[test]
fn a_delegate_makes_the_memory() {
    let broker = broker();
    let [_, (node, _there)] = client(&broker, &sandboxed(), &delegating());
    let memory = node.allocate_memory(100).wait().unwrap();
    assert_eq!(memory.len(), 100);
    let mut bytes = [1; 100];
    memory.map().unwrap().copy_out(0, &mut bytes).unwrap();
    assert_eq!(bytes, [0; 100]);
    assert_eq!(block_on::block_on(node.allocate_memory(7)).unwrap().len(), 7);
}

#[test]
fn what_cannot_be_allocated_says_why() {
    let broker = broker();
    let kind = |node: &Node, size| node.allocate_memory(size).wait().unwrap_err().kind();
    assert_eq!(kind(&broker, 0), ErrorKind::BadSize);
    assert_eq!(kind(&broker, usize::MAX), ErrorKind::BadSize);
    let [_, (node, there)] = client(&broker, &sandboxed(), &ConnectOptions::default());
    assert_eq!(kind(&node, 1), ErrorKind::NoDelegate);
    drop(there);
    broker.shut_down(Duration::ZERO);
    assert_eq!(kind(&broker, 1), ErrorKind::ShutDown);
}

#[test]
fn a_delegate_that_goes_fails_what_it_was_asked_for() {
    // It never answers: there is only a transport.
    let driver = Arc::new(InProcDriver::new());
    let node = sandboxed().with_driver(driver.clone(), false).unwrap();
    let (a, b) = driver.create_transports().unwrap();
    let there = node.connect_transport(a, Relation::Broker, &delegating()).unwrap();
    let late = node.allocate_memory(1).wait_timeout(Duration::from_millis(1));
    assert_eq!(late.unwrap_err().kind(), ErrorKind::TimedOut);
    let allocation = node.allocate_memory(1);
    drop(b);
    let error = allocation.wait().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DelegateLost);
    assert!(std::error::Error::source(&error).is_some());
    assert_eq!(there.ended().unwrap().kind(), DisconnectKind::NodeLost);
    assert_eq!(node.allocate_memory(1).wait().unwrap_err().kind(), ErrorKind::NoDelegate);
}

#[test]
fn only_one_delegate_at_a_time() {
    let driver = InProcDriver::new();
    let broker = broker();
    let (a, _b) = driver.create_transports().unwrap();
    let (c, _d) = driver.create_transports().unwrap();
    let options = delegating();
    let _first = broker.connect_transport(a, Relation::Client, &options).unwrap();
    let second = broker.connect_transport(c, Relation::Client, &options).unwrap_err();
    assert_eq!(second.kind(), ErrorKind::HasDelegate);
}

/// Two nodes of one broker, the first of which relays, with a route between them that is direct.
fn related(broker: &Node) -> (Node, Portal, Portal, Vec<Connection>) {
    let plain = ConnectOptions::default();
    let relaying = NodeOptions::default().with_relayed_handles();
    let [(_, to_a), (a, a_up)] = client(broker, &relaying, &plain);
    let [(_, to_b), (b, b_up)] = client(broker, &NodeOptions::default(), &plain);
    let (near, far) = a.open_portals();
    let (up, down) = (a_up.take_portal(0).unwrap(), to_a.take_portal(0).unwrap());
    up.put(Parcel::with_handles("", vec![Handle::from(far)])).unwrap();
    let (_, handles) = down.recv_blocking().unwrap().into_parts();
    let (over, under) = (to_b.take_portal(0).unwrap(), b_up.take_portal(0).unwrap());
    over.put(Parcel::with_handles("", handles)).unwrap();
    let Some(Handle::Portal(far)) = under.recv_blocking().unwrap().into_parts().1.pop() else {
        panic!("it was put")
    };
    assert_eq!(near.route(), Route::Remote(b.name()));
    // The links that the route had by way of the broker have ended, too.
    for node in [&a, &b] {
        let links = || node.topology().peers.iter().map(|peer| peer.links).collect::<Vec<_>>();
        let deadline = Instant::now() + Duration::from_secs(20);
        while links() != [1, 1] {
            assert!(Instant::now() < deadline, "{:?}", links());
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    (a, near, far, vec![to_a, a_up, to_b, b_up])
}

fn pipe() -> (Handle, std::io::PipeWriter) {
    let (reader, writer) = std::io::pipe().unwrap();
    (Handle::from(OsHandle::from(reader)), writer)
}

#[test]
fn relayed_handles_arrive_with_their_parcels_in_order() {
    let broker = broker();
    let (node, near, far, _connections) = related(&broker);
    for round in 0..3_u8 {
        let (reader, mut writer) = pipe();
        let memory = node.allocate_memory(50).wait().unwrap();
        memory.map().unwrap().copy_in(0, &[round]).unwrap();
        let (kept, sent) = node.open_portals();
        let handles = vec![Handle::from(memory), Handle::from(sent), reader];
        near.put(Parcel::with_handles([round], handles)).unwrap();
        near.put([round + 100].as_slice()).unwrap();
        writer.write_all(&[round]).unwrap();
        kept.put([round].as_slice()).unwrap();

        let (bytes, handles) = far.recv_blocking().unwrap().into_parts();
        assert_eq!(bytes, [round]);
        let mut handles = handles.into_iter();
        let (Some(Handle::Memory(memory)), Some(Handle::Portal(portal)), Some(Handle::Os(pipe))) =
            (handles.next(), handles.next(), handles.next())
        else {
            panic!("three handles in their order")
        };
        let mut byte = [9];
        SharedMemory::map(&memory).unwrap().copy_out(0, &mut byte).unwrap();
        assert_eq!(byte, [round]);
        std::io::PipeReader::try_from(pipe).unwrap().read_exact(&mut byte).unwrap();
        assert_eq!(byte, [round]);
        assert_eq!(portal.recv_blocking().unwrap().bytes(), [round]);
        assert_eq!(far.recv_blocking().unwrap().bytes(), [round + 100]);
    }
}

fn memory_of(node: &Node, size: usize) -> Handle {
    Handle::from(node.allocate_memory(size).wait().unwrap())
}

#[test]
fn handles_are_relayed_from_within_parcels_and_from_what_objects_become() {
    let broker = broker();
    let (node, near, far, _connections) = related(&broker);
    let (kept, sent) = node.open_portals();
    let (memory, file) = (memory_of(&node, 2), pipe().0);
    let object = Object::with_serializer(file, |file| {
        Some(Parcel::with_handles("made", vec![sent.into(), file, memory]))
    });
    let inner = vec![memory_of(&node, 1), object.into(), memory_of(&node, 3)];
    let inner = Parcel::with_handles("inner", inner);
    near.put(Parcel::with_handles("outer", vec![inner.into(), memory_of(&node, 4)])).unwrap();
    near.put("behind").unwrap();

    let size = |parcel: &mut Parcel, index| parcel.take_memory(index).unwrap().len();
    let mut outer = far.recv_blocking().unwrap();
    assert_eq!((size(&mut outer, 1), outer.bytes()), (4, b"outer".as_slice()));
    let mut inner = outer.take_parcel(0).unwrap();
    assert_eq!(inner.bytes(), b"inner");
    assert_eq!([size(&mut inner, 2), size(&mut inner, 0)], [3, 1]);
    let mut made = inner.take_parcel(0).unwrap();
    assert_eq!((size(&mut made, 2), made.bytes()), (2, b"made".as_slice()));
    assert!(made.take_os_handle(1).is_some_and(|file| !file.is_empty()));
    kept.put("hello").unwrap();
    assert_eq!(made.take_portal(0).unwrap().recv_blocking().unwrap().bytes(), b"hello");
    assert_eq!(far.recv_blocking().unwrap().bytes(), b"behind");

    // Who is to blame is who sent the parcel, not the broker that passed on what was in it.
    inner.reject("enough").unwrap();
    let why = near.recv_blocking().unwrap_err();
    assert_eq!((why.kind(), why.node()), (DisconnectKind::Rejected, Some(node.name())));
}

#[test]
fn an_object_that_becomes_a_handle_needs_a_broker_like_any_handle() {
    let broker = broker();
    let (node, near, far, connections) = related(&broker);
    broker.shut_down(Duration::ZERO);
    connections[1].wait_ended(Duration::from_secs(20)).unwrap();
    let inner = Parcel::with_handles("no", vec![pipe().0]);
    let inside = near.put(Parcel::with_handles("", vec![inner.into()])).unwrap_err();
    assert_eq!(inside.kind(), PutErrorKind::NoRelay);
    let object = |handles| {
        let object = Object::with_serializer((), |()| Some(Parcel::with_handles("made", handles)));
        Parcel::with_handles("", vec![object.into()])
    };
    near.put(object(vec![])).unwrap();
    assert_eq!(far.recv_blocking().unwrap().take_parcel(0).unwrap().bytes(), b"made");
    // What the object will be is known only when the put has been taken.
    near.put(object(vec![pipe().0])).unwrap();
    for portal in [near, far] {
        let why = portal.recv_blocking().unwrap_err();
        assert_eq!((why.kind(), why.node()), (DisconnectKind::NotRelayed, Some(node.name())));
    }
}

#[test]
fn without_a_broker_handles_are_refused_and_all_else_goes_on() {
    let broker = broker();
    let (_node, near, far, connections) = related(&broker);
    broker.shut_down(Duration::ZERO);
    connections[1].wait_ended(Duration::from_secs(20)).unwrap();
    let (reader, _writer) = pipe();
    let refused = near.put(Parcel::with_handles("no", vec![reader])).unwrap_err();
    assert_eq!(refused.kind(), PutErrorKind::NoRelay);
    let (_, handles) = refused.into_parcel().into_parts();
    assert!(matches!(&handles[..], [Handle::Os(handle)] if !handle.is_empty()));
    near.put("yes").unwrap();
    assert_eq!(far.recv_blocking().unwrap().bytes(), b"yes");
}
