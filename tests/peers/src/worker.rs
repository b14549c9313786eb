//! The process at the other side.

use std::process::ExitCode;

use rustix::process::{Signal, set_parent_process_death_signal};

use crate::order::{Handles, Order};
use crate::placement::pin_to;
use crate::{anchors, libraries, peer};

pub(crate) const ROLE: &str = "worker";
pub(crate) const DONE: &[u8; 4] = b"done";

/// `peers worker [CPU]`: does what its parent asks over standard input, one order after another.
pub(crate) fn run(arguments: &[String]) -> ExitCode {
    set_parent_process_death_signal(Some(Signal::KILL)).expect("a signal that exists");
    // First of all: threads are where the one is that starts them.
    pin_to(arguments.first().and_then(|cpu| cpu.parse().ok()));
    let control = rustix::stdio::stdin();
    while let Some((order, descriptors)) = peer::next(control) {
        let mut handles = Handles::new(descriptors);
        match order {
            Order::Anchor(service, pin) => anchors::serve(service, pin, &mut handles),
            Order::Serve { column, work, pin, name } => {
                libraries::serve(column, work, pin, &name, &mut handles);
            }
        }
        if rustix::io::write(control, DONE).is_err() {
            break;
        }
    }
    ExitCode::SUCCESS
}
