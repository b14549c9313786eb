//! What rings, doorbells and arenas ask of the memory that they live in.
//!
//! In a process that is a [`Mapping`]. Loom explores only its own types, which cannot lie in mapped
//! memory, so models bring a memory of their own: words are loom's atomics, and each copy is an access that
//! loom checks for races. The structures are generic over the two, so what loom explores is the
//! code that runs, not a model of it. Fences belong to the memory for the same reason.

use std::sync::Arc;
use std::sync::atomic::{self, Ordering};

use super::mapping::{Mapping, OutOfBounds, SharedWord};

/// Bytes that two sides share.
pub trait Memory: Clone + Send + Sync + 'static {
    /// A control word of it.
    type Word: Word;

    /// The control word at `offset`.
    ///
    /// # Errors
    /// There is no room for a word, or it would not be aligned.
    fn word(&self, offset: usize) -> Result<Self::Word, OutOfBounds>;

    /// Copies `bytes` in at `offset`.
    ///
    /// # Errors
    /// They would not fit; nothing was copied.
    fn copy_in(&self, offset: usize, bytes: &[u8]) -> Result<(), OutOfBounds>;

    /// Fills `bytes` from `offset`.
    ///
    /// # Errors
    /// The memory ends before; nothing was copied.
    fn copy_out(&self, offset: usize, bytes: &mut [u8]) -> Result<(), OutOfBounds>;

    /// Appends `len` bytes from `offset` to `bytes`.
    ///
    /// # Errors
    /// The memory ends before; nothing was copied.
    fn append_to(&self, offset: usize, len: usize, bytes: &mut Vec<u8>) -> Result<(), OutOfBounds>;

    /// A sequentially consistent fence between the words before it and those behind it.
    fn fence();
}

/// A control word that both sides reach atomically.
pub trait Word: Send + Sync {
    /// As of [`AtomicU32`](std::sync::atomic::AtomicU32).
    fn load(&self, ordering: Ordering) -> u32;
    /// As of [`AtomicU32`](std::sync::atomic::AtomicU32).
    fn store(&self, value: u32, ordering: Ordering);
    /// As of [`AtomicU32`](std::sync::atomic::AtomicU32).
    fn swap(&self, value: u32, ordering: Ordering) -> u32;
}

impl Memory for Arc<Mapping> {
    type Word = SharedWord;

    fn word(&self, offset: usize) -> Result<SharedWord, OutOfBounds> {
        Mapping::word(self, offset)
    }

    #[inline]
    fn copy_in(&self, offset: usize, bytes: &[u8]) -> Result<(), OutOfBounds> {
        Mapping::copy_in(self, offset, bytes)
    }

    #[inline]
    fn copy_out(&self, offset: usize, bytes: &mut [u8]) -> Result<(), OutOfBounds> {
        Mapping::copy_out(self, offset, bytes)
    }

    #[inline]
    fn append_to(&self, offset: usize, len: usize, bytes: &mut Vec<u8>) -> Result<(), OutOfBounds> {
        Mapping::append_to(self, offset, len, bytes)
    }

    #[inline]
    fn fence() {
        atomic::fence(Ordering::SeqCst);
    }
}
