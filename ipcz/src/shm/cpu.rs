//! Where a thread runs.

use super::record::NO_CPU;

/// The CPU that this thread runs on at this moment, or [`NO_CPU`] if it has no number that fits.
#[inline]
pub(crate) fn current_cpu() -> u16 {
    u16::try_from(rustix::thread::sched_getcpu()).unwrap_or(NO_CPU)
}
