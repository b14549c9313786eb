//! The lock of this folder: the standard library's, or loom's where loom checks models.
//!
//! Atomics and fences are not here. They come with the [`Memory`](super::memory::Memory) that a
//! structure lives in, because loom's cannot lie in mapped memory.

#[cfg(all(test, loom))]
use loom::sync::{Mutex, MutexGuard};
#[cfg(not(all(test, loom)))]
use std::sync::{Mutex, MutexGuard};

use std::sync::PoisonError;

/// A mutex whose guarded state no panic leaves half changed.
#[derive(Debug)]
pub(super) struct Lock<T>(Mutex<T>);

impl<T> Lock<T> {
    pub(super) fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
