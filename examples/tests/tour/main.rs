//! The tour, run as anybody runs it: what it counts, what it says, and that it leaves nothing behind
//! whoever is killed.
//!
//! A process of a run is known by a variable in its environment, which workers inherit, so nothing
//! here depends on names or on other programs of this machine.

mod counts;
mod files;
mod kills;
mod output;
mod refusals;
mod run;
