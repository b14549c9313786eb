//! The sending end of an arena: what of it is in use.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::granules::Granules;
use super::{BLOCK_BYTES, Block, GRANULE_BYTES, MAX_REGION_BYTES, Span};
use crate::shm::memory::Memory;
use crate::shm::sync::Lock;
use crate::shm::{OutOfBounds, RingBroken};

/// The least that an arena grows by.
const LEAST_GROWTH: u64 = 1 << 20;

/// Growth by doubling ends here; only blocks that are larger make larger regions.
const MOST_GROWTH: u64 = 16 << 20;

/// Why a block was not allocated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AllocateError {
    /// A region of so many bytes has to be added first ([`SendArena::add_region`]).
    #[error("the arena needs another region of {0} bytes")]
    NeedsRegion(usize),
    /// The budget is used up; blocks have to come back first. `ask` says whether to send a
    /// [`Kind::Want`](crate::shm::record::Kind::Want), which is once until some come back.
    #[error("the arena has no room")]
    Full {
        /// Whether the receiver has not been told yet.
        ask: bool,
    },
    /// It would not fit if everything else was gone.
    #[error("the block is larger than the arena may become")]
    TooLarge,
}

/// The sending end of an arena. Any thread; clones are the same arena.
pub struct SendArena<M: Memory> {
    shared: Arc<Lock<State<M>>>,
}

struct State<M> {
    regions: BTreeMap<u32, OutRegion<M>>,
    next_index: u32,
    /// How many bytes the regions have, and may have.
    bytes: u64,
    budget: u64,
    asked: bool,
}

struct OutRegion<M> {
    span: Span<M>,
    used: Granules,
    /// Of those, the ones that the receiver was told of.
    sent: Granules,
    /// Nothing was allocated in it since [`SendArena::retire`] looked last.
    quiet: bool,
}

impl<M: Memory> Clone for SendArena<M> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<M: Memory> SendArena<M> {
    /// An arena that begins with `first` and never has more than `budget` bytes beside it.
    ///
    /// # Errors
    /// There is no such memory.
    pub fn new(first: Span<M>, budget: u64) -> Result<Self, OutOfBounds> {
        let (offset, len) = (first.base, first.len);
        let mut state = State {
            regions: BTreeMap::new(),
            next_index: 0,
            bytes: 0,
            budget: budget.saturating_add(len as u64),
            asked: false,
        };
        let added = state.add(first);
        added.map_err(|_| OutOfBounds { offset, len, mapped: 0 })?;
        Ok(Self { shared: Arc::new(Lock::new(state)) })
    }

    /// Takes a block of `len` bytes, at least one, to write into.
    ///
    /// # Errors
    /// See [`AllocateError`]. No bytes at all are [`AllocateError::TooLarge`] too.
    pub fn allocate(&self, len: usize) -> Result<OutBlock<M>, AllocateError> {
        let count = granules(len).ok_or(AllocateError::TooLarge)?;
        let mut state = self.shared.lock();
        match state.take_gap(len, count) {
            Some((block, memory, at)) => Ok(self.out_block(block, memory, at)),
            None => Err(state.why_not(u64::from(count) * u64::from(GRANULE_BYTES))),
        }
    }

    /// Takes a block as [`SendArena::allocate`] does, if there is room for it now. If not, that is as if nobody
    /// had asked: what is to be done about it is for whoever sends.
    pub fn try_allocate(&self, len: usize) -> Option<OutBlock<M>> {
        let count = granules(len)?;
        let (block, memory, at) = self.shared.lock().take_gap(len, count)?;
        Some(self.out_block(block, memory, at))
    }

    fn out_block(&self, block: Block, memory: M, at: usize) -> OutBlock<M> {
        OutBlock { arena: self.clone(), memory, at, block, keep: false }
    }

    /// Adds a region, and gives its index for the [`Kind::AddRegion`](crate::shm::record::Kind::AddRegion)
    /// that must be written before any block of it: whoever calls this holds what orders records.
    ///
    /// # Errors
    /// [`AllocateError::Full`]: another thread has used up the budget; [`AllocateError::TooLarge`]: a
    /// region cannot be so large, or it is not there.
    pub fn add_region(&self, span: Span<M>) -> Result<u32, AllocateError> {
        self.shared.lock().add(span)
    }

    /// Takes back what the receiver has done with: the bytes of a
    /// [`Kind::HandBack`](crate::shm::record::Kind::HandBack), copied out of the ring.
    ///
    /// # Errors
    /// The receiver broke the rules. What comes before the range that does is free.
    pub fn take_back(&self, ranges: &[u8]) -> Result<(), RingBroken> {
        let (blocks, rest) = ranges.as_chunks::<BLOCK_BYTES>();
        if !rest.is_empty() || blocks.is_empty() {
            return Err(RingBroken("a hand-back that is no list of blocks"));
        }
        let mut state = self.shared.lock();
        state.asked = false;
        for block in blocks {
            let block = Block::decode(*block);
            let range = block.granules()?;
            let region = state.regions.get_mut(&block.region);
            let region = region.filter(|region| region.sent.has_all(&range));
            let region = region.ok_or(RingBroken("a hand-back of what was not sent"))?;
            region.sent.remove(&range);
            region.used.remove(&range);
        }
        Ok(())
    }

    /// Takes back a block that was committed but never published, and will not be.
    pub fn cancel(&self, block: Block) {
        self.release(&block, true);
    }

    /// Drops the regions that are empty and had no block since the last call, all but the first. To be called
    /// every second or so while that may change anything, by whoever holds what orders records.
    pub fn retire(&self) -> Retired<M> {
        let mut state = self.shared.lock();
        let mut retired =
            Retired { regions: Vec::new(), again: false, ask: false, memory: Vec::new() };
        let mut is_held = false;
        for (&index, region) in state.regions.range_mut(1..) {
            let was_quiet = std::mem::replace(&mut region.quiet, true);
            match region.used.len() {
                0 if was_quiet => retired.regions.push(index),
                // All that is in it is with the receiver.
                used if was_quiet && used == region.sent.len() => is_held = true,
                _ => retired.again = true,
            }
        }
        if is_held {
            retired.ask = !std::mem::replace(&mut state.asked, true);
        }
        for index in &retired.regions {
            let Some(gone) = state.regions.remove(index) else { continue };
            state.bytes -= gone.span.len as u64;
            retired.memory.push(gone.span.memory);
        }
        retired
    }

    /// Whether there are regions beside the first.
    pub fn has_grown(&self) -> bool {
        self.shared.lock().regions.len() > 1
    }

    /// The bytes of its regions, and how many of them are in blocks.
    pub fn usage(&self) -> (u64, u64) {
        let state = self.shared.lock();
        let used = state.regions.values().map(|region| u64::from(region.used.len()));
        (state.bytes, used.sum::<u64>() * u64::from(GRANULE_BYTES))
    }

    fn release(&self, block: &Block, sent: bool) {
        let mut state = self.shared.lock();
        let Ok(range) = block.granules() else { return };
        if let Some(region) = state.regions.get_mut(&block.region) {
            if sent && region.sent.has_all(&range) {
                region.sent.remove(&range);
            }
            if region.used.has_all(&range) && region.sent.has_none(&range) {
                region.used.remove(&range);
            }
        }
    }
}

/// What [`SendArena::retire`] found.
#[derive(Debug)]
pub struct Retired<M> {
    /// What was dropped, for a [`Kind::DropRegion`](crate::shm::record::Kind::DropRegion) each.
    pub regions: Vec<u32>,
    /// There may be more at the next call. If not, then after a hand-back, if there is anything left.
    pub again: bool,
    /// Blocks are with the receiver in regions that are not used any more: it is to be sent a
    /// [`Kind::Want`](crate::shm::record::Kind::Want), so that they do not wait for company.
    pub ask: bool,
    /// Unmapped with this, under no lock.
    #[allow(dead_code, reason = "it is only dropped")]
    memory: Vec<M>,
}

/// How many granules a block of `len` bytes has. None is none.
fn granules(len: usize) -> Option<u32> {
    let len = u32::try_from(len).ok().filter(|&len| len > 0)?;
    Some(len.div_ceil(GRANULE_BYTES))
}

impl<M: Memory> State<M> {
    /// Takes the first gap of so many granules. Gives the block, and where it lies.
    fn take_gap(&mut self, len: usize, count: u32) -> Option<(Block, M, usize)> {
        let (index, region, gap) = self.regions.iter_mut().find_map(|(&index, region)| {
            let free = region.used.all() - region.used.len();
            let gap = if free < count { None } else { region.used.find_gap(count) };
            gap.map(|gap| (index, region, gap))
        })?;
        region.used.insert(&gap);
        region.quiet = false;
        let block = Block { len: len as u32, ..Block::of(index, &gap) };
        let at = region.span.base + block.offset as usize;
        Some((block, region.span.memory.clone(), at))
    }

    fn add(&mut self, span: Span<M>) -> Result<u32, AllocateError> {
        let len = span.len as u64;
        if len > MAX_REGION_BYTES || !span.is_sound() {
            return Err(AllocateError::TooLarge);
        }
        if self.bytes + len > self.budget {
            return Err(AllocateError::Full { ask: !std::mem::replace(&mut self.asked, true) });
        }
        let index = self.next_index;
        self.next_index = index.checked_add(1).ok_or(AllocateError::TooLarge)?;
        self.bytes += len;
        let granules = Granules::new(span.granules());
        let region = OutRegion { span, used: granules.clone(), sent: granules, quiet: false };
        self.regions.insert(index, region);
        Ok(index)
    }

    /// What is to be done when no region has room for `needed` bytes.
    fn why_not(&mut self, needed: u64) -> AllocateError {
        let first = self.regions.get(&0).map_or(0, |region| region.span.len as u64);
        if needed > first.max(self.budget - first).min(MAX_REGION_BYTES) {
            return AllocateError::TooLarge;
        }
        let left = self.budget - self.bytes;
        if needed > left {
            return AllocateError::Full { ask: !std::mem::replace(&mut self.asked, true) };
        }
        let last = self.regions.values().next_back().map_or(0, |region| region.span.len as u64);
        let growth = (2 * last).clamp(LEAST_GROWTH, MOST_GROWTH).min(left).max(needed);
        AllocateError::NeedsRegion(
            (growth / u64::from(GRANULE_BYTES) * u64::from(GRANULE_BYTES)) as usize,
        )
    }
}

impl<M: Memory> fmt::Debug for SendArena<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (bytes, used) = self.usage();
        f.debug_struct("SendArena").field("bytes", &bytes).field("used", &used).finish()
    }
}

/// A block that is being written. Dropped, it is free again, and nobody has heard of it.
pub struct OutBlock<M: Memory> {
    arena: SendArena<M>,
    memory: M,
    at: usize,
    block: Block,
    keep: bool,
}

impl<M: Memory> OutBlock<M> {
    /// Whether it is a block of this arena.
    pub fn is_of(&self, arena: &SendArena<M>) -> bool {
        Arc::ptr_eq(&self.arena.shared, &arena.shared)
    }

    /// How many bytes it has; never zero.
    #[expect(clippy::len_without_is_empty, reason = "a block is never empty")]
    pub fn len(&self) -> usize {
        self.block.len as usize
    }

    /// Copies `bytes` in at `offset`. Under no lock.
    ///
    /// # Errors
    /// They would not fit; nothing was copied.
    #[inline]
    pub fn copy_in(&self, offset: usize, bytes: &[u8]) -> Result<(), OutOfBounds> {
        match offset.checked_add(bytes.len()) {
            Some(end) if end <= self.len() => self.memory.copy_in(self.at + offset, bytes),
            _ => Err(OutOfBounds { offset, len: bytes.len(), mapped: self.len() }),
        }
    }

    /// Gives the block to the receiver: the first `len` bytes of it, at least one. What is returned
    /// goes into a record, or to [`SendArena::cancel`].
    ///
    /// # Errors
    /// It does not have so many; it is free again.
    pub fn commit(mut self, len: usize) -> Result<Block, OutOfBounds> {
        if len == 0 || len > self.len() {
            return Err(OutOfBounds { offset: 0, len, mapped: self.len() });
        }
        let mut state = self.arena.shared.lock();
        let block = Block { len: len as u32, ..self.block };
        if let (Ok(all), Ok(kept)) = (self.block.granules(), block.granules())
            && let Some(region) = state.regions.get_mut(&block.region)
        {
            region.sent.insert(&kept);
            if kept.end < all.end {
                region.used.remove(&(kept.end..all.end));
            }
        }
        drop(state);
        self.keep = true;
        Ok(block)
    }
}

impl<M: Memory> Drop for OutBlock<M> {
    fn drop(&mut self) {
        if !self.keep {
            self.arena.release(&self.block, false);
        }
    }
}
