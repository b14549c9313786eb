//! What the tests of ipcz share.

#[path = "../support/sim/mod.rs"]
pub mod sim;

#[path = "../support/scenarios/mod.rs"]
pub mod scenarios;
