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
//! | `report` | what A prints |
//! | `clock` | one clock for all three |

mod clock;
mod counter;
mod painter;
mod report;
mod services;
mod story;
mod tally;
mod workers;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use workers::ROLE;

/// Bad arguments, or a FILE that cannot be read.
const EXIT_USAGE: u8 = 2;
/// A worker ended before its time, or something failed between the processes.
const EXIT_FAILED: u8 = 3;

const USAGE: &str = "usage: tour [--json] [FILE]";

fn main() -> ExitCode {
    match std::env::var(ROLE).as_deref() {
        Ok(counter::ROLE) => worker(counter::run()),
        Ok(painter::ROLE) => worker(painter::run()),
        _ => tour(),
    }
}

fn worker(outcome: Result<(), ipcz::Error>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(EXIT_FAILED, &error.to_string()),
    }
}

fn tour() -> ExitCode {
    let (json, path) = match arguments() {
        Ok(arguments) => arguments,
        Err(problem) => return fail(EXIT_USAGE, &problem),
    };
    let file = match open(&path) {
        Ok(file) => file,
        Err(error) => return fail(EXIT_USAGE, &format!("{}: {error}", path.display())),
    };
    match story::tell(file, &path, json) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(EXIT_FAILED, &error.to_string()),
    }
}

fn fail(status: u8, problem: &str) -> ExitCode {
    eprintln!("tour: {problem}");
    ExitCode::from(status)
}

/// Whether to print JSON, and the file to count.
fn arguments() -> Result<(bool, PathBuf), String> {
    let mut json = false;
    let mut files = Vec::new();
    let mut only_files = false;
    for argument in std::env::args_os().skip(1) {
        match argument.to_str() {
            Some("--") if !only_files => only_files = true,
            Some("--json") if !only_files => json = true,
            Some(option) if option.starts_with("--") && !only_files => {
                return Err(format!("no option {option}\n{USAGE}"));
            }
            _ => files.push(PathBuf::from(argument)),
        }
    }
    match files.len() {
        0 => Ok((json, readme())),
        1 => Ok((json, files.remove(0))),
        _ => Err(format!("more than one FILE\n{USAGE}")),
    }
}

/// The project's README: here, or where this program was built.
fn readme() -> PathBuf {
    let here = PathBuf::from("README.md");
    if here.exists() { here } else { Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md") }
}

fn open(path: &Path) -> std::io::Result<File> {
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(std::io::ErrorKind::IsADirectory.into());
    }
    Ok(file)
}
