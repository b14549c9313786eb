//! Calls on what a call has yet to give: one wait for a whole path, beside one wait for each step.
//!
//! `cargo run --release --bin pipeline` runs a server of folders in another process, and goes down eight of them to
//! read a file:
//!
//! - step by step: each folder is waited for before the next is opened in it;
//! - pipelined: all is said at once, and only the file's text is waited for (`Call::pipelined`).
//!
//! It prints how long either takes, once with the server as near as it is, and once as if it were 2 ms away, where
//! each wait costs that much. A pipelined call joins two routes, which a plain one does without, so on one machine,
//! where a wait is short, the steps may win. The third line says from what distance on they lose.
//!
//! Then it goes down a path that is not there, and prints what comes of the calls behind the one that failed.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use ipcz::{Child, Node, ReceiverSet};

const DEPTH: usize = 8;
const ROUNDS: usize = 31;
const FAR: Duration = Duration::from_millis(2);

#[ipcz::interface]
trait Folder {
    /// What is in this folder can be reached through what this gives, and nothing else can.
    async fn open(&self, name: &str) -> Result<FolderProxy, String>;
    async fn read(&self, file: &str) -> Result<String, String>;
}

fn main() -> Result<(), Box<dyn Error>> {
    match std::env::args().nth(1).as_deref() {
        None => story(),
        Some("server") => serve(),
        Some(other) => Err(format!("`{other}` is no part of this program").into()),
    }
}

fn story() -> Result<(), Box<dyn Error>> {
    let root = Scratch::new()?;
    let (_server, folder) = start_server(&root.0)?;
    assert_eq!(step_by_step(&folder, Duration::ZERO)?, pipelined(&folder, Duration::ZERO)?);
    let (steps, piped) = compare("as near as it is", Duration::ZERO, ROUNDS, &folder)?;
    compare("2 ms away", FAR, 5, &folder)?;
    let distance = piped.saturating_sub(steps) / DEPTH as u32;
    println!("pipelining is faster where a wait takes more than {distance:?}");

    let (absent, opening) = folder.open("absent").pipelined();
    let (below, opening_below) = absent.open("below").pipelined();
    let reading = below.read("file");
    println!("the call that failed: {}", failure(opening.wait()));
    println!("the call behind it: {}", failure(opening_below.wait()));
    println!("the call behind that: {}", failure(reading.wait()));
    Ok(())
}

fn compare(
    place: &str,
    far: Duration,
    rounds: usize,
    folder: &FolderProxy,
) -> Result<(Duration, Duration), Box<dyn Error>> {
    let steps = time(rounds, || step_by_step(folder, far))?;
    let piped = time(rounds, || pipelined(folder, far))?;
    println!("server {place}: step by step {steps:?}, pipelined {piped:?}");
    Ok((steps, piped))
}

fn step_by_step(root: &FolderProxy, far: Duration) -> Result<String, Box<dyn Error>> {
    let mut folder = root.open("0").wait()?;
    thread::sleep(far);
    for depth in 1..DEPTH {
        folder = folder.open(&depth.to_string()).wait()?;
        thread::sleep(far);
    }
    let text = folder.read("file").wait()?;
    thread::sleep(far);
    Ok(text)
}

fn pipelined(root: &FolderProxy, far: Duration) -> Result<String, Box<dyn Error>> {
    let (mut folder, _) = root.open("0").pipelined();
    for depth in 1..DEPTH {
        // The folder above may go: what was called on it is on its way.
        (folder, _) = folder.open(&depth.to_string()).pipelined();
    }
    let text = folder.read("file").wait()?;
    thread::sleep(far);
    Ok(text)
}

/// The median time.
fn time<T>(
    rounds: usize,
    mut round: impl FnMut() -> Result<T, Box<dyn Error>>,
) -> Result<Duration, Box<dyn Error>> {
    let mut times = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let begun = Instant::now();
        round()?;
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    Ok(times[rounds / 2])
}

fn failure<T>(result: Result<T, impl Error>) -> String {
    result.err().map_or_else(|| "it did not fail".into(), |error| error.to_string())
}

/// Folders below each other, with a file in the last, until this is dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> std::io::Result<Self> {
        let scratch =
            Self(std::env::temp_dir().join(format!("ipcz-pipeline-{}", std::process::id())));
        let last = (0..DEPTH).fold(scratch.0.clone(), |path, depth| path.join(depth.to_string()));
        fs::create_dir_all(&last)?;
        fs::write(last.join("file"), "found")?;
        Ok(scratch)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn start_server(root: &Path) -> Result<(Child, FolderProxy), Box<dyn Error>> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("server").current_dir(root);
    let mut server = Node::broker()?.spawn(command)?;
    server.kill_on_drop(true);
    let folder = server.bootstrap()?;
    Ok((server, folder))
}

/// The other process: all folders are served by one thread.
fn serve() -> Result<(), Box<dyn Error>> {
    let (_node, parent) = Node::from_parent()?;
    let set = ReceiverSet::new();
    let root = Open { path: PathBuf::from("."), set: set.clone() };
    set.add(parent.bootstrap::<FolderReceiver>()?.serve(root));
    set.run_blocking();
    Ok(())
}

struct Open {
    path: PathBuf,
    set: ReceiverSet,
}

impl Open {
    /// One name below this folder, and no way out of it.
    fn below(&self, name: &str) -> Result<PathBuf, String> {
        let is_plain = !name.is_empty() && name != ".." && !name.contains('/');
        is_plain.then(|| self.path.join(name)).ok_or_else(|| format!("`{name}` is no name"))
    }
}

impl Folder for Open {
    async fn open(&self, name: &str) -> Result<FolderProxy, String> {
        let path = self.below(name)?;
        if !path.is_dir() {
            return Err(format!("there is no folder `{name}`"));
        }
        let node = ipcz::context().node().ok_or("no call is served")?;
        let (proxy, receiver) = FolderProxy::pair(&node);
        self.set.add(receiver.serve(Self { path, set: self.set.clone() }));
        Ok(proxy)
    }

    async fn read(&self, file: &str) -> Result<String, String> {
        fs::read_to_string(self.below(file)?).map_err(|error| error.to_string())
    }
}
