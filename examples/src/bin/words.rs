//! An open file goes to a worker, which calls back with its progress; then what can go wrong, and how it shows.
//!
//! `cargo run --bin words` runs a worker process and has it count four times:
//!
//! - a file without a name, of which the worker gets the open handle: its progress, and the counts;
//! - a program, which is no text: the application's own error, `CallError::Application`;
//! - a pipe that nobody writes to, with a deadline: `CallError::TimedOut`;
//! - a pipe again, and the worker is killed meanwhile: `CallError::Disconnected`, with the reason.
//!
//! Progress is an endpoint of the caller's that goes along with the call; the worker calls it like any other.

use std::error::Error;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::process::Command;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use ipcz::{CallError, Child, Node, OsHandle};
use serde::{Deserialize, Serialize};

#[ipcz::interface]
trait WordCounter {
    async fn count(&self, file: OsHandle, watcher: ProgressProxy) -> Result<Counts, CountError>;
}

/// What the caller serves, while the worker counts.
#[ipcz::interface]
trait Progress {
    #[oneway]
    fn update(&mut self, lines: u64);
}

#[derive(Debug, Serialize, Deserialize)]
struct Counts {
    lines: u64,
    words: u64,
}

#[derive(Debug, Serialize, Deserialize)]
enum CountError {
    NotText { line: u64 },
    Unreadable(String),
}

impl std::fmt::Display for CountError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotText { line } => write!(f, "line {line} is not text"),
            Self::Unreadable(why) => write!(f, "the file cannot be read: {why}"),
        }
    }
}

impl Error for CountError {}

fn main() -> Result<(), Box<dyn Error>> {
    match std::env::args().nth(1).as_deref() {
        None => story(),
        Some("worker") => work(),
        Some(other) => Err(format!("`{other}` is no part of this program").into()),
    }
}

fn story() -> Result<(), Box<dyn Error>> {
    let node = Node::broker()?;
    let (mut worker, counter) = start_worker(&node)?;
    let count = |file: OsHandle| {
        let (watcher, printing) = print_progress(&node);
        (counter.count(file, watcher), printing)
    };

    let (counting, printing) = count(nameless_text()?.into());
    let counts = counting.wait()?;
    // The worker has dropped its end, so all that it said is here.
    printing.join().expect("printing does not panic");
    println!("counted: {} lines, {} words", counts.lines, counts.words);

    let (counting, _) = count(File::open(std::env::current_exe()?)?.into());
    match counting.wait() {
        Err(CallError::Application(error)) => println!("the worker says: {error}"),
        other => return Err(format!("a program was counted: {other:?}").into()),
    }

    let (silent, writer) = std::io::pipe()?;
    let (counting, _) = count(silent.into());
    match counting.deadline(Duration::from_millis(100)).wait() {
        Err(error @ CallError::TimedOut) => println!("the call failed: {error}"),
        other => return Err(format!("silence was counted: {other:?}").into()),
    }
    drop(writer); // So that the worker, which blocks in its read, can go on.

    let (silent, _writer) = std::io::pipe()?;
    let (counting, _) = count(silent.into());
    worker.kill()?;
    match counting.wait() {
        Err(error @ CallError::Disconnected(_)) => println!("the call failed: {error}"),
        other => return Err(format!("a dead worker counted: {other:?}").into()),
    }
    worker.wait()?;
    Ok(())
}

fn start_worker(node: &Node) -> Result<(Child, WordCounterProxy), Box<dyn Error>> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("worker");
    let mut worker = node.spawn(command)?;
    worker.kill_on_drop(true);
    let counter = worker.bootstrap()?;
    Ok((worker, counter))
}

/// A proxy to pass on, and a thread that prints what comes of it.
fn print_progress(node: &Node) -> (ProgressProxy, JoinHandle<()>) {
    struct Printer;
    impl Progress for Printer {
        fn update(&mut self, lines: u64) {
            println!("progress: {lines} lines");
        }
    }
    let (watcher, receiver) = ProgressProxy::pair(node);
    let printing = thread::spawn(move || {
        // An error is the worker's end, which the call reports.
        let _ = receiver.serve_blocking(Printer);
    });
    (watcher, printing)
}

/// A file that only its handle leads to.
fn nameless_text() -> std::io::Result<File> {
    let path = std::env::temp_dir().join(format!("ipcz-words-{}", std::process::id()));
    let mut file = File::create_new(&path)?;
    let text = "the quick brown fox jumps over the lazy dog\n".repeat(3000);
    let written = file.write_all(text.as_bytes());
    let reopened = File::open(&path);
    fs::remove_file(path)?;
    written.and(reopened)
}

/// The other process.
fn work() -> Result<(), Box<dyn Error>> {
    let (_node, parent) = Node::from_parent()?;
    parent.bootstrap::<WordCounterReceiver>()?.serve_blocking(Counter)?;
    Ok(())
}

struct Counter;

impl WordCounter for Counter {
    async fn count(&self, file: OsHandle, watcher: ProgressProxy) -> Result<Counts, CountError> {
        let unreadable = |error: std::io::Error| CountError::Unreadable(error.to_string());
        let file = File::try_from(file).map_err(unreadable)?;
        let mut counts = Counts { lines: 0, words: 0 };
        for line in BufReader::new(file).split(b'\n') {
            let line = line.map_err(unreadable)?;
            counts.lines += 1;
            let text = str::from_utf8(&line);
            let text = text.map_err(|_| CountError::NotText { line: counts.lines })?;
            counts.words += text.split_whitespace().count() as u64;
            if counts.lines.is_multiple_of(1000) {
                // If nobody watches any more, the counts are wanted all the same.
                let _ = watcher.update(counts.lines).now();
            }
        }
        Ok(counts)
    }
}
