//! Objects in parcels: the same value within a node, a parcel at another, dropped where nobody takes
//! them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};

use ipcz::{DisconnectKind, Handle, Node, Object, Parcel, Portal, PutErrorKind, Route};

use crate::nodes::{self, PATIENCE, Pair};

/// Says so when it is dropped. That needs the node's lock, which must be free.
struct Loud(Node, Sender<()>);

impl Drop for Loud {
    fn drop(&mut self) {
        drop(self.0.open_portals());
        let _ = self.1.send(());
    }
}

fn one(handle: impl Into<Handle>) -> Parcel {
    Parcel::with_handles("", vec![handle.into()])
}

fn text(text: &'static str) -> Object {
    Object::with_serializer(text, |text| Some(Parcel::new(text)))
}

fn pairs() -> [Pair; 2] {
    [nodes::inproc(), nodes::sockets()]
}

fn connected(pair: &Pair) -> (Portal, Portal) {
    assert!(pair.to_client.wait_connected(PATIENCE).unwrap().is_some());
    assert!(pair.to_broker.wait_connected(PATIENCE).unwrap().is_some());
    pair.portals()
}

/// A pair of portals at the broker, and a portal that leads to the client.
fn with_local_pair(pair: &Pair) -> (Portal, Portal, Portal, Portal) {
    let (near, far) = connected(pair);
    let (a, b) = pair.broker.open_portals();
    (a, b, near, far)
}

#[test]
fn an_object_stays_the_same_value_in_its_node() {
    let node = Node::broker().unwrap();
    let (near, far) = node.open_portals();
    let value = Arc::new(5);
    near.put(one(Object::new(Arc::clone(&value)))).unwrap();
    let mut parcel = far.try_recv().unwrap();
    let mut object = parcel.take_object(0).unwrap();
    assert!(object.is::<Arc<i32>>() && !object.is::<i32>() && !object.can_leave());
    assert_eq!(object.get_mut::<Arc<i32>>(), Some(&mut Arc::clone(&value)));
    assert!(object.get_mut::<i32>().is_none());
    assert_eq!(format!("{object:?}"), "Object(alloc::sync::Arc<i32>)");
    let object = object.downcast::<i32>().unwrap_err();
    assert!(Arc::ptr_eq(&object.downcast::<Arc<i32>>().unwrap(), &value));
}

#[test]
fn an_object_arrives_at_another_node_as_a_parcel_in_its_place() {
    for pair in pairs() {
        let (near, far) = connected(&pair);
        let (kept, sent) = pair.broker.open_portals();
        let (first, second) = pair.broker.open_portals();
        let object = Object::with_serializer(("two words", sent), |(words, portal)| {
            let words = words.split(' ').map(|word| text(word).into());
            let mut handles: Vec<Handle> = words.collect();
            handles.insert(1, portal.into());
            Some(Parcel::with_handles("words", handles))
        });
        let inner = Parcel::with_handles("inner", vec![first.into(), object.into()]);
        let handles = vec![text("one").into(), inner.into(), second.into()];
        near.put(Parcel::with_handles("outer", handles)).unwrap();
        near.put("behind").unwrap();

        let mut outer = far.recv_timeout(PATIENCE).unwrap();
        assert_eq!((outer.bytes(), outer.handles().len()), (&b"outer"[..], 3));
        let second = outer.take_portal(2).unwrap();
        let mut inner = outer.take_parcel(1).unwrap();
        assert_eq!(outer.take_parcel(0).unwrap().bytes(), b"one");
        assert_eq!(inner.bytes(), b"inner");
        let mut words = inner.take_parcel(1).unwrap();
        assert_eq!(words.bytes(), b"words");
        let sent = words.take_portal(1).unwrap();
        assert_eq!(words.take_parcel(1).unwrap().bytes(), b"words"); // what stood behind it
        assert_eq!(words.take_parcel(0).unwrap().bytes(), b"two");
        // Every portal is the one that was put there.
        kept.put("kept").unwrap();
        assert_eq!(sent.recv_timeout(PATIENCE).unwrap().bytes(), b"kept");
        inner.take_portal(0).unwrap().put("first").unwrap();
        assert_eq!(second.recv_timeout(PATIENCE).unwrap().bytes(), b"first");
        assert_eq!(far.recv_timeout(PATIENCE).unwrap().bytes(), b"behind");
    }
}

#[test]
fn a_serializer_runs_once_and_when_the_object_leaves() {
    for pair in pairs() {
        let (a, b, near, far) = with_local_pair(&pair);
        let runs = Arc::new(AtomicUsize::new(0));
        let (counted, node) = (Arc::clone(&runs), pair.broker.clone());
        let object = Object::with_serializer((), move |()| {
            counted.fetch_add(1, Ordering::Relaxed);
            // No lock is held: the node can be used.
            let (left, right) = node.open_portals();
            left.put("made on the way").unwrap();
            Some(one(right))
        });
        a.put(one(object)).unwrap();
        let parcel = b.try_recv().unwrap();
        a.put(parcel).unwrap();
        assert_eq!(runs.load(Ordering::Relaxed), 0);
        near.put(one(b)).unwrap();
        let b = far.recv_timeout(PATIENCE).unwrap().take_portal(0).unwrap();
        let mut made = b.recv_timeout(PATIENCE).unwrap().take_parcel(0).unwrap();
        let right = made.take_portal(0).unwrap();
        assert_eq!(right.recv_timeout(PATIENCE).unwrap().bytes(), b"made on the way");
        assert_eq!(runs.load(Ordering::Relaxed), 1);
    }
}

#[test]
fn an_object_without_a_serializer_is_refused_where_it_would_leave() {
    let pair = nodes::inproc();
    let (near, _far) = connected(&pair);
    let (kept, sent) = pair.broker.open_portals();
    let inner = one(Object::new(7));
    let refused = near.put(Parcel::with_handles("x", vec![sent.into(), inner.into()]));
    let refused = refused.unwrap_err();
    assert_eq!(refused.kind(), PutErrorKind::CannotLeave { index: 1 });
    let mut parcel = refused.into_parcel();
    let object = parcel.take_parcel(1).unwrap().take_object(0).unwrap();
    assert_eq!(object.downcast::<i32>().unwrap(), 7);
    parcel.take_portal(0).unwrap().put("still here").unwrap();
    assert_eq!(kept.try_recv().unwrap().bytes(), b"still here");
    near.put("and so is the route").unwrap();
}

/// Puts an object where it does not leave, then lets its receiver move away.
fn is_cut(pair: &Pair, object: Object) {
    let (a, b, near, far) = with_local_pair(pair);
    a.put("first").unwrap();
    a.put(one(object)).unwrap();
    a.put("last").unwrap();
    near.put(one(b)).unwrap();
    let b = far.recv_timeout(PATIENCE).unwrap().take_portal(0).unwrap();
    assert_eq!(b.recv_timeout(PATIENCE).unwrap().bytes(), b"first");
    for portal in [&b, &a] {
        let why = portal.recv_blocking().unwrap_err();
        assert_eq!(why.kind(), DisconnectKind::Unsendable);
        assert_eq!(why.node(), Some(pair.broker.name()));
    }
    near.put("others go on").unwrap();
    assert_eq!(far.recv_timeout(PATIENCE).unwrap().bytes(), b"others go on");
}

#[test]
fn an_object_that_cannot_leave_after_all_cuts_its_route() {
    for pair in pairs() {
        is_cut(&pair, Object::new(7));
    }
    for pair in pairs() {
        is_cut(&pair, Object::with_serializer(7, |_| None));
    }
    for pair in pairs() {
        is_cut(&pair, Object::with_serializer(7, |_| panic!("in a serializer, as the test wants")));
    }
    for pair in pairs() {
        let foreign = pair.client.open_portals();
        is_cut(&pair, Object::with_serializer(7, |_| Some(one(foreign.0))));
    }
    for pair in pairs() {
        // Each within its limits, not all together.
        let many = || (0..3000).map(|_| Parcel::new("").into()).collect();
        let more = Object::with_serializer(7, move |_| Some(Parcel::with_handles("", many())));
        let both = Object::with_serializer(more, move |more| {
            let mut handles: Vec<Handle> = many();
            handles.push(more.into());
            Some(Parcel::with_handles("", handles))
        });
        is_cut(&pair, both);
    }
}

/// An object that makes another, for ever.
fn endless(depth: Arc<AtomicUsize>) -> Object {
    Object::with_serializer(depth, |depth| {
        depth.fetch_add(1, Ordering::Relaxed);
        Some(one(endless(depth)))
    })
}

#[test]
fn objects_in_objects_come_to_an_end() {
    let depth = Arc::new(AtomicUsize::new(0));
    is_cut(&nodes::inproc(), endless(Arc::clone(&depth)));
    assert_eq!(depth.load(Ordering::Relaxed), 17);
}

#[test]
fn an_object_that_nobody_takes_is_dropped_under_no_lock() {
    let (tell, told) = channel();
    let dropped = |what: &str| told.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{what}"));
    for pair in pairs() {
        let loud = |serializer: bool| {
            let loud = Loud(pair.broker.clone(), tell.clone());
            match serializer {
                true => Object::with_serializer(loud, |_loud| Some(Parcel::new("gone"))),
                false => Object::new(loud),
            }
        };
        let (a, b, near, far) = with_local_pair(&pair);
        a.put(one(loud(false))).unwrap();
        drop(b);
        dropped("its receiver was closed");
        drop(a.put(one(loud(false))).unwrap_err());
        dropped("its put was refused");
        let (a, b) = pair.broker.open_portals();
        a.put(one(loud(false))).unwrap();
        near.put(one(b)).unwrap();
        dropped("it could not leave");
        near.put(one(loud(true))).unwrap();
        dropped("its serializer dropped it");
        let (a, b) = pair.broker.open_portals();
        a.put(one(loud(false))).unwrap();
        pair.broker.shut_down(PATIENCE);
        dropped("its node was shut down");
        drop((a, b, near, far));
        assert!(told.try_recv().is_err());
    }
}

#[test]
fn a_drop_that_panics_stops_nothing() {
    struct Bad;
    impl Drop for Bad {
        fn drop(&mut self) {
            panic!("in a drop, as the test wants");
        }
    }
    let node = Node::broker().unwrap();
    let (a, b) = node.open_portals();
    a.put(one(Object::new(Bad))).unwrap();
    a.put(one(Object::new(Bad))).unwrap();
    drop(b);
    assert_eq!(a.route(), Route::Closed);
    let (near, far) = node.open_portals();
    near.put("goes on").unwrap();
    assert_eq!(far.try_recv().unwrap().bytes(), b"goes on");
}

#[test]
fn a_connection_lost_while_a_serializer_runs_loses_its_route_only() {
    let pair = nodes::sockets();
    let (near, far) = connected(&pair);
    let (kept, sent) = pair.broker.open_portals();
    let (other, made) = pair.broker.open_portals();
    let (begin, begun) = channel();
    let (end, ended) = channel();
    let ended = Mutex::new(ended);
    let object = Object::with_serializer(made, move |made| {
        begin.send(()).unwrap();
        ended.lock().unwrap().recv().unwrap();
        Some(one(made))
    });
    std::thread::scope(|scope| {
        scope.spawn(|| near.put(Parcel::with_handles("", vec![sent.into(), object.into()])));
        begun.recv_timeout(PATIENCE).unwrap();
        pair.to_client.disconnect();
        // What waited there is closed at once; what the serializer has, when it is done.
        assert_eq!(kept.recv_blocking().unwrap_err().kind(), DisconnectKind::PeerClosed);
        end.send(()).unwrap();
    });
    assert_eq!(other.recv_blocking().unwrap_err().kind(), DisconnectKind::PeerClosed);
    assert_eq!(near.recv_blocking().unwrap_err().kind(), DisconnectKind::Shutdown);
    drop(far);
    assert_eq!(pair.broker.topology().terminals, 3);
}

#[test]
fn what_is_put_behind_an_object_waits_for_it() {
    let pair = nodes::sockets();
    let (near, far) = connected(&pair);
    let (begin, begun) = channel();
    let (end, ended) = channel();
    let ended = Mutex::new(ended);
    let object = Object::with_serializer((), move |()| {
        begin.send(()).unwrap();
        ended.lock().unwrap().recv().unwrap();
        Some(Parcel::new("object"))
    });
    std::thread::scope(|scope| {
        let put = scope.spawn(|| near.put(one(object)));
        begun.recv_timeout(PATIENCE).unwrap();
        near.put("behind").unwrap();
        near.put(one(text("another"))).unwrap();
        end.send(()).unwrap();
        put.join().unwrap().unwrap();
    });
    drop(near);
    let mut parcel = far.recv_timeout(PATIENCE).unwrap();
    assert_eq!(parcel.take_parcel(0).unwrap().bytes(), b"object");
    assert_eq!(far.recv_timeout(PATIENCE).unwrap().bytes(), b"behind");
    let mut parcel = far.recv_timeout(PATIENCE).unwrap();
    assert_eq!(parcel.take_parcel(0).unwrap().bytes(), b"another");
    assert_eq!(far.recv_blocking().unwrap_err().kind(), DisconnectKind::PeerClosed);
}

/// Each portal has an object to be read, and behind it the next portal.
#[test]
fn a_long_chain_of_objects_leaves_in_one_go() {
    const LENGTH: usize = 20_000;
    let pair = nodes::sockets();
    let (near, far) = connected(&pair);
    let mut last = None;
    for _ in 0..LENGTH {
        let (a, b) = pair.broker.open_portals();
        let handles = [Some(text("link").into()), last.map(Handle::Portal)];
        a.put(Parcel::with_handles("", handles.into_iter().flatten().collect())).unwrap();
        last = Some(b);
    }
    near.put(one(last.unwrap())).unwrap();
    let mut parcel = far.recv_timeout(PATIENCE).unwrap();
    let mut next = parcel.take_portal(0);
    let mut length = 0;
    while let Some(portal) = next {
        let mut parcel = portal.recv_timeout(PATIENCE).unwrap();
        assert_eq!(parcel.take_parcel(0).unwrap().bytes(), b"link");
        next = parcel.take_portal(0);
        length += 1;
    }
    assert_eq!(length, LENGTH);
}
