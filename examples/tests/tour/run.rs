//! One run of the tour, and the processes that belong to it.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

/// A deadline that only matters where something is broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// What the tour promises to whoever kills one of its processes.
pub(crate) const PROMISE: Duration = Duration::from_secs(2);

/// Names a run in the environment of all its processes.
const TAG: &str = "IPCZ_TOUR_TEST_RUN";

pub(crate) struct Run {
    tag: String,
    pub(crate) process: Child,
    stdout: Option<JoinHandle<Vec<u8>>>,
    stderr: Option<JoinHandle<Vec<u8>>>,
}

/// What came of a run.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// The tour, to be run with these arguments.
pub(crate) fn command<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tour"));
    command.args(arguments).stdin(Stdio::null());
    command
}

/// Runs the tour to its end, and checks that nothing is left.
pub(crate) fn run<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> End {
    Run::start(command(arguments)).end(PATIENCE)
}

impl Run {
    /// Starts a command whose output is collected here.
    pub(crate) fn start(mut command: Command) -> Self {
        command.stdout(Stdio::piped());
        Self::start_with_stdout(command)
    }

    /// Starts a command whose standard output is set up already.
    pub(crate) fn start_with_stdout(mut command: Command) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let tag = format!("{TAG}={}-{number}", std::process::id());
        let (name, value) = tag.split_once('=').expect("it was just written");
        let mut process = command.env(name, value).stderr(Stdio::piped()).spawn().unwrap();
        let stdout = process.stdout.take().map(collect);
        let stderr = process.stderr.take().map(collect);
        Self { tag, process, stdout, stderr }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// The processes of this run, without zombies.
    pub(crate) fn living(&self) -> Vec<u32> {
        pids().filter(|pid| environment(*pid).any(|entry| entry == self.tag.as_bytes())).collect()
    }

    /// Waits for the worker of that role. `None` if the tour ends before there is one.
    pub(crate) fn worker(&mut self, role: &str) -> Option<u32> {
        let role = format!("IPCZ_TOUR_ROLE={role}");
        let children = format!("/proc/{0}/task/{0}/children", self.pid());
        let found = until(PATIENCE, || {
            let children = fs::read_to_string(&children).unwrap_or_default();
            let mut children = children.split_whitespace().filter_map(|pid| pid.parse().ok());
            let is_it = |pid: &u32| environment(*pid).any(|entry| entry == role.as_bytes());
            let worker: Option<u32> = children.find(is_it);
            let is_over = worker.is_none() && self.process.try_wait().unwrap().is_some();
            (worker.is_some() || is_over).then_some(worker)
        });
        found.expect("a worker, or the tour's end")
    }

    /// Waits until the tour ends by itself and checks that it leaves no process.
    pub(crate) fn end(mut self, within: Duration) -> End {
        let status = until(within, || self.process.try_wait().unwrap());
        let Some(status) = status else {
            panic!("after {within:?}, still running: {:?}", self.living());
        };
        self.assert_nobody_left(Duration::ZERO);
        let text = |thread: Option<JoinHandle<Vec<u8>>>| {
            String::from_utf8(thread.map_or_else(Vec::new, |it| it.join().unwrap())).unwrap()
        };
        End { status, stdout: text(self.stdout.take()), stderr: text(self.stderr.take()) }
    }

    pub(crate) fn assert_nobody_left(&self, within: Duration) {
        let nobody = until(within, || self.living().is_empty().then_some(()));
        assert!(nobody.is_some(), "left behind: {:?}", self.living());
    }
}

impl Drop for Run {
    /// A failed test leaves nothing behind either.
    fn drop(&mut self) {
        for pid in self.living() {
            kill(pid, Signal::KILL);
        }
        let _ = self.process.wait();
    }
}

impl End {
    /// The one line on stderr.
    pub(crate) fn problem(&self) -> &str {
        let line = self.stderr.strip_suffix('\n').unwrap_or_else(|| panic!("no line: {self:?}"));
        assert!(!line.is_empty() && !line.contains('\n'), "not one line: {self:?}");
        line
    }

    /// The end of a run in which nothing went wrong.
    pub(crate) fn succeeded(self) -> Self {
        assert!(self.status.success() && self.stderr.is_empty(), "{self:?}");
        self
    }

    /// How it ended: a status, or 128 and a signal as shells say it.
    pub(crate) fn code(&self) -> i32 {
        self.status.code().or(self.status.signal().map(|signal| 128 + signal)).unwrap()
    }
}

pub(crate) fn kill(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(pid.cast_signed()).unwrap();
    // Fails if it has ended, which is as good.
    let _ = rustix::process::kill_process(pid, signal);
}

/// Polls until `look` gives something. Nothing at the end of `within`.
pub(crate) fn until<T>(within: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + within;
    loop {
        // The deadline first, so that there is a look behind it.
        let is_last = Instant::now() >= deadline;
        let found = look();
        if found.is_some() || is_last {
            return found;
        }
        thread::sleep(Duration::from_millis(1));
    }
}

fn collect(mut stream: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut text = Vec::new();
        stream.read_to_end(&mut text).unwrap();
        text
    })
}

fn pids() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// The environment a process was started with: nothing for a zombie, or for somebody else's.
fn environment(pid: u32) -> impl Iterator<Item = Vec<u8>> {
    let mut text = Vec::new();
    // What cannot be read is not of a run of ours.
    let _ = File::open(format!("/proc/{pid}/environ")).map(|mut file| file.read_to_end(&mut text));
    let entries: Vec<Vec<u8>> = text.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect();
    entries.into_iter()
}

/// A path that no text can say.
pub(crate) fn not_text() -> &'static OsStr {
    OsStr::from_bytes(b"not \xff\xfe text")
}
