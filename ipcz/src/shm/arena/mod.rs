//! Memory for payloads that are too large for a ring.
//!
//! Each direction of a link has an arena: regions of shared memory, of which the first lies in the
//! link's own region. Only the *sending* side knows, privately, what of it is in use. It writes a payload into
//! a block ([`OutBlock`]), and sends where that lies ([`Block`], 12 bytes) through its ring. The receiver reads
//! the payload where it is ([`BlockView`]), and hands the block back through the opposite ring when the view is
//! dropped. A payload is copied once into the arena, and once out of it at most, whatever its size.
//!
//! # Blocks
//!
//! Regions are divided into granules of 1 KiB. A block is a run of them, the first that is long enough, in
//! the oldest region that has one. First fit by address was chosen because it does three
//! things at once. With one block in flight it is always the same block, which is still in the cache. With
//! several, they crowd in front, so that regions behind become empty and can be given back. And
//! its whole state is a bit a granule, so that it allocates nothing, and a hand-back is checked by
//! looking at bits. A search reads at most a word for each 64 KiB.
//!
//! | bytes of a block in a record | what |
//! | --- | --- |
//! | 0..4 | the index of its region |
//! | 4..8 | the byte in the arena of that region where it begins, a multiple of 1 KiB |
//! | 8..12 | how many bytes it has; whole granules belong to it |
//!
//! # Handing back
//!
//! The receiver keeps two sets of granules a region: those of blocks it was sent, and those of
//! blocks that it has done with. The latter leave as runs, so neighbours become one. They
//! leave with whatever is sent next, or by themselves once they are a quarter of the arena, or
//! when the sender has said that it needs them ([`Kind::Want`]). The sender says so, once for
//! each hand-back that it gets, when it cannot allocate. So nobody waits for a block that its receiver
//! has done with. Records that hand back use room in the ring that others cannot take.
//!
//! # Growing and shrinking
//!
//! When no region has room, [`SendArena::allocate`] asks for another: twice as large as the
//! last, or as large as the block if that is more, as far as a budget allows. The link makes it, sends it
//! over the socket with a [`Kind::AddRegion`] in the ring, and tries again. A block of 64 MiB has a region of its own in
//! that way, and is otherwise like any. A region that is empty and was not used for a while ([`SendArena::retire`])
//! is dropped, with a [`Kind::DropRegion`], after which the receiver unmaps it. Views keep what they look at mapped.
//! Blocks that keep one from being empty, and that the receiver has done with, would wait for company to
//! go back; so the sender asks for them.
//!
//! # Hostile peers
//!
//! | a receiver hands back | |
//! | --- | --- |
//! | what was not sent, or twice, or leaves its region | [`RingBroken`] |
//! | a part of a block | allowed: it can spoil only what it is sent itself |
//!
//! | a sender | |
//! | --- | --- |
//! | sends a block outside of its regions, or one that the receiver has not handed back | [`RingBroken`] |
//! | adds a region out of turn, or more bytes than agreed on | [`RingBroken`] |
//! | drops a region that has blocks in it | [`RingBroken`] |
//! | changes a block while it is read | allowed: each copy out is checked by itself |
//!
//! # Orders
//!
//! No word of an arena is shared, so there is nothing to order but bytes: the sender copies them in before it
//! publishes the record, the receiver copies them out before it publishes the hand-back, and the sender
//! overwrites them after it read that. The two rings' cursors order all three. Both ends have
//! a lock of their own, under which nothing is called and no payload is copied.

mod granules;
mod receiver;
mod sender;
mod view;

#[cfg(all(test, not(loom)))]
mod tests;

pub use receiver::ReceiveArena;
pub use sender::{AllocateError, OutBlock, Retired, SendArena};
pub use view::{BlockReader, BlockView};

use std::ops::Range;

#[cfg(doc)]
use super::record::Kind;

use super::RingBroken;
use super::memory::Memory;

/// Blocks begin at multiples of this.
///
/// A smaller granule wastes less behind a payload of some KiB, and costs more bits. Payloads below
/// this size travel in the ring.
pub const GRANULE_BYTES: u32 = 1 << 10;

/// The most ranges in one record, so that it fits the room that is reserved for it.
pub const MAX_RANGES: usize = 32;

/// The bytes of a [`Block`] in a record.
pub const BLOCK_BYTES: usize = 12;

/// The largest region: offsets in it fit 32 bits.
pub const MAX_REGION_BYTES: u64 = 1 << 31;

/// Where a payload lies, as one side tells the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Block {
    /// The index of the region, by the order in which they were added; 0 is in the link's own.
    pub region: u32,
    /// Where it begins.
    pub offset: u32,
    /// How many bytes it has.
    pub len: u32,
}

impl Block {
    /// As it stands in a record.
    pub fn encode(&self) -> [u8; BLOCK_BYTES] {
        let mut bytes = [0; BLOCK_BYTES];
        bytes[0..4].copy_from_slice(&self.region.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.offset.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.len.to_le_bytes());
        bytes
    }

    /// What a record says, unchecked.
    pub fn decode(bytes: [u8; BLOCK_BYTES]) -> Block {
        let word = |at: usize| u32::from_le_bytes(std::array::from_fn(|i| bytes[at + i]));
        Block { region: word(0), offset: word(4), len: word(8) }
    }

    /// Its granules, if it begins with one and has one. They may lie outside of its region.
    fn granules(&self) -> Result<Range<u32>, RingBroken> {
        if self.len == 0 || !self.offset.is_multiple_of(GRANULE_BYTES) {
            return Err(RingBroken("a block that is none"));
        }
        let start = self.offset / GRANULE_BYTES;
        Ok(start..start + self.len.div_ceil(GRANULE_BYTES))
    }

    /// The block of these granules, which lie in a region of a size that is allowed.
    fn of(region: u32, granules: &Range<u32>) -> Block {
        let offset = granules.start * GRANULE_BYTES;
        Block { region, offset, len: granules.len() as u32 * GRANULE_BYTES }
    }
}

/// Memory of an arena: a part of something shared.
#[derive(Debug, Clone)]
pub struct Span<M> {
    /// What it is a part of.
    pub memory: M,
    /// Where it begins.
    pub base: usize,
    /// How many bytes it has.
    pub len: usize,
}

impl<M: Memory> Span<M> {
    fn granules(&self) -> u32 {
        (self.len as u64).min(MAX_REGION_BYTES) as u32 / GRANULE_BYTES
    }

    /// Whether all of it is there.
    fn is_sound(&self) -> bool {
        let last = self.base.checked_add(self.len).and_then(|end| end.checked_sub(1));
        self.len == 0 || last.is_some_and(|last| self.memory.copy_out(last, &mut [0]).is_ok())
    }
}
