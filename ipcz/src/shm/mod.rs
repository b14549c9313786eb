//! Shared memory: the only place where shared bytes are touched.
//!
//! What lies in a [`Region`] is shared with other processes, which may write it at any time and
//! are not trusted. No reference to shared bytes ever exists, only copies in and out of them; whoever
//! needs to check a value checks its own copy.

mod mapping;
mod region;

pub use mapping::{Mapping, OutOfBounds};
pub use region::{Region, RegionError};
