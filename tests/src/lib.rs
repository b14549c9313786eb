//! What the tests of ipcz share.

#[path = "../support/sim/mod.rs"]
pub mod sim;
