//! Processes of the tour killed from outside, at any moment.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::files::{Folder, Seeded};
use crate::run::{End, PATIENCE, PROMISE, Run, command, kill, run, until};

/// How often each way to be killed is tried.
const TRIES: u64 = 16;
/// What A prints last before it kills B, and first after.
const BEFORE_B_IS_KILLED: &str = "There and back";
const AFTER_B_IS_KILLED: &str = "A kills B";

/// How long a run takes that nobody disturbs, as far as this can be foretold.
fn duration(path: &Path) -> Duration {
    let start = Instant::now();
    run([path]).succeeded();
    start.elapsed()
}

/// Places what happens next somewhere in a run. The only waits here that wait for nothing.
fn wait_somewhere_in(duration: Duration, seeded: &mut Seeded) {
    let micros = u64::try_from(duration.as_micros()).unwrap();
    thread::sleep(Duration::from_micros(seeded.below(micros)));
}

/// Checks what A says of a worker that was killed, in time, and that nobody is left.
fn assert_told(run: Run, role: &str, pid: u32) {
    assert_end_told(&run.end(PROMISE), role, pid);
}

fn assert_end_told(end: &End, role: &str, pid: u32) {
    let line = end.problem();
    assert_eq!(end.code(), 3, "{end:?}");
    let who = format!("worker {role} (process {pid}) was killed by signal 9");
    assert!(line.contains(&who), "{line:?} does not say {who:?}");
}

#[test]
fn a_worker_killed_while_b_counts_is_named() {
    let folder = Folder::new();
    let (path, _held) = folder.fifo();
    let whole = duration(&folder.file("small", b"small"));
    let mut seeded = Seeded(2);
    for number in 0..2 * TRIES {
        let role = ["B", "C"][number as usize % 2];
        let mut run = Run::start(command([&path]));
        let pid = run.worker(role).expect("a FIFO that is held open has no end");
        wait_somewhere_in(whole, &mut seeded);
        kill(pid, Signal::KILL);
        assert_told(run, role, pid);
    }
}

#[test]
fn a_worker_killed_at_any_time_is_named() {
    let folder = Folder::new();
    let path = folder.file("small", &Seeded(3).bytes(1 << 18));
    let whole = duration(&path);
    let mut seeded = Seeded(4);
    for number in 0..2 * TRIES {
        let (role, last_words) =
            [("B", BEFORE_B_IS_KILLED), ("C", AFTER_B_IS_KILLED)][number as usize % 2];
        let output = folder.path().join("output");
        let mut command = command([&path]);
        command.stdout(File::create(&output).unwrap());
        let mut run = Run::start_with_stdout(command);
        let Some(pid) = run.worker(role) else { continue };
        wait_somewhere_in(whole, &mut seeded);
        // Once this worker's part is over, its end is no accident: A may be the one who killed it.
        let is_over = fs::read_to_string(&output).unwrap().contains(last_words);
        kill(pid, Signal::KILL);
        if is_over {
            let end = run.end(PROMISE);
            assert!(end.code() == 0 || end.problem().contains(role), "{end:?}");
        } else {
            let end = run.end(PROMISE);
            // It may have done its part without A having said so yet.
            let was_over =
                end.code() == 0 && fs::read_to_string(&output).unwrap().contains(last_words);
            if !was_over {
                assert_end_told(&end, role, pid);
            }
        }
    }
}

#[test]
fn both_workers_killed_at_once_make_one_line() {
    let folder = Folder::new();
    let (path, _held) = folder.fifo();
    for _ in 0..TRIES {
        let mut run = Run::start(command([&path]));
        let pids = ["B", "C"].map(|role| run.worker(role).unwrap());
        pids.into_iter().for_each(|pid| kill(pid, Signal::KILL));
        let end = run.end(PROMISE);
        assert_eq!(end.code(), 3, "{end:?}");
        assert!(end.problem().contains("was killed by signal 9"), "{end:?}");
    }
}

#[test]
fn workers_end_when_a_is_gone() {
    let folder = Folder::new();
    let (path, _held) = folder.fifo();
    let whole = duration(&folder.file("small", b"small"));
    let mut seeded = Seeded(5);
    for number in 0..TRIES {
        let signal = [Signal::KILL, Signal::KILL, Signal::TERM, Signal::INT][number as usize % 4];
        let mut run = Run::start(command([&path]));
        run.worker("C").unwrap();
        wait_somewhere_in(whole, &mut seeded);
        kill(run.pid(), signal);
        let status = until(PATIENCE, || run.process.try_wait().unwrap());
        assert!(status.is_some(), "A still runs after {signal:?}");
        run.assert_nobody_left(PROMISE);
        let end = run.end(Duration::ZERO);
        assert_eq!((end.code(), end.stderr.as_str()), (128 + signal.as_raw(), ""));
    }
}

#[test]
fn workers_end_when_a_is_gone_at_any_time() {
    let folder = Folder::new();
    let path = folder.file("small", &Seeded(6).bytes(1 << 18));
    let whole = duration(&path);
    let mut seeded = Seeded(7);
    for _ in 0..TRIES {
        let mut run = Run::start(command([&path]));
        wait_somewhere_in(whole, &mut seeded);
        kill(run.pid(), Signal::KILL);
        until(PATIENCE, || run.process.try_wait().unwrap()).expect("A ends");
        run.assert_nobody_left(PROMISE);
        assert_eq!(run.end(Duration::ZERO).stderr, "");
    }
}

#[test]
fn b_ends_with_a_although_it_is_blocked_in_a_read() {
    let folder = Folder::new();
    let (path, held) = folder.fifo();
    let mut run = Run::start(command([&path]));
    let b = run.worker("B").unwrap();
    // More than the FIFO holds: when this returns, B has been reading.
    (&held).write_all(&vec![b'x'; 1 << 20]).unwrap();
    let reads = || {
        let mut tasks = fs::read_dir(format!("/proc/{b}/task")).unwrap().flatten();
        let waits = |task: fs::DirEntry| fs::read_to_string(task.path().join("wchan"));
        tasks.any(|task| waits(task).is_ok_and(|place| place.contains("pipe_read")))
    };
    // Best effort: where the system does not say what a thread waits for, B reads soon anyhow.
    until(Duration::from_millis(500), || reads().then_some(()));
    kill(run.pid(), Signal::KILL);
    until(PATIENCE, || run.process.try_wait().unwrap()).expect("A ends");
    run.assert_nobody_left(PROMISE);
}
