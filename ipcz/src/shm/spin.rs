//! Whether a thread that waits should stay awake for a while.
//!
//! A wake-up on another CPU costs tens of microseconds; an answer from there often takes less. On one
//! CPU it is the other way round: whoever spins keeps its peer from running. The rules:
//!
//! 1. Never while the peer's last record came from the CPU that this thread is on. Threads
//!    move, so the question is put again every microsecond.
//! 2. Up to a limit that is at least what it takes to wake the peer. With a lower one, two sides that
//!    once slept would go on missing each other: the wake-up alone takes longer than either spins.
//! 3. Only where it has paid: a wait that was answered in time adds to a score, one that was not takes
//!    twice as much from it. At zero nobody spins, except one wait in 64, to find out whether times have changed.
//!
//! There is no clock in here. The caller says how long it has been waiting. Nothing here
//! depends on what a peer says but for time: at worst, a peer that lies about its CPU wastes
//! the limit, once in 64 waits.

use std::time::Duration;

use super::record::NO_CPU;

const HIT: i32 = 4;
const MISS: i32 = 8;
const MOST: i32 = 64;
/// One wait in so many is spent on finding out, where spinning has not paid.
const PROBE_EVERY: u32 = 64;

/// The least and the most that a limit can be. Wake-ups that seem to take longer were delayed by
/// something else.
const LIMITS: std::ops::RangeInclusive<Duration> =
    Duration::from_micros(20)..=Duration::from_micros(200);

/// What one waiting thread has learnt of its peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spinner {
    enabled: bool,
    score: i32,
    waits: u32,
    limit: Duration,
}

/// What a waiting thread does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Look again, for about a microsecond, then ask again.
    Spin,
    /// Arm the flag, and sleep.
    Sleep,
}

impl Spinner {
    /// A policy that has not learnt anything. One that is not enabled never spins.
    pub fn new(enabled: bool) -> Spinner {
        Spinner { enabled, score: MOST / 2, waits: 0, limit: Duration::from_micros(50) }
    }

    /// A wait begins: whether to spin at all. `mine` is the CPU of this thread, `peers` that of the peer's
    /// last record; with either unknown, nobody spins.
    pub fn begin(&mut self, mine: u16, peers: u16) -> Next {
        if !self.enabled || !may_differ(mine, peers) {
            return Next::Sleep;
        }
        if self.score > 0 {
            return Next::Spin;
        }
        self.waits = (self.waits + 1) % PROBE_EVERY;
        if self.waits == 0 { Next::Spin } else { Next::Sleep }
    }

    /// Nothing came for `waited` so far. Ends the spin for good once it gives [`Next::Sleep`]; then
    /// [`Spinner::missed`] follows, unless it was the CPU that ended it.
    pub fn go_on(&self, waited: Duration, mine: u16, peers: u16) -> Next {
        if waited < self.limit && may_differ(mine, peers) { Next::Spin } else { Next::Sleep }
    }

    /// What was waited for came while spinning.
    pub fn hit(&mut self) {
        self.score = (self.score + HIT).min(MOST);
    }

    /// The limit passed.
    pub fn missed(&mut self) {
        self.score = (self.score - MISS).max(0);
    }

    /// A wake-up of the peer took so long. The limit follows, quickly up and slowly down.
    pub fn wake_took(&mut self, took: Duration) {
        let took = took.clamp(*LIMITS.start(), *LIMITS.end());
        self.limit = if took > self.limit { took } else { (self.limit * 15 + took) / 16 };
    }

    /// How long a wait spins at most.
    pub fn limit(&self) -> Duration {
        self.limit
    }
}

fn may_differ(mine: u16, peers: u16) -> bool {
    mine != peers && mine != NO_CPU && peers != NO_CPU
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn micros(micros: u64) -> Duration {
        Duration::from_micros(micros)
    }

    #[test]
    fn nobody_spins_on_the_peers_cpu_or_on_an_unknown_one() {
        let mut spinner = Spinner::new(true);
        assert_eq!(spinner.begin(1, 2), Next::Spin);
        for (mine, peers) in [(1, 1), (NO_CPU, 1), (1, NO_CPU), (NO_CPU, NO_CPU)] {
            assert_eq!(spinner.begin(mine, peers), Next::Sleep);
            assert_eq!(spinner.go_on(micros(0), mine, peers), Next::Sleep);
        }
    }

    #[test]
    fn one_that_is_not_enabled_never_spins() {
        let mut spinner = Spinner::new(false);
        assert!((0..200).all(|_| spinner.begin(1, 2) == Next::Sleep));
    }

    #[test]
    fn a_spin_ends_at_the_limit() {
        let spinner = Spinner::new(true);
        assert_eq!(spinner.go_on(micros(49), 1, 2), Next::Spin);
        assert_eq!(spinner.go_on(micros(50), 1, 2), Next::Sleep);
    }

    #[test]
    fn misses_end_spinning_but_for_a_probe_in_64() {
        let mut spinner = Spinner::new(true);
        let mut spins = 0;
        while spinner.begin(1, 2) == Next::Spin && spins < 100 {
            spinner.missed();
            spins += 1;
        }
        assert_eq!(spins, MOST / 2 / MISS);
        // The wait that ended the loop was the first of the 64.
        let probes = (2..=128).filter(|_| spinner.begin(1, 2) == Next::Spin);
        assert_eq!(probes.collect::<Vec<_>>(), [64, 128]);
    }

    #[test]
    fn a_probe_that_hits_brings_spinning_back() {
        let mut spinner = Spinner::new(true);
        (0..20).for_each(|_| spinner.missed());
        assert_eq!(spinner.begin(1, 2), Next::Sleep);
        spinner.hit();
        assert_eq!(spinner.begin(1, 2), Next::Spin);
        // One miss weighs more than that hit.
        spinner.missed();
        assert_eq!(spinner.begin(1, 2), Next::Sleep);
    }

    #[test]
    fn long_luck_is_forgotten_in_a_few_misses() {
        let mut spinner = Spinner::new(true);
        (0..1000).for_each(|_| spinner.hit());
        (0..MOST / MISS).for_each(|_| spinner.missed());
        assert_eq!(spinner.begin(1, 2), Next::Sleep);
    }

    #[test]
    fn the_limit_follows_the_wake_up_and_stays_in_bounds() {
        let mut spinner = Spinner::new(true);
        spinner.wake_took(micros(80));
        assert_eq!(spinner.limit(), micros(80));
        spinner.wake_took(micros(64));
        assert_eq!(spinner.limit(), micros(79));
        spinner.wake_took(Duration::from_secs(1));
        assert_eq!(spinner.limit(), micros(200));
        (0..1000).for_each(|_| spinner.wake_took(Duration::ZERO));
        assert!(spinner.limit() >= micros(20) && spinner.limit() < micros(21));
    }
}
