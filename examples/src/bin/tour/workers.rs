//! A's two child processes. Neither outlives A, and A does not outlive either by accident.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{self, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use ipcz::{Connection, Disconnect, Node};

use crate::EXIT_FAILED;

/// The environment variable that tells a worker what it is.
pub(crate) const ROLE: &str = "IPCZ_TOUR_ROLE";

/// How long a process that has lost its connection may take to be gone.
const TO_BE_GONE: Duration = Duration::from_millis(1000);
const FOREVER: Duration = Duration::from_secs(u32::MAX as u64);

/// A worker process, and the connection to its node.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) role: &'static str,
    pub(crate) pid: u32,
    pub(crate) connection: Connection,
    process: Mutex<process::Child>,
    /// Whether the worker's end is part of the story.
    expected: AtomicBool,
}

/// Both workers.
#[derive(Debug)]
pub(crate) struct Workers {
    all: Vec<Arc<Worker>>,
}

impl Workers {
    /// Runs this very program once for each role, and watches over it.
    pub(crate) fn spawn<const N: usize>(
        node: &Node,
        roles: [&'static str; N],
    ) -> Result<(Self, [Arc<Worker>; N]), Box<dyn std::error::Error>> {
        let mut workers = Self { all: Vec::new() };
        for role in roles {
            let mut command = Command::new(std::env::current_exe()?);
            command.env(ROLE, role).stdin(Stdio::null()).stdout(Stdio::null());
            let (process, connection) = node.spawn(command)?.into_parts();
            workers.all.push(Arc::new(Worker {
                role,
                pid: process.id(),
                connection,
                process: Mutex::new(process),
                expected: AtomicBool::new(false),
            }));
        }
        for worker in &workers.all {
            let (worker, all) = (Arc::clone(worker), workers.all.clone());
            thread::Builder::new().spawn(move || watch(&worker, &all))?;
        }
        let all = workers.all.clone().try_into().map_err(|_| "one worker a role")?;
        Ok((workers, all))
    }

    /// Waits until the watch over a worker has ended this process, which it does if one is lost.
    pub(crate) fn wait_for_the_watch(&self) {
        let lost = self.all.iter().any(|worker| {
            !worker.expected.load(Ordering::Acquire) && worker.connection.ended().is_some()
        });
        if lost {
            thread::sleep(2 * TO_BE_GONE);
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.all.iter().for_each(|worker| worker.expect_end());
        for worker in &self.all {
            worker.kill_and_reap();
        }
    }
}

impl Worker {
    fn process(&self) -> MutexGuard<'_, process::Child> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on, the worker's end is no accident.
    pub(crate) fn expect_end(&self) {
        self.expected.store(true, Ordering::Release);
    }

    pub(crate) fn kill(&self) -> io::Result<()> {
        self.process().kill()
    }

    fn kill_and_reap(&self) {
        let mut process = self.process();
        // Either fails only if the process is gone, which is what is wanted.
        let _ = process.kill();
        let _ = process.wait();
    }

    /// How the process ended, if it does so soon.
    fn exit_status(&self) -> Option<ExitStatus> {
        let deadline = Instant::now() + TO_BE_GONE;
        loop {
            match self.process().try_wait() {
                Ok(Some(status)) => return Some(status),
                Ok(None) if Instant::now() < deadline => thread::sleep(Duration::from_millis(1)),
                _ => return None,
            }
        }
    }
}

/// Ends this process, and every worker, if a worker ends by accident.
fn watch(worker: &Worker, all: &[Arc<Worker>]) {
    let Some(why) = worker.connection.wait_ended(FOREVER) else { return };
    if worker.expected.load(Ordering::Acquire) {
        return;
    }
    let line = obituary(worker, why);
    for worker in all {
        // The other worker's watch must not report what is done here.
        worker.expect_end();
    }
    all.iter().for_each(|worker| worker.kill_and_reap());
    eprintln!("tour: {line}");
    process::exit(i32::from(EXIT_FAILED));
}

fn obituary(worker: &Worker, why: Disconnect) -> String {
    let Worker { role, pid, .. } = worker;
    let how = match worker.exit_status() {
        Some(status) => match (status.signal(), status.code()) {
            (Some(signal), _) => format!("was killed by signal {signal}"),
            (None, Some(code)) => format!("exited with status {code}"),
            (None, None) => "ended".to_owned(),
        },
        None => "cut its connection".to_owned(),
    };
    format!("worker {role} (process {pid}) {how} before the tour was over ({why})")
}
