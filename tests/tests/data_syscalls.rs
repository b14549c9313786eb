//! System calls of the data path, counted by `strace`.
//!
//! A node that spins makes none while its peer is awake on another processor. On a machine that has other
//! work, threads are taken from their processors and then have to be woken; so this is not run with the other
//! tests:
//!
//! ```text
//! cargo test -p ipcz-tests --test data_syscalls -- --ignored --nocapture calls_of
//! ```

use std::process::Command;
use std::time::Duration;

use ipcz::Node;
use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

const WORKER: &str = env!("CARGO_BIN_EXE_raw-worker");
const PATIENCE: Duration = Duration::from_secs(30);
const ROUNDS: u32 = 20_000;
const ONE_WAY: u32 = 100_000;

/// Has a process, or this thread, run on the machine's first or second processor that it may use.
fn pin(pid: Option<Pid>, index: usize) {
    let may = sched_getaffinity(None).unwrap();
    let cpu = (0..CpuSet::MAX_CPU).filter(|&cpu| may.is_set(cpu)).nth(index);
    let mut set = CpuSet::new();
    set.set(cpu.expect("as many processors"));
    sched_setaffinity(pid, &set).unwrap();
}

/// Talks to a child on the other processor: there and back, then one way and back.
fn talk(rounds: u32, one_way: u32) {
    let node = Node::broker().unwrap();
    let mut child = node.spawn(Command::new(WORKER)).unwrap();
    child.kill_on_drop(true);
    let portal = child.take_portal(0).unwrap();
    child.wait_connected(PATIENCE).unwrap().expect("it connects");
    pin(Some(Pid::from_raw(child.id().cast_signed()).unwrap()), 1);
    pin(None, 0);
    for round in 0..rounds + 200 {
        portal.put(round.to_le_bytes().to_vec()).unwrap();
        assert_eq!(portal.recv_timeout(PATIENCE).unwrap().bytes(), round.to_le_bytes());
    }
    for number in 0..one_way {
        portal.put(number.to_le_bytes().to_vec()).unwrap();
    }
    for number in 0..one_way {
        assert_eq!(portal.recv_timeout(PATIENCE).unwrap().bytes(), number.to_le_bytes());
    }
}

#[test]
#[ignore = "talks without counting; those that count run it"]
fn talk_alone() {
    let number = |name| std::env::var(name).map_or(0, |text| text.parse().unwrap());
    talk(number("TALK_ROUNDS"), number("TALK_ONE_WAY"));
}

/// The system calls of both processes, from beginning to end, or `None` without an `strace` that can trace.
fn calls(rounds: u32, one_way: u32) -> Option<u64> {
    let program = std::env::current_exe().unwrap();
    let report = std::env::temp_dir().join(format!("ipcz-strace-{}", std::process::id()));
    let output = Command::new("strace")
        .args(["-f", "-c", "-U", "calls,name", "-o"])
        .arg(&report)
        .arg(program)
        .args(["--exact", "talk_alone", "--ignored"])
        .env("TALK_ROUNDS", rounds.to_string())
        .env("TALK_ONE_WAY", one_way.to_string())
        .output()
        .ok()?;
    let report = std::fs::read_to_string(report).ok()?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    println!("{rounds} rounds, {one_way} one way\n{report}");
    let total = report.lines().find(|line| line.trim_end().ends_with("total"))?;
    total.split_whitespace().next()?.parse().ok()
}

/// The run that other work disturbed least.
fn least_calls(rounds: u32, one_way: u32) -> u64 {
    (0..5).filter_map(|_| calls(rounds, one_way)).min().expect("it could trace before")
}

#[test]
#[ignore = "depends on what else the machine does"]
fn calls_of_messages_while_both_sides_are_awake() {
    let Some(start) = calls(0, 0) else {
        println!("skipped: no strace, or it may not trace");
        return;
    };
    let there_and_back = least_calls(ROUNDS, 0).saturating_sub(start);
    let one_way = least_calls(0, ONE_WAY).saturating_sub(start);
    let per_message = |calls: u64, messages: u32| calls as f64 / f64::from(messages);
    // Each comes back, so there are twice as many.
    let (hot, stream) =
        (per_message(there_and_back, 2 * ROUNDS), per_message(one_way, 2 * ONE_WAY));
    println!("system calls a message: there and back {hot:.4}, one way {stream:.4}");
    assert!(hot < 0.2, "{hot} system calls a message there and back");
    assert!(stream < 0.1, "{stream} system calls a message one way");
}
