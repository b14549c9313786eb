//! Nodes that may make no shared memory, between a delegate and a peer neither of which behaves.

#[allow(dead_code, reason = "shared with other tests, which use all of it")]
#[path = "../support/nodes.rs"]
mod nodes;
#[allow(dead_code, reason = "shared with other tests, which use all of it")]
#[path = "../support/links/raw.rs"]
mod raw;

use std::sync::Arc;

use ipcz::driver::{Attachment, Frame};
use ipcz::shm::Region;
use ipcz::shm::layout::Layout;
use ipcz::{ConnectOptions, Connection, DisconnectKind, Node, NodeOptions};
use nodes::{PATIENCE, eventually};
use raw::{ACCEPT, Honest, OFFER, PASS, Pumped, Raw, no_panics};

/// What a node says that may not make memory, but knows that a delegate may; and one that is older.
const BORROWS: u64 = 5;
const TAKES: u64 = 1;
const MAKES: u64 = 3;

const REQUEST_MEMORY: u8 = 0x2d;
const PROVIDE_MEMORY: u8 = 0x2e;

/// A name that comes before that of the node, which is random, and one that comes behind it.
const LESSER: u128 = 7;
const GREATER: u128 = u128::MAX - 7;

fn sandboxed() -> Node {
    let options = NodeOptions::default().without_allocation();
    options.with_driver(Arc::new(Pumped::default()), true).unwrap()
}

/// A peer that the node takes for its delegate.
fn delegate_of(node: &Node) -> (Raw, Connection) {
    let options = ConnectOptions::default().delegate_allocation();
    let (delegate, connection) = Raw::peer_of(node, &options);
    delegate.hello(1, 0);
    (delegate, connection)
}

fn peer_of(node: &Node, name: u128, features: u64) -> (Raw, Connection) {
    let (peer, connection) = Raw::client_of(node);
    peer.hello(name, features);
    assert_eq!(connection.peer_name().map(|name| name.0), Some(name));
    (peer, connection)
}

fn word(head: &[u8]) -> Frame {
    Frame { head: head.to_vec(), ..Frame::default() }
}

/// An offer that nothing is wrong with.
fn offer() -> Frame {
    let layout = Layout::new(4096, 0).unwrap();
    let region = Region::new(layout.num_bytes()).unwrap();
    raw::write_header(&region, layout);
    let attachments = vec![Attachment::Region(region)];
    Frame { head: raw::offer(4096, 0, 0), attachments, ..Frame::default() }
}

/// The delegate's answer to the request of this number: memory of so many bytes, or none.
fn answer(id: u64, num_bytes: Option<usize>) -> Frame {
    let mut head = vec![PROVIDE_MEMORY];
    head.extend(id.to_le_bytes());
    head.push(num_bytes.is_some().into());
    let region = num_bytes.map(|num_bytes| Attachment::Region(Region::new(num_bytes).unwrap()));
    Frame { head, attachments: region.into_iter().collect(), ..Frame::default() }
}

/// A parcel crosses, by whichever way.
fn crosses(peer: &Raw, connection: &Connection) {
    peer.send(raw::parcel(0, 0));
    let portal = connection.take_portal(0).unwrap();
    assert_eq!(portal.recv_timeout(PATIENCE).unwrap().bytes(), b"");
    assert!(connection.ended().is_none());
}

#[test]
fn who_has_no_delegate_passes() {
    let node = sandboxed();
    // It is the first that is to ask, and says at once that it has nobody.
    let (peer, connection) = peer_of(&node, GREATER, BORROWS);
    assert!(peer.was_told(PASS) && !peer.was_told(OFFER));
    crosses(&peer, &connection);
    peer.send(offer());
    assert!(peer.was_told(ACCEPT));
    // It is not, and what the peer offers is taken.
    let (peer, _connection) = peer_of(&node, LESSER, BORROWS);
    assert!(!peer.was_told(PASS) && !peer.was_told(OFFER));
    peer.send(offer());
    assert!(peer.was_told(ACCEPT));
    // The peer passes, and so nobody has memory.
    let (peer, connection) = peer_of(&node, LESSER + 1, BORROWS);
    peer.send(word(&[PASS]));
    assert!(!peer.was_told(PASS) && !peer.was_told(OFFER));
    crosses(&peer, &connection);
    // Who does not know of this hears nothing of it.
    let (peer, connection) = peer_of(&node, GREATER + 1, TAKES);
    assert!(!peer.was_told(PASS) && !peer.was_told(OFFER));
    crosses(&peer, &connection);
}

#[test]
fn what_the_delegate_gives_is_offered() {
    let node = sandboxed();
    let (delegate, _connection) = delegate_of(&node);
    let num_bytes = Layout::DEFAULT.num_bytes();
    for (id, name) in (1_u64..).zip([GREATER, LESSER]) {
        let (peer, connection) = peer_of(&node, name, BORROWS);
        assert!(!peer.was_told(PASS) && !peer.was_told(OFFER));
        if name == LESSER {
            peer.send(word(&[PASS]));
        }
        crosses(&peer, &connection);
        assert!(delegate.was_told(REQUEST_MEMORY));
        delegate.send(answer(id, Some(num_bytes)));
        assert!(peer.was_told(OFFER));
        peer.send(word(&[ACCEPT]));
        assert!(connection.ended().is_none());
    }
}

#[test]
fn a_delegate_that_gives_nothing_leaves_links_as_they_are() {
    let num_bytes = Layout::DEFAULT.num_bytes();
    // It refuses; it gives more than it was asked for, which fits no link; it goes.
    for turn in 0..3 {
        let node = sandboxed();
        let honest = Honest::client_of(&node);
        let (delegate, to_delegate) = delegate_of(&node);
        let (peer, connection) = peer_of(&node, GREATER, BORROWS);
        let (last, to_last) = peer_of(&node, LESSER, BORROWS);
        last.send(word(&[PASS]));
        for id in 1..=2 {
            match turn {
                0 => delegate.send(answer(id, None)),
                1 => delegate.send(answer(id, Some(num_bytes + 1))),
                _ => break,
            }
        }
        let is_there = turn < 2;
        assert!(to_delegate.ended().is_none());
        let kept = is_there.then_some(delegate);
        eventually("it passes", || peer.was_told(PASS));
        assert!(!peer.was_told(OFFER) && !last.was_told(PASS) && !last.was_told(OFFER));
        crosses(&peer, &connection);
        crosses(&last, &to_last);
        honest.check();
        drop(kept);
    }
}

#[test]
fn memory_for_a_peer_that_is_gone_harms_nobody() {
    let panics = no_panics();
    let node = sandboxed();
    let honest = Honest::client_of(&node);
    let (delegate, to_delegate) = delegate_of(&node);
    let (peer, connection) = peer_of(&node, GREATER, BORROWS);
    drop(peer);
    connection.wait_ended(PATIENCE).unwrap();
    delegate.send(answer(1, Some(Layout::DEFAULT.num_bytes())));
    // And for one that is shut down meanwhile.
    let (_peer, _connection) = peer_of(&node, GREATER, BORROWS);
    honest.check();
    assert!(to_delegate.ended().is_none());
    node.shut_down(PATIENCE);
    delegate.send(answer(2, Some(Layout::DEFAULT.num_bytes())));
    panics("memory for nobody");
}

#[test]
fn words_out_of_turn_cost_the_sender_its_connection() {
    let panics = no_panics();
    let with_handle = || Frame { attachments: offer().attachments, ..word(&[PASS]) };
    let cases: Vec<(&str, u128, u64, Vec<Frame>)> = vec![
        ("a second pass", LESSER, BORROWS, vec![word(&[PASS]), word(&[PASS])]),
        ("a pass with memory", LESSER, BORROWS, vec![with_handle()]),
        ("a longer pass", LESSER, BORROWS, vec![word(&[PASS, 0])]),
        ("an offer after a pass", LESSER, BORROWS, vec![word(&[PASS]), offer()]),
        ("a pass by who knows nothing of it", LESSER, TAKES, vec![word(&[PASS])]),
        ("a pass by who can make memory", LESSER, MAKES, vec![word(&[PASS])]),
        ("a pass where it is not its turn", GREATER, BORROWS, vec![word(&[PASS])]),
        ("an offer where it is not its turn", GREATER, BORROWS, vec![offer()]),
        ("an accept of what is yet to be made", GREATER, BORROWS, vec![word(&[ACCEPT])]),
    ];
    for (what, name, features, frames) in cases {
        let node = sandboxed();
        let honest = Honest::client_of(&node);
        // It never answers, so the node goes on waiting.
        let (_delegate, _to_delegate) = delegate_of(&node);
        let (peer, connection) = peer_of(&node, name, features);
        for frame in frames {
            assert!(connection.ended().is_none(), "{what}: too early");
            peer.send(frame);
        }
        let why = connection.wait_ended(PATIENCE).unwrap_or_else(|| panic!("{what} is tolerated"));
        assert_eq!(why.kind(), DisconnectKind::Violation, "{what}");
        honest.check();
        panics(what);
    }
}
