//! Memory that its maker alone writes, in the hands of another process.

use std::io::ErrorKind;
use std::process::Command;
use std::time::Duration;

use ipcz::{Child, Handle, Node, NodeOptions, Parcel, Portal, SharedMemory};

const WORKER: &str = env!("CARGO_BIN_EXE_raw-worker");
const PATIENCE: Duration = Duration::from_secs(20);

fn worker(node: &Node) -> (Child, Portal) {
    let mut child = node.spawn(Command::new(WORKER)).unwrap();
    child.kill_on_drop(true);
    let portal = child.take_portal(0).unwrap();
    (child, portal)
}

/// Has a worker try to write memory. Gives what it says of that, and the memory.
fn written_by(worker: &Portal, memory: SharedMemory) -> (String, SharedMemory) {
    worker.put(Parcel::with_handles("write", vec![Handle::Memory(memory)])).unwrap();
    let (text, mut handles) = worker.recv_timeout(PATIENCE).unwrap().into_parts();
    let Some(Handle::Memory(memory)) = handles.pop() else { panic!("it is sent back") };
    (String::from_utf8(text).unwrap(), memory)
}

#[test]
fn another_process_reads_it_and_is_refused_to_write() {
    for options in [NodeOptions::default(), NodeOptions::default().without_shared_links()] {
        let node = options.broker().unwrap();
        let (_child, portal) = worker(&node);
        let (memory, mine) = SharedMemory::read_only(5000).unwrap();
        mine.copy_in(0, b"mine 1").unwrap();
        let (said, memory) = written_by(&portal, memory);
        assert_eq!(said, "PermissionDenied false mine 1");
        assert!(!memory.is_writable() && memory.len() == 5000);
        assert_eq!(memory.map().unwrap_err().kind(), ErrorKind::PermissionDenied);
        // What its maker writes later is seen, too, by whoever has it then.
        mine.copy_in(0, b"mine 2").unwrap();
        assert_eq!(written_by(&portal, memory).0, "PermissionDenied false mine 2");
    }
}

#[test]
fn memory_for_both_is_written_by_both() {
    let node = Node::broker().unwrap();
    let (_child, portal) = worker(&node);
    let memory = node.allocate_memory(5000).wait().unwrap();
    let mine = memory.map().unwrap();
    mine.copy_in(0, b"mine 1").unwrap();
    let (said, memory) = written_by(&portal, memory);
    assert_eq!((said.as_str(), memory.is_writable()), ("written true theirs", true));
    let mut seen = [0; 6];
    mine.copy_out(0, &mut seen).unwrap();
    assert_eq!(&seen, b"theirs");
}
