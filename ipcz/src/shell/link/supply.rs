//! Where the memory of a link comes from: its region, and what its arena grows by.
//!
//! A node that may make memory takes it from its driver. One that may not asks its delegate, if it can send
//! on what it gets. That takes a while, in which nobody waits: a link stays on its transport until its region is
//! there, and a payload that the arena has no room for goes over the transport until there is more.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};

use super::Link;
use super::outlet::Outlet;
use crate::driver::Driver;
use crate::shell::state::Shared;
use crate::shm::Region;
use crate::shm::arena::SendArena;
use crate::sync::lock;

/// Where a node has memory from that it sends to peers directly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::shell) enum Source {
    Driver,
    Delegate,
    /// It may make none, or send none.
    Nobody,
}

/// Where one link's arena has regions from, beside the first.
pub(super) struct Supply {
    source: Source,
    driver: Arc<dyn Driver>,
    shared: Weak<Shared>,
    link: Weak<Link>,
}

/// What the delegate has made for one link's arena.
#[derive(Default)]
pub(super) struct Lent {
    is_asked: AtomicBool,
    is_there: AtomicBool,
    region: Mutex<Option<Region>>,
}

impl Supply {
    pub(super) fn new(shared: &Arc<Shared>, link: &Arc<Link>) -> Self {
        Self {
            source: shared.source,
            driver: Arc::clone(&shared.driver),
            shared: Arc::downgrade(shared),
            link: Arc::downgrade(link),
        }
    }

    /// A region of so many bytes, if it is to be had at once. What the delegate makes comes later
    /// ([`Link::tend_arena`]).
    pub(super) fn region(&self, num_bytes: usize) -> Option<Region> {
        match self.source {
            Source::Driver => self.driver.allocate_region(num_bytes).ok(),
            Source::Nobody => None,
            Source::Delegate => {
                let (shared, link) = (self.shared.upgrade()?, self.link.upgrade()?);
                // One at a time: what comes may be enough.
                if !link.lent.is_asked.swap(true, Ordering::SeqCst) {
                    shared.allocate_for_link(&link, num_bytes);
                }
                None
            }
        }
    }

    /// The arena has regions that it may not need for long.
    pub(super) fn has_grown(&self) {
        if let Some(shared) = self.shared.upgrade() {
            shared.shrink_soon();
        }
    }
}

impl Link {
    /// Takes what the delegate gave for the arena, if it did.
    pub(super) fn lend(&self, region: Option<Region>) {
        let is_there = region.is_some();
        *lock(&self.lent.region) = region;
        self.lent.is_there.store(is_there, Ordering::SeqCst);
        self.lent.is_asked.store(false, Ordering::SeqCst);
        if is_there {
            self.send_queued();
        }
    }

    /// Has whoever flushes look for regions that the arena does not need any more.
    pub(in crate::shell) fn shrink(&self) {
        if self.arena.get().is_some_and(SendArena::has_grown) {
            self.to_shrink.store(true, Ordering::SeqCst);
            self.send_queued();
        }
    }

    /// Does what was left to the flusher.
    pub(super) fn tend_arena(&self, outlet: &mut Outlet) {
        if self.to_shrink.load(Ordering::Relaxed) && self.to_shrink.swap(false, Ordering::SeqCst) {
            outlet.shrink();
        }
        let is_there = &self.lent.is_there;
        if is_there.load(Ordering::Relaxed) && is_there.swap(false, Ordering::SeqCst) {
            outlet.lent = lock(&self.lent.region).take();
        }
    }
}
