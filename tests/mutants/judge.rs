//! Says whether a changed `ipcz-core` still keeps its promises: the simulator without the rest of the
//! workspace, so that it is built in seconds, and an answer at the first promise that is broken.
//!
//! `judge` alone looks at the fixed slice of seeds that mutants are judged by. `SEEDS=N` looks at N of
//! each kind instead, and at the named worlds.

#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "the simulator has more users than this"
)]

use std::process::ExitCode;

#[path = "../support/sim/mod.rs"]
mod sim;

use sim::explore::{PLOTS, explore};
use sim::profile::Wanted;
use sim::run_seed;

/// How many seeds of honest worlds, and of worlds with a hostile node.
const SLICE: [u64; 2] = [500, 300];

/// The first promise that does not hold: where it showed, and which.
fn first_broken([normal, hostile]: [u64; 2], worlds: bool) -> Option<String> {
    let liar = Wanted { hostile: true, ..Wanted::default() };
    let seeds = (0..normal).map(|seed| (seed, "seed", Wanted::default()));
    for (seed, kind, wanted) in seeds.chain((0..hostile).map(|seed| (seed, "hostile seed", liar))) {
        if let Some(violation) = run_seed(seed, wanted).violation {
            return Some(format!("{kind} {seed}: {}: {}", violation.invariant, violation.detail));
        }
    }
    PLOTS.iter().filter(|plot| worlds && plot.quick).find_map(|plot| {
        let violation = explore(plot, 0, 0, 10_000).violation?;
        Some(format!("world \"{}\": {}: {}", plot.name, violation.invariant, violation.detail))
    })
}

fn main() -> ExitCode {
    std::panic::set_hook(Box::new(|_| {}));
    let many: Option<u64> = std::env::var("SEEDS").ok().and_then(|text| text.parse().ok());
    match first_broken(many.map_or(SLICE, |many| [many; 2]), many.is_some()) {
        Some(broken) => {
            println!("{broken}");
            ExitCode::FAILURE
        }
        None => ExitCode::SUCCESS,
    }
}
