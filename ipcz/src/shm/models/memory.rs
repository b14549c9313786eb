//! Memory that loom watches: words are its atomics, and every copy is an access to cells whose races it
//! reports.
//!
//! # Safety
//!
//! The cells are loom's. Their pointers are only used inside of `with` and `with_mut`, during which
//! loom has made sure, by failing the model otherwise, that no other thread is at the same cell.
#![allow(unsafe_code)]

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicU32, fence};

use crate::shm::OutOfBounds;
use crate::shm::memory::{Memory, Word};
use crate::shm::ring::{CONTROL_BYTES, CPU, FLAG, HEAD, TAIL, WAITING};

/// As many bytes as records are aligned to: two records never share a cell.
const CELL_BYTES: usize = 16;

/// Where the bytes begin that can be copied; the control lines of two rings lie before.
pub(super) const DATA: usize = 2 * CONTROL_BYTES;

struct Cell(UnsafeCell<[u8; CELL_BYTES]>);

// SAFETY: see the module: loom fails a model in which two threads are at the same cell.
unsafe impl Send for Cell {}
// SAFETY: as above.
unsafe impl Sync for Cell {}

#[derive(Clone)]
pub(super) struct ModelMemory {
    words: Arc<BTreeMap<usize, Arc<AtomicU32>>>,
    cells: Arc<Vec<Cell>>,
}

impl ModelMemory {
    /// Zeroed memory with the control lines of two rings and `num_bytes` behind [`DATA`].
    pub(super) fn new(num_bytes: usize) -> Self {
        let lines = [TAIL, HEAD, FLAG, CPU, WAITING];
        let offsets = lines.into_iter().flat_map(|line| [line, CONTROL_BYTES + line]);
        let words = offsets.map(|offset| (offset, Arc::new(AtomicU32::new(0)))).collect();
        let cells = (0..num_bytes.div_ceil(CELL_BYTES))
            .map(|_| Cell(UnsafeCell::new([0; CELL_BYTES])))
            .collect();
        Self { words: Arc::new(words), cells: Arc::new(cells) }
    }

    /// Each cell that `len` bytes at `offset` touch, with its part of them and their part of it.
    fn pieces(
        &self,
        offset: usize,
        len: usize,
    ) -> Result<impl Iterator<Item = (&Cell, Range<usize>, Range<usize>)>, OutOfBounds> {
        let mapped = DATA + self.cells.len() * CELL_BYTES;
        if offset < DATA || offset + len > mapped {
            return Err(OutOfBounds { offset, len, mapped });
        }
        let start = offset - DATA;
        let touched = start / CELL_BYTES..(start + len).div_ceil(CELL_BYTES);
        Ok(touched.map(move |index| {
            let first = index * CELL_BYTES;
            let from = start.max(first);
            let to = (start + len).min(first + CELL_BYTES);
            (&self.cells[index], from - start..to - start, from - first..to - first)
        }))
    }
}

impl Memory for ModelMemory {
    type Word = Arc<AtomicU32>;

    fn word(&self, offset: usize) -> Result<Arc<AtomicU32>, OutOfBounds> {
        let word = self.words.get(&offset).map(Arc::clone);
        word.ok_or(OutOfBounds { offset, len: 4, mapped: DATA })
    }

    fn copy_in(&self, offset: usize, bytes: &[u8]) -> Result<(), OutOfBounds> {
        for (cell, from, to) in self.pieces(offset, bytes.len())? {
            cell.0.with_mut(|cell| {
                // SAFETY: no other thread is at this cell, see the module.
                let cell = unsafe { &mut *cell };
                cell[to].copy_from_slice(&bytes[from]);
            });
        }
        Ok(())
    }

    fn copy_out(&self, offset: usize, bytes: &mut [u8]) -> Result<(), OutOfBounds> {
        for (cell, to, from) in self.pieces(offset, bytes.len())? {
            cell.0.with(|cell| {
                // SAFETY: no other thread writes this cell, see the module.
                let cell = unsafe { &*cell };
                bytes[to].copy_from_slice(&cell[from]);
            });
        }
        Ok(())
    }

    fn append_to(&self, offset: usize, len: usize, bytes: &mut Vec<u8>) -> Result<(), OutOfBounds> {
        let start = bytes.len();
        bytes.resize(start + len, 0);
        self.copy_out(offset, &mut bytes[start..])
    }

    fn fence() {
        fence(Ordering::SeqCst);
    }
}

impl Word for Arc<AtomicU32> {
    fn load(&self, ordering: Ordering) -> u32 {
        AtomicU32::load(self, ordering)
    }

    fn store(&self, value: u32, ordering: Ordering) {
        AtomicU32::store(self, value, ordering);
    }

    fn swap(&self, value: u32, ordering: Ordering) -> u32 {
        AtomicU32::swap(self, value, ordering)
    }
}
