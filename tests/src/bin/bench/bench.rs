//! What all groups have in common: how long things take, who takes part, and what watches over it.

use std::cell::OnceCell;
use std::fmt;
use std::thread;
use std::time::{Duration, Instant};

use ipcz::Node;

use crate::meter::{Sample, operations, prepared};
use crate::options::Options;
use crate::peer::Peer;
use crate::placement::{Pin, Placement, pin_to};
use crate::stranger::Stranger;
use crate::watchdog::Watchdog;

/// Longer than anybody who waited spins: who was idle for so long sleeps.
const UNTIL_ASLEEP: Duration = Duration::from_micros(300);

/// An idle application, and too short for the machine to have done much else.
const IDLE: Duration = Duration::from_millis(2);

/// The state in which a message finds its receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Messages follow each other.
    Hot,
    /// The receiver sleeps.
    Asleep,
    /// Nothing has happened for two milliseconds.
    Idle,
    /// Somebody else spins on the CPU of the other side.
    Stranger,
}

impl Mode {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Hot => "hot",
            Self::Asleep => "asleep",
            Self::Idle => "idle",
            Self::Stranger => "stranger",
        }
    }
}

/// How often and for how long each figure is taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) repetitions: usize,
    /// For one repetition of one row.
    pub(crate) slice: Duration,
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

    /// How long to pause before each round. Who shares this CPU sleeps while this process runs: then
    /// there is no need to wait for that.
    pub(crate) fn pause(&self, mode: Mode) -> Option<Duration> {
        match mode {
            Mode::Asleep => (self.placement.pin != Pin::Same).then_some(UNTIL_ASLEEP),
            Mode::Idle => Some(IDLE),
            Mode::Hot | Mode::Stranger => None,
        }
    }

    /// A slice, which is longer where rounds can take a scheduler's period each.
    pub(crate) fn slice(&self, mode: Mode) -> Duration {
        match mode {
            Mode::Stranger | Mode::Idle => self.slice * 3,
            Mode::Hot | Mode::Asleep => self.slice,
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { repetitions, slice, .. } = self;
        let cpus = match (self.placement.here, self.placement.there) {
            (Some(here), Some(there)) if here == there => format!("all on CPU {here}"),
            (Some(here), Some(there)) => format!("this process on CPU {here}, others on {there}"),
            _ => "not pinned".to_owned(),
        };
        write!(f, "{repetitions} repetitions of {slice:?} a row, interleaved; {cpus}")?;
        // Whoever compares figures wants to know whether the machine had other things to do.
        match std::fs::read_to_string("/proc/loadavg") {
            Ok(load) => write!(f, "; load {}", load.split(' ').next().unwrap_or("unknown")),
            Err(_) => Ok(()),
        }
    }
}

/// One run.
pub(crate) struct Bench {
    pub(crate) plan: Plan,
    pub(crate) watchdog: Watchdog,
    peer: OnceCell<(Node, Peer)>,
}

impl Bench {
    pub(crate) fn new(options: &Options) -> Self {
        let plan = Plan::new(options);
        // Not the watchdog, which would wake up in the middle of what it watches over.
        let watchdog = Watchdog::start();
        pin_to(plan.placement.here);
        Self { plan, watchdog, peer: OnceCell::new() }
    }

    /// Takes one repetition of a row of round trips.
    pub(crate) fn latency(&self, mode: Mode, mut round: impl FnMut()) -> Sample {
        let _stranger = self.stranger(mode);
        let slice = self.plan.slice(mode);
        match self.plan.pause(mode) {
            None => operations(slice, round),
            Some(pause) => prepared(
                slice,
                || thread::sleep(pause),
                |()| {
                    round();
                    Instant::now()
                },
            ),
        }
    }

    /// The stranger, if this mode has one.
    fn stranger(&self, mode: Mode) -> Option<Stranger> {
        (mode == Mode::Stranger).then(|| Stranger::spawn(self.plan.placement.there))
    }

    /// The process at the other side, which is run when the first group needs it.
    pub(crate) fn peer(&self) -> &Peer {
        let (_, peer) = self.peer.get_or_init(|| {
            self.watchdog.expect("a worker to start");
            let node = Node::broker().expect("a node");
            let peer = Peer::spawn(&node, self.plan.placement);
            (node, peer)
        });
        peer
    }
}
