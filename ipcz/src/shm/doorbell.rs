//! Who wakes whom: the flag by which a consumer says that it sleeps.
//!
//! While both sides are awake nobody makes a system call. A consumer that wants to sleep says so in
//! the flag of its ring, looks whether something came meanwhile, and sleeps. A producer that has
//! published looks at the flag, and if it is set, clears it and wakes the consumer by whatever the driver has
//! for that.
//!
//! ```text
//! producer                                consumer
//!   publish (tail, release)                 arm: swap(flag, kind) (relaxed)
//!   fence (sequentially consistent)         fence (sequentially consistent)
//!   flag != 0 ?                             has_more: tail (acquire) ?
//!     kind = swap(flag, 0); wake it           yes: disarm, and read
//!                                             no:  sleep, then disarm
//! ```
//!
//! Each writes one word, fences, and reads the other. By the fences' order one of the two reads what the
//! other wrote: no message lies there unseen by a consumer that sleeps unrung. The loads and stores of the
//! flag need no order of their own, because nothing is read on its account but by way of tail. The swap lets
//! one of several producers ring; it needs no order either, since it reads the last value in any case.
//! Arming could be a store: that it is a swap puts it and the producers' swaps in one order that loom can
//! follow, for the price of nothing, before a fence and a sleep.
//!
//! A wake-up may be stale: the consumer found the message by itself, or the kind is of a later sleep.
//! So whoever wakes looks again, and whoever is rung for nothing goes on sleeping.
//!
//! The kind tells a thread that waits for something from the background thread, so that each has a
//! wake-up of its own and one bell never wakes both.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::futex::{self, Watched};
use super::mapping::{Mapping, SharedWord};
use super::memory::{Memory, Word};
use super::ring::{FLAG, Place};
use super::{OutOfBounds, RingBroken, WeakWord};

/// Who of a node sleeps. Its number is what the flag holds; zero is nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Sleep {
    /// A thread that waits for a parcel or a reply.
    Waiter = 1,
    /// The node's background thread.
    Background = 2,
}

/// The producer's side of a ring's flag. Any thread.
pub struct Doorbell<M: Memory> {
    flag: M::Word,
}

impl<M: Memory> Doorbell<M> {
    /// The doorbell of the ring at `place`.
    ///
    /// # Errors
    /// There is no such place in `memory`.
    pub fn new(memory: &M, place: Place) -> Result<Self, OutOfBounds> {
        Ok(Self { flag: memory.word(place.control + FLAG)? })
    }

    /// Whom the caller has to wake, after it has published something or made room that the peer waits
    /// for. Nobody else is told to wake the same sleep.
    ///
    /// # Errors
    /// The consumer broke the rules.
    #[inline]
    pub fn who_sleeps(&self) -> Result<Option<Sleep>, RingBroken> {
        M::fence();
        if self.flag.load(Ordering::Relaxed) == 0 {
            return Ok(None);
        }
        match self.flag.swap(0, Ordering::Relaxed) {
            0 => Ok(None),
            1 => Ok(Some(Sleep::Waiter)),
            2 => Ok(Some(Sleep::Background)),
            _ => Err(RingBroken("a flag that is no kind of sleep")),
        }
    }
}

/// The consumer's side of a ring's flag. Whoever holds the pump uses it.
pub struct Sleeper<M: Memory> {
    flag: M::Word,
}

impl<M: Memory> Sleeper<M> {
    /// The flag of the ring at `place`.
    ///
    /// # Errors
    /// There is no such place in `memory`.
    pub fn new(memory: &M, place: Place) -> Result<Self, OutOfBounds> {
        Ok(Self { flag: memory.word(place.control + FLAG)? })
    }

    /// Says that the caller is about to sleep. It must look again before it does
    /// ([`Reader::has_more`](super::ring::Reader::has_more), and
    /// [`Writer::still_full`](super::ring::Writer::still_full) if it has something to send), and
    /// [`Sleeper::disarm`] if there is something.
    #[inline]
    pub fn arm(&self, sleep: Sleep) {
        self.flag.swap(sleep as u32, Ordering::Relaxed);
        M::fence();
    }

    /// Says that somebody is awake again. The producer may still ring for what came before.
    #[inline]
    pub fn disarm(&self) {
        self.flag.store(0, Ordering::Relaxed);
    }
}

impl Doorbell<Arc<Mapping>> {
    /// Wakes a waiter that sleeps on the flag.
    pub(crate) fn wake_waiter(&self) {
        futex::wake(self.flag.atomic(), true);
    }
}

impl Sleeper<Arc<Mapping>> {
    /// The flag, to sleep on it as a waiter that has armed it.
    pub(crate) fn flag(&self) -> &Flag {
        &self.flag
    }
}

/// A flag that a waiter sleeps on.
pub(crate) type Flag = SharedWord;

/// The same, kept by whoever may wake the waiter, but not mapped.
pub(crate) type WeakFlag = WeakWord;

impl Flag {
    /// What to sleep on, as a waiter that has armed it.
    pub(crate) fn watched(&self) -> Watched<'_> {
        Watched { word: self.atomic(), value: WAITER, shared: true }
    }

    /// Wakes a waiter of this process, as the peer would, but for another reason. Gives whether there
    /// was one asleep.
    pub(crate) fn wake_own_waiter(&self) -> bool {
        // One that has armed the flag and is not asleep yet will find it changed. A background
        // thread's flag stays as it is.
        let order = Ordering::SeqCst;
        let _ = self.atomic().compare_exchange(WAITER, 0, order, order);
        futex::wake(self.atomic(), true)
    }
}

/// What the flag holds while a waiter sleeps.
const WAITER: u32 = (Sleep::Waiter as u32).to_le();
