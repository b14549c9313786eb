//! Process C.

use std::io::{IsTerminal, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use ipcz::{Node, OsHandle, ServeError};

use crate::services::{
    Loss, Painter, PainterReceiver, Position, Progress, ProgressProxy, ProgressReceiver,
};
use crate::{REDRAW, clock, orphan};

pub(crate) const ROLE: &str = "C";

/// How long A may have to wait for a loss that does not come.
const PATIENCE: Duration = Duration::from_secs(5);
const BAR: usize = 40;

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
    orphan::end_with(parent);
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
    fn update(&self, done: u64, total: Option<u64>) {
        if self.draws {
            draw(&bar(done, total), "");
        }
    }

    async fn finish(&self, done: u64) {
        if self.draws {
            draw(&bar(done, Some(done)), "\n");
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
        Err(ServeError::Disconnected(why)) => why.to_string(),
        Err(error) => error.to_string(),
    };
    *lock(&reporter.loss) = Some(Loss { reason, at: clock::now() });
    reporter.changed.notify_all();
}

/// Draws the last line again, in one piece, so that no other line comes between.
fn draw(line: &str, end: &str) {
    // A terminal that is gone is no reason to stop.
    let _ = std::io::stderr().write_all(format!("{REDRAW}{line}{end}").as_bytes());
}

/// Fits 80 columns: what is wider cannot be drawn over.
fn bar(done: u64, total: Option<u64>) -> String {
    let Some(total) = total else {
        return format!("  C draws: {} so far", size(done));
    };
    let places = u128::from(done) * BAR as u128;
    let filled = places.checked_div(u128::from(total)).map_or(BAR, |filled| filled as usize);
    let filled = filled.min(BAR);
    let (filled, empty) = ("#".repeat(filled), ".".repeat(BAR - filled));
    format!("  C draws: [{filled}{empty}] {} of {}", size(done), size(total))
}

fn size(bytes: u64) -> String {
    match bytes {
        1 => "1 byte".to_owned(),
        0..10_000 => format!("{bytes} bytes"),
        10_000..10_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        10_000_000..10_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bar_fits_a_terminal() {
        for done in [0, 1, 9_999, 10_000, 999_999_999, 1 << 40, 1 << 46] {
            for total in [None, Some(0), Some(1), Some(done), Some(1 << 40), Some(1 << 46)] {
                let bar = bar(done, total);
                assert!(bar.len() < 80, "{bar:?}");
            }
        }
    }

    #[test]
    fn a_bar_is_full_when_all_is_done() {
        let full = format!("[{}]", "#".repeat(BAR));
        assert!(bar(0, Some(0)).contains(&full));
        assert!(bar(7, Some(7)).contains(&full));
        // A file that grows while B reads it.
        assert!(bar(8, Some(7)).contains(&full));
        assert!(!bar(6, Some(7)).contains(&full));
        assert!(!bar(u64::MAX - 1, Some(u64::MAX)).contains(&full));
    }
}
