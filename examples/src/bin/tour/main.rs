//! Three processes, one natural way through all of ipcz.
//!
//! `tour [--json] [FILE]` is process A, a broker. It runs itself twice more, as workers B and C, and
//! hands B an open FILE together with the means to report progress straight to C. In the end B and C
//! are linked directly, although nobody connected them.
//!
//! | part | what it is |
//! | --- | --- |
//! | `services` | the interfaces that the three speak |
//! | `story` | A: what happens, in order |
//! | `counter` | B: counts a file |
//! | `painter` | C: draws B's progress |
//! | `tally` | lines, words and bytes as `wc` counts them |
//! | `workers` | A's two child processes, and what happens if one dies |
//! | `orphan` | the workers' end, if A dies |
//! | `report` | what A prints |
//! | `failure` | what A prints instead |
//! | `clock` | one clock for all three |

mod clock;
mod counter;
mod failure;
mod orphan;
mod painter;
mod report;
mod services;
mod story;
mod tally;
mod workers;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use failure::{Failure, Outcome};
use workers::ROLE;

/// Starts the last line of a terminal again.
const REDRAW: &str = "\r\x1b[K";

const USAGE: &str = "usage: tour [--json] [FILE]";
const HELP: &str = "
Counts the lines, words and bytes of FILE (by default: the README) with three
processes that talk through ipcz, and shows how they do it.

  --json  print one JSON object instead, when all is done";

fn main() -> ExitCode {
    let outcome = match std::env::var(ROLE).as_deref() {
        Ok(counter::ROLE) => counter::run().map_err(Failure::from),
        Ok(painter::ROLE) => painter::run().map_err(Failure::from),
        _ => tour(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.print(),
    }
}

fn tour() -> Outcome<()> {
    match arguments().map_err(Failure::usage)? {
        Arguments::Help => report::print(&format!("{USAGE}\n{HELP}")),
        Arguments::Tour { json, path } => {
            let file = open(&path).map_err(|error| Failure::file(&path, error))?;
            story::tell(file, &path, json)
        }
    }
}

enum Arguments {
    Help,
    Tour { json: bool, path: PathBuf },
}

fn arguments() -> Result<Arguments, String> {
    let mut json = false;
    let mut files = Vec::new();
    let mut only_files = false;
    for argument in std::env::args_os().skip(1) {
        match argument.to_str() {
            Some("--") if !only_files => only_files = true,
            Some("--json") if !only_files => json = true,
            Some("--help" | "-h") if !only_files => return Ok(Arguments::Help),
            Some(option) if option.starts_with("--") && !only_files => {
                return Err(format!("no option {option:?}; {USAGE}"));
            }
            _ => files.push(PathBuf::from(argument)),
        }
    }
    match files.len() {
        0 => Ok(Arguments::Tour { json, path: readme() }),
        1 => Ok(Arguments::Tour { json, path: files.remove(0) }),
        _ => Err(format!("more than one FILE; {USAGE}")),
    }
}

/// The project's README: here, or where this program was built.
fn readme() -> PathBuf {
    let here = PathBuf::from("README.md");
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    if here.exists() { here } else { package.with_file_name("README.md") }
}

fn open(path: &Path) -> std::io::Result<File> {
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(std::io::ErrorKind::IsADirectory.into());
    }
    Ok(file)
}
