//! Networks of nodes that a test directs, the same in every configuration: nodes of one process,
//! or a process each.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `order` | what a node can be told to do, and what it answers |
//! | `agent` | one node, and the portals that it holds: obeys |
//! | `ways` | how it puts and gets: every way there is |
//! | `remote` | an agent in a process of its own, reached over a socket that ipcz has no part in |
//! | `network` | the nodes, how they meet (`network/meet`), and the portals by the names that the test gives them |
//! | `talk` | conversations: numbered parcels both ways, each once, in order |
//!
//! A test is one body that takes a [`Network`]; [`Configuration`] lists what it is run with.

mod agent;
mod network;
mod order;
mod remote;
mod talk;
mod ways;

pub use network::{Configuration, Network, PATIENCE, Place};
pub use order::{Ended, Getting, Leads, Putting, Seen};
pub use remote::serve;
pub use talk::Talk;

/// How much longer than usual the tests are to run: `IPCZ_SOAK`, or 1.
#[must_use]
pub fn soak() -> usize {
    let asked = std::env::var("IPCZ_SOAK").ok().and_then(|text| text.parse().ok());
    asked.unwrap_or(1).max(1)
}
