//! What only the Unix driver does: hostile peers, child processes, paths in the file system.

#[allow(dead_code, reason = "shared with the conformance suite, which uses all of it")]
#[path = "../../support/drivers/harness.rs"]
mod harness;

mod hostile;
mod listen;
mod raw;
mod spawn;
