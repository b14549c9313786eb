//! Figures of the engine and of local portals: time and memory for each operation.
//!
//! `bench [--json] [--only GROUP]` prints a row a figure. Times are medians over several
//! repetitions; a row with an anchor has its ratio to that row's median of the same run.

mod local;
mod memory;
mod rows;
mod scale;

use std::process::ExitCode;

use rows::Rows;

type Group = (&'static str, fn(&mut Rows));

const GROUPS: &[Group] =
    &[("local", local::measure), ("memory", memory::measure), ("scale", scale::measure)];

const USAGE: &str = "usage: bench [--json] [--only GROUP]; groups: local, memory, scale";

fn main() -> ExitCode {
    let mut json = false;
    let mut only = None;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--json" => json = true,
            "--only" => only = arguments.next(),
            _ => {
                eprintln!("bench: {argument}?\n{USAGE}");
                return ExitCode::from(2);
            }
        }
    }
    let chosen = |name: &str| only.as_deref().is_none_or(|only| only == name);
    if !GROUPS.iter().any(|(name, _)| chosen(name)) {
        eprintln!("bench: no such group\n{USAGE}");
        return ExitCode::from(2);
    }
    let mut rows = Rows::default();
    for (name, measure) in GROUPS {
        if chosen(name) {
            measure(&mut rows);
        }
    }
    rows.print(json);
    ExitCode::SUCCESS
}
