//! Links with more queued than a node's limit, and who waits until that is less.
//!
//! A link is *full* from when more than the limit is queued for it until half of the limit is left, so that
//! whoever waits is woken once for many puts. Puts look at one number, without a lock, which is 0 unless
//! some link is full. Without a limit none ever is.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Waker;

use ipcz_core::{PeerId, PortalId, PutRefused};

use super::pump::guarded;
use super::state::State;
use crate::sync::lock;

/// What the links of a node know of its limit.
pub(crate) struct Room {
    limit: usize,
    /// How many links are full.
    full: AtomicUsize,
    waiters: Mutex<Waiters>,
}

#[derive(Default)]
struct Waiters {
    by_number: BTreeMap<u64, Waiter>,
    last: u64,
}

/// Who waits until a parcel may be put.
struct Waiter {
    portal: PortalId,
    /// Whom the link leads to that was full.
    peer: PeerId,
    waker: Waker,
}

/// A place among those that wait, once there is one. Whoever has it gives it up in the end.
pub(crate) type Place = Option<u64>;

/// Uses wakers, under no lock.
pub(super) fn wake_all(wakers: Vec<Waker>) {
    wakers.into_iter().for_each(|waker| guarded(|| waker.wake()));
}

impl Room {
    pub(super) fn new(limit: Option<usize>) -> Self {
        let limit = limit.unwrap_or(usize::MAX);
        Self { limit, full: AtomicUsize::new(0), waiters: Mutex::default() }
    }

    /// Whether links can be full at all.
    pub(super) fn is_limited(&self) -> bool {
        self.limit != usize::MAX
    }

    /// Whether a link is full for which so many bytes are queued, and was not.
    pub(super) fn is_past(&self, queued: usize) -> bool {
        queued > self.limit
    }

    /// Whether a link is full no more for which so many bytes are queued.
    pub(super) fn is_enough(&self, queued: usize) -> bool {
        queued <= self.limit / 2
    }

    /// Whether some link is full.
    #[inline]
    pub(crate) fn is_scarce(&self) -> bool {
        self.full.load(Ordering::Relaxed) > 0
    }

    /// One more link is full.
    pub(super) fn add_full(&self) {
        self.full.fetch_add(1, Ordering::Relaxed);
    }

    /// One link less is full.
    pub(super) fn remove_full(&self) {
        self.full.fetch_sub(1, Ordering::Relaxed);
    }

    /// Wakes who waits for the link to this peer, which is full no more. Called under no lock.
    pub(super) fn wake(&self, peer: PeerId) {
        let ready = self.take(|waiter| waiter.peer == peer);
        wake_all(ready);
    }

    fn take(&self, is_ready: impl Fn(&Waiter) -> bool) -> Vec<Waker> {
        let mut waiters = lock(&self.waiters);
        let ready = waiters.by_number.iter().filter(|(_, waiter)| is_ready(waiter));
        let ready: Vec<u64> = ready.map(|(&number, _)| number).collect();
        let taken = ready.iter().filter_map(|number| waiters.by_number.remove(number));
        taken.map(|waiter| waiter.waker).collect()
    }

    /// Waits in `place`, unless `is_full` says otherwise by now. Gives the waker that is not needed any more, to
    /// be dropped under no lock.
    fn wait(
        &self,
        place: &mut Place,
        waiter: Waiter,
        is_full: impl FnOnce() -> bool,
    ) -> Result<Option<Waker>, Waker> {
        let mut waiters = lock(&self.waiters);
        // Whoever finds that there is room says so before it takes this lock: so it is seen here, or
        // this one is found there.
        if !is_full() {
            return Err(waiter.waker);
        }
        let number = *place.get_or_insert_with(|| {
            waiters.last += 1;
            waiters.last
        });
        Ok(waiters.by_number.insert(number, waiter).map(|before| before.waker))
    }

    /// Waits no more. What is given is to be dropped under no lock.
    #[must_use]
    pub(crate) fn leave(&self, place: &mut Place) -> Option<Waker> {
        let number = place.take()?;
        lock(&self.waiters).by_number.remove(&number).map(|waiter| waiter.waker)
    }
}

impl State {
    /// Whether the link is full that what is put into a portal leaves by.
    pub(crate) fn is_full(&self, portal: PortalId) -> bool {
        self.link_towards(portal).is_some_and(|link| link.is_full())
    }

    /// Whether a parcel may be put now. If not, and there is a `waker`, it is used once that may have
    /// changed; gives one that is not needed, to be dropped under no lock.
    ///
    /// # Errors
    /// No parcel may be put any more.
    pub(crate) fn look_for_room(
        &self,
        portal: PortalId,
        place: &mut Place,
        waker: Option<Waker>,
    ) -> (Result<bool, PutRefused>, Option<Waker>) {
        if let Err(refused) = self.engine.check_put(portal, &[]) {
            return (Err(refused), waker);
        }
        let Some(link) = self.link_towards(portal).filter(|link| link.is_full()) else {
            return (Ok(true), waker);
        };
        let Some(waker) = waker else { return (Ok(false), None) };
        let waiter = Waiter { portal, peer: link.peer, waker };
        match self.room.wait(place, waiter, || link.is_full()) {
            Ok(replaced) => (Ok(false), replaced),
            Err(unused) => (Ok(true), Some(unused)),
        }
    }

    /// Notes that portals may lead elsewhere, or nowhere, from now on. What their waiters were told is looked at
    /// again at the end of the step.
    #[inline]
    pub(super) fn routes_may_change(&mut self) {
        self.rerouted |= self.room.is_scarce();
    }

    /// Whom to wake because a portal leads elsewhere, or nowhere.
    pub(super) fn take_rerouted(&mut self) -> Vec<Waker> {
        if !std::mem::take(&mut self.rerouted) {
            return Vec::new();
        }
        self.room.take(|waiter| {
            let is_over = self.engine.check_put(waiter.portal, &[]).is_err();
            is_over || self.engine.next_hop(waiter.portal) != Some(waiter.peer)
        })
    }
}
