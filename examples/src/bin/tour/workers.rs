//! A's two child processes. Neither outlives A, and A does not outlive either by accident.

use std::os::unix::process::ExitStatusExt;
use std::process::{self, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use ipcz::{Connection, Disconnect, Node};

use crate::failure::{Failure, Outcome};

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
    ) -> Outcome<(Self, [Arc<Worker>; N])> {
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
        let all = workers.all.clone().try_into().map_err(|_| Failure::new("one worker a role"))?;
        Ok((workers, all))
    }

    /// Waits until the watch over a worker has ended this process, which it does if one is lost. What
    /// fails then may be noticed here before the loss itself: B knows that C is gone and says so, say.
    pub(crate) fn wait_for_the_watch(&self) {
        let is_lost = |worker: &Arc<Worker>| {
            !worker.expected.load(Ordering::Acquire) && worker.connection.ended().is_some()
        };
        if poll(TO_BE_GONE, || self.all.iter().any(is_lost).then_some(())).is_some() {
            thread::sleep(2 * TO_BE_GONE);
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        kill_and_reap(&self.all);
    }
}

impl Worker {
    fn process(&self) -> MutexGuard<'_, process::Child> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on, the worker's end is no accident.
    ///
    /// # Errors
    /// It has ended. That was an accident, for the watch to tell of.
    pub(crate) fn expect_end(&self) -> Outcome<()> {
        self.expect_end_of(&mut self.process())
    }

    fn expect_end_of(&self, process: &mut process::Child) -> Outcome<()> {
        match process.try_wait()? {
            Some(_) => Err(Failure::new(format_args!("worker {} has ended", self.role))),
            None => {
                self.expected.store(true, Ordering::Release);
                Ok(())
            }
        }
    }

    /// Kills the worker, which is no accident, unless somebody else has.
    pub(crate) fn kill(&self) -> Outcome<()> {
        let mut process = self.process();
        self.expect_end_of(&mut process)?;
        Ok(process.kill()?)
    }

    /// How the process ended, if it does so soon.
    pub(crate) fn exit_status(&self) -> Option<ExitStatus> {
        poll(TO_BE_GONE, || self.process().try_wait().ok().flatten())
    }
}

/// Leaves none of the workers.
fn kill_and_reap(workers: &[Arc<Worker>]) {
    for worker in workers {
        // The watch must not report what is done here.
        worker.expected.store(true, Ordering::Release);
    }
    for worker in workers {
        let mut process = worker.process();
        // Either fails only if the process is gone, which is what is wanted.
        let _ = process.kill();
        let _ = process.wait();
    }
}

/// Looks every millisecond, until there is something or the time has passed.
pub(crate) fn poll<T>(timeout: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + timeout;
    loop {
        let found = look();
        if found.is_some() || Instant::now() >= deadline {
            return found;
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// Ends this process, and every worker, if a worker ends by accident.
fn watch(worker: &Worker, all: &[Arc<Worker>]) {
    /// Held by the one watch that speaks, until this process is gone.
    static LAST_WORD: Mutex<()> = Mutex::new(());
    let Some(why) = worker.connection.wait_ended(FOREVER) else { return };
    let _last_word = LAST_WORD.lock();
    if worker.expected.load(Ordering::Acquire) {
        return;
    }
    let failure = Failure::new(obituary(worker, why));
    kill_and_reap(all);
    failure.print();
    process::exit(failure.status());
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
