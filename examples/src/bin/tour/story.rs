//! Process A: the broker, and what happens in which order.

use std::error::Error;
use std::fs::File;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use ipcz::{Node, OsHandle};

use crate::report::{Report, Scene};
use crate::services::{CounterProxy, PainterProxy, Position};
use crate::workers::{Worker, Workers};
use crate::{clock, counter, painter};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// How long the routes may take to become direct.
const TO_SETTLE: Duration = Duration::from_secs(5);

/// Runs the tour and prints it.
pub(crate) fn tell(file: File, path: &Path, json: bool) -> Outcome<()> {
    let node = Node::broker()?;
    let (workers, [b, c]) = Workers::spawn(&node, [counter::ROLE, painter::ROLE])?;
    let told = Story { node, b, c, json }.tell(file, path);
    if told.is_err() {
        // If a worker was lost, the watch over it knows best what there is to say.
        workers.wait_for_the_watch();
    }
    told
}

struct Story {
    node: Node,
    b: std::sync::Arc<Worker>,
    c: std::sync::Arc<Worker>,
    json: bool,
}

impl Story {
    fn tell(&self, file: File, path: &Path) -> Outcome<()> {
        let counter: CounterProxy = self.b.connection.bootstrap()?;
        let painter: PainterProxy = self.c.connection.bootstrap()?;
        let scene = Scene::new(self.json);
        scene.cast(path, &self.b, &self.c);

        let before = (counter.position().wait()?, painter.position().wait()?);
        scene.topology("before", &self.position(), &before);
        let progress = painter.open().wait()?;
        let counting = counter.count(OsHandle::from(file), progress);
        scene.on_the_way(&self.position());
        let counts = counting.wait()?;
        scene.counts(&counts);

        let after = self.settled(&counter, &painter)?;
        scene.topology("after", &self.position(), &after);
        let (for_b, for_c) = UnixStream::pair()?;
        painter.echo_over(OsHandle::from(for_c)).wait()?;
        let round_trips = counter.compare(OsHandle::from(for_b)).wait()?;
        scene.round_trips(round_trips);

        let losses = self.lose_b(&painter)?;
        scene.losses(&losses);
        let report = Report {
            counts,
            direct_link: is_direct(&after),
            proxies_left: self.proxies(&after),
            round_trips,
            peer_loss_ms: losses.last_ms(),
        };
        // C ends by itself once the proxies here are gone.
        self.c.expect_end();
        scene.end(&report);
        Ok(())
    }

    /// Where A stands.
    fn position(&self) -> Position {
        Position::of(&self.node, None)
    }

    fn proxies(&self, workers: &(Position, Position)) -> u64 {
        self.position().proxies + workers.0.proxies + workers.1.proxies
    }

    /// Where B and C stand once their link is direct and no proxy is left, or after a while.
    fn settled(
        &self,
        counter: &CounterProxy,
        painter: &PainterProxy,
    ) -> Outcome<(Position, Position)> {
        let deadline = Instant::now() + TO_SETTLE;
        loop {
            let workers = (counter.position().wait()?, painter.position().wait()?);
            let done = is_direct(&workers) && self.proxies(&workers) == 0;
            if done || Instant::now() > deadline {
                return Ok(workers);
            }
            thread::yield_now();
        }
    }

    /// Kills B, and collects who learned of it.
    fn lose_b(&self, painter: &PainterProxy) -> Outcome<Losses> {
        self.b.expect_end();
        let killed = clock::now();
        self.b.kill()?;
        let why = self.b.connection.wait_ended(TO_SETTLE).ok_or("A has not seen that B is gone")?;
        let a = (ms_between(killed, clock::now()), why.to_string());
        let loss = painter.loss().wait()?.ok_or("C has not seen that B is gone")?;
        Ok(Losses { a, c: (ms_between(killed, loss.at), loss.reason) })
    }
}

/// Who learned that B was gone: after how many milliseconds, and why it thinks so.
pub(crate) struct Losses {
    pub(crate) a: (f64, String),
    pub(crate) c: (f64, String),
}

impl Losses {
    fn last_ms(&self) -> f64 {
        self.a.0.max(self.c.0)
    }
}

/// Whether B's end of the progress route leads to C, and C has a route that leads to B.
fn is_direct((b, c): &(Position, Position)) -> bool {
    b.progress_leads_to.as_ref() == Some(&c.name) && c.routes_to(&b.name) > 0
}

fn ms_between(start: u64, end: u64) -> f64 {
    end.saturating_sub(start) as f64 / 1e6
}
