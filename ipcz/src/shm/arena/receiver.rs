//! The receiving end of an arena: what of it is being read, and what can go back.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::granules::Granules;
use super::{Block, BlockView, GRANULE_BYTES, MAX_RANGES, MAX_REGION_BYTES, Span};
use crate::shm::memory::Memory;
use crate::shm::record::{Kind, Tag};
use crate::shm::ring::{WriteError, Writer};
use crate::shm::sync::Lock;
use crate::shm::{OutOfBounds, RingBroken};

/// The receiving end of an arena. Any thread; clones are the same arena.
pub struct ReceiveArena<M: Memory> {
    shared: Arc<Shared<M>>,
}

struct Shared<M> {
    state: Lock<State<M>>,
    /// Whether anything was done with and not handed back. Changes under the lock, and may be read without.
    has_done: AtomicBool,
    /// Has the blocks that were done with sent back soon. Called under no lock of the arena.
    nudge: Box<dyn Fn() + Send + Sync>,
}

struct State<M> {
    regions: BTreeMap<u32, InRegion<M>>,
    next_index: u32,
    /// How many bytes the regions have, and may have.
    bytes: u64,
    budget: u64,
    /// How many granules the sender has sent and not got back.
    held: u64,
    /// How many granules were done with and not handed back.
    done: u64,
    /// The sender waits for blocks.
    wanted: bool,
    /// The link was nudged, and has not come yet.
    nudged: bool,
}

struct InRegion<M> {
    span: Span<M>,
    /// What the sender has sent and not got back.
    held: Granules,
    /// Of that, what was done with.
    done: Granules,
}

impl<M: Memory> Clone for ReceiveArena<M> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<M: Memory> ReceiveArena<M> {
    /// An arena that begins with `first`, to which the sender may add `budget` bytes.
    ///
    /// `nudge` is called when blocks should go back before something else takes them along: the link is to
    /// call [`ReceiveArena::hand_back`] soon, on any thread. It may be called wherever a view is
    /// dropped, so it takes no lock that is held there, nor runs callbacks.
    ///
    /// # Errors
    /// There is no such memory.
    pub fn new(
        first: Span<M>,
        budget: u64,
        nudge: impl Fn() + Send + Sync + 'static,
    ) -> Result<Self, OutOfBounds> {
        let (offset, len) = (first.base, first.len);
        let mut state = State {
            regions: BTreeMap::new(),
            next_index: 0,
            bytes: 0,
            budget: budget.saturating_add(len as u64),
            held: 0,
            done: 0,
            wanted: false,
            nudged: false,
        };
        state.add(0, first).map_err(|_| OutOfBounds { offset, len, mapped: 0 })?;
        let has_done = AtomicBool::new(false);
        let shared = Shared { state: Lock::new(state), has_done, nudge: Box::new(nudge) };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// How many bytes the sender may still add. To be asked before a region is mapped.
    pub fn left(&self) -> u64 {
        let state = self.shared.state.lock();
        state.budget - state.bytes
    }

    /// Adds a region that the sender has sent, with the index of its record.
    ///
    /// # Errors
    /// It is not the next, or more than was agreed on.
    pub fn add_region(&self, index: u32, span: Span<M>) -> Result<(), RingBroken> {
        self.shared.state.lock().add(index, span)
    }

    /// Drops a region, as the sender has.
    ///
    /// # Errors
    /// There is none of this index, it is the first, or it has blocks.
    pub fn drop_region(&self, index: u32) -> Result<(), RingBroken> {
        let mut state = self.shared.state.lock();
        let empty = state.regions.get(&index).is_some_and(|region| region.held.is_empty());
        if index == 0 || !empty {
            return Err(RingBroken("a region that cannot be dropped"));
        }
        let gone = state.regions.remove(&index);
        state.bytes -= gone.map_or(0, |region| region.span.len as u64);
        drop(state);
        Ok(())
    }

    /// The payload that the sender has put into `block`.
    ///
    /// # Errors
    /// There is no such block, or the receiver has it already.
    pub fn receive(&self, block: Block) -> Result<BlockView<M>, RingBroken> {
        let range = block.granules()?;
        let mut state = self.shared.state.lock();
        let region = state.regions.get_mut(&block.region);
        let region = region.filter(|region| region.held.has_none(&range));
        let region = region.ok_or(RingBroken("a block that cannot have been allocated"))?;
        region.held.insert(&range);
        state.held += range.len() as u64;
        let region = &state.regions[&block.region];
        let memory = region.span.memory.clone();
        let at = region.span.base + block.offset as usize;
        drop(state);
        Ok(BlockView::new(self.clone(), memory, at, block))
    }

    /// The sender waits for blocks. Gives whether there are any to hand back now; others are as soon as they
    /// are done with.
    pub fn wanted(&self) -> bool {
        let mut state = self.shared.state.lock();
        state.wanted = true;
        state.done > 0
    }

    /// Whether there is something to hand back. Takes no lock.
    #[inline]
    pub fn has_done(&self) -> bool {
        self.shared.has_done.load(Ordering::Relaxed)
    }

    /// Writes what can go back into the opposite ring, unpublished. Gives whether that is anything.
    ///
    /// # Errors
    /// [`WriteError::Full`]: the rest waits until the peer has made room, and rings.
    pub fn hand_back(&self, writer: &mut Writer<M>) -> Result<bool, WriteError> {
        let mut state = self.shared.state.lock();
        state.nudged = false;
        let mut any = false;
        while state.done > 0 {
            let ranges: Vec<_> = state.runs().take(MAX_RANGES).collect();
            let mut slot = writer.reserve_for_hand_back(ranges.len() * super::BLOCK_BYTES)?;
            for (index, range) in &ranges {
                slot.put(&Block::of(*index, range).encode())?;
            }
            slot.commit(Tag::of(Kind::HandBack, 0))?;
            for (index, range) in &ranges {
                state.forget(*index, range);
            }
            any = true;
        }
        state.wanted &= !any;
        self.shared.has_done.store(false, Ordering::Relaxed);
        Ok(any)
    }

    /// Whether so much is in views, of all that the sender may ever use, that further payloads should not
    /// stay where they are.
    pub fn is_crowded(&self) -> bool {
        let state = self.shared.state.lock();
        (state.held - state.done) * u64::from(GRANULE_BYTES) > state.budget / 4
    }

    /// The bytes of its regions, how many of them are in blocks, and how many of those were done with.
    pub fn usage(&self) -> (u64, u64, u64) {
        let state = self.shared.state.lock();
        let held: u64 = state.regions.values().map(|region| u64::from(region.held.len())).sum();
        let granule = u64::from(GRANULE_BYTES);
        (state.bytes, held * granule, state.done * granule)
    }

    /// A view of `block` was dropped.
    pub(super) fn done_with(&self, block: &Block) {
        let Ok(range) = block.granules() else { return };
        let nudge = {
            let mut state = self.shared.state.lock();
            let Some(region) = state.regions.get_mut(&block.region) else { return };
            region.done.insert(&range);
            state.done += range.len() as u64;
            self.shared.has_done.store(true, Ordering::Relaxed);
            let much = state.done * u64::from(GRANULE_BYTES) >= state.bytes / 4;
            let nudge = (much || state.wanted) && !state.nudged;
            state.nudged |= nudge;
            nudge
        };
        if nudge {
            (self.shared.nudge)();
        }
    }
}

impl<M: Memory> State<M> {
    fn add(&mut self, index: u32, span: Span<M>) -> Result<(), RingBroken> {
        let len = span.len as u64;
        if index != self.next_index {
            return Err(RingBroken("a region out of turn"));
        }
        if len > MAX_REGION_BYTES || self.bytes + len > self.budget || !span.is_sound() {
            return Err(RingBroken("a region beyond what was agreed on"));
        }
        self.next_index = index.checked_add(1).ok_or(RingBroken("too many regions"))?;
        self.bytes += len;
        let granules = Granules::new(span.granules());
        self.regions.insert(index, InRegion { span, held: granules.clone(), done: granules });
        Ok(())
    }

    /// The runs of granules that were done with.
    fn runs(&self) -> impl Iterator<Item = (u32, Range<u32>)> {
        self.regions.iter().flat_map(|(&index, region)| {
            let runs = region.done.runs();
            runs.map(move |run| (index, run))
        })
    }

    fn forget(&mut self, index: u32, range: &Range<u32>) {
        if let Some(region) = self.regions.get_mut(&index) {
            region.done.remove(range);
            region.held.remove(range);
            self.done -= range.len() as u64;
            self.held -= range.len() as u64;
        }
    }
}

impl<M: Memory> fmt::Debug for ReceiveArena<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (bytes, held, done) = self.usage();
        let mut debug = f.debug_struct("ReceiveArena");
        debug.field("bytes", &bytes).field("held", &held).field("done", &done).finish()
    }
}
