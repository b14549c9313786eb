//! What nodes leave behind: no descriptor and no thread, however they and their peers end.
//!
//! The counts are the whole process's, so this is one test, alone in its program.

#[allow(dead_code, reason = "shared with other tests, which use all of it")]
#[path = "../support/nodes.rs"]
mod nodes;

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::mpsc;

use ipcz::{
    Conditions, ConnectOptions, Handle, Listener, Node, Object, OsHandle, Parcel, Portal, Relation,
};
use nodes::{PATIENCE, eventually};

const ROUNDS: usize = 10;

fn count(folder: &str) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

/// Descriptors and threads of this process.
fn held() -> (usize, usize) {
    (count("/proc/self/fd"), count("/proc/self/task"))
}

fn file() -> Handle {
    Handle::Os(OsHandle::from(std::io::pipe().unwrap().0))
}

fn with_everything(node: &Node) -> Parcel {
    let (kept, sent) = node.open_portals();
    let inner = Parcel::with_handles("in a parcel", vec![file(), node.open_portals().0.into()]);
    let (portal, carried) = (node.open_portals().0, file());
    let object = Object::with_serializer((portal, carried), |(portal, carried)| {
        Some(Parcel::with_handles("of an object", vec![carried, portal.into()]))
    });
    let inside = vec![file(), inner.into(), object.into()];
    kept.put(Parcel::with_handles("inside", inside)).unwrap();
    Parcel::with_handles("outside", vec![file(), Handle::from(sent), file()])
}

fn pairs_that_talk() {
    let pair = nodes::sockets();
    let (near, far) = pair.portals();
    near.put(with_everything(&pair.broker)).unwrap();
    far.put(far.recv_timeout(PATIENCE).unwrap()).unwrap();
    assert_eq!(near.recv_timeout(PATIENCE).unwrap().handles().len(), 3);
    near.put(with_everything(&pair.broker)).unwrap();
}

/// A node with one client of which there is only a socket.
fn with_raw_client() -> (Node, ipcz::Connection, UnixStream) {
    let (node, driver) = nodes::socket_node(true);
    let (ours, theirs) = UnixStream::pair().unwrap();
    let transport = driver.transport(OwnedFd::from(ours)).unwrap();
    let options = ConnectOptions::default();
    let connection = node.connect_transport(transport, Relation::Client, &options).unwrap();
    (node, connection, theirs)
}

fn handshakes_that_never_come() {
    let (node, connection, theirs) = with_raw_client();
    let portal = connection.take_portal(0).unwrap();
    portal.put(with_everything(&node)).unwrap();
    node.shut_down(PATIENCE);
    drop(theirs);
}

fn peers_that_break_the_rules() {
    let (node, connection, theirs) = with_raw_client();
    let portal = connection.take_portal(0).unwrap();
    portal.put(with_everything(&node)).unwrap();
    std::io::Write::write_all(&mut &theirs, &nodes::hello_frame(9)).unwrap();
    assert!(connection.wait_connected(PATIENCE).unwrap().is_some());
    std::io::Write::write_all(&mut &theirs, b"and now for something else").unwrap();
    assert!(connection.wait_ended(PATIENCE).is_some());
    assert!(portal.put(with_everything(&node)).is_err());
}

fn peers_that_go_while_parcels_wait() {
    let (node, connection, theirs) = with_raw_client();
    let portal = connection.take_portal(0).unwrap();
    std::io::Write::write_all(&mut &theirs, &nodes::hello_frame(9)).unwrap();
    assert!(connection.wait_connected(PATIENCE).unwrap().is_some());
    // More than the socket takes.
    for _ in 0..4 {
        let (mut bytes, handles) = with_everything(&node).into_parts();
        bytes.resize(1 << 20, 0);
        portal.put(Parcel::with_handles(bytes, handles)).unwrap();
    }
    drop(theirs);
    assert!(connection.wait_ended(PATIENCE).is_some());
}

/// The slow way out of a node.
fn peers_that_never_read() {
    let (node, connection, theirs) = with_raw_client();
    std::io::Write::write_all(&mut &theirs, &nodes::hello_frame(9)).unwrap();
    assert!(connection.wait_connected(PATIENCE).unwrap().is_some());
    let portal = connection.take_portal(0).unwrap();
    portal.put(vec![0; 4 << 20]).unwrap();
    portal.put(with_everything(&node)).unwrap();
    drop((node, connection, portal));
    let closed = std::io::copy(&mut Slow(theirs), &mut std::io::sink());
    // Told of an end with something unread, or of an end.
    drop(closed);
}

/// Reads nothing until the other end is closed.
struct Slow(UnixStream);

impl std::io::Read for Slow {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        use rustix::event::{PollFd, PollFlags, poll};
        let mut ready = [PollFd::new(&self.0, PollFlags::empty())];
        poll(&mut ready, None)?;
        self.0.read(buffer)
    }
}

fn objects_that_cannot_leave() {
    let pair = nodes::sockets();
    let (near, far) = pair.portals();
    type Serializer = fn(Handle) -> Option<Parcel>;
    let panics: Serializer = |_| panic!("as the test wants");
    for serializer in [None, Some((|_| None) as Serializer), Some(panics)] {
        let (a, b) = pair.broker.open_portals();
        a.put(with_everything(&pair.broker)).unwrap();
        let object = match serializer {
            None => Object::new(file()),
            Some(serializer) => Object::with_serializer(file(), serializer),
        };
        a.put(Parcel::with_handles("", vec![file(), object.into()])).unwrap();
        near.put(Parcel::with_handles("", vec![b.into()])).unwrap();
        drop(far.recv_timeout(PATIENCE).unwrap());
        assert!(a.recv_blocking().is_err());
    }
}

fn rejected_parcels() {
    let pair = nodes::sockets();
    let (near, far) = pair.portals();
    near.put(with_everything(&pair.broker)).unwrap();
    far.recv_timeout(PATIENCE).unwrap().reject("as the test wants").unwrap();
    assert!(near.recv_blocking().is_err());
}

fn refused_puts() {
    let node = Node::broker().unwrap();
    let (near, far) = node.open_portals();
    drop(far);
    let refused = near.put(with_everything(&node)).unwrap_err();
    assert_eq!(refused.into_parcel().handles().len(), 3);
}

fn introductions_of_who_goes() {
    let path = std::env::temp_dir().join(format!("ipcz-leaks-{}", std::process::id()));
    let listener = Listener::bind(&path).unwrap();
    let meet = || {
        let (client, to_broker) = Node::connect(&path).unwrap();
        let near = listener.accept().unwrap().take_portal(0).unwrap();
        (client, near, to_broker.take_portal(0).unwrap())
    };
    let ((b, to_b, at_b), (c, to_c, at_c)) = (meet(), meet());
    let (left, right) = b.open_portals();
    at_b.put(Parcel::with_handles("", vec![Handle::from(right)])).unwrap();
    to_c.put(to_b.recv_timeout(PATIENCE).unwrap()).unwrap();
    let (_, handles) = at_c.recv_timeout(PATIENCE).unwrap().into_parts();
    left.put(with_everything(&b)).unwrap();
    // In the middle of being introduced, or just after.
    drop((c, to_c, at_c, handles));
    while left.put("anyone?").is_ok() {
        std::thread::yield_now();
    }
}

fn callbacks_that_end_their_node() {
    let pair = nodes::sockets();
    let (near, far) = pair.portals();
    // Without `dead`, a parcel that is lost on the way would leave the callback the owner of its own
    // portal.
    let conditions = Conditions { new_parcel: true, dead: true, ..Conditions::default() };
    let (hand, handed) = mpsc::channel::<Portal>();
    far.trap(conditions, move |_| drop(handed.recv())).unwrap();
    near.put("x").unwrap();
    hand.send(far).unwrap();
}

fn callbacks_that_never_run_by_themselves() {
    let node = Node::broker().unwrap();
    let (near, far) = node.open_portals();
    let (left, _right) = node.open_portals();
    // The callback owns a portal of its node, which lives until it is shut down.
    far.trap(Conditions::default(), move |_| drop((near, left))).unwrap();
    assert!(node.shut_down(PATIENCE));
}

#[test]
fn nothing_is_left_of_nodes_that_are_gone() {
    let ways: [(&str, fn()); 10] = [
        ("pairs that talk", pairs_that_talk),
        ("handshakes that never come", handshakes_that_never_come),
        ("peers that break the rules", peers_that_break_the_rules),
        ("peers that go while parcels wait", peers_that_go_while_parcels_wait),
        ("refused puts", refused_puts),
        ("objects that cannot leave", objects_that_cannot_leave),
        ("rejected parcels", rejected_parcels),
        ("introductions of who goes", introductions_of_who_goes),
        ("callbacks that end their node", callbacks_that_end_their_node),
        ("callbacks that never run by themselves", callbacks_that_never_run_by_themselves),
    ];
    let before = held();
    for (what, way) in ways {
        (0..ROUNDS).for_each(|_| way());
        eventually(&format!("{what}: {:?}, not {before:?}", held()), || held() == before);
    }
    std::thread::scope(|scope| {
        (0..4).for_each(|_| drop(scope.spawn(peers_that_never_read)));
    });
    eventually("peers that never read", || held() == before);
}
