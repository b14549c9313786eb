//! Real processes: spawned and connected, killed, and left alone.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ipcz::{
    ConnectOptions, DisconnectKind, ErrorKind, Handle, Listener, Node, Object, OsHandle, Parcel,
    Portal, PutErrorKind, Route, TryRecvError,
};

const WORKER: &str = env!("CARGO_BIN_EXE_raw-worker");
const PATIENCE: Duration = Duration::from_secs(30);

fn worker(node: &Node) -> (ipcz::Child, Portal) {
    let mut child = node.spawn(Command::new(WORKER)).unwrap();
    child.kill_on_drop(true);
    let portal = child.take_portal(0).unwrap();
    (child, portal)
}

fn temporary_file() -> File {
    let path = std::env::temp_dir().join(format!("ipcz-test-{}", std::process::id()));
    let file =
        File::options().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
    std::fs::remove_file(path).unwrap();
    file
}

#[test]
fn parcels_go_to_a_child_and_back() {
    let node = Node::broker().unwrap();
    let (_child, portal) = worker(&node);
    for size in [0, 1, 4096, 70_000, 5 << 20] {
        let data: Vec<u8> = (0..size).map(|i: usize| (i % 251) as u8).collect();
        portal.put(data.clone()).unwrap();
        assert_eq!(portal.recv_timeout(PATIENCE).unwrap().bytes(), data);
    }
}

#[test]
fn handles_of_all_kinds_go_to_a_child_and_back_in_order() {
    let node = Node::broker().unwrap();
    let (_child, portal) = worker(&node);
    let mut file = temporary_file();
    file.write_all(b"in a file").unwrap();
    let (near, far) = node.open_portals();
    near.put("in a portal").unwrap();
    let mut handles = vec![Handle::from(far)];
    // More than one control message holds.
    handles.extend((0..600).map(|_| Handle::Os(OsHandle::from(file.try_clone().unwrap()))));
    portal.put(Parcel::with_handles("keep", handles)).unwrap();
    let (text, handles) = portal.recv_timeout(PATIENCE).unwrap().into_parts();
    assert_eq!((text.as_slice(), handles.len()), (b"keep".as_slice(), 601));
    let mut handles = handles.into_iter();
    let Some(Handle::Portal(far)) = handles.next() else { panic!("the portal came first") };
    assert_eq!(far.recv_timeout(PATIENCE).unwrap().bytes(), b"in a portal");
    let Some(Handle::Os(last)) = handles.last() else { panic!("then the files") };
    let mut file = File::from(last.into_fd().unwrap());
    let mut text = String::new();
    file.rewind().unwrap();
    file.read_to_string(&mut text).unwrap();
    assert_eq!(text, "in a file");
}

#[test]
fn an_object_becomes_a_parcel_in_a_child() {
    let node = Node::broker().unwrap();
    let (_child, portal) = worker(&node);
    let (near, far) = node.open_portals();
    let mut file = temporary_file();
    file.write_all(b"in a file").unwrap();
    let object = Object::with_serializer((far, file), |(far, file)| {
        Some(Parcel::with_handles("made", vec![Handle::from(file), far.into()]))
    });
    let inner = Parcel::with_handles("inner", vec![object.into(), Parcel::new("last").into()]);
    portal.put(Parcel::with_handles("keep", vec![inner.into()])).unwrap();
    let mut inner = portal.recv_timeout(PATIENCE).unwrap().take_parcel(0).unwrap();
    assert_eq!(inner.bytes(), b"inner");
    assert_eq!(inner.take_parcel(1).unwrap().bytes(), b"last");
    let mut made = inner.take_parcel(0).unwrap();
    near.put("hello").unwrap();
    let far = made.take_portal(1).unwrap();
    assert_eq!(far.recv_timeout(PATIENCE).unwrap().bytes(), b"hello");
    let mut file = File::try_from(made.take_os_handle(0).unwrap()).unwrap();
    let mut text = String::new();
    file.rewind().unwrap();
    file.read_to_string(&mut text).unwrap();
    assert_eq!(text, "in a file");
}

#[test]
fn a_child_whose_parcel_is_rejected_is_cut_off() {
    let node = Node::broker().unwrap();
    let (child, portal) = worker(&node);
    portal.put("back, please").unwrap();
    let parcel = portal.recv_timeout(PATIENCE).unwrap();
    let name = child.peer_name().unwrap();
    parcel.reject("as the test wants").unwrap();
    let why = portal.recv_blocking().unwrap_err();
    assert_eq!((why.kind(), why.node()), (DisconnectKind::Rejected, Some(name)));
}

/// Where a worker says its end of a route leads.
fn ask_route(orders: &Portal, portal: Portal) -> (String, Portal) {
    orders.put(Parcel::with_handles("route", vec![Handle::from(portal)])).unwrap();
    let (text, mut handles) = orders.recv_timeout(PATIENCE).unwrap().into_parts();
    let Some(Handle::Portal(portal)) = handles.pop() else { panic!("no portal came back") };
    (String::from_utf8(text).unwrap(), portal)
}

#[test]
fn a_killed_child_is_seen_by_all_behind_it() {
    let node = Node::broker().unwrap();
    let (mut child, portal) = worker(&node);
    let name = child.wait_connected(PATIENCE).unwrap();
    let (near, far) = node.open_portals();
    let (_, far) = ask_route(&portal, far);
    drop(far);
    child.kill().unwrap();
    let ended = child.wait_ended(PATIENCE).expect("the connection ends");
    assert_eq!((ended.kind(), ended.node()), (DisconnectKind::NodeLost, name));
    let Err(TryRecvError::Disconnected(why)) = portal.recv_timeout(PATIENCE) else { panic!() };
    assert_eq!(why, ended);
    let refused = portal.put("anyone?").unwrap_err();
    assert_eq!(refused.kind(), PutErrorKind::Disconnected(why));
    assert_eq!(refused.into_parcel().bytes(), b"anyone?");
    assert_eq!(near.recv_blocking().unwrap_err().kind(), DisconnectKind::PeerClosed);
    assert!(!child.wait().unwrap().success());
}

#[test]
fn two_children_go_on_without_their_broker() {
    let mut broker =
        Command::new(WORKER).arg("broker").stdout(Stdio::piped()).spawn().expect("it runs");
    let mut lines = BufReader::new(broker.stdout.take().unwrap()).lines();
    let mut next = || lines.next().map(Result::unwrap);
    let mut ready = [next(), next()].map(Option::unwrap);
    ready.sort();
    assert_eq!(ready, ["linked", "out of the way"]);
    broker.kill().unwrap();
    broker.wait().unwrap();
    let lost = next().expect("a worker sees it");
    assert!(
        lost.starts_with("broker lost: node ") && lost.ends_with("its process is gone"),
        "{lost}"
    );
    assert_eq!(next().as_deref(), Some("went on"));
    assert_eq!(next().as_deref(), Some("other side ended: the peer portal was closed"));
    assert_eq!(next(), None, "both workers end by themselves");
}

#[test]
fn a_route_between_children_settles_without_proxies() {
    let node = Node::broker().unwrap();
    let (first, to_first) = worker(&node);
    let (second, to_second) = worker(&node);
    let (left, right) = node.open_portals();
    let (near, far) = node.open_portals();
    left.put("before").unwrap();
    // The portals go there and back and there again, and each child keeps one in the end.
    let (_, left) = ask_route(&to_first, left);
    let (_, right) = ask_route(&to_second, right);
    near.put(Parcel::with_handles("", vec![Handle::from(left)])).unwrap();
    assert_eq!(right.recv_timeout(PATIENCE).unwrap().bytes(), b"before");
    to_first.put(Parcel::with_handles("pong", vec![Handle::from(far)])).unwrap();
    near.put("over").unwrap();
    let back = near.recv_timeout(PATIENCE).unwrap();
    assert_eq!(back.handles().len(), 1);
    assert_eq!(near.recv_timeout(PATIENCE).unwrap().bytes(), b"over");
    let deadline = Instant::now() + PATIENCE;
    while node.topology().proxies > 0 {
        assert!(Instant::now() < deadline, "proxies stay: {:?}", node.topology());
        std::thread::yield_now();
    }
    assert_eq!(near.route(), Route::Remote(first.peer_name().unwrap()));
    drop(second);
}

#[test]
fn a_childs_child_shares_the_broker() {
    let node = Node::broker().unwrap();
    let (_child, portal) = worker(&node);
    let (near, far) = node.open_portals();
    portal.put(Parcel::with_handles("spawn", vec![Handle::from(far)])).unwrap();
    near.put("all the way").unwrap();
    assert_eq!(near.recv_timeout(PATIENCE).unwrap().bytes(), b"all the way");
    // The child's child becomes a node of this network, and the route leads straight to it.
    let child = portal.route();
    let deadline = Instant::now() + PATIENCE;
    while near.route() == child || node.topology().proxies > 0 {
        assert!(Instant::now() < deadline, "{:?} {:?}", near.route(), node.topology());
        std::thread::yield_now();
    }
    assert_eq!(node.topology().peers.len(), 2);
}

#[test]
fn a_program_connects_at_a_path() {
    let path = std::env::temp_dir().join(format!("ipcz-listen-{}", std::process::id()));
    let listener = Listener::bind(&path).unwrap();
    let mut program = Command::new(WORKER).arg("connect").arg(&path).spawn().unwrap();
    let connection = listener.accept_with(&ConnectOptions::portals(3)).unwrap();
    let who = connection.credentials().expect("a path has credentials");
    assert_eq!(who.pid, Some(program.id()));
    assert_eq!(who.uid, rustix::process::getuid().as_raw());
    let portal = connection.take_portal(0).unwrap();
    portal.put("hello").unwrap();
    assert_eq!(portal.recv_timeout(PATIENCE).unwrap().bytes(), b"hello");
    // The program asked for two.
    let surplus = connection.take_portal(2).unwrap();
    assert_eq!(surplus.recv_blocking().unwrap_err().kind(), DisconnectKind::PeerClosed);
    assert_eq!(connection.take_portal(3).unwrap_err().kind(), ErrorKind::NoSuchPortal);
    drop(portal);
    assert!(program.wait().unwrap().success());
    drop(listener);
    assert!(!path.exists());
}

#[test]
fn what_cannot_be_run_or_reached_is_an_error_that_says_so() {
    let node = Node::broker().unwrap();
    let error = node.spawn(Command::new("/no/such/program")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Os);
    assert!(error.to_string().starts_with("cannot run /no/such/program: "), "{error}");
    // What a `main` that returns it prints.
    assert_eq!(format!("{error:?}"), error.to_string());
    let error = Node::connect("/no/such/path").unwrap_err();
    assert!(error.to_string().contains("/no/such/path"), "{error}");
    assert_eq!(Node::from_parent().unwrap_err().kind(), ErrorKind::NoParent);
}
