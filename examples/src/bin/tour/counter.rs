//! Process B.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ipcz::{Connection, Endpoint, Node, OsHandle};

use crate::services::{
    CountError, Counter, CounterReceiver, Counts, Position, ProgressProxy, RoundTrips,
};
use crate::tally::Tally;

pub(crate) const ROLE: &str = "B";

const CHUNK: usize = 64 * 1024;
/// Often enough to look alive.
const BETWEEN_REPORTS: Duration = Duration::from_millis(10);
const BATCHES: usize = 10;
const ROUNDS_PER_BATCH: usize = 100;
/// As long as a typed call is, roughly.
const MESSAGE: usize = 64;

struct CounterServer {
    node: Node,
    parent: Connection,
    progress: Mutex<Option<ProgressProxy>>,
}

/// Serves A until A is done, or gone.
pub(crate) fn run() -> Result<(), ipcz::Error> {
    let (node, parent) = Node::from_parent()?;
    let receiver: CounterReceiver = parent.bootstrap()?;
    // An error says that A is gone: it knows why, or nobody is left to tell.
    let _ = receiver.serve_blocking(CounterServer { node, parent, progress: Mutex::default() });
    Ok(())
}

impl Counter for CounterServer {
    async fn count(&self, file: OsHandle, progress: ProgressProxy) -> Result<Counts, CountError> {
        let file = file.into_fd().map(File::from).map_err(in_words)?;
        let counts = self.read_through(file, &progress)?;
        *self.progress.lock().unwrap_or_else(PoisonError::into_inner) = Some(progress);
        Ok(counts)
    }

    async fn compare(&self, socket: OsHandle) -> Result<RoundTrips, CountError> {
        let socket = socket.into_fd().map(UnixStream::from).map_err(in_words)?;
        let progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        let progress =
            progress.as_ref().ok_or_else(|| CountError("nothing was counted before".into()))?;
        time_both(progress, socket)
    }

    async fn position(&self) -> Position {
        let progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        Position::of(&self.node, progress.as_ref().map(Endpoint::portal))
    }
}

impl CounterServer {
    fn read_through(&self, mut file: File, progress: &ProgressProxy) -> Result<Counts, CountError> {
        let total = file.metadata().map_or(0, |data| if data.is_file() { data.len() } else { 0 });
        let mut tally = Tally::default();
        let mut chunk = vec![0; CHUNK];
        let mut reported = Instant::now();
        let report = |done| progress.update(done, total).wait().map_err(in_words);
        report(0)?;
        loop {
            let length = match file.read(&mut chunk) {
                Ok(0) => break,
                Ok(length) => length,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(CountError(format!("cannot read: {error}"))),
            };
            tally.add(&chunk[..length]);
            if reported.elapsed() >= BETWEEN_REPORTS {
                report(tally.bytes())?;
                reported = Instant::now();
                if let Some(why) = self.parent.ended() {
                    return Err(CountError(format!("nobody waits for the result: {why}")));
                }
            }
        }
        report(tally.bytes())?;
        Ok(tally.finish())
    }
}

/// Times both ways in turn, so that whatever else the machine does hits them alike.
fn time_both(progress: &ProgressProxy, mut socket: UnixStream) -> Result<RoundTrips, CountError> {
    let mut typed = Vec::new();
    let mut raw = Vec::new();
    let mut buffer = [0; MESSAGE];
    for _ in 0..BATCHES {
        for number in 0..ROUNDS_PER_BATCH as u64 {
            let start = Instant::now();
            let back = progress.echo(number).wait().map_err(in_words)?;
            typed.push(start.elapsed());
            if back != number {
                return Err(CountError(format!("{number} came back as {back}")));
            }
        }
        for _ in 0..ROUNDS_PER_BATCH {
            let start = Instant::now();
            let round = socket.write_all(&buffer).and_then(|()| socket.read_exact(&mut buffer));
            round.map_err(in_words)?;
            raw.push(start.elapsed());
        }
    }
    Ok(RoundTrips { typed_ns: median(typed), socketpair_ns: median(raw) })
}

fn in_words(error: impl std::fmt::Display) -> CountError {
    CountError(error.to_string())
}

fn median(mut times: Vec<Duration>) -> u64 {
    times.sort_unstable();
    times[times.len() / 2].as_nanos() as u64
}
