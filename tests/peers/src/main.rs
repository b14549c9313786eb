//! The same work by ipcz and by other libraries, in one table: see `docs/performance.md`.
//!
//! The processes that take part are this program again: `peers worker` is the other side of the
//! rows of one library, or of the anchors.

#[path = "../../src/bin/bench/anchors/mod.rs"]
mod anchors;
mod bench;
mod columns;
mod contest;
mod flow;
mod libraries;
mod machine;
#[path = "../../src/bin/bench/meter.rs"]
mod meter;
mod options;
mod order;
mod peer;
#[path = "libraries/peers_capnp.rs"]
#[rustfmt::skip]
#[allow(warnings, clippy::all, reason = "generated")]
mod peers_capnp;
#[path = "../../src/bin/bench/placement.rs"]
mod placement;
mod report;
mod tasks;
#[path = "../../src/bin/bench/watchdog.rs"]
mod watchdog;
mod work;
mod worker;

use std::process::ExitCode;

use bench::Bench;
use options::Options;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|role| role == worker::ROLE) {
        return worker::run(&arguments[1..]);
    }
    match Options::parse() {
        Ok(options) => {
            let bench = Bench::new(&options);
            let figures = contest::run(&bench, &options.columns);
            report::print(&bench, &figures, options.format);
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("peers: {why}\n{}", options::usage());
            ExitCode::from(2)
        }
    }
}
