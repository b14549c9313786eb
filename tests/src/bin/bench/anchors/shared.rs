//! Memory that two processes of this program map.
//!
//! # Safety
//!
//! What makes the unsafe blocks here sound:
//!
//! 1. `MmapRaw` owns the mapping: its bytes stay mapped, readable and writable while it lives. The
//!    file's size is sealed before it is mapped or sent, so no access turns into a fault.
//! 2. The control words and the data do not overlap: words lie below `DATA`, data above.
//! 3. Words are aligned and only ever accessed as atomics of one size, by both processes.
//! 4. Data is only copied, as bytes, and no reference to it is formed. Who may copy when is settled
//!    by the words; both processes are this program.
#![allow(unsafe_code, reason = "atomics in shared memory are found by a pointer")]

use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicU32, AtomicU64};

use ipcz::OsHandle;
use memmap2::{MmapOptions, MmapRaw};
use rustix::fs::{MemfdFlags, SealFlags};

use crate::order::Handles;

/// Far enough apart that no CPU fetches two at once.
const LINE: usize = 128;
/// Where the data begins.
const DATA: usize = 4096;

/// Control words and, behind them, data.
pub(crate) struct Shared {
    fd: OwnedFd,
    raw: MmapRaw,
}

impl Shared {
    /// Zeroed memory with so much room for data.
    pub(crate) fn new(data: usize) -> Self {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let fd = rustix::fs::memfd_create("bench", flags).expect("a memory file");
        rustix::fs::ftruncate(&fd, (DATA + data) as u64).expect("a memory file of that size");
        let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
        rustix::fs::fcntl_add_seals(&fd, seals).expect("seals");
        Self::map(fd)
    }

    /// The same memory in the other process.
    pub(crate) fn receive(handles: &mut Handles) -> Self {
        Self::map(handles.os().into_fd().expect("a handle"))
    }

    fn map(fd: OwnedFd) -> Self {
        let num_bytes = rustix::fs::fstat(&fd).expect("a size").st_size as usize;
        assert!(num_bytes >= DATA, "no memory of this program");
        let raw = MmapOptions::new().len(num_bytes).populate().map_raw(fd.as_raw_fd());
        Self { fd, raw: raw.expect("room for a mapping") }
    }

    /// What the other process needs.
    pub(crate) fn handle(&self) -> OsHandle {
        self.fd.try_clone().expect("a descriptor").into()
    }

    /// Control word number `index`, on a cache line of its own. Not to be used as [`Shared::word64`] too.
    pub(crate) fn word32(&self, index: usize) -> &AtomicU32 {
        assert!(index < DATA / LINE);
        let word = self.raw.as_mut_ptr().wrapping_add(index * LINE).cast();
        // SAFETY: the word lies below `DATA` and so within the mapping, which outlives the reference
        // (1); it is aligned to `LINE` in a page; all accesses to it are atomic and of this size (3).
        unsafe { AtomicU32::from_ptr(word) }
    }

    /// Control word number `index`, on a cache line of its own.
    pub(crate) fn word64(&self, index: usize) -> &AtomicU64 {
        assert!(index < DATA / LINE);
        let word = self.raw.as_mut_ptr().wrapping_add(index * LINE).cast();
        // SAFETY: as in `word32`.
        unsafe { AtomicU64::from_ptr(word) }
    }

    /// Copies `bytes` to the data at `offset`.
    pub(crate) fn write(&self, offset: usize, bytes: &[u8]) {
        let to = self.data(offset, bytes.len());
        // SAFETY: `data` has checked that so many bytes lie there, mapped and writable (1). `bytes` is
        // private memory and does not overlap them (4).
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) };
    }

    /// Fills `bytes` from the data at `offset`.
    pub(crate) fn read(&self, offset: usize, bytes: &mut [u8]) {
        let from = self.data(offset, bytes.len());
        // SAFETY: `data` has checked that so many bytes lie there, mapped and readable (1). `bytes` is
        // private memory and does not overlap them (4).
        unsafe { std::ptr::copy_nonoverlapping(from, bytes.as_mut_ptr(), bytes.len()) };
    }

    fn data(&self, offset: usize, len: usize) -> *mut u8 {
        let room = self.raw.len() - DATA;
        assert!(len <= room && offset <= room - len, "beyond the end");
        self.raw.as_mut_ptr().wrapping_add(DATA + offset)
    }
}
