//! What stands around the pure engine: one lock, the links, the pump, the notices.
//!
//! Everything that reaches a node goes the same way, a *step*: take the node's lock, tell the
//! engine, sort what it asks for into [`Work`], release the lock, do the work. No lock is held while
//! a driver, a waker or a callback runs.
//!
//! ```text
//!  API call ─┐        ┌──────── lock ────────┐        ┌─ flush links ── driver
//!            ├─ step ─┤ engine ─▶ effects ─▶ ├─ work ─┼─ wake waiters
//!  frames ───┘        └──────────────────────┘        └─ callbacks (the pump's thread)
//! ```
//!
//! Costs of a put to another node over a socket: one lock of the node, one of the link, one system
//! call unless another thread is flushing the link already; the payload is not copied here.

mod callbacks;
mod carry;
mod link;
mod notices;
mod payload;
mod pump;
mod state;
mod wait;

pub(crate) use notices::{Notice, Watcher};
pub(crate) use payload::{Contents, Slot};
pub(crate) use state::{ConnectionState, Guard, Shared, State};
pub(crate) use wait::{Parker, block_on};
