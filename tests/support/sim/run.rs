//! Runs: from a seed, from a trace, and the shortest trace that still fails.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::profile::{Profile, Wanted};
use super::schedule::Scheduler;
use super::step::Step;
use super::world::{Violation, World};

/// Steps after which a world that is left alone must have come to rest.
const REST: usize = 200_000;

/// What became of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What happened.
    pub trace: Vec<Step>,
    /// The promise that was not kept, if one was not.
    pub violation: Option<Violation>,
}

/// Runs the world of a seed to its end.
#[must_use]
pub fn run_seed(seed: u64, wanted: Wanted) -> Outcome {
    let profile = Profile::of_seed(seed, wanted);
    let world = profile.start(seed).world();
    let steps = profile.steps;
    let mut run = Run { world, trace: Vec::new(), scheduler: Scheduler::new(seed, profile) };
    let violation = caught(|| run.all(steps));
    Outcome { trace: run.trace, violation }
}

/// Runs a trace, as far as its steps are possible, and lets things come to rest after it, as the
/// seed has it.
#[must_use]
pub fn replay(start: &World, trace: &[Step], seed: u64) -> Outcome {
    let wanted = Wanted { nodes: Some(start.nodes.len() as u8), ..Wanted::default() };
    let mut profile = Profile::of_seed(0, wanted);
    profile.refuse = 0;
    let scheduler = Scheduler::new(seed, profile);
    let mut run = Run { world: start.clone(), trace: Vec::new(), scheduler };
    let violation = caught(|| {
        for step in trace {
            run.step(step.clone())?;
        }
        run.end()
    });
    Outcome { trace: run.trace, violation }
}

/// What a run broke. A panic breaks a promise too.
pub fn caught(run: impl FnOnce() -> Result<(), Violation>) -> Option<Violation> {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(result) => result.err(),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.into()));
            Some(Violation::new("no panic", text.unwrap_or_default()))
        }
    }
}

/// Leaves out of a failing trace what is not needed for it to fail in the same way.
#[must_use]
pub fn shrink(start: &World, failing: &Outcome) -> Outcome {
    let fails = |trace: &[Step]| {
        let outcome = replay(start, trace, 0);
        let same = outcome.violation.as_ref().map(|violation| violation.invariant)
            == failing.violation.as_ref().map(|violation| violation.invariant);
        same.then_some(outcome)
    };
    let Some(mut best) = fails(&failing.trace) else { return failing.clone() };
    let mut trace = failing.trace.clone();
    let mut size = trace.len().div_ceil(2);
    while size > 0 {
        let mut at = 0;
        while at < trace.len() {
            let mut shorter = trace.clone();
            shorter.drain(at..(at + size).min(trace.len()));
            match fails(&shorter) {
                Some(outcome) => (trace, best) = (shorter, outcome),
                None => at += size,
            }
        }
        size /= 2;
    }
    best
}

struct Run {
    world: World,
    trace: Vec<Step>,
    scheduler: Scheduler,
}

impl Run {
    fn all(&mut self, steps: u32) -> Result<(), Violation> {
        for _ in 0..self.world.nodes.len() {
            if let Some(step) = self.scheduler.founding(&self.world) {
                self.step(step)?;
                if self.scheduler.rng.chance(50) {
                    self.rest()?;
                }
            }
        }
        self.rest()?;
        for _ in 0..steps {
            if let Some(step) = self.scheduler.next(&self.world) {
                self.step(step)?;
            }
        }
        self.end()
    }

    fn step(&mut self, step: Step) -> Result<bool, Violation> {
        self.trace.push(step);
        let possible = self.world.apply(&self.trace[self.trace.len() - 1])?;
        if !possible {
            self.trace.pop();
        }
        Ok(possible)
    }

    /// Lets things come to rest, then closes everything.
    fn end(&mut self) -> Result<(), Violation> {
        self.rest()?;
        self.world.check_quiet()?;
        while let Some(step) = self.closing() {
            self.step(step)?;
            if self.scheduler.rng.chance(50) {
                self.rest()?;
            }
        }
        self.rest()?;
        self.world.check_quiet()?;
        if self.world.has_hostile() {
            // What it spoiled may last as long as it does, and no longer.
            let node = self.world.nodes.len() as u8 - 1;
            self.step(Step::Crash { node, keep: 0 })?;
            self.rest()?;
        }
        self.world.check_empty()
    }

    fn closing(&mut self) -> Option<Step> {
        let open: Vec<_> = self.world.model.open().map(|(ep, ..)| ep).collect();
        Some(Step::Close { ep: self.scheduler.rng.pick(&open)? })
    }

    fn rest(&mut self) -> Result<(), Violation> {
        for _ in 0..REST {
            let Some(step) = self.scheduler.rest(&self.world) else { return Ok(()) };
            self.step(step)?;
        }
        Err(Violation::new("things come to rest", format!("not after {REST} steps")))
    }
}
