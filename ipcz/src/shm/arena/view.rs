//! A received block, read where it is.

use std::fmt;
use std::io;

use super::{Block, ReceiveArena};
use crate::shm::OutOfBounds;
use crate::shm::memory::Memory;

/// A payload in shared memory, whose sender may change it at any time. What it reads twice may differ,
/// so whoever checks something checks a copy. Dropped, it goes back to the sender.
pub struct BlockView<M: Memory> {
    arena: ReceiveArena<M>,
    memory: M,
    at: usize,
    block: Block,
}

impl<M: Memory> BlockView<M> {
    pub(super) fn new(arena: ReceiveArena<M>, memory: M, at: usize, block: Block) -> Self {
        Self { arena, memory, at, block }
    }

    /// How many bytes it has; never zero.
    #[expect(clippy::len_without_is_empty, reason = "a block is never empty")]
    pub fn len(&self) -> usize {
        self.block.len as usize
    }

    /// Fills `bytes` with those at `offset`. One copy, under no lock.
    ///
    /// # Errors
    /// The block ends before; nothing was copied.
    pub fn read_at(&self, offset: usize, bytes: &mut [u8]) -> Result<(), OutOfBounds> {
        self.check(offset, bytes.len())?;
        self.memory.copy_out(self.at + offset, bytes)
    }

    /// Appends `len` bytes at `offset` to `bytes`. One copy, under no lock.
    ///
    /// # Errors
    /// The block ends before; nothing was copied.
    pub fn append_to(
        &self,
        offset: usize,
        len: usize,
        bytes: &mut Vec<u8>,
    ) -> Result<(), OutOfBounds> {
        self.check(offset, len)?;
        self.memory.append_to(self.at + offset, len, bytes)
    }

    /// All of it, as a private copy.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.len());
        // A view lies within its region, so this cannot fail.
        let _ = self.append_to(0, self.len(), &mut bytes);
        bytes
    }

    /// Reads it from its start, each byte once.
    pub fn reader(&self) -> BlockReader<'_, M> {
        BlockReader { view: self, position: 0 }
    }

    fn check(&self, offset: usize, len: usize) -> Result<(), OutOfBounds> {
        match offset.checked_add(len) {
            Some(end) if end <= self.len() => Ok(()),
            _ => Err(OutOfBounds { offset, len, mapped: self.len() }),
        }
    }
}

impl<M: Memory> Drop for BlockView<M> {
    fn drop(&mut self) {
        self.arena.done_with(&self.block);
    }
}

impl<M: Memory> fmt::Debug for BlockView<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BlockView").field(&self.block).finish()
    }
}

/// Where somebody is in a [`BlockView`].
pub struct BlockReader<'a, M: Memory> {
    view: &'a BlockView<M>,
    position: usize,
}

impl<M: Memory> BlockReader<'_, M> {
    /// How many bytes are left.
    pub fn left(&self) -> usize {
        self.view.len() - self.position
    }

    /// The rest of the block in private pieces of up to `buffer.len()` bytes.
    pub fn for_each(mut self, buffer: &mut [u8], mut each: impl FnMut(&[u8])) {
        while self.left() > 0 && !buffer.is_empty() {
            let count = self.fill(buffer);
            each(&buffer[..count]);
        }
    }

    fn fill(&mut self, buffer: &mut [u8]) -> usize {
        let count = buffer.len().min(self.left());
        // What is left lies within the view, so this cannot fail.
        let _ = self.view.read_at(self.position, &mut buffer[..count]);
        self.position += count;
        count
    }
}

impl<M: Memory> io::Read for BlockReader<'_, M> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(self.fill(buffer))
    }
}
