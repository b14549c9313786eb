//! Process B.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ipcz::{Endpoint, Node, OsHandle};

use crate::orphan;
use crate::services::{
    CountError, Counter, CounterReceiver, Counts, Position, ProgressProxy, RoundTrips,
};
use crate::tally::Tally;

pub(crate) const ROLE: &str = "B";

const CHUNK: usize = 64 * 1024;
/// Often enough to look alive.
const BETWEEN_REPORTS: Duration = Duration::from_millis(10);
const BATCHES: usize = 25;
pub(crate) const ROUNDS_PER_BATCH: usize = 40;
/// Of each way to talk to C.
pub(crate) const ROUNDS: usize = BATCHES * ROUNDS_PER_BATCH;
/// As long as a typed call is, roughly.
const MESSAGE: usize = 64;

struct CounterServer {
    node: Node,
    progress: Mutex<Option<ProgressProxy>>,
}

/// Serves A until A is done, or gone.
pub(crate) fn run() -> Result<(), ipcz::Error> {
    let (node, parent) = Node::from_parent()?;
    let receiver: CounterReceiver = parent.bootstrap()?;
    orphan::end_with(parent);
    // An error says that A is gone: it knows why, or nobody is left to tell.
    let _ = receiver.serve_blocking(CounterServer { node, progress: Mutex::default() });
    Ok(())
}

impl Counter for CounterServer {
    async fn count(&self, file: OsHandle, progress: ProgressProxy) -> Result<Counts, CountError> {
        let file = file.into_fd().map(File::from).map_err(in_words)?;
        let counts = read_through(file, &progress)?;
        *self.progress.lock().unwrap_or_else(PoisonError::into_inner) = Some(progress);
        Ok(counts)
    }

    async fn compare(&self, socket: OsHandle) -> Result<RoundTrips, CountError> {
        let socket = socket.into_fd().map(UnixStream::from).map_err(in_words)?;
        let progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        let progress = progress
            .as_ref()
            .ok_or_else(|| CountError::Other("nothing was counted before".into()))?;
        time_both(progress, socket)
    }

    async fn position(&self) -> Position {
        let progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        Position::of(&self.node, progress.as_ref().map(Endpoint::portal))
    }
}

fn read_through(mut file: File, progress: &ProgressProxy) -> Result<Counts, CountError> {
    let total = file.metadata().ok().filter(|data| data.is_file()).map(|data| data.len());
    let mut tally = Tally::default();
    let mut chunk = vec![0; CHUNK];
    let mut reported = Instant::now();
    progress.update(0, total).wait().map_err(in_words)?;
    loop {
        let length = match file.read(&mut chunk) {
            Ok(0) => break,
            Ok(length) => length,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(CountError::Unreadable(error.to_string())),
        };
        tally.add(&chunk[..length]);
        if reported.elapsed() >= BETWEEN_REPORTS {
            progress.update(tally.bytes(), total).wait().map_err(in_words)?;
            reported = Instant::now();
        }
    }
    // Waits for C, so that nobody writes to the terminal between C's lines.
    progress.finish(tally.bytes()).wait().map_err(in_words)?;
    Ok(tally.finish())
}

/// Times both ways in turn, so that whatever else the machine does hits them alike, and gives the
/// median of each way's quietest batch.
fn time_both(progress: &ProgressProxy, mut socket: UnixStream) -> Result<RoundTrips, CountError> {
    let mut best = RoundTrips { typed_ns: u64::MAX, socketpair_ns: u64::MAX };
    for _ in 0..BATCHES {
        best.typed_ns = best.typed_ns.min(time_batch(|number| typed_round(progress, number))?);
        best.socketpair_ns = best.socketpair_ns.min(time_batch(|_| raw_round(&mut socket))?);
    }
    Ok(best)
}

fn typed_round(progress: &ProgressProxy, number: u64) -> Result<(), CountError> {
    match progress.echo(number).wait().map_err(in_words)? {
        back if back == number => Ok(()),
        back => Err(CountError::Other(format!("{number} came back as {back}"))),
    }
}

fn raw_round(socket: &mut UnixStream) -> Result<(), CountError> {
    let mut message = [0; MESSAGE];
    socket.write_all(&message).and_then(|()| socket.read_exact(&mut message)).map_err(in_words)
}

/// The median time of a round, in nanoseconds.
fn time_batch(mut round: impl FnMut(u64) -> Result<(), CountError>) -> Result<u64, CountError> {
    let mut times = Vec::with_capacity(ROUNDS_PER_BATCH);
    for number in 0..ROUNDS_PER_BATCH as u64 {
        let start = Instant::now();
        round(number)?;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    Ok(times[times.len() / 2].as_nanos() as u64)
}

fn in_words(error: impl std::fmt::Display) -> CountError {
    CountError::Other(error.to_string())
}
