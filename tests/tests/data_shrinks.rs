//! Memory that links do not need any more is given back, by both ends.

#[path = "../support/links/alone.rs"]
mod alone;
#[allow(dead_code, reason = "shared with other tests, which use all of it")]
#[path = "../support/nodes.rs"]
mod nodes;

use std::process::Command;
use std::time::Duration;

use alone::{mappings, mappings_of, run_alone};
use ipcz::{Node, Parcel, Portal};
use nodes::{PATIENCE, eventually};

const WORKER: &str = env!("CARGO_BIN_EXE_raw-worker");
const MIB: usize = 1 << 20;
/// More than fit what an arena begins with.
const COUNT: usize = 30;

/// How often threads of this process went to sleep, but for the one that asks.
fn sleeps() -> u64 {
    let own = rustix::thread::gettid().as_raw_nonzero().to_string();
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().map(|task| task.unwrap());
    let others = tasks.filter(|task| *task.file_name() != *own);
    others
        .map(|task| {
            let text = std::fs::read_to_string(task.path().join("status")).unwrap();
            let line = text.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
            line.unwrap().trim().parse::<u64>().unwrap()
        })
        .sum()
}

/// Parcels go there and back, so many at once. Gives the last, which nobody has looked at.
fn burst(portal: &Portal, count: usize) -> Parcel {
    (0..count).for_each(|number| portal.put(vec![number as u8; MIB]).unwrap());
    for number in 0..count - 1 {
        check(&portal.recv_timeout(PATIENCE).unwrap(), number);
    }
    portal.recv_timeout(PATIENCE).unwrap()
}

fn check(parcel: &Parcel, number: usize) {
    assert!(parcel.bytes() == vec![number as u8; MIB], "parcel {number}");
}

#[test]
fn a_burst_leaves_no_memory_behind() {
    run_alone("by_itself_a_burst_leaves_no_memory_behind");
}

#[test]
#[ignore = "counts what its process maps; the one above runs it"]
fn by_itself_a_burst_leaves_no_memory_behind() {
    let node = Node::broker().unwrap();
    let mut child = node.spawn(Command::new(WORKER)).unwrap();
    child.kill_on_drop(true);
    let pid = child.id().to_string();
    let portal = child.take_portal(0).unwrap();
    let both = || (mappings(), mappings_of(&pid));
    eventually("the link is over memory", || both() == (1, 1));
    for round in 0..2 {
        let kept = burst(&portal, COUNT);
        assert!(mappings() > 2 && mappings_of(&pid) > 2, "{round}: both arenas have grown");
        // A parcel is read where its sender wrote it, for as long as somebody has it.
        eventually("what nothing is in is given back", || both().0 <= 2 && both().1 <= 2);
        check(&kept, COUNT - 1);
        eventually("and so is the last", || both() == (1, 1));
    }
    // Nothing is left to look for, so nobody does, once that was seen.
    std::thread::sleep(Duration::from_millis(1500));
    let before = sleeps();
    std::thread::sleep(Duration::from_millis(2500));
    assert_eq!(sleeps(), before, "a timer runs");
    check(&burst(&portal, 3), 2);
}
