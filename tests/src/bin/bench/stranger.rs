//! A process that takes its share of a CPU and has nothing to do with anything.

use std::process::{Child, Command, ExitCode};

use crate::placement::pin_to;
use crate::worker::die_with_parent;

pub(crate) const ROLE: &str = "stranger";

/// `bench stranger [CPU]`: spins until it is killed.
pub(crate) fn run(arguments: &[String]) -> ExitCode {
    die_with_parent();
    pin_to(arguments.first().and_then(|cpu| cpu.parse().ok()));
    loop {
        std::hint::black_box(0);
    }
}

/// A stranger, for as long as this lives.
pub(crate) struct Stranger(Child);

impl Stranger {
    pub(crate) fn spawn(cpu: Option<usize>) -> Self {
        let program = std::env::current_exe().expect("this program has a path");
        let mut command = Command::new(program);
        command.arg(ROLE).args(cpu.map(|cpu| cpu.to_string()));
        Self(command.spawn().expect("a stranger"))
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
