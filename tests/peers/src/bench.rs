//! What all rows have in common: how long things take, who takes part, and what watches over it.

use std::cell::OnceCell;
use std::fmt;
use std::thread;
use std::time::{Duration, Instant};

use crate::columns::Column;
use crate::machine;
use crate::meter::{Sample, operations, prepared};
use crate::options::Options;
use crate::peer::Peer;
use crate::placement::{Placement, pin_to};
use crate::watchdog::Watchdog;

/// Longer than anybody who waited spins: who was idle for so long sleeps.
pub(crate) const IDLE: Duration = Duration::from_millis(2);

/// The state in which a message finds its receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Messages follow each other.
    Hot,
    /// Nothing has happened for two milliseconds.
    Idle,
}

/// How often and for how long each figure is taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) repetitions: usize,
    slice: Duration,
    pub(crate) placement: Placement,
}

impl Plan {
    fn new(options: &Options) -> Self {
        let placement = Placement::choose(options.pin);
        let (repetitions, slice) = match options.quick {
            true => (3, Duration::from_millis(20)),
            false => (9, Duration::from_millis(100)),
        };
        Self { repetitions, slice, placement }
    }

    /// For one repetition of one row: longer where most of it is spent idle.
    pub(crate) fn slice(&self, mode: Mode) -> Duration {
        match mode {
            Mode::Idle => self.slice * 3,
            Mode::Hot => self.slice,
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { repetitions, slice, .. } = self;
        let cpus = match (self.placement.here, self.placement.there) {
            (Some(here), Some(there)) if here == there => "both sides on one CPU",
            (Some(_), Some(_)) => "one side on each of two CPUs",
            _ => "not pinned",
        };
        write!(f, "{repetitions} repetitions of {slice:?} a row, interleaved; {cpus}")
    }
}

/// One run.
pub(crate) struct Bench {
    pub(crate) plan: Plan,
    pub(crate) watchdog: Watchdog,
    /// What the machine had to do when this began.
    pub(crate) load: String,
    anchors: OnceCell<Peer>,
    libraries: [OnceCell<Peer>; Column::ALL.len()],
}

impl Bench {
    pub(crate) fn new(options: &Options) -> Self {
        let plan = Plan::new(options);
        // Not the watchdog, which would wake up in the middle of what it watches over.
        let watchdog = Watchdog::start();
        pin_to(plan.placement.here);
        let (load, anchors, libraries) = (machine::load(), OnceCell::new(), Default::default());
        Self { plan, watchdog, load, anchors, libraries }
    }

    /// Takes one repetition of a row of round trips.
    pub(crate) fn latency(&self, mode: Mode, mut round: impl FnMut()) -> Sample {
        let slice = self.plan.slice(mode);
        match mode {
            Mode::Hot => operations(slice, round),
            Mode::Idle => prepared(
                slice,
                || thread::sleep(IDLE),
                |()| {
                    round();
                    Instant::now()
                },
            ),
        }
    }

    /// Takes one repetition of a rate. `run` goes on for so long, and says how much it was.
    pub(crate) fn rate(&self, mut run: impl FnMut(Duration) -> u64) -> Sample {
        let slice = self.plan.slice(Mode::Hot);
        run(slice / 10);
        let start = Instant::now();
        let count = run(slice);
        Sample::rate(count, start.elapsed())
    }

    /// The other side of the anchors.
    pub(crate) fn peer(&self) -> &Peer {
        self.anchors.get_or_init(|| Peer::spawn(self.plan.placement))
    }

    /// The other side of a library's rows, which is run when it is first needed.
    pub(crate) fn library(&self, column: Column) -> &Peer {
        self.libraries[column as usize].get_or_init(|| Peer::spawn(self.plan.placement))
    }
}
