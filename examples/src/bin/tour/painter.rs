//! Process C.

use std::io::{IsTerminal, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use ipcz::{Node, OsHandle};

use crate::clock;
use crate::services::{
    Loss, Painter, PainterReceiver, Position, Progress, ProgressProxy, ProgressReceiver,
};

pub(crate) const ROLE: &str = "C";

/// How long A may have to wait for a loss that does not come.
const PATIENCE: Duration = Duration::from_secs(5);
const BAR: u64 = 40;

/// What C knows of whoever reports progress.
#[derive(Default)]
struct Reporter {
    loss: Mutex<Option<Loss>>,
    changed: Condvar,
}

struct PainterServer {
    node: Node,
    reporter: Arc<Reporter>,
}

struct ProgressServer {
    draws: bool,
}

/// Serves A until A is done, or gone.
pub(crate) fn run() -> Result<(), ipcz::Error> {
    let (node, parent) = Node::from_parent()?;
    let receiver: PainterReceiver = parent.bootstrap()?;
    // An error says that A is gone: it knows why, or nobody is left to tell.
    let _ = receiver.serve_blocking(PainterServer { node, reporter: Arc::default() });
    Ok(())
}

impl Painter for PainterServer {
    async fn open(&self) -> ProgressProxy {
        let (proxy, receiver) = ProgressProxy::pair(&self.node);
        let reporter = Arc::clone(&self.reporter);
        thread::spawn(move || serve_progress(receiver, &reporter));
        proxy
    }

    fn echo_over(&self, socket: OsHandle) {
        if let Ok(socket) = socket.into_fd() {
            thread::spawn(move || echo(UnixStream::from(socket)));
        }
    }

    async fn position(&self) -> Position {
        Position::of(&self.node, None)
    }

    async fn loss(&self) -> Option<Loss> {
        let reporter = &self.reporter;
        let unknown = |loss: &mut Option<Loss>| loss.is_none();
        let waited = reporter.changed.wait_timeout_while(lock(&reporter.loss), PATIENCE, unknown);
        waited.unwrap_or_else(PoisonError::into_inner).0.clone()
    }
}

impl Progress for ProgressServer {
    fn update(&self, done: u64, total: u64) {
        if self.draws {
            draw(done, total);
        }
    }

    async fn echo(&self, number: u64) -> u64 {
        number
    }
}

fn serve_progress(receiver: ProgressReceiver, reporter: &Reporter) {
    let draws = std::io::stderr().is_terminal();
    let ended = receiver.serve_blocking(ProgressServer { draws });
    let reason = match ended {
        Ok(()) => "it closed its end".to_owned(),
        Err(error) => error.to_string(),
    };
    *lock(&reporter.loss) = Some(Loss { reason, at: clock::now() });
    reporter.changed.notify_all();
}

/// One line, drawn over again.
fn draw(done: u64, total: u64) {
    let filled = (done * BAR).checked_div(total).unwrap_or(BAR).min(BAR);
    let bar: String = (0..BAR).map(|place| if place < filled { '#' } else { '.' }).collect();
    let end = if total == 0 || done >= total { '\n' } else { '\r' };
    // A terminal that is gone is no reason to stop.
    let _ = write!(std::io::stderr(), "  C draws: [{bar}] {done} of {total} bytes{end}");
}

fn echo(mut socket: UnixStream) {
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = socket.read(&mut buffer) {
        if socket.write_all(&buffer[..length]).is_err() {
            return;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
