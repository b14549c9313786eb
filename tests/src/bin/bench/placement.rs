//! Which process runs on which CPU.

use std::str::FromStr;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde::{Deserialize, Serialize};

/// Where the processes of a row are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Pin {
    /// All on one CPU.
    Same,
    /// This process on one CPU, all others on another.
    Split,
    /// Where the system puts them.
    None,
}

impl FromStr for Pin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "same" => Ok(Self::Same),
            "split" => Ok(Self::Split),
            "none" => Ok(Self::None),
            _ => Err(format!("--pin {text}?")),
        }
    }
}

/// The CPUs of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placement {
    pub(crate) pin: Pin,
    pub(crate) here: Option<usize>,
    pub(crate) there: Option<usize>,
}

impl Placement {
    /// What was asked for on the CPUs that this process may use, or else two CPUs if there are two.
    pub(crate) fn choose(pin: Option<Pin>) -> Self {
        let allowed = sched_getaffinity(None).expect("the system tells which CPUs there are");
        let mut cpus = (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu));
        let (first, second) = (cpus.next(), cpus.next());
        let pin = match (pin.unwrap_or(Pin::Split), second) {
            (Pin::Split, None) => Pin::Same,
            (pin, _) => pin,
        };
        match pin {
            Pin::Same => Self { pin, here: first, there: first },
            Pin::Split => Self { pin, here: first, there: second },
            Pin::None => Self { pin, here: None, there: None },
        }
    }
}

/// Pins this thread, and all that it will start.
pub(crate) fn pin_to(cpu: Option<usize>) {
    let Some(cpu) = cpu else { return };
    let mut cpus = CpuSet::new();
    cpus.set(cpu);
    sched_setaffinity(None, &cpus).expect("a CPU that this process may use");
}
