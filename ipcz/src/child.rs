//! Programs that a node runs.

use std::io;
use std::ops::Deref;
use std::process::{self, ExitStatus};

use crate::Connection;

/// Only `into_parts` takes the process out, and nothing comes after it.
const PRESENT: &str = "the process is there until it is taken out";

/// A program that [`Node::spawn`](crate::Node::spawn) runs, and the connection to its node.
///
/// Dropping it leaves the program running, unless [`Child::kill_on_drop`] was asked for, and its
/// status uncollected until this process ends: [`Child::wait`] for programs of which there are
/// many. The program sees its portals' peers close when they do, and its connection end when this
/// process's node does. That the program has ended shows as the connection's end too, unless it
/// left its end of it to a program of its own.
///
/// ```no_run
/// use std::process::Command;
/// let node = ipcz::Node::broker()?;
/// let mut child = node.spawn(Command::new("worker"))?;
/// let portal = child.take_portal(0)?;
/// portal.put("begin")?;
/// println!("{:?}", portal.recv_blocking()?.bytes());
/// drop(portal);
/// println!("{}", child.wait()?);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Child {
    process: Process,
    connection: Connection,
}

/// The process, until it is taken apart from its connection.
#[derive(Debug)]
struct Process {
    child: Option<process::Child>,
    kill_on_drop: bool,
}

impl Child {
    pub(crate) fn new(process: process::Child, connection: Connection) -> Self {
        let process = Process { child: Some(process), kill_on_drop: false };
        Self { process, connection }
    }

    /// Kills a process and collects its status.
    pub(crate) fn reap(mut process: process::Child) -> io::Result<ExitStatus> {
        process.kill()?;
        process.wait()
    }

    /// Says whether dropping this kills the program and collects its status. It does not unless
    /// this is called.
    pub fn kill_on_drop(&mut self, kill: bool) {
        self.process.kill_on_drop = kill;
    }

    /// The program's process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.child.as_ref().expect(PRESENT).id()
    }

    /// The connection to the program's node.
    #[must_use]
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Kills the program at once. Its status is still to be collected by [`Child::wait`].
    ///
    /// # Errors
    /// What the system said.
    pub fn kill(&mut self) -> io::Result<()> {
        self.process().kill()
    }

    /// Waits for the program to end, with this thread, and collects its status.
    ///
    /// # Errors
    /// What the system said.
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        self.process().wait()
    }

    /// Collects the program's status if it has ended.
    ///
    /// # Errors
    /// What the system said.
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        self.process().try_wait()
    }

    /// The process and the connection, apart. The process is not killed on drop.
    #[must_use]
    pub fn into_parts(mut self) -> (process::Child, Connection) {
        (self.process.child.take().expect(PRESENT), self.connection)
    }

    /// The program as the standard library knows it, for its standard streams.
    pub fn process(&mut self) -> &mut process::Child {
        self.process.child.as_mut().expect(PRESENT)
    }
}

impl Deref for Child {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let Some(mut child) = self.child.take().filter(|_| self.kill_on_drop) else { return };
        if matches!(child.try_wait(), Ok(None)) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
