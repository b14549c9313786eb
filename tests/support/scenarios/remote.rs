//! An agent in a process of its own. It is told what to do over a socket that ipcz has no part in,
//! so that the control neither adds routes nor ends with a node.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::sync::atomic::{AtomicU64, Ordering};

use super::agent::Agent;
use super::network::PATIENCE;
use super::order::{Answer, Order};

/// Where agents report, and their listening paths are made: removed with the network.
pub(super) struct Office {
    folder: PathBuf,
    listener: UnixListener,
}

impl Office {
    pub(super) fn open() -> io::Result<Self> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("ipcz-net-{}-{number}", process::id()));
        std::fs::create_dir_all(&folder)?;
        let listener = UnixListener::bind(folder.join("control"))?;
        Ok(Self { folder, listener })
    }

    /// Where agents report.
    pub(super) fn control(&self) -> PathBuf {
        self.folder.join("control")
    }

    /// Where member number `index` listens.
    pub(super) fn path_of(&self, index: usize) -> PathBuf {
        self.folder.join(index.to_string())
    }

    /// Runs an agent.
    pub(super) fn run(&self, program: &Path) -> io::Result<Remote> {
        let child = Command::new(program).arg(self.control()).spawn()?;
        self.await_report(Some(child))
    }

    /// Waits for the next agent to report; one at a time is started.
    pub(super) fn await_report(&self, child: Option<process::Child>) -> io::Result<Remote> {
        let (stream, _) = self.listener.accept()?;
        stream.set_read_timeout(Some(PATIENCE * 2))?;
        let orders = stream.try_clone()?;
        let mut answers = BufReader::new(stream);
        let mut line = String::new();
        answers.read_line(&mut line)?;
        let pid = line.trim().parse().map_err(io::Error::other)?;
        Ok(Remote { orders, answers, owed: VecDeque::new(), child, pid })
    }
}

impl Drop for Office {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// An agent in a process of its own.
pub(super) struct Remote {
    orders: UnixStream,
    answers: BufReader<UnixStream>,
    /// The orders whose answers were not read: nothing but "done" may come.
    owed: VecDeque<()>,
    child: Option<process::Child>,
    pid: u32,
}

/// Answers that may be owed, so that the socket holds them whatever it is worth.
const MOST_OWED: usize = 64;

impl Remote {
    /// Gives an order and does not wait for the answer.
    pub(super) fn tell(&mut self, order: &Order) -> io::Result<()> {
        let mut line = serde_json::to_vec(order)?;
        line.push(b'\n');
        self.orders.write_all(&line)?;
        self.owed.push_back(());
        while self.owed.len() > MOST_OWED {
            self.settle_one()?;
        }
        Ok(())
    }

    /// Waits until everything is done that was ordered.
    pub(super) fn settle(&mut self) -> io::Result<()> {
        while !self.owed.is_empty() {
            self.settle_one()?;
        }
        Ok(())
    }

    fn settle_one(&mut self) -> io::Result<()> {
        self.owed.pop_front();
        match self.answer()? {
            Answer::Done => Ok(()),
            other => Err(io::Error::other(format!("{other:?}"))),
        }
    }

    /// Gives an order and waits for the answer.
    pub(super) fn ask(&mut self, order: &Order) -> io::Result<Answer> {
        self.tell(order)?;
        while self.owed.len() > 1 {
            self.settle_one()?;
        }
        self.owed.pop_front();
        self.answer()
    }

    fn answer(&mut self) -> io::Result<Answer> {
        let mut line = String::new();
        match self.answers.read_line(&mut line)? {
            0 => Err(io::Error::other("its process has ended")),
            _ => Ok(serde_json::from_str(&line)?),
        }
    }

    /// Kills the process, and waits until nothing is left of it.
    pub(super) fn kill(&mut self) -> io::Result<()> {
        let pid = rustix::process::Pid::from_raw(self.pid as i32).expect("a process id");
        rustix::process::kill_process(pid, rustix::process::Signal::KILL)?;
        self.bury()
    }

    /// Has the process end, by the end of its orders, and waits for that.
    pub(super) fn dismiss(&mut self) -> io::Result<()> {
        self.orders.shutdown(std::net::Shutdown::Write)?;
        self.bury()
    }

    /// Only its process, and none that it left behind, can hold the socket open.
    fn bury(&mut self) -> io::Result<()> {
        let mut rest = Vec::new();
        match self.answers.read_to_end(&mut rest) {
            Err(error) if error.kind() != io::ErrorKind::ConnectionReset => return Err(error),
            _ => {}
        }
        self.child.take().map_or(Ok(()), |mut child| child.wait().map(drop))
    }
}

/// What a program does that is an agent: obeys until there are no more orders.
///
/// # Errors
/// The control socket failed.
pub fn serve(control: &Path) -> io::Result<()> {
    let mut stream = UnixStream::connect(control)?;
    writeln!(stream, "{}", process::id())?;
    let orders = BufReader::new(stream.try_clone()?);
    let mut agent = Agent::default();
    for line in orders.lines() {
        let answer = agent.obey(serde_json::from_str(&line?)?);
        let mut line = serde_json::to_vec(&answer)?;
        line.push(b'\n');
        stream.write_all(&line)?;
    }
    Ok(())
}
