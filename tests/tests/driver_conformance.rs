//! Every driver does what the driver traits say.

#[path = "../support/drivers/mod.rs"]
mod drivers;

use drivers::conformance;
use ipcz::driver::inproc::InProcDriver;
use ipcz::driver::unix::UnixDriver;

conformance!(unix, UnixDriver::new().unwrap());
conformance!(inproc, Box::new(InProcDriver::new()));
