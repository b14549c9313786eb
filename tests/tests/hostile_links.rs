//! Peers that break the rules of a link's shared memory: each costs itself its connection, and nobody
//! else anything.

#[allow(dead_code, reason = "shared with other tests, which use all of it")]
#[path = "../support/nodes.rs"]
mod nodes;

#[allow(dead_code, reason = "shared with other tests, which use all of it")]
#[path = "../support/links/raw.rs"]
mod raw;

use std::time::Duration;

use ipcz::driver::{Attachment, Frame};
use ipcz::shm::Region;
use ipcz::shm::layout::Layout;
use ipcz::shm::record::{Kind, Tag};
use ipcz::{Disconnect, DisconnectKind, OsHandle, TryRecvError};
use nodes::PATIENCE;
use raw::{ACCEPT, DECLINE, Honest, Linked, OFFER, REGION, Raw, SWITCH, broker, no_panics};

/// Where the rings are, as `ipcz::shm::layout` has it: that which the peer writes, since it made the region.
const THEIR_TAIL: usize = 128;
const OUR_HEAD: usize = 640 + 128;
const OUR_FLAG: usize = 640 + 256;
const RECORDS: usize = 4096;

/// What a node says that can share memory, and make it.
const CAN_MAKE: u64 = 3;
const CAN_TAKE: u64 = 1;

fn assert_violation(what: &str, why: Option<Disconnect>, name: u128) {
    let why = why.unwrap_or_else(|| panic!("{what} is tolerated"));
    let found = (why.kind(), why.node().map(|node| node.0));
    assert_eq!(found, (DisconnectKind::Violation, Some(name)), "{what}");
}

fn region(num_bytes: usize) -> Attachment {
    Attachment::Region(Region::new(num_bytes).unwrap())
}

fn read_only_region(num_bytes: usize) -> Attachment {
    Attachment::Region(Region::new_read_only(num_bytes).unwrap().0)
}

fn handle() -> Attachment {
    Attachment::Handle(OsHandle::from(std::io::pipe().unwrap().0))
}

fn word(head: &[u8], attachments: Vec<Attachment>) -> Frame {
    Frame { head: head.to_vec(), attachments, ..Frame::default() }
}

fn offer(ring: u32, arena: u32, budget: u64, attachments: Vec<Attachment>) -> Frame {
    word(&raw::offer(ring, arena, budget), attachments)
}

/// An offer that nothing is wrong with, but for its region's header, which may be missing.
fn region_with_header(layout: Layout, magic: &[u8]) -> Attachment {
    let region = Region::new(layout.num_bytes()).unwrap();
    let mapping = region.map().unwrap();
    raw::write_header(&region, layout);
    mapping.copy_in(0, magic).unwrap();
    Attachment::Region(region)
}

type Words = (&'static str, u64, Vec<Frame>);

/// What may not be said while a link is on its transport: by a peer of these features.
fn words_out_of_turn() -> Vec<Words> {
    let small = Layout::new(4096, 0).unwrap();
    let bytes = small.num_bytes();
    let good = || offer(4096, 0, 0, vec![region_with_header(small, b"ipczlink")]);
    let make = |what, frame| (what, CAN_MAKE, vec![frame]);
    let take = |what, frame| (what, CAN_TAKE, vec![frame]);
    vec![
        make("an accept without an offer", word(&[ACCEPT], vec![])),
        make("a switch at once", word(&[SWITCH], vec![])),
        make("a decline without an offer", word(&[DECLINE], vec![])),
        make("a region unasked", word(&[REGION, 1, 0, 0, 0], vec![region(4096)])),
        make("an offer cut short", word(&[OFFER, 0, 16], vec![region(bytes)])),
        make("an offer without memory", offer(4096, 0, 0, vec![])),
        make("an offer of a handle", offer(4096, 0, 0, vec![handle()])),
        make("an offer of two regions", offer(4096, 0, 0, vec![region(bytes), region(bytes)])),
        make("an odd ring", offer(5000, 0, 0, vec![region(bytes)])),
        make("a ring that is too small", offer(2048, 0, 0, vec![region(bytes)])),
        make("a ring that is too large", offer(1 << 31, 0, 0, vec![region(bytes)])),
        make("an odd arena", offer(4096, 1, 0, vec![region(bytes)])),
        make("an arena that is too large", offer(4096, 1 << 31, 0, vec![region(bytes)])),
        make("a budget beyond any need", offer(4096, 0, u64::MAX, vec![region(bytes)])),
        make("a region that is too small", offer(4096, 0, 0, vec![region(bytes - 1)])),
        make("a region that is too large", offer(4096, 0, 0, vec![region(bytes + 1)])),
        make("a region to read only", offer(4096, 0, 0, vec![read_only_region(bytes)])),
        make("a region without a header", offer(4096, 0, 0, vec![region(bytes)])),
        make("another header", offer(4096, 0, 0, vec![region_with_header(small, b"IPCZLINK")])),
        make("a new one", offer(4096, 0, 0, vec![region_with_header(small, b"ipczlink\x02")])),
        ("a second offer", CAN_MAKE, vec![good(), good()]),
        ("an accept of one's own offer", CAN_MAKE, vec![good(), word(&[ACCEPT], vec![])]),
        ("a decline of one's own offer", CAN_MAKE, vec![good(), word(&[DECLINE], vec![])]),
        (
            "a region before the switch",
            CAN_MAKE,
            vec![good(), word(&[REGION, 1, 0, 0, 0], vec![region(4096)])],
        ),
        ("a switch with a handle", CAN_MAKE, vec![good(), word(&[SWITCH], vec![handle()])]),
        ("an offer by who can share nothing", 0, vec![good()]),
        take("an offer where the other side makes it", good()),
        take("a switch instead of an accept", word(&[SWITCH], vec![])),
        take("an accept with a handle", word(&[ACCEPT], vec![handle()])),
        take("a longer accept", word(&[ACCEPT, 0], vec![])),
        (
            "a decline after a decline",
            CAN_TAKE,
            vec![word(&[DECLINE], vec![]), word(&[DECLINE], vec![])],
        ),
        (
            "an accept after a decline",
            CAN_TAKE,
            vec![word(&[DECLINE], vec![]), word(&[ACCEPT], vec![])],
        ),
        // The second one is a frame that no record speaks of.
        (
            "an accept after an accept",
            CAN_TAKE,
            vec![word(&[ACCEPT], vec![]), word(&[ACCEPT], vec![])],
        ),
    ]
}

#[test]
fn words_out_of_turn_cost_the_sender_its_connection() {
    let panics = no_panics();
    let broker = broker();
    let honest = Honest::client_of(&broker);
    for (name, (what, features, frames)) in (100_u128..).zip(words_out_of_turn()) {
        let (raw, connection) = Raw::client_of(&broker);
        raw.hello(name, features);
        assert_eq!(connection.peer_name().map(|name| name.0), Some(name), "{what}");
        assert_eq!(raw.was_offered(), features == CAN_TAKE, "{what}");
        for frame in frames {
            assert!(connection.ended().is_none(), "{what}: too early");
            raw.send(frame);
        }
        assert_violation(what, connection.wait_ended(PATIENCE), name);
        honest.check();
        panics(what);
    }
}

#[test]
fn a_declined_link_goes_on_over_its_transport() {
    let broker = broker();
    let (raw, connection) = Raw::client_of(&broker);
    raw.hello(100, CAN_TAKE);
    assert!(raw.was_offered());
    raw.send(word(&[DECLINE], vec![]));
    raw.send(raw::parcel(0, 0));
    let portal = connection.take_portal(0).unwrap();
    assert_eq!(portal.recv_timeout(PATIENCE).unwrap().bytes(), b"");
    assert!(connection.ended().is_none());
}

/// What a peer does once it has a ring.
type Deed = fn(&mut Linked);

fn block(region: u32, offset: u32, len: u32) -> Vec<u8> {
    [region, offset, len].iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// A record that names a block, with an honest head.
fn send_block(linked: &mut Linked, sequence: u64, region: u32, offset: u32, len: u32) {
    let head = raw::parcel(0, sequence).head;
    let tag = Tag::of(Kind::Block, head.len() as u32);
    linked.write(tag, &[&head, &block(region, offset, len)]);
}

fn record(linked: &mut Linked, kind: Kind, bytes: &[u8]) {
    linked.write(Tag::of(kind, bytes.len() as u32), &[bytes]);
}

fn deeds_in_records() -> Vec<(&'static str, Deed)> {
    vec![
        ("an empty message", |it| record(it, Kind::Inline, b"")),
        ("a message of no type", |it| record(it, Kind::Inline, b"\x7f")),
        ("a word about the link in the ring", |it| record(it, Kind::Inline, &[SWITCH])),
        ("a second hello", |it| record(it, Kind::Inline, &nodes::hello(5))),
        ("a block behind the arena", |it| send_block(it, 0, 0, 1 << 20, 1)),
        ("a block over the arena's end", |it| send_block(it, 0, 0, (1 << 20) - 1024, 1025)),
        ("a block at an odd place", |it| send_block(it, 0, 0, 1, 1)),
        ("a block of no bytes", |it| send_block(it, 0, 0, 0, 0)),
        ("a block at the end of counting", |it| send_block(it, 0, 0, u32::MAX - 1023, u32::MAX)),
        ("a block that is too large", |it| send_block(it, 0, 0, 0, u32::MAX)),
        ("a block of an unknown region", |it| send_block(it, 0, 1, 0, 1)),
        ("a block too short to be one", |it| record(it, Kind::Block, &[0; 11])),
        ("a hand-back of what was never sent", |it| record(it, Kind::HandBack, &block(0, 0, 1))),
        ("a hand-back outside", |it| record(it, Kind::HandBack, &block(0, 1 << 30, 1024))),
        ("a hand-back of an unknown region", |it| record(it, Kind::HandBack, &block(9, 0, 1024))),
        ("half a hand-back", |it| record(it, Kind::HandBack, &[0; 7])),
        ("a region dropped that is none", |it| record(it, Kind::DropRegion, &[1, 0, 0, 0])),
        ("the first region dropped", |it| record(it, Kind::DropRegion, &[0; 4])),
        ("a region's index cut short", |it| record(it, Kind::AddRegion, &[1, 0])),
    ]
}

fn deeds_with_frames() -> Vec<(&'static str, Deed)> {
    vec![
        ("a frame without a marker", |it| it.raw.send(raw::parcel(0, 0))),
        ("a region without a record", |it| {
            it.raw.send(word(&[REGION, 1, 0, 0, 0], vec![region(4096)]));
        }),
        ("a region behind a message's marker", |it| {
            record(it, Kind::Marker, b"");
            it.raw.send(word(&[REGION, 1, 0, 0, 0], vec![region(4096)]));
        }),
        ("a message instead of a region", |it| {
            record(it, Kind::AddRegion, &[1, 0, 0, 0]);
            it.raw.send(raw::parcel(0, 0));
        }),
        ("a region of another index", |it| {
            record(it, Kind::AddRegion, &[1, 0, 0, 0]);
            it.raw.send(word(&[REGION, 2, 0, 0, 0], vec![region(4096)]));
        }),
        ("a region that is missing", |it| {
            record(it, Kind::AddRegion, &[1, 0, 0, 0]);
            it.raw.send(word(&[REGION, 1, 0, 0, 0], vec![]));
        }),
        ("a region out of turn", |it| {
            record(it, Kind::AddRegion, &[7, 0, 0, 0]);
            it.raw.send(word(&[REGION, 7, 0, 0, 0], vec![region(4096)]));
        }),
        ("a region beyond the budget", |it| {
            record(it, Kind::AddRegion, &[1, 0, 0, 0]);
            it.raw.send(word(&[REGION, 1, 0, 0, 0], vec![region(raw::BUDGET as usize + 4096)]));
        }),
        ("an accept behind a marker", |it| {
            record(it, Kind::Marker, b"");
            it.raw.send(word(&[ACCEPT], vec![]));
        }),
    ]
}

/// What is written past the rules of the ring.
fn deeds_in_memory() -> Vec<(&'static str, Deed)> {
    fn tail(it: &Linked, tail: u32) {
        it.memory.copy_in(THEIR_TAIL, &tail.to_le_bytes()).unwrap();
        it.ring();
    }
    fn header(it: &Linked, len: u32, kind: u8, split: u32) {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&len.to_le_bytes());
        bytes[4] = kind;
        bytes[8..12].copy_from_slice(&split.to_le_bytes());
        it.memory.copy_in(RECORDS, &bytes).unwrap();
    }
    vec![
        ("nothing where a record is", |it| tail(it, 16)),
        ("a tail beyond the ring", |it| tail(it, (256 << 10) + 16)),
        ("a tail before its beginning", |it| tail(it, 0_u32.wrapping_sub(16))),
        ("a tail between records", |it| tail(it, 8)),
        ("a record that ends behind the tail", |it| {
            header(it, 17, 2, 1);
            tail(it, 32);
        }),
        ("a record that ends nowhere", |it| {
            header(it, u32::MAX, 2, 1);
            tail(it, 32);
        }),
        ("a head that is longer than its record", |it| {
            header(it, 16, 2, 17);
            tail(it, 32);
        }),
        ("a record of no known kind", |it| {
            header(it, 16, 99, 0);
            tail(it, 32);
        }),
        ("a pad that leads nowhere", |it| {
            header(it, 0, 1, 0);
            tail(it, 16);
        }),
        ("a flag that nobody sleeps on", |it| {
            it.memory.copy_in(OUR_FLAG, &77_u32.to_le_bytes()).unwrap();
            let _ = it.portal.put("x");
        }),
        ("a head that nothing has reached", |it| {
            it.memory.copy_in(OUR_HEAD, &(1_u32 << 30).to_le_bytes()).unwrap();
            for _ in 0..200 {
                let _ = it.portal.put([7; 4000].as_slice());
            }
        }),
    ]
}

#[test]
fn what_breaks_the_memorys_rules_costs_the_peer_its_connection() {
    let panics = no_panics();
    let broker = broker();
    let honest = Honest::client_of(&broker);
    let deeds = deeds_in_records().into_iter().chain(deeds_with_frames()).chain(deeds_in_memory());
    for (name, (what, deed)) in (100_u128..).zip(deeds) {
        let mut linked = Linked::client_of(&broker, name);
        assert!(linked.connection.ended().is_none(), "{what}: too early");
        deed(&mut linked);
        assert_violation(what, linked.connection.wait_ended(PATIENCE), name);
        let why = linked.portal.recv_blocking().unwrap_err();
        assert_eq!(why.kind(), DisconnectKind::Violation, "{what}");
        honest.check();
        panics(what);
    }
    nodes::eventually("only the honest one is left", || broker.topology().peers.len() == 1);
}

#[test]
fn a_marker_without_its_frame_stalls_that_link_alone() {
    let broker = broker();
    let honest = Honest::client_of(&broker);
    let mut linked = Linked::client_of(&broker, 100);
    record(&mut linked, Kind::Marker, b"");
    linked.send_inline(1, b"behind");
    honest.check();
    let nothing = linked.portal.recv_timeout(Duration::from_millis(50)).unwrap_err();
    assert_eq!(nothing, TryRecvError::Empty);
    assert!(linked.connection.ended().is_none());
    linked.raw.send(raw::parcel(0, 0));
    assert_eq!(linked.portal.recv_timeout(PATIENCE).unwrap().bytes(), b"");
    assert_eq!(linked.portal.recv_timeout(PATIENCE).unwrap().bytes(), b"behind");
    honest.check();
}

/// What the deeds above differ from in one thing each is taken.
#[test]
fn honest_records_of_all_kinds_are_taken() {
    let broker = broker();
    let mut linked = Linked::client_of(&broker, 100);
    let receive = |linked: &Linked| linked.portal.recv_timeout(PATIENCE).unwrap().into_bytes();
    linked.send_inline(0, b"inline");
    assert_eq!(receive(&linked), b"inline");
    let their_arena = RECORDS + 2 * (256 << 10);
    linked.memory.copy_in(their_arena + 1024, b"block").unwrap();
    send_block(&mut linked, 1, 0, 1024, 5);
    assert_eq!(receive(&linked), b"block");
    let last = (1 << 20) - 1024;
    linked.memory.copy_in(their_arena + last, &[7; 1024]).unwrap();
    send_block(&mut linked, 2, 0, last as u32, 1024);
    assert_eq!(receive(&linked), [7; 1024]);
    let further = Region::new(4096).unwrap();
    further.map().unwrap().copy_in(0, b"further").unwrap();
    record(&mut linked, Kind::AddRegion, &[1, 0, 0, 0]);
    linked.raw.send(word(&[REGION, 1, 0, 0, 0], vec![Attachment::Region(further)]));
    send_block(&mut linked, 3, 1, 0, 7);
    assert_eq!(receive(&linked), b"further");
    record(&mut linked, Kind::Want, b"");
    assert!(linked.connection.ended().is_none());
}

/// Whoever is sent a block may hand it back once.
#[test]
fn a_block_is_handed_back_once() {
    let broker = broker();
    let honest = Honest::client_of(&broker);
    let mut linked = Linked::client_of(&broker, 100);
    linked.portal.put(vec![1; 5000]).unwrap();
    let sent = linked.receive_block();
    assert_eq!(sent.len(), 12);
    record(&mut linked, Kind::HandBack, &sent);
    assert!(linked.connection.ended().is_none());
    record(&mut linked, Kind::HandBack, &sent);
    assert_violation("a second hand-back", linked.connection.wait_ended(PATIENCE), 100);
    honest.check();
}
