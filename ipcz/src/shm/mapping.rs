//! A region in this process's address space.
//!
//! # Safety
//!
//! Every unsafe block here copies bytes between private memory and the mapping, or makes an atomic
//! word of four of its bytes. What makes it sound:
//!
//! 1. `MmapRaw` owns the mapping: `len` bytes from its pointer stay mapped, readable and writable
//!    while it lives; of a `ReadOnlyMapping`, which offers nothing that writes, readable only. `Region` hands out mappings of regions only whose size is sealed, so the
//!    system never turns such an access into a fault because another process shrank the file.
//! 2. Each copy is bounds-checked against `len` before it starts.
//! 3. No reference to the mapping is formed, so nothing is assumed of its bytes: neither that they
//!    are stable nor that they hold a valid value of any type but `u8`, of which every pattern is one.
//! 4. Other processes may write during a copy. What arrives is then some mixture of old and new
//!    bytes, which the callers of this module must expect of a hostile peer anyway. A compiler fence
//!    behind each copy keeps the optimizer from reading the shared bytes again where the program
//!    reads the private copy.
//! 5. A word is reached by atomic operations of its own size only: `layout` places the words where
//!    this process copies nothing. Whatever other processes do there, a word holds some value.
#![allow(unsafe_code)]

use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicU32, Ordering, compiler_fence};
use std::sync::{Arc, Weak};

use memmap2::{MmapOptions, MmapRaw};

/// A mapped region of shared memory, unmapped on drop.
///
/// It outlives the [`Region`](super::Region) it was made of. All methods may be called from any
/// thread; two copies that overlap in place and time leave a mixture of bytes.
pub struct Mapping {
    raw: MmapRaw,
}

/// A copy would reach beyond the end of a mapping. Nothing was copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{len} bytes at offset {offset} do not lie within a mapping of {mapped} bytes")]
pub struct OutOfBounds {
    /// Where the copy was to start.
    pub offset: usize,
    /// The number of bytes it was to copy.
    pub len: usize,
    /// The size of the mapping.
    pub mapped: usize,
}

impl Mapping {
    /// Maps the first `len` bytes of `fd`. The caller has checked that they exist and cannot go.
    pub(super) fn new(fd: BorrowedFd<'_>, len: usize) -> io::Result<Mapping> {
        let raw = MmapOptions::new().len(len).map_raw(fd.as_raw_fd())?;
        Ok(Mapping { raw })
    }

    /// The number of bytes mapped; never zero.
    #[expect(clippy::len_without_is_empty, reason = "a mapping is never empty")]
    pub fn len(&self) -> usize {
        self.raw.len()
    }

    /// Copies `bytes` into the mapping at `offset`.
    ///
    /// # Errors
    /// They would not fit; nothing was copied.
    #[inline]
    pub fn copy_in(&self, offset: usize, bytes: &[u8]) -> Result<(), OutOfBounds> {
        let to = self.at(offset, bytes.len())?;
        // SAFETY: `bytes` is private memory, valid for reads of its length. `at` has checked that
        // as many bytes of the mapping begin at `to`, which are writable (1, 2 above). The two do
        // not overlap, since no reference to the mapping exists (3). Racing writes of others: 4.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) };
        compiler_fence(Ordering::SeqCst);
        Ok(())
    }

    /// Fills `bytes` from the mapping at `offset`.
    ///
    /// # Errors
    /// The mapping ends before `bytes` is full; nothing was copied.
    #[inline]
    pub fn copy_out(&self, offset: usize, bytes: &mut [u8]) -> Result<(), OutOfBounds> {
        let from = self.at(offset, bytes.len())?;
        // SAFETY: `bytes` is private memory, valid for writes of its length. `at` has checked that
        // as many bytes of the mapping begin at `from`, which are readable (1, 2 above). The two do
        // not overlap, since no reference to the mapping exists (3). Racing writes of others: 4.
        unsafe { std::ptr::copy_nonoverlapping(from, bytes.as_mut_ptr(), bytes.len()) };
        compiler_fence(Ordering::SeqCst);
        Ok(())
    }

    /// Appends `len` bytes of the mapping at `offset` to `bytes`: one copy, and nothing is zeroed.
    ///
    /// # Errors
    /// The mapping ends before; nothing was copied.
    pub fn append_to(
        &self,
        offset: usize,
        len: usize,
        bytes: &mut Vec<u8>,
    ) -> Result<(), OutOfBounds> {
        let from = self.at(offset, len)?;
        bytes.reserve(len);
        let spare = bytes.spare_capacity_mut().as_mut_ptr().cast::<u8>();
        // SAFETY: `reserve` has made at least `len` spare bytes, valid for writes. `at` has checked
        // that as many bytes of the mapping begin at `from`, which are readable (1, 2 above). The
        // two do not overlap, since no reference to the mapping exists (3). Racing writes: 4.
        unsafe { std::ptr::copy_nonoverlapping(from, spare, len) };
        compiler_fence(Ordering::SeqCst);
        // SAFETY: the `len` bytes behind the old end are within the capacity and were just written.
        unsafe { bytes.set_len(bytes.len() + len) };
        Ok(())
    }

    /// The control word at `offset`.
    ///
    /// # Errors
    /// The mapping ends before, or the word would not lie at a multiple of its size.
    pub(super) fn word(self: &Arc<Self>, offset: usize) -> Result<SharedWord, OutOfBounds> {
        let at = self.at(offset, size_of::<AtomicU32>())?;
        if !at.cast::<AtomicU32>().is_aligned() {
            return Err(OutOfBounds { offset, len: size_of::<AtomicU32>(), mapped: self.len() });
        }
        Ok(SharedWord { mapping: Arc::clone(self), offset })
    }

    /// A pointer to `len` bytes at `offset`, if all of them are mapped.
    #[inline]
    fn at(&self, offset: usize, len: usize) -> Result<*mut u8, OutOfBounds> {
        let mapped = self.len();
        match offset.checked_add(len) {
            Some(end) if end <= mapped => Ok(self.raw.as_mut_ptr().wrapping_add(offset)),
            _ => Err(OutOfBounds { offset, len, mapped }),
        }
    }
}

/// A mapped region of shared memory that can only be read here, unmapped on drop.
///
/// Others may write it meanwhile: what is checked must be one's own copy. All methods may be called from any
/// thread.
pub struct ReadOnlyMapping {
    /// Not given out: nothing may be copied into it.
    mapping: Mapping,
}

impl ReadOnlyMapping {
    /// Maps the first `len` bytes of `fd`. The caller has checked that they exist and cannot go.
    pub(super) fn new(fd: BorrowedFd<'_>, len: usize) -> io::Result<Self> {
        let raw = MmapOptions::new().len(len).map_raw_read_only(fd.as_raw_fd())?;
        Ok(Self { mapping: Mapping { raw } })
    }

    /// The number of bytes mapped; never zero.
    #[expect(clippy::len_without_is_empty, reason = "a mapping is never empty")]
    pub fn len(&self) -> usize {
        self.mapping.len()
    }

    /// Fills `bytes` from the mapping at `offset`.
    ///
    /// # Errors
    /// The mapping ends before `bytes` is full; nothing was copied.
    #[inline]
    pub fn copy_out(&self, offset: usize, bytes: &mut [u8]) -> Result<(), OutOfBounds> {
        self.mapping.copy_out(offset, bytes)
    }

    /// A copy of `len` bytes at `offset`.
    ///
    /// # Errors
    /// The mapping ends before; nothing was allocated.
    pub fn to_vec(&self, offset: usize, len: usize) -> Result<Vec<u8>, OutOfBounds> {
        let mut bytes = Vec::new();
        self.mapping.append_to(offset, len, &mut bytes)?;
        Ok(bytes)
    }
}

impl fmt::Debug for ReadOnlyMapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadOnlyMapping").field("len", &self.len()).finish()
    }
}

impl fmt::Debug for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mapping").field("len", &self.len()).finish()
    }
}

/// A control word in a mapping, which it keeps mapped. Little-endian, wherever this runs.
#[derive(Debug, Clone)]
pub struct SharedWord {
    mapping: Arc<Mapping>,
    /// Checked when this was made: the word is within the mapping, and aligned.
    offset: usize,
}

/// A control word in a mapping, which it does not keep mapped.
#[derive(Debug, Clone)]
pub(crate) struct WeakWord {
    mapping: Weak<Mapping>,
    /// As in the word that this was made from.
    offset: usize,
}

impl WeakWord {
    /// Whether it was made from this word, or another one of the same place.
    pub(crate) fn is(&self, word: &SharedWord) -> bool {
        self.mapping.as_ptr() == Arc::as_ptr(&word.mapping) && self.offset == word.offset
    }

    /// The word, if it is still mapped.
    pub(crate) fn upgrade(&self) -> Option<SharedWord> {
        Some(SharedWord { mapping: self.mapping.upgrade()?, offset: self.offset })
    }
}

impl SharedWord {
    /// The same word, for whoever is not to keep it mapped.
    pub(crate) fn downgrade(&self) -> WeakWord {
        WeakWord { mapping: Arc::downgrade(&self.mapping), offset: self.offset }
    }

    #[inline]
    pub(super) fn atomic(&self) -> &AtomicU32 {
        let at = self.mapping.raw.as_mut_ptr().wrapping_add(self.offset).cast::<u32>();
        // SAFETY: `Mapping::word` has checked that the word is aligned and within the mapping, which
        // lives as long as `self`, and so as long as the reference (1, 2 above). Every pattern of
        // bits is a `u32`. This process reaches the word atomically only (5). An `AtomicU32` may be
        // written while a reference to it exists, by other processes as by other threads.
        unsafe { AtomicU32::from_ptr(at) }
    }
}

impl super::memory::Word for SharedWord {
    #[inline]
    fn load(&self, ordering: Ordering) -> u32 {
        u32::from_le(self.atomic().load(ordering))
    }

    #[inline]
    fn store(&self, value: u32, ordering: Ordering) {
        self.atomic().store(value.to_le(), ordering);
    }

    #[inline]
    fn swap(&self, value: u32, ordering: Ordering) -> u32 {
        u32::from_le(self.atomic().swap(value.to_le(), ordering))
    }
}
