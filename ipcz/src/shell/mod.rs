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
//! What it costs, beside the payload, which is moved; shared memory takes one copy in and one out:
//!
//! | | locks of the node | other locks | allocations | system calls |
//! | --- | --- | --- | --- | --- |
//! | put, to a portal of this node | 1 | - | - | - |
//! | get | 1 | - | - | - |
//! | a pair of portals opened | 1 | - | - | - |
//! | one of them closed | 1 | - | - | - |
//! | put, where somebody waits | 1 | - | 1, for what is to be told | 1 if a thread sleeps there |
//! | put, to another node by its transport | 1 | 3, short, of the link; the driver's | the message's head, 1 list | the driver's: 1 to send |
//! | arrival of a batch by the transport | 1 | the driver's | the head and body of each | the driver's: 2 a batch |
//! | put, to another node by shared memory, small | 1 | 1, short, of the link | - | - if the peer is awake, else 1 |
//! | the same, 4 KiB or more | 2 | 1, short, of the link; 2 of the arena | 1, its place | the same |
//! | the same, where the ring or the arena is full | 1 | 4, short, of the link | - once the queue has grown | - until there is room |
//! | arrival of a batch by shared memory | 1 | 2, short, of the inlet | the body of each | - |
//! | waiting for it | 2 | of the seat, of the list of links | the trap's place, unless it leads | 1 to sleep, unless it comes at once |
//! | a trap's callback | the put's | 2, of the queue of callbacks | its box | 1 to wake the pump, if it sleeps |
//!
//! A parcel with handles allocates the lists of its handles besides. Tables and the memory of queues
//! grow and are used again: `tests/tests/allocations.rs` counts. Of the time of a put and a get between
//! portals of one node, the two locks, taken and released, are the largest part; then come the
//! parcel's bytes, which the application allocates and frees. What a put touches that other portals do
//! not is said in the engine's `parcels` and `beside`. A parcel that holds objects of the application's
//! needs a second step to reach another node (`serialize`).
//!
//! # Whose code runs where
//! Wakers run at the end of whatever step they were waiting for, on its thread: the pump's, that of a
//! put, or that of a thread which waits and reads for all (`lead`). Callbacks of traps run on the pump's thread alone. Either may use the node, drop its
//! last handle or shut it down; either may panic: the panic hook reports that, and the node goes on,
//! since what else the step had to do is what others wait for. Serializers of objects, and the
//! destructors of those that nobody takes, run at the end of the step that made them necessary, and
//! may do the same. A defect of this crate that
//! a peer's message brings to light as a panic costs that peer its connection.

mod allocation;
mod callbacks;
mod carry;
mod data;
mod lead;
mod link;
mod notices;
mod origin;
mod payload;
mod pump;
mod room;
mod serialize;
mod shrink;
mod state;
mod wait;

pub(crate) use allocation::{Allocating, Failure};
pub use data::ParcelReader;
pub(crate) use data::{Data, LEAST_STAGED};
pub(crate) use lead::{Asleep, Look};
pub(crate) use notices::{Notice, Watcher};
pub(crate) use origin::Origin;
pub(crate) use payload::{AnyValue, Contents, Loose, Slot, Value};
pub(crate) use room::Place;
pub(crate) use state::{ConnectionState, Guard, Shared, State};
pub(crate) use wait::block_on;
