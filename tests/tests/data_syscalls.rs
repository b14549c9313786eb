//! System calls of the data path, counted by `strace`.
//!
//! A node that spins makes none while its peer is awake on another processor. On a machine that has other
//! work, threads are taken from their processors and then have to be woken; so this is not run with the other
//! tests:
//!
//! ```text
//! cargo test --release -p ipcz-tests --test data_syscalls -- --ignored --nocapture calls_of
//! ```

use std::process::Command;
use std::time::Duration;

use ipcz::NodeOptions;
use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

const WORKER: &str = env!("CARGO_BIN_EXE_raw-worker");
const PATIENCE: Duration = Duration::from_secs(30);
/// A million messages in all: each comes back.
const ROUNDS: u32 = 250_000;
const ONE_WAY: u32 = 250_000;

/// Has a process, or this thread, run on the machine's first or second processor that it may use.
fn pin(pid: Option<Pid>, index: usize) {
    let may = sched_getaffinity(None).unwrap();
    let cpu = (0..CpuSet::MAX_CPU).filter(|&cpu| may.is_set(cpu)).nth(index);
    let mut set = CpuSet::new();
    set.set(cpu.expect("as many processors"));
    sched_setaffinity(pid, &set).unwrap();
}

/// Talks to a child on the other processor: there and back, then one way and back.
fn talk(rounds: u32, one_way: u32, spins: bool) {
    let options = NodeOptions::default();
    let mut command = Command::new(WORKER);
    let options = if spins { options } else { options.without_spinning() };
    if !spins {
        command.arg("sleepy");
    }
    let node = options.broker().unwrap();
    let mut child = node.spawn(command).unwrap();
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
    talk(number("TALK_ROUNDS"), number("TALK_ONE_WAY"), number("TALK_SPINS") == 1);
}

/// The system calls of both processes, from beginning to end, or `None` without an `strace` that can trace.
fn calls(rounds: u32, one_way: u32, spins: bool) -> Option<u64> {
    let program = std::env::current_exe().unwrap();
    let report = std::env::temp_dir().join(format!("ipcz-strace-{}", std::process::id()));
    let output = Command::new("strace")
        .args(["-f", "-c", "-U", "calls,name", "-o"])
        .arg(&report)
        .arg(program)
        .args(["--exact", "talk_alone", "--ignored"])
        .env("TALK_ROUNDS", rounds.to_string())
        .env("TALK_ONE_WAY", one_way.to_string())
        .env("TALK_SPINS", u32::from(spins).to_string())
        .output()
        .ok()?;
    let report = std::fs::read_to_string(report).ok()?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    println!("{rounds} rounds, {one_way} one way\n{report}");
    let total = report.lines().find(|line| line.trim_end().ends_with("total"))?;
    total.split_whitespace().next()?.parse().ok()
}

/// The run that other work disturbed least.
fn least_calls(rounds: u32, one_way: u32, spins: bool) -> u64 {
    (0..3).filter_map(|_| calls(rounds, one_way, spins)).min().expect("it could trace before")
}

/// System calls a message, there and back and one way, or `None` if they cannot be counted.
fn calls_a_message(rounds: u32, one_way: u32, spins: bool) -> Option<(f64, f64)> {
    let start = calls(0, 0, spins)?;
    // Each comes back, so there are twice as many.
    let a_message =
        |calls: u64, messages: u32| calls.saturating_sub(start) as f64 / f64::from(2 * messages);
    let there_and_back = a_message(least_calls(rounds, 0, spins), rounds);
    let stream = a_message(least_calls(0, one_way, spins), one_way);
    println!("spinning {spins}: there and back {there_and_back:.4}, one way {stream:.4} a message");
    Some((there_and_back, stream))
}

#[test]
#[ignore = "depends on what else the machine does"]
fn calls_of_messages_while_both_sides_are_awake() {
    let Some((there_and_back, stream)) = calls_a_message(ROUNDS, ONE_WAY, true) else {
        println!("skipped: no strace, or it may not trace");
        return;
    };
    assert!(there_and_back < 0.2, "{there_and_back} system calls a message there and back");
    assert!(stream < 0.1, "{stream} system calls a message one way");
}

/// Two there and back: one to wake the other side, one to sleep. `strace` stops both at each, so there are fewer
/// rounds.
#[test]
#[ignore = "depends on what else the machine does"]
fn calls_of_messages_without_spinning() {
    let Some((there_and_back, stream)) = calls_a_message(10_000, ONE_WAY, false) else {
        println!("skipped: no strace, or it may not trace");
        return;
    };
    assert!(there_and_back < 2.5, "{there_and_back} system calls a message there and back");
    assert!(stream < 0.1, "{stream} system calls a message one way");
}
