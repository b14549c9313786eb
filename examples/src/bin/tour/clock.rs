//! The system's monotonic clock, which all processes read alike.

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds since the system started.
pub(crate) fn now() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}
