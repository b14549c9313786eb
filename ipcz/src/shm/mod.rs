//! Shared memory: the only place where shared bytes are touched.
//!
//! What lies in a [`Region`] is shared with other processes, which may write it at any time and
//! are not trusted. No reference to shared bytes ever exists, only copies in and out of them, and atomic
//! words; whoever needs to check a value checks its own copy.
//!
//! | file | what it has |
//! | --- | --- |
//! | `region`, `mapping` | memory that can be sent, and where it lies in this process; all unsafe code |
//! | `memory` | what the structures below ask of memory: a mapping, or loom's |
//! | `layout` | what lies where in the region of a link |
//! | `link` | the ends of a link's region: two rings, their flags, two arenas |
//! | `record`, `ring` | messages in order, one direction a ring |
//! | `doorbell` | who sleeps, and who has to wake them |
//! | `arena` | blocks for payloads that are too large for a ring |
//! | `futex`, `cpu` | what the system is asked while a thread waits |
//! | `spin` | whether waiting awake would pay |
//! | `models` | what loom checks of all this |

#[doc(hidden)]
pub mod arena;
mod cpu;
#[doc(hidden)]
pub mod doorbell;
pub(crate) mod futex;
#[doc(hidden)]
pub mod layout;
#[doc(hidden)]
pub mod link;
mod mapping;
#[doc(hidden)]
pub mod memory;
#[doc(hidden)]
pub mod record;
mod region;
#[doc(hidden)]
pub mod ring;
#[doc(hidden)]
pub mod spin;
mod sync;

#[cfg(all(test, loom))]
mod models;
#[cfg(all(test, not(loom)))]
mod tests;

pub(crate) use cpu::current_cpu;
#[doc(hidden)]
pub use mapping::SharedWord;
pub(crate) use mapping::WeakWord;
pub use mapping::{Mapping, OutOfBounds, ReadOnlyMapping};
pub use region::{Region, RegionError};

/// A peer broke the rules of the memory that it shares with this node, which costs it the link.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the peer broke the rules of shared memory: {0}")]
pub struct RingBroken(pub &'static str);
