//! Something that did not work, on its way to whoever prints it.

use std::fmt::Display;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use crate::{REDRAW, report};

/// Bad arguments, or a FILE that cannot be read.
const STATUS_USAGE: u8 = 2;
/// A worker ended before its time, or something failed between the processes.
const STATUS_FAILED: u8 = 3;

pub(crate) type Outcome<T> = Result<T, Failure>;

/// One line, and an exit status.
#[derive(Debug)]
pub(crate) struct Failure {
    status: u8,
    line: String,
}

impl Failure {
    pub(crate) fn new(problem: impl Display) -> Self {
        Self { status: STATUS_FAILED, line: report::one_line(problem) }
    }

    pub(crate) fn usage(problem: impl Display) -> Self {
        Self { status: STATUS_USAGE, ..Self::new(problem) }
    }

    /// FILE is to blame.
    pub(crate) fn file(path: &Path, why: impl Display) -> Self {
        Self::usage(format_args!("{}: {why}", path.display()))
    }

    /// Prints the line. Who prints it makes sure that C does not draw any more.
    pub(crate) fn print(&self) -> ExitCode {
        let mut stderr = std::io::stderr();
        let start = if stderr.is_terminal() { REDRAW } else { "" };
        // In one piece. If it cannot be printed, the status must do.
        let _ = stderr.write_all(format!("{start}tour: {}\n", self.line).as_bytes());
        ExitCode::from(self.status)
    }

    /// Whether the user can do something about it.
    pub(crate) fn is_of_the_file(&self) -> bool {
        self.status == STATUS_USAGE
    }

    pub(crate) fn status(&self) -> i32 {
        i32::from(self.status)
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::new(error)
    }
}
