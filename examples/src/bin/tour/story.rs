//! Process A: the broker, and what happens in which order.

use std::fs::File;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ipcz::{CallError, Node, OsHandle};

use crate::failure::{Failure, Outcome};
use crate::report::{Report, Scene};
use crate::services::{CountError, CounterProxy, PainterProxy, Position};
use crate::workers::{self, Worker, Workers};
use crate::{clock, counter, painter};

/// How long the routes may take to become direct.
const TO_SETTLE: Duration = Duration::from_secs(5);

/// Runs the tour and prints it.
pub(crate) fn tell(file: File, path: &Path, json: bool) -> Outcome<()> {
    let node = Node::broker()?;
    let (workers, [b, c]) = Workers::spawn(&node, [counter::ROLE, painter::ROLE])?;
    let scene = Scene::new(json);
    let (counter, painter) = (b.connection.bootstrap()?, c.connection.bootstrap()?);
    let story = Story { node, b, c: Arc::clone(&c), counter, painter };
    let told = story.tell(&scene, file, path);
    let report = match told {
        Ok(report) => report,
        Err(failure) => {
            if !failure.is_of_the_file() {
                // If a worker was lost, the watch over it knows best what there is to say.
                workers.wait_for_the_watch();
            }
            // Before the story, without which C would end by itself.
            drop(workers);
            return Err(failure);
        }
    };
    drop(story);
    // Nothing here holds on to C any more, which ends it.
    let last = c.exit_status();
    drop(workers);
    scene.end(&report, last)
}

struct Story {
    node: Node,
    b: Arc<Worker>,
    c: Arc<Worker>,
    counter: CounterProxy,
    painter: PainterProxy,
}

impl Story {
    fn tell(&self, scene: &Scene, file: File, path: &Path) -> Outcome<Report> {
        let Self { counter, painter, .. } = self;
        scene.cast(path, &self.b, &self.c);
        let before = self.workers_positions()?;
        scene.topology("before", &self.position(), &before);

        let progress = painter.open().wait()?;
        scene.passing();
        let counting = counter.count(OsHandle::from(file), progress);
        let on_the_way = self.position().proxies;
        let counts = counting.wait().map_err(|error| match error {
            CallError::Application(CountError::Unreadable(why)) => Failure::file(path, why),
            error => Failure::from(error),
        })?;
        scene.counts(on_the_way, &counts);

        let after = self.settled()?;
        scene.topology("after", &self.position(), &after);
        let (direct_link, proxies_left) = (is_direct(&after), self.proxies(&after));
        scene.link(direct_link, proxies_left);

        let (for_b, for_c) = UnixStream::pair()?;
        painter.echo_over(OsHandle::from(for_c)).wait()?;
        let round_trips = counter.compare(OsHandle::from(for_b)).wait()?;
        scene.round_trips(round_trips);

        let losses = self.lose_b()?;
        scene.losses(&losses);
        self.c.expect_end()?;
        let peer_loss_ms = losses.last_ms();
        Ok(Report { counts, direct_link, proxies_left, round_trips, peer_loss_ms })
    }

    /// Where A stands.
    fn position(&self) -> Position {
        Position::of(&self.node, None)
    }

    /// Where B and C stand.
    fn workers_positions(&self) -> Outcome<(Position, Position)> {
        Ok((self.counter.position().wait()?, self.painter.position().wait()?))
    }

    fn proxies(&self, workers: &(Position, Position)) -> u64 {
        self.position().proxies + workers.0.proxies + workers.1.proxies
    }

    /// Where B and C stand once all three agree on how they are linked and no proxy is left, or
    /// after a while.
    fn settled(&self) -> Outcome<(Position, Position)> {
        let look = || self.workers_positions();
        let is_settled = |workers: &(Position, Position)| {
            is_direct(workers) && self.proxies(workers) == 0 && self.agree(workers)
        };
        let settled = workers::poll(TO_SETTLE, || match look() {
            Ok(workers) => is_settled(&workers).then_some(Ok(workers)),
            Err(failure) => Some(Err(failure)),
        });
        settled.unwrap_or_else(look)
    }

    /// Whether each link has as many routes at one end as at the other. While a route is taken down,
    /// one end is ahead.
    fn agree(&self, (b, c): &(Position, Position)) -> bool {
        let a = self.position();
        [(&a, b), (&a, c), (b, c)]
            .iter()
            .all(|(one, other)| one.routes_to(&other.name) == other.routes_to(&one.name))
    }

    /// Kills B, and collects who learned of it.
    fn lose_b(&self) -> Outcome<Losses> {
        let killed = clock::now();
        self.b.kill()?;
        let why = self.b.connection.wait_ended(TO_SETTLE);
        let why = why.ok_or_else(|| Failure::new("A has not seen that B is gone"))?;
        let a = (ms_between(killed, clock::now()), why.to_string());
        let loss = self.painter.loss().wait()?;
        let loss = loss.ok_or_else(|| Failure::new("C has not seen that B is gone"))?;
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
