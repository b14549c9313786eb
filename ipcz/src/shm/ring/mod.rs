//! A ring of records with one producer and one consumer, in memory that they share.
//!
//! # Where things lie
//!
//! The bytes of the records, a power of two of them, lie in one piece. Four control lines lie apart from them and
//! from each other, 128 bytes each, because processors fetch lines of 64 bytes in pairs:
//!
//! | line | word | written by | what |
//! | --- | --- | --- | --- |
//! | 0 | tail | producer | how far records are complete |
//! | 128 | head | consumer | how far they were read, and may be overwritten |
//! | 256 | flag | both | whether the consumer sleeps, and how: see [`doorbell`](super::doorbell) |
//! | 384 | CPU | consumer | the CPU that the consumer ran on last, plus one; 0 if unknown |
//! | 388 | waiting | both | whether the producer waits for room |
//!
//! Cursors count bytes, modulo 2^32; a position is a cursor modulo the capacity. Each side keeps its own cursor
//! privately, and only stores copies of it here. It reads its peer's cursor when it seems to have
//! nothing left, and then checks the copy: a cursor may neither leave what its owner can truly reach, nor
//! go back, nor lie between records. What fails a check, or a record that does, breaks
//! the ring ([`RingBroken`](super::RingBroken)) for good: the peer is not to be trusted with anything more.
//!
//! # What orders what
//!
//! | access | ordering | because |
//! | --- | --- | --- |
//! | producer stores tail | release | the record's bytes were copied in before |
//! | consumer loads tail | acquire | it copies those bytes out afterwards |
//! | consumer stores head | release | it copied the bytes out before |
//! | producer loads head | acquire | it overwrites those bytes afterwards |
//! | CPU | relaxed | a hint |
//! | waiting | relaxed, and a fence on each side | below |
//!
//! # A full ring
//!
//! A producer that finds no room must be told when there is some. It publishes what it has written, sets
//! *waiting*, fences, looks at head again, and only then gives up. A consumer that has moved head fences
//! and looks at *waiting*. So either the producer sees the new head, or the consumer sees *waiting*: of two
//! threads that each write one word, fence, and read the other, not both can miss. The consumer
//! then clears *waiting*, and rings the producer's node as if it had sent it a message.
//!
//! That bell rings only a node that sleeps. A node that was awake looks again by itself:
//! between arming its own flag and sleeping, it asks [`Writer::still_full`] of each ring for which it has
//! something queued, which sets *waiting* anew if there still is no room.
//!
//! Records to hand blocks back may use the last [`Place::reserve`] bytes, which are barred for all others. So blocks
//! come back however much is queued.
//!
//! # What it costs
//!
//! | operation | system calls | copies | allocations | locks | shared lines touched |
//! | --- | --- | --- | --- | --- | --- |
//! | write | none | 1 of the payload, 1 of 16 bytes | none | none | the record's; head's when it seems full |
//! | publish | none | none | none | none | tail's |
//! | next | none | 1 of 16 bytes | none | none | the record's; tail's when it seems empty |
//! | copying a record out | none | 1 | as its target needs | none | the record's |
//! | release | none | none | none | none | head's, waiting's; one fence |

mod reader;
mod writer;

#[cfg(all(test, not(loom)))]
mod tests;

pub use reader::{Incoming, Reader};
pub use writer::{Slot, WriteError, Writer};

use super::OutOfBounds;
use super::memory::Memory;
use super::record::ALIGNMENT;

pub(super) const TAIL: usize = 0;
pub(super) const HEAD: usize = 128;
pub(super) const FLAG: usize = 256;
pub(super) const CPU: usize = 384;
pub(super) const WAITING: usize = 388;

/// What the control lines take together.
pub(super) const CONTROL_BYTES: usize = 512;

/// Where a ring lies in its memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Where the control lines begin.
    pub control: usize,
    /// Where the records begin.
    pub data: usize,
    /// How many bytes of records there are: a power of two, at least four times the alignment.
    pub capacity: u32,
    /// How many of them only records that hand blocks back may use.
    pub reserve: u32,
}

impl Place {
    /// The largest record that a ring of this place takes, header and padding counted.
    ///
    /// Half of what is not reserved: then it fits an empty ring wherever head stands, since the pad
    /// before it is shorter than it is.
    pub fn max_record(&self) -> u32 {
        (self.capacity - self.reserve) / 2 / ALIGNMENT as u32 * ALIGNMENT as u32
    }

    /// Where in the memory the byte at `cursor` lies.
    #[inline]
    fn at(&self, cursor: u32) -> usize {
        self.data + (cursor & (self.capacity - 1)) as usize
    }

    /// How many bytes are left from `cursor` to the end of the ring; never zero.
    #[inline]
    fn rest(&self, cursor: u32) -> u32 {
        self.capacity - (cursor & (self.capacity - 1))
    }

    fn is_sound(&self) -> bool {
        self.capacity.is_power_of_two()
            && self.capacity as usize >= 4 * ALIGNMENT
            && self.capacity <= 1 << 30
            && self.reserve <= self.capacity / 2
    }
}

#[inline]
fn is_aligned(cursor: u32) -> bool {
    cursor.is_multiple_of(ALIGNMENT as u32)
}

/// Whether all of `place` lies in `memory`.
fn check_place<M: Memory>(memory: &M, place: &Place) -> Result<(), OutOfBounds> {
    let Place { data, capacity, .. } = *place;
    let nowhere = OutOfBounds { offset: data, len: capacity as usize, mapped: 0 };
    if !place.is_sound() || !data.is_multiple_of(ALIGNMENT) {
        return Err(nowhere);
    }
    let last = data.checked_add(capacity as usize - 1).ok_or(nowhere)?;
    memory.copy_out(last, &mut [0])
}
