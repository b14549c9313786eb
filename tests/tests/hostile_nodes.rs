//! Peers that break the rules above the driver: each costs itself its connection, and nobody else
//! anything.

#[allow(dead_code, reason = "shared with other tests, which use all of it")]
#[path = "../support/nodes.rs"]
mod nodes;
#[path = "../support/sim/rng.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the simulator, which uses all of it")]
mod rng;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use ipcz::driver::inproc::InProcDriver;
use ipcz::driver::{Attachment, Driver, Frame, Transport, TransportClosed, TransportHandler};
use ipcz::shm::Region;
use ipcz::{
    ConnectOptions, Connection, Disconnect, DisconnectKind, Handle, Node, OsHandle, Parcel, Portal,
    Relation,
};

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

fn broker() -> Node {
    Node::with_driver(Arc::new(InProcDriver::new()), true).unwrap()
}

/// An honest client, to see that it is left alone.
struct Honest(nodes::Pair, Portal, Portal);

impl Honest {
    fn client_of(broker: &Node) -> Self {
        let pair = nodes::inproc_client(broker);
        let (near, far) = pair.portals();
        Self(pair, near, far)
    }

    fn check(&self) {
        self.1.put("down").unwrap();
        assert_eq!(self.2.try_recv().unwrap().bytes(), b"down");
        self.2.put("up").unwrap();
        assert_eq!(self.1.try_recv().unwrap().bytes(), b"up");
        assert!(self.0.to_client.ended().is_none());
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
    let broker = broker();
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
    let broker = broker();
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
    let broker = broker();
    let (raw, connection) = Raw::client_of(&broker);
    raw.say(nodes::hello(3));
    *raw.seen.reaction.lock().unwrap() = Some((Arc::clone(&raw.transport), vec![0x7f]));
    // The answer arrives while this put is still being sent.
    connection.take_portal(0).unwrap().put("x").unwrap();
    assert_eq!(connection.ended().unwrap().kind(), DisconnectKind::Violation);
    assert_eq!(raw.last(), [0x24, 2]);
}

/// Passes frames on between an honest client and a broker, and changes one, or a third of all that
/// follow it.
struct Mutator {
    to: OnceLock<Arc<dyn Transport>>,
    rng: Mutex<rng::Rng>,
    /// How many frames to leave as they are.
    spare: AtomicUsize,
    only_one: bool,
}

impl Mutator {
    fn is_next(&self, rng: &mut rng::Rng) -> bool {
        match self.spare.fetch_sub(1, Ordering::Relaxed) {
            0 => true,
            // It has wrapped.
            left if left > NEVER => !self.only_one && rng.below(3) == 0,
            _ => false,
        }
    }
}

/// More frames than are sent here.
const NEVER: usize = usize::MAX / 2;

impl TransportHandler for Mutator {
    fn on_frames(&self, frames: &mut Vec<Frame>) {
        let mut frames: VecDeque<_> = frames.drain(..).collect();
        for frame in &mut frames {
            let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
            if self.is_next(&mut rng) {
                mutate(frame, &mut rng);
            }
        }
        let _ = self.to.get().unwrap().transmit(&mut frames);
    }

    fn on_drained(&self) {}

    fn on_closed(&self, _: TransportClosed) {
        self.to.get().unwrap().deactivate();
    }
}

fn mutate(frame: &mut Frame, rng: &mut rng::Rng) {
    let length = frame.head.len();
    if length == 0 {
        return;
    }
    let place = rng.below(length);
    match rng.below(8) {
        0 => frame.head[place] ^= 1 << rng.below(8),
        1 => frame.head[place] = [0, 1, 0x7f, 0x80, 0xff][rng.below(5)],
        2 => frame.head.truncate(place),
        3 => frame.head.extend([0; 3]),
        4 => frame.head[0] = [1, 2, 3, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15][rng.below(9)],
        5 => frame.attachments.push(handle()),
        6 => drop(frame.attachments.pop()),
        _ => {
            let word = [0, 1, u64::MAX, 1 << 62, (1 << 62) - 1, 1 << 63][rng.below(6)];
            let end = (place + 8).min(length);
            frame.head[place..end].copy_from_slice(&word.to_le_bytes()[..end - place]);
        }
    }
}

/// A client of `broker`, and what changes the frames of one of the two.
fn client_behind_mutator(broker: &Node, seed: u64) -> (Node, Connection, Connection) {
    let driver = InProcDriver::new();
    let mut rng = rng::Rng::new(seed);
    let mut spares = [rng.below(25), NEVER];
    spares.rotate_left(rng.below(2));
    let ((a, b), (c, d)) =
        (driver.create_transports().unwrap(), driver.create_transports().unwrap());
    let (b, c): (Arc<dyn Transport>, Arc<dyn Transport>) = (Arc::from(b), Arc::from(c));
    let handler = |to: &Arc<dyn Transport>, spare| {
        Arc::new(Mutator {
            to: OnceLock::from(Arc::clone(to)),
            rng: Mutex::new(rng::Rng::new(seed)),
            spare: AtomicUsize::new(spare),
            only_one: !seed.is_multiple_of(4),
        })
    };
    let client = Node::with_driver(Arc::new(driver), false).unwrap();
    let options = ConnectOptions::portals(2);
    let to_broker = client.connect_transport(a, Relation::Broker, &options).unwrap();
    let to_client = broker.connect_transport(d, Relation::Client, &options).unwrap();
    b.activate(handler(&c, spares[0])).unwrap();
    c.activate(handler(&b, spares[1])).unwrap();
    (client, to_broker, to_client)
}

/// Conversation of all kinds; whatever fails, fails.
fn talk(client: &Node, ours: &[Portal], broker: &Node, theirs: &[Portal]) -> Option<()> {
    let (kept, sent) = client.open_portals();
    let file = Handle::Os(OsHandle::from(std::io::pipe().unwrap().0));
    kept.put("queued").ok()?;
    let inner = Parcel::with_handles("inner", vec![sent.into(), Parcel::new("innermost").into()]);
    ours[0].put(Parcel::with_handles("one", vec![inner.into(), file])).ok()?;
    let (_, handles) = theirs[0].try_recv().ok()?.into_parts();
    let (other_kept, other_sent) = broker.open_portals();
    theirs[1].put(Parcel::with_handles("two", vec![other_sent.into()])).ok()?;
    kept.put("more").ok()?;
    let (_, mut others) = ours[1].try_recv().ok()?.into_parts();
    let Some(Handle::Portal(other)) = others.pop() else { return None };
    other.put("back").ok()?;
    // And home again, which makes proxies that go.
    ours[1].put(Parcel::with_handles("home", vec![other.into()])).ok()?;
    other_kept.try_recv().ok()?;
    let home = theirs[1].try_recv().ok()?;
    other_kept.put("local").ok()?;
    drop((home, handles, kept));
    ours[0].put("last").ok()?;
    theirs[0].try_recv().ok().map(drop)
}

#[test]
fn mutations_of_honest_traffic_harm_nobody_else() {
    static PANICS: AtomicUsize = AtomicUsize::new(0);
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        PANICS.fetch_add(1, Ordering::Relaxed);
        default(info);
    }));
    let broker = broker();
    let honest = Honest::client_of(&broker);
    let mut ends = std::collections::BTreeMap::new();
    for seed in 0..3000 {
        let (client, to_broker, to_client) = client_behind_mutator(&broker, seed);
        let take = |connection: &Connection| -> Vec<_> {
            (0..2).map(|index| connection.take_portal(index).unwrap()).collect()
        };
        let (ours, theirs) = (take(&to_broker), take(&to_client));
        for _ in 0..4 {
            let _ = talk(&client, &ours, &broker, &theirs);
        }
        assert_eq!(PANICS.load(Ordering::Relaxed), 0, "seed {seed}");
        honest.check();
        let kind = |why: Option<Disconnect>| why.map(|why| why.kind());
        let end = format!("{:?} {:?}", kind(to_client.ended()), kind(to_broker.ended()));
        *ends.entry(end).or_insert(0) += 1;
        drop((ours, theirs));
        client.shut_down(nodes::PATIENCE);
        assert!(to_client.ended().is_some(), "seed {seed}");
        let left = broker.topology();
        assert_eq!((left.peers.len(), left.terminals, left.proxies), (1, 1, 0), "seed {seed}");
    }
    println!("{ends:?}");
    assert!(ends.contains_key("Some(Violation) Some(Violation)"));
}

#[test]
fn who_is_accused_reads_its_own_name() {
    let broker = broker();
    let (raw, connection) = Raw::client_of(&broker);
    raw.say(nodes::hello(3));
    raw.say(vec![0x24, 2]);
    let why = connection.ended().unwrap();
    assert_eq!((why.kind(), why.node()), (DisconnectKind::Violation, Some(broker.name())));
}

#[test]
fn who_ends_a_connection_is_named_on_both_ends() {
    let broker = broker();
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
    let broker = broker();
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
