//! What applications see of a node: waiting, traps, transactions, connections, its end.

#[path = "../../support/block_on.rs"]
mod block_on;
#[allow(dead_code, reason = "shared with other tests, which use all of it")]
#[path = "../../support/nodes.rs"]
mod nodes;

mod connections;
mod objects;
mod parcels;
mod shutdown;
mod transactions;
mod traps;
mod waiting;
