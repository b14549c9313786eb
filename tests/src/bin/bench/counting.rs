//! An allocator that counts what is given out, while somebody wants to know.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicIsize, Ordering};

struct Counting;

/// Counting costs as much as what some rows time, so that only those count that need to.
static WANTED: AtomicBool = AtomicBool::new(false);
static ALLOCATED: AtomicIsize = AtomicIsize::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count(bytes: isize) {
    if WANTED.load(Ordering::Relaxed) {
        ALLOCATED.fetch_add(bytes, Ordering::Relaxed);
    }
}

// SAFETY: every call goes to the system's allocator as it came; counting changes nothing of it.
#[allow(unsafe_code, reason = "an allocator cannot be written without")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size().cast_signed());
        // SAFETY: the caller keeps `alloc`'s contract, which is this one's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size().cast_signed());
        // SAFETY: the caller keeps `alloc_zeroed`'s contract, which is this one's.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, num_bytes: usize) -> *mut u8 {
        count(num_bytes.cast_signed() - layout.size().cast_signed());
        // SAFETY: `memory` came from this allocator, which is the system's, with this layout, and the
        // caller keeps `realloc`'s contract, which is this one's.
        unsafe { System.realloc(memory, layout, num_bytes) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count(-layout.size().cast_signed());
        // SAFETY: `memory` came from this allocator, which is the system's, with this layout.
        unsafe { System.dealloc(memory, layout) }
    }
}

/// Counts for as long as it lives.
pub(crate) struct Count(isize);

impl Count {
    pub(crate) fn start() -> Self {
        WANTED.store(true, Ordering::Relaxed);
        Self(ALLOCATED.load(Ordering::Relaxed))
    }

    /// How many bytes more are allocated now than at the start.
    pub(crate) fn bytes(&self) -> isize {
        ALLOCATED.load(Ordering::Relaxed) - self.0
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        WANTED.store(false, Ordering::Relaxed);
    }
}
