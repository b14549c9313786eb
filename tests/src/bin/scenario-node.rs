//! One node of a test's network, in a process of its own: obeys whoever listens at the path that is
//! its argument. See `tests/support/scenarios`.

use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let Some(control) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("scenario-node: no path to report to");
        return ExitCode::FAILURE;
    };
    match ipcz_tests::scenarios::serve(&control) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever gave the orders is gone.
        Err(_) => ExitCode::FAILURE,
    }
}
