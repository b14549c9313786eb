//! Everything arrives, whole and in order, whichever way a link is carried and however slow the reader is.

#[allow(dead_code, reason = "shared with other tests, which use all of it")]
#[path = "../support/nodes.rs"]
mod nodes;
#[path = "../support/links/pairs.rs"]
mod pairs;

use std::io::{Read, Write};
use std::process::Command;
use std::time::{Duration, Instant};

use ipcz::shm::Region;
use ipcz::{Handle, Node, NodeOptions, OsHandle, Parcel, Portal, SharedMemory};
use nodes::PATIENCE;
use pairs::{join, member, settle};
use rustix::process::{Pid, Signal, kill_process};

const WORKER: &str = env!("CARGO_BIN_EXE_raw-worker");

/// Around every boundary: nothing; the largest that travels in the ring, with its head of some 25 bytes; pages,
/// granules, the first arena and what it grows by; the largest that is said to go the same way.
const SIZES: [usize; 22] = [
    0,
    1,
    15,
    16,
    1023,
    1025,
    4000,
    4060,
    4071,
    4075,
    4080,
    4095,
    4096,
    4097,
    64 << 10,
    (256 << 10) - 1,
    (256 << 10) + 1,
    (1 << 20) - 1,
    1 << 20,
    (1 << 20) + 1,
    (16 << 20) + 1,
    64 << 20,
];

/// Bytes that differ from those of any other parcel, and from place to place.
fn pattern(seed: usize, len: usize) -> Vec<u8> {
    let block: Vec<u8> =
        (0..4099).map(|i: usize| ((i * 31) ^ (i >> 8) ^ (seed * 97)) as u8).collect();
    let mut bytes = block.repeat(len / block.len() + 1);
    bytes.truncate(len);
    bytes
}

/// A parcel of this number, which has a handle of some kind or none.
fn make(node: &Node, number: usize, len: usize, extra: Extra) -> Parcel {
    let data = pattern(number, len);
    let text = number.to_le_bytes();
    let handle = match extra {
        Extra::Nothing => return Parcel::new(data),
        Extra::File => {
            let (read, mut write) = std::io::pipe().unwrap();
            write.write_all(&text).unwrap();
            Handle::Os(OsHandle::from(read))
        }
        Extra::Portal => {
            let (near, far) = node.open_portals();
            near.put(text.to_vec()).unwrap();
            far.into()
        }
        Extra::Memory => {
            let region = Region::new(8).unwrap();
            region.map().unwrap().copy_in(0, &text).unwrap();
            Handle::Memory(SharedMemory::from(region))
        }
    };
    Parcel::with_handles(data, vec![handle])
}

#[derive(Clone, Copy, Debug)]
enum Extra {
    Nothing,
    File,
    Portal,
    Memory,
}

fn extra_of(number: usize) -> Extra {
    [Extra::Nothing, Extra::File, Extra::Nothing, Extra::Portal, Extra::Nothing, Extra::Memory]
        [number % 6]
}

fn check(parcel: Parcel, number: usize, len: usize, extra: Extra) {
    let (data, mut handles) = parcel.into_parts();
    assert_eq!(data.len(), len, "parcel {number}");
    assert!(data == pattern(number, len), "the bytes of parcel {number}, which has {len}");
    let mut text = [0; 8];
    match (extra, handles.pop()) {
        (Extra::Nothing, None) => return,
        (Extra::File, Some(Handle::Os(file))) => {
            let mut file = std::fs::File::from(file.into_fd().unwrap());
            file.read_exact(&mut text).unwrap();
        }
        (Extra::Portal, Some(Handle::Portal(portal))) => {
            text.copy_from_slice(portal.recv_timeout(PATIENCE).unwrap().bytes());
        }
        (Extra::Memory, Some(Handle::Memory(memory))) => {
            memory.map().unwrap().copy_out(0, &mut text).unwrap();
        }
        (wanted, found) => panic!("parcel {number} has {found:?} for {wanted:?}"),
    }
    assert_eq!(usize::from_le_bytes(text), number);
}

#[test]
fn payloads_of_all_sizes_arrive_whole_and_in_order_both_ways() {
    let (broker, client) =
        (member(&NodeOptions::default(), true), member(&NodeOptions::default(), false));
    let joined = join(&broker, &client, 1);
    let (near, far) = joined.portals(0);
    settle(&near, &far);
    // One at a time: each crosses before the next is made.
    for (number, &len) in SIZES.iter().enumerate() {
        for (from, to, node) in [(&near, &far, &broker.node), (&far, &near, &client.node)] {
            from.put(make(node, number, len, Extra::Nothing)).unwrap();
            check(to.recv_timeout(PATIENCE).unwrap(), number, len, Extra::Nothing);
        }
    }
    // All at once, both ways, with handles among them.
    let sizes = SIZES.iter().cycle().take(SIZES.len() * 6 - 1).enumerate();
    let small = sizes.filter(|&(_, &len)| len <= 1 << 20);
    let script: Vec<_> = small.map(|(number, &len)| (number, len, extra_of(number))).collect();
    for &(number, len, extra) in &script {
        near.put(make(&broker.node, number, len, extra)).unwrap();
        far.put(make(&client.node, number, len, extra)).unwrap();
    }
    for &(number, len, extra) in &script {
        check(far.recv_timeout(PATIENCE).unwrap(), number, len, extra);
        check(near.recv_timeout(PATIENCE).unwrap(), number, len, extra);
    }
}

#[test]
fn nodes_of_all_options_understand_each_other() {
    let plain = NodeOptions::default;
    let options = [
        ("plain", plain()),
        ("without shared links", plain().without_shared_links()),
        ("without allocation", plain().without_allocation()),
        ("with relayed handles", plain().with_relayed_handles()),
        ("without spinning", plain().without_spinning()),
        ("sandboxed", plain().without_allocation().with_relayed_handles()),
    ];
    for (ours, of_broker) in &options {
        for (theirs, of_client) in &options {
            println!("a broker {ours}, a client {theirs}");
            let (broker, client) = (member(of_broker, true), member(of_client, false));
            let joined = join(&broker, &client, 1);
            let (near, far) = joined.portals(0);
            settle(&near, &far);
            let sizes = [0, 100, 4096, 70_000, 300_000, (1 << 20) + 1, 1, 4075];
            for number in 0..24 {
                let (len, extra) = (sizes[number % sizes.len()], extra_of(number));
                near.put(make(&broker.node, number, len, extra)).unwrap();
                far.put(make(&client.node, number, len, extra)).unwrap();
            }
            for number in 0..24 {
                let (len, extra) = (sizes[number % sizes.len()], extra_of(number));
                check(far.recv_timeout(PATIENCE).unwrap(), number, len, extra);
                check(near.recv_timeout(PATIENCE).unwrap(), number, len, extra);
            }
        }
    }
}

/// What a reader that is away finds: many small ones fill the ring, larger ones the arena.
fn flood(number: usize) -> usize {
    match number % 40 {
        39 => 300_000,
        rest => [0, 8, 64, 700, 3000, 5000][rest % 6],
    }
}

const FLOOD: usize = 6000;

fn worker(node: &Node) -> (ipcz::Child, Portal) {
    let mut child = node.spawn(Command::new(WORKER)).unwrap();
    child.kill_on_drop(true);
    let portal = child.take_portal(0).unwrap();
    portal.put("hello").unwrap();
    assert_eq!(portal.recv_timeout(PATIENCE).unwrap().bytes(), b"hello");
    (child, portal)
}

/// Whether a process maps the memory of a link.
fn shares_memory(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap().contains("memfd:ipcz")
}

#[test]
fn whoever_may_shares_memory_with_a_child() {
    let node = Node::broker().unwrap();
    let (child, _portal) = worker(&node);
    // The two agree on it after they have met; what is put before goes over the transport.
    let deadline = Instant::now() + PATIENCE;
    while !shares_memory(child.id()) {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(1));
    }
    let node = NodeOptions::default().without_shared_links().broker().unwrap();
    let (child, _portal) = worker(&node);
    assert!(!shares_memory(child.id()));
}

#[test]
fn what_is_put_while_nobody_reads_arrives_in_order_afterwards() {
    let (broker, client) =
        (member(&NodeOptions::default(), true), member(&NodeOptions::default(), false));
    let joined = join(&broker, &client, 1);
    let (near, far) = joined.portals(0);
    settle(&near, &far);
    for number in 0..FLOOD {
        near.put(pattern(number, flood(number))).unwrap();
        far.put(pattern(number + 1, flood(number + 1))).unwrap();
    }
    for number in 0..FLOOD {
        check(far.recv_timeout(PATIENCE).unwrap(), number, flood(number), Extra::Nothing);
        let number = number + 1;
        check(near.recv_timeout(PATIENCE).unwrap(), number, flood(number), Extra::Nothing);
    }
}

#[test]
fn a_stopped_peer_blocks_no_put_and_goes_on_where_it_was() {
    put_to_a_stopped_peer(&Node::broker().unwrap());
}

#[test]
fn nor_does_one_whose_arena_cannot_grow() {
    put_to_a_stopped_peer(&NodeOptions::default().without_allocation().broker().unwrap());
}

fn put_to_a_stopped_peer(node: &Node) {
    let (child, portal) = worker(node);
    let (_other_child, other) = worker(node);
    assert!(shares_memory(child.id()), "the link is over shared memory");
    let pid = Pid::from_raw(child.id().cast_signed()).unwrap();
    kill_process(pid, Signal::STOP).unwrap();
    let stopped = Instant::now();
    // If one blocked, it would until the end: nobody else wakes the peer.
    for number in 0..FLOOD {
        let extra = if number % 50 == 0 { Extra::Memory } else { Extra::Nothing };
        portal.put(make(node, number, flood(number), extra)).unwrap();
    }
    // Others are not held up, and neither is a thread that waits for the stopped one longer than it may.
    other.put("still here").unwrap();
    assert_eq!(other.recv_timeout(PATIENCE).unwrap().bytes(), b"still here");
    while stopped.elapsed() < Duration::from_secs(2) {
        let nothing = portal.recv_timeout(Duration::from_millis(100)).unwrap_err();
        assert_eq!(nothing, ipcz::TryRecvError::Empty);
    }
    kill_process(pid, Signal::CONT).unwrap();
    for number in 0..FLOOD {
        let extra = if number % 50 == 0 { Extra::Memory } else { Extra::Nothing };
        check(portal.recv_timeout(PATIENCE).unwrap(), number, flood(number), extra);
    }
}
