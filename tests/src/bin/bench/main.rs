//! What ipcz costs, beside what the machine itself costs: see `docs/performance.md`.
//!
//! The processes that take part are this program again: `bench worker` is the other side of most
//! rows, `bench stranger` one that has nothing to do with anything but a CPU.

mod anchors;
mod bench;
#[path = "../../../support/block_on.rs"]
mod block_on;
mod contest;
mod counting;
mod groups;
mod meter;
mod options;
mod order;
mod peer;
mod placement;
mod rows;
mod stranger;
mod table;
mod watchdog;
mod worker;

use std::process::ExitCode;

use bench::Bench;
use groups::GROUPS;
use options::Options;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some(worker::ROLE) => worker::run(&arguments[1..]),
        Some(stranger::ROLE) => stranger::run(&arguments[1..]),
        _ => match Options::parse(&arguments) {
            Ok(options) => measure(&options),
            Err(why) => {
                eprintln!("bench: {why}\n{}", options::usage());
                ExitCode::from(2)
            }
        },
    }
}

fn measure(options: &Options) -> ExitCode {
    let bench = Bench::new(options);
    if !options.json {
        println!("{}\n{}", bench.plan, table::HEAD);
    }
    for (name, group) in GROUPS {
        if options.only.as_deref().is_none_or(|only| only == *name) {
            for row in group(&bench) {
                match options.json {
                    true => println!("{}", row.json()),
                    false => println!("{}", table::line(&row)),
                }
            }
        }
    }
    ExitCode::SUCCESS
}
