//! Who reads the shared memory of this node's links.
//!
//! Whoever waits, reads: one of the threads that wait is the *leader*. It reads what all peers wrote,
//! hands it to the engine, and sleeps on a word of each link until one of the peers or a waker of its own wakes it: so
//! that a message costs one wake-up, of the thread that wants it. Other waiting threads *follow*: they
//! sleep until they are told, or until the leader has what it wanted and one of them is to lead.
//!
//! While nobody waits, the background thread is rung for what arrives, over the link's transport, where it sleeps
//! anyway. To say so to each peer whenever a leader leaves would have the background thread woken
//! for much that the next leader is about to read. So after some leaders in a row nothing is said, and
//! the background thread looks by itself, once a *tick*, whether there was any leader since; if not, it
//! reads what is there, asks to be rung again, and sleeps for good. While somebody else than a leader
//! waits for anything, a task or a trap, there are no ticks.
//!
//! ```text
//!           leader comes and goes 4 times
//!   armed ────────────────────────────────▶ ticking
//!         ◀────────────────────────────────
//!           a tick without a leader, or somebody else waits
//! ```

//!
//! | what | system calls | locks | allocations | wake-ups |
//! | --- | --- | --- | --- | --- |
//! | to become the leader | - | of the seat and of the list of links, once each | - | - |
//! | a look while it stays awake; 16 of them read the clock once | - | - | - | - |
//! | to sleep with one link | 1, on that link's flag | of the inlet, the outbox and the thread's flag | - | - |
//! | to sleep with several | 1, on all their flags and a word of its own | of the inlet and the outbox, of each link | - | - |
//! | to leave, to a follower | - | of the seat, once | - | 1, of the follower |
//! | to leave, to nobody, in ticks | - | of the seat, once | - | - |
//! | to leave, to nobody, otherwise | - | of the seat, 2 times; to arm each link | - | of the background thread, once in 4 |
//! | a tick | 1, once in 2 ms | of the list of links; of each link's outbox | - | - |
//!
//! No payload is copied here: `inlet` says what reading costs.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Wake, Waker};
use std::time::{Duration, Instant};

use super::link::Link;
use super::state::Shared;
use super::wait::{Parker, Sleeper};
use crate::shm::doorbell::{Flag, Sleep};
use crate::shm::record::NO_CPU;
use crate::shm::spin::{Next, Spinner};
use crate::shm::{current_cpu, futex};
use crate::sync::lock;

/// How often the background thread looks whether leaders still come.
const TICK: Duration = Duration::from_millis(2);

/// Leaders in a row until the background thread ticks.
const LEADERS_TO_TICK: u32 = 4;

/// How many batches of one link are read before others have their turn.
const BATCHES_A_TURN: usize = 16;

/// How often a thread that stays awake looks before it asks where it runs, and how late it is: about once in
/// a microsecond.
const LOOKS_A_TIME: u32 = 16;

type Links = Arc<[Arc<Link>]>;

/// What a node knows of who reads.
#[derive(Default)]
pub(crate) struct Lead {
    seat: Mutex<Seat>,
    /// The links with shared memory.
    links: Mutex<Option<Links>>,
    /// Counts the changes of those. Zero while there never were any.
    version: AtomicU32,
    ticking: AtomicBool,
    /// Counts leaders that left while the background thread ticks.
    left: AtomicU32,
    /// Something may be there that nobody reads: the background thread is to look.
    overdue: AtomicBool,
    /// Tasks and traps, which nobody leads for.
    others: Arc<AtomicU32>,
}

#[derive(Default)]
struct Seat {
    taken: bool,
    followers: VecDeque<Arc<Sleeper>>,
    /// Leaders that left since the background thread was last rung.
    in_a_row: u32,
    spinner: Option<Spinner>,
}

impl Lead {
    /// `others` counts the tasks and traps that wait.
    pub(super) fn new(others: Arc<AtomicU32>) -> Self {
        Self { others, ..Self::default() }
    }

    pub(super) fn links(&self) -> Option<Links> {
        lock(&self.links).clone()
    }

    /// A link has shared memory from now on.
    pub(super) fn add(&self, link: &Arc<Link>) {
        let mut links = lock(&self.links);
        let known = links.iter().flat_map(|links| links.iter());
        *links = Some(known.chain([link]).cloned().collect());
        self.changed();
    }

    /// A link is gone.
    pub(super) fn remove(&self, link: &Arc<Link>) {
        let mut links = lock(&self.links);
        let Some(known) = links.as_ref() else { return };
        let left: Links = known.iter().filter(|known| !Arc::ptr_eq(known, link)).cloned().collect();
        *links = (!left.is_empty()).then_some(left);
        self.changed();
    }

    /// The links are others than before. Called under their lock.
    fn changed(&self) {
        let version = self.version.load(Ordering::Relaxed).wrapping_add(1).max(1);
        self.version.store(version, Ordering::Release);
    }
}

impl Shared {
    /// Waits with this thread until `look` gives something, or until `deadline` has passed. `look` is called under
    /// no lock.
    pub(crate) fn wait<T>(
        self: &Arc<Self>,
        deadline: Option<Instant>,
        mut look: impl FnMut(Look<'_>) -> Option<T>,
    ) -> Option<T> {
        if let Some(found) = look(Look::Awake) {
            return Some(found);
        }
        Parker::with(|parker| {
            parker.take_notice();
            let mut turn = Turn { shared: self, parker, lead: None, follows: false };
            loop {
                if turn.takes_lead() && turn.reads(deadline) {
                    // What the waker was used for before this look, it sees.
                    parker.take_notice();
                    if let Some(found) = look(Look::Awake) {
                        return Some(found);
                    }
                    if deadline.is_none_or(|deadline| Instant::now() < deadline) {
                        continue;
                    }
                }
                parker.take_notice();
                let asleep = Asleep { waker: parker.waker(), leads: turn.lead.is_some() };
                if let Some(found) = look(Look::Asleep(asleep)) {
                    return Some(found);
                }
                if turn.sleep(deadline) {
                    return look(Look::Last);
                }
            }
        })
    }
}

/// Why a waiting thread looks.
#[derive(Clone, Copy)]
pub(crate) enum Look<'a> {
    /// There may be something.
    Awake,
    /// It is going to sleep, so whoever looks sees to it that it is told.
    Asleep(Asleep<'a>),
    /// It has waited for long enough. If there was an [`Look::Asleep`] before, nobody is to be told any more.
    Last,
}

/// How a thread that is about to sleep can be told.
#[derive(Clone, Copy)]
pub(crate) struct Asleep<'a> {
    /// Wakes it.
    pub(crate) waker: &'a Waker,
    /// It is the leader, of whom there is one.
    pub(crate) leads: bool,
}

/// Has all peers ring `sleep`. Gives whether there was nothing to read on any of the links.
fn arm_all(links: &[Arc<Link>], sleep: Sleep) -> bool {
    let mut quiet = true;
    for link in links {
        quiet &= link.arm(sleep);
    }
    quiet
}

/// One thread's wait.
struct Turn<'a> {
    shared: &'a Arc<Shared>,
    parker: &'a Parker,
    lead: Option<Leading>,
    /// It was put on the list of followers. If it is not there any more, it was asked to lead.
    follows: bool,
}

/// What a leader has.
struct Leading {
    links: Links,
    version: u32,
    spinner: Spinner,
}

impl Leading {
    /// The CPU of a peer that may run while this thread does.
    fn peer_apart_from(&self, mine: u16) -> Option<u16> {
        let mut cpus = self.links.iter().map(|link| link.sender_cpu());
        cpus.find(|&cpu| cpu != mine && cpu != NO_CPU)
    }
}

impl Turn<'_> {
    /// Becomes the leader, if there is anything to read and no other leader. If there is one, this thread
    /// follows, and is woken when it may be its turn.
    fn takes_lead(&mut self) -> bool {
        let lead = &self.shared.lead;
        let version = lead.version.load(Ordering::Acquire);
        if let Some(leading) = &mut self.lead
            && leading.version == version
        {
            return true;
        }
        if version == 0 || !futex::is_available() {
            return false;
        }
        // Before looking at what it names: what is newer is looked at again.
        let links = lead.links();
        if let Some(leading) = &mut self.lead {
            // Links that are gone are not to be looked at any more, even if there are no others.
            (leading.links, leading.version) = (links.unwrap_or_default(), version);
            return true;
        }
        let Some(links) = links else { return false };
        let mut seat = lock(&lead.seat);
        let own = self.parker.sleeper();
        seat.followers.retain(|follower| !Arc::ptr_eq(follower, own));
        if seat.taken {
            seat.followers.push_back(Arc::clone(own));
            self.follows = true;
            return false;
        }
        seat.taken = true;
        let spinner = seat.spinner.take().unwrap_or_else(|| Spinner::new(self.shared.spins));
        self.lead = Some(Leading { links, version, spinner });
        true
    }

    /// Reads what is there, or comes soon enough to stay awake for it. Gives whether there may be
    /// something to look at.
    fn reads(&mut self, deadline: Option<Instant>) -> bool {
        if self.read() {
            return true;
        }
        let awake = self.stays_awake(deadline);
        if awake {
            self.read();
        }
        awake
    }

    /// Stays awake for a little while, if that has paid. Gives whether there is something to look at.
    fn stays_awake(&mut self, deadline: Option<Instant>) -> bool {
        let parker = self.parker;
        let Some(leading) = &mut self.lead else { return false };
        let mine = current_cpu();
        let Some(other) = leading.peer_apart_from(mine) else { return false };
        if leading.spinner.begin(mine, other) == Next::Sleep {
            return false;
        }
        let begun = Instant::now();
        loop {
            // As often as a clock is worth looking at.
            for _ in 0..LOOKS_A_TIME {
                if leading.links.iter().any(|link| link.has_more()) || parker.has_notice() {
                    leading.spinner.hit();
                    return true;
                }
                std::hint::spin_loop();
            }
            let now = Instant::now();
            if deadline.is_some_and(|deadline| now >= deadline) {
                return false;
            }
            let mine = current_cpu();
            let Some(other) = leading.peer_apart_from(mine) else { return false };
            if leading.spinner.go_on(now - begun, mine, other) == Next::Sleep {
                leading.spinner.missed();
                return false;
            }
        }
    }

    /// Reads a batch of each link where there seems to be one. Gives whether there was any.
    fn read(&self) -> bool {
        let mut any = false;
        for link in self.lead.iter().flat_map(|leading| leading.links.iter()) {
            any |= link.has_more() && link.read(self.shared);
        }
        any
    }

    /// Sleeps until something may be there, or until `deadline`. Gives whether that has passed.
    fn sleep(&mut self, deadline: Option<Instant>) -> bool {
        let Some(leading) = &self.lead else { return self.parker.park(deadline) };
        if let [link] = &leading.links[..] {
            let over = link.arm(Sleep::Waiter)
                && link.flag().is_some_and(|flag| self.parker.park_on_flag(flag, deadline));
            link.disarm();
            return over;
        }
        let (near, far) = leading.links.split_at(leading.links.len().min(futex::MAX_WORDS - 1));
        let quiet = arm_all(near, Sleep::Waiter) & arm_all(far, Sleep::Background);
        let flags = near.iter().filter_map(|link| link.flag());
        let over = quiet && self.parker.park_on(flags.map(Flag::watched), deadline);
        near.iter().for_each(|link| link.disarm());
        over
    }
}

impl Drop for Turn<'_> {
    /// Hands over to a follower, or to the background thread.
    fn drop(&mut self) {
        let lead = &self.shared.lead;
        let leading = self.lead.take();
        let mut seat = lock(&lead.seat);
        let own = self.parker.sleeper();
        let before = seat.followers.len();
        seat.followers.retain(|follower| !Arc::ptr_eq(follower, own));
        let links = match leading {
            Some(leading) => {
                seat.taken = false;
                seat.spinner = Some(leading.spinner);
                Some(leading.links)
            }
            // Asked to lead, but done: as if it had, for whoever asked has handed over to it.
            None if self.follows && before == seat.followers.len() && !seat.taken => None,
            None => return,
        };
        let next = seat.followers.pop_front();
        drop(seat);
        match (next, links.or_else(|| lead.links())) {
            (Some(next), _) => next.wake(),
            (None, Some(links)) => self.shared.leave(&links),
            (None, None) => {}
        }
    }
}

impl Shared {
    /// A leader has left, and nobody follows.
    fn leave(self: &Arc<Self>, links: &Links) {
        let lead = &self.lead;
        let alone = lead.others.load(Ordering::SeqCst) == 0;
        if lead.ticking.load(Ordering::SeqCst) && alone {
            lead.left.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let in_a_row = {
            let mut seat = lock(&lead.seat);
            seat.in_a_row = if alone { seat.in_a_row.saturating_add(1) } else { 0 };
            seat.in_a_row
        };
        if in_a_row >= LEADERS_TO_TICK && self.driver.pump().is_some() {
            lead.left.fetch_add(1, Ordering::Relaxed);
            lead.ticking.store(true, Ordering::SeqCst);
            self.wake_pump();
            return;
        }
        if !arm_all(links, Sleep::Background) {
            self.read_soon();
        }
    }

    /// Has the background thread read what is there.
    fn read_soon(&self) {
        self.lead.overdue.store(true, Ordering::SeqCst);
        self.wake_pump();
    }

    /// A task or a trap waits from now on, which nobody leads for.
    pub(crate) fn wait_in_background(&self) {
        if self.lead.ticking.load(Ordering::SeqCst) {
            self.read_soon();
        }
    }

    /// Reads what the transport rang for, on whichever thread delivers, and sees to it that the next message
    /// rings again.
    pub(super) fn read_for_nobody(self: &Arc<Self>, link: &Arc<Link>) {
        for _ in 0..BATCHES_A_TURN {
            if link.read(self) {
                continue;
            }
            // A leader may sleep that does not know of this link yet. One that does arms it anew.
            if self.lead.ticking.load(Ordering::SeqCst) || link.arm(Sleep::Background) {
                return;
            }
        }
        // Others have their turn first.
        self.read_soon();
    }

    /// What the background thread does for links before it sleeps. Gives how long it may.
    pub(super) fn read_in_background(self: &Arc<Self>) -> Option<Duration> {
        let lead = &self.lead;
        let links = lead.links()?;
        links.iter().for_each(|link| link.retry());
        let overdue = lead.overdue.swap(false, Ordering::SeqCst);
        if lead.ticking.load(Ordering::SeqCst) {
            let alone = lead.others.load(Ordering::SeqCst) == 0;
            if alone && lead.left.swap(0, Ordering::Relaxed) > 0 {
                return Some(TICK);
            }
            lock(&lead.seat).in_a_row = 0;
            lead.ticking.store(false, Ordering::SeqCst);
        } else if !overdue {
            return None;
        }
        links.iter().for_each(|link| self.read_for_nobody(link));
        lead.overdue.load(Ordering::SeqCst).then_some(Duration::ZERO)
    }
}
