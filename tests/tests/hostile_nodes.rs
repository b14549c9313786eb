//! Peers that break the rules above the driver: each costs itself its connection, and nobody else
//! anything.

#[allow(dead_code, reason = "shared with other tests, which use all of it")]
#[path = "../support/nodes.rs"]
mod nodes;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use ipcz::driver::inproc::InProcDriver;
use ipcz::driver::{Attachment, Driver, Frame, Transport, TransportClosed, TransportHandler};
use ipcz::shm::Region;
use ipcz::{ConnectOptions, Connection, DisconnectKind, Node, OsHandle, Relation};
use nodes::{Honest, inproc_broker};

/// A peer of which there is only a transport.
struct Raw {
    transport: Arc<dyn Transport>,
    seen: Arc<Seen>,
}

/// The head that is sent over a transport when the first parcel arrives.
type Reaction = (Arc<dyn Transport>, Vec<u8>);

#[derive(Default)]
struct Seen {
    heads: Mutex<Vec<Vec<u8>>>,
    reaction: Mutex<Option<Reaction>>,
}

impl TransportHandler for Seen {
    fn on_frames(&self, frames: &mut Vec<Frame>) {
        for frame in frames.drain(..) {
            let is_parcel = frame.head[0] == 2;
            self.heads.lock().unwrap().push(frame.head);
            let reaction = is_parcel.then(|| self.reaction.lock().unwrap().take()).flatten();
            if let Some((transport, head)) = reaction {
                let _ = transport.transmit(&mut VecDeque::from([head_only(head)]));
            }
        }
    }

    fn on_drained(&self) {}

    fn on_closed(&self, _: TransportClosed) {}
}

fn head_only(head: Vec<u8>) -> Frame {
    Frame { head, ..Frame::default() }
}

impl Raw {
    fn client_of(broker: &Node) -> (Self, Connection) {
        let (a, b) = InProcDriver::new().create_transports().unwrap();
        let options = ConnectOptions::portals(2);
        let connection = broker.connect_transport(a, Relation::Client, &options).unwrap();
        let seen = Arc::new(Seen::default());
        b.activate(seen.clone()).unwrap();
        (Self { transport: Arc::from(b), seen }, connection)
    }

    fn send(&self, frame: Frame) {
        let _ = self.transport.transmit(&mut VecDeque::from([frame]));
    }

    fn say(&self, head: Vec<u8>) {
        self.send(head_only(head));
    }

    /// What it was told last.
    fn last(&self) -> Vec<u8> {
        self.seen.heads.lock().unwrap().last().cloned().unwrap_or_default()
    }
}

fn parcel(link: u64, sequence: u64, rest: &[u8]) -> Vec<u8> {
    let mut head = vec![2];
    head.extend(link.to_le_bytes());
    head.extend(sequence.to_le_bytes());
    head.extend(rest);
    head
}

fn descriptor(link: u64, next: u64) -> Vec<u8> {
    let mut bytes = Vec::from(link.to_le_bytes());
    bytes.extend(5_u128.to_le_bytes());
    bytes.extend(next.to_le_bytes());
    bytes.extend(next.to_le_bytes());
    bytes.push(1);
    bytes
}

fn handle() -> Attachment {
    Attachment::Handle(OsHandle::from(std::io::pipe().unwrap().0))
}

/// A frame that no honest node sends after its hello, and what is wrong with it.
fn malformed() -> Vec<(&'static str, Frame)> {
    let with = |head, body: &[u8], attachments| Frame { head, body: body.to_vec(), attachments };
    let (a, _) = InProcDriver::new().create_transports().unwrap();
    let mut introduction = vec![0x21];
    introduction.extend(77_u128.to_le_bytes());
    let no_handles = parcel(0, 0, &0_u32.to_le_bytes());
    let one_handle = parcel(0, 0, &[1, 0, 0, 0, 1]);
    let moved = |count: u32, kind: u8, rest: &[Vec<u8>]| {
        let mut bytes = Vec::from(count.to_le_bytes());
        bytes.push(kind);
        bytes.extend(rest.concat());
        parcel(0, 0, &bytes)
    };
    let far = 1 << 63;
    // A tree of so many handles: each parcel in it says how many bytes and handles it has.
    let tree = |count: u16, kinds: &[u8]| {
        let head = parcel(0, 0, &[&count.to_le_bytes()[..], &[0, 0], kinds].concat());
        with(head, b"body", vec![])
    };
    let chain = [2, 0, 0, 0, 0, 1, 0].repeat(16);
    vec![
        ("nothing", head_only(vec![])),
        ("an unknown type", head_only(vec![0x7f])),
        ("a hello again", head_only(nodes::hello(5))),
        ("a body on a route message", with([&[0x12][..], &[0; 8]].concat(), b"x", vec![])),
        ("a parcel cut short", head_only(vec![2, 0, 0])),
        ("bytes behind a parcel", head_only([no_handles.clone(), vec![0]].concat())),
        ("a parcel with a handle too few", with(one_handle.clone(), b"", vec![])),
        ("a parcel with a handle too many", with(no_handles, b"", vec![handle()])),
        (
            "a transport in the place of a handle",
            with(one_handle, b"", vec![Attachment::Transport(a)]),
        ),
        ("more handles than there may be", head_only(parcel(0, 0, &u32::MAX.to_le_bytes()))),
        ("a handle of no kind", head_only(parcel(0, 0, &[1, 0, 0, 0, 9]))),
        ("a parcel with more data than there is", tree(1, &[2, 5, 0, 0, 0, 0, 0])),
        (
            "parcels with more data than there is",
            tree(2, &[2, 3, 0, 0, 0, 0, 0, 2, 255, 255, 255, 255, 0, 0]),
        ),
        ("a parcel with more handles than there are", tree(1, &[2, 0, 0, 0, 0, 255, 255])),
        ("a parcel that is cut short", tree(1, &[2, 0, 0])),
        ("parcels that are too deep", tree(17, &[&chain[..], &[2, 0, 0, 0, 0, 0, 0]].concat())),
        ("a parcel that lacks its file", tree(2, &[2, 0, 0, 0, 0, 1, 0, 1])),
        ("a parcel that lacks its portal", tree(2, &[2, 0, 0, 0, 0, 1, 0, 0])),
        ("a portal without a descriptor", head_only(parcel(0, 0, &[1, 0, 0, 0, 0]))),
        ("a portal on the receiver's link", head_only(moved(1, 0, &[descriptor(far, 0)]))),
        ("a portal on a link in use", head_only(moved(1, 0, &[descriptor(0, 0)]))),
        ("a portal at the end of counting", head_only(moved(1, 0, &[descriptor(9999, u64::MAX)]))),
        ("a number at the end of counting", head_only(parcel(0, u64::MAX, &[0; 4]))),
        ("an introduction from a client", head_only(introduction)),
        ("a farewell of no kind", head_only(vec![0x24, 99])),
    ]
}

/// A frame that is about memory or relayed handles.
fn sandbox_frame(tag: u8, fields: &[&[u8]], attachments: Vec<Attachment>) -> Frame {
    let head = [&[tag], fields.concat().as_slice()].concat();
    Frame { head, attachments, ..Frame::default() }
}

/// Whatever a client may not say of memory and of handles that brokers pass on.
fn malformed_in_sandboxes() -> Vec<(&'static str, Frame)> {
    let (id, size) = (1_u64.to_le_bytes(), 4096_u64.to_le_bytes());
    let region = || Attachment::Region(Region::new(4096).unwrap());
    let transport = || Attachment::Transport(InProcDriver::new().create_transports().unwrap().0);
    let relay = |attachments| {
        let names = [1_u128.to_le_bytes(), 2_u128.to_le_bytes()].concat();
        sandbox_frame(0x04, &[&names, &id, &[1, 0]], attachments)
    };
    let relayed = [&[1, 0, 0, 0, 3], id.as_slice()].concat();
    let within = [&[2, 0, 0, 0, 2, 0, 0, 0, 0, 1, 0, 3], id.as_slice()].concat();
    vec![
        ("a request to who is no delegate", sandbox_frame(0x2d, &[&id, &size, &[0, 0]], vec![])),
        ("memory that is missing", sandbox_frame(0x2e, &[&id, &[1]], vec![])),
        ("a handle in the place of memory", sandbox_frame(0x2e, &[&id, &[1]], vec![handle()])),
        ("memory that nobody asked for", sandbox_frame(0x2e, &[&id, &[1]], vec![region()])),
        (
            "memory where there is said to be none",
            sandbox_frame(0x2e, &[&id, &[0]], vec![region()]),
        ),
        ("a relay without its handle", relay(vec![])),
        ("a relay with one too many", relay(vec![handle(), handle()])),
        ("a relay of a transport", relay(vec![transport()])),
        ("a relay with a body", Frame { body: b"x".to_vec(), ..relay(vec![handle()]) }),
        ("a relay in another node's name", relay(vec![handle()])),
        ("a relayed handle of a node that relays none", head_only(parcel(0, 0, &relayed))),
        ("a relayed handle in a parcel in one", head_only(parcel(0, 0, &within))),
        ("a relayed handle that says not by which", head_only(parcel(0, 0, &relayed[..5]))),
        ("an answer that was not asked for", head_only(vec![0x33])),
    ]
}

#[test]
fn what_is_malformed_costs_the_sender_its_connection_and_is_named() {
    let broker = inproc_broker();
    let honest = Honest::client_of(&broker);
    for (name, (what, frame)) in
        (100_u128..).zip(malformed().into_iter().chain(malformed_in_sandboxes()))
    {
        let (raw, connection) = Raw::client_of(&broker);
        raw.say(nodes::hello(name));
        assert_eq!(connection.peer_name().map(|name| name.0), Some(name), "{what}");
        let portal = connection.take_portal(0).unwrap();
        portal.put("x").unwrap();
        raw.send(frame);
        let why = connection.ended().unwrap_or_else(|| panic!("{what} is tolerated"));
        assert_eq!(
            (why.kind(), why.node().map(|node| node.0)),
            (DisconnectKind::Violation, Some(name)),
            "{what}"
        );
        assert_eq!(portal.recv_blocking().unwrap_err(), why, "{what}");
        assert_eq!(raw.last(), [0x24, 2], "{what}: the sender is told");
        honest.check();
    }
    assert_eq!(broker.topology().peers.len(), 1);
}

#[test]
fn who_does_not_fit_is_told_why() {
    let broker = inproc_broker();
    let honest = Honest::client_of(&broker);
    let mut other_version = nodes::hello(1);
    other_version[1] = 2;
    let mut another_broker = nodes::hello(2);
    another_broker[3] = 1;
    let same_name = nodes::hello(honest.0.client.name().0);
    let own_name = nodes::hello(broker.name().0);
    for (head, kind, code) in [
        (other_version, DisconnectKind::WrongVersion, 5),
        (vec![1, 9, 0], DisconnectKind::WrongVersion, 5),
        (another_broker, DisconnectKind::WrongRole, 6),
        (same_name, DisconnectKind::AlreadyConnected, 7),
        (own_name, DisconnectKind::AlreadyConnected, 7),
    ] {
        let (raw, connection) = Raw::client_of(&broker);
        raw.say(head);
        assert_eq!(connection.ended().map(|why| why.kind()), Some(kind));
        assert_eq!(raw.last(), [0x24, code]);
        honest.check();
    }
    for head in [vec![], vec![2], vec![0x12; 9], vec![1, 1, 0, 255], vec![1]] {
        let (raw, connection) = Raw::client_of(&broker);
        raw.say(head);
        assert_eq!(connection.ended().map(|why| why.kind()), Some(DisconnectKind::Violation));
        assert_eq!(raw.last(), [0x24, 2]);
    }
}

#[test]
fn the_reason_leaves_although_the_link_is_busy_sending() {
    let broker = inproc_broker();
    let (raw, connection) = Raw::client_of(&broker);
    raw.say(nodes::hello(3));
    *raw.seen.reaction.lock().unwrap() = Some((Arc::clone(&raw.transport), vec![0x7f]));
    // The answer arrives while this put is still being sent.
    connection.take_portal(0).unwrap().put("x").unwrap();
    assert_eq!(connection.ended().unwrap().kind(), DisconnectKind::Violation);
    assert_eq!(raw.last(), [0x24, 2]);
}

#[test]
fn who_is_accused_reads_its_own_name() {
    let broker = inproc_broker();
    let (raw, connection) = Raw::client_of(&broker);
    raw.say(nodes::hello(3));
    raw.say(vec![0x24, 2]);
    let why = connection.ended().unwrap();
    assert_eq!((why.kind(), why.node()), (DisconnectKind::Violation, Some(broker.name())));
}

#[test]
fn who_ends_a_connection_is_named_on_both_ends() {
    let broker = inproc_broker();
    let honest = Honest::client_of(&broker);
    let ends = [&honest.0.to_client, &honest.0.to_broker];
    ends[0].disconnect();
    for end in ends {
        let why = end.ended().unwrap();
        assert_eq!((why.kind(), why.node()), (DisconnectKind::Shutdown, Some(broker.name())));
    }
}

#[test]
fn a_node_is_sent_no_more_than_it_said_it_takes() {
    let broker = inproc_broker();
    let (raw, connection) = Raw::client_of(&broker);
    let mut modest = nodes::hello(3);
    modest[16..24].copy_from_slice(&10_u64.to_le_bytes());
    raw.say(modest);
    let portal = connection.take_portal(0).unwrap();
    portal.put([7; 10].as_slice()).unwrap();
    let refused = portal.put([7; 11].as_slice()).unwrap_err();
    assert_eq!(refused.kind(), ipcz::PutErrorKind::TooLarge);
    assert_eq!(refused.into_parcel().bytes().len(), 11);
    assert!(portal.put("fits").is_ok() && connection.ended().is_none());
}
