//! Messages in one direction, and endpoints sent away, for libraries that block: what is the same
//! for all of them.
//!
//! So that memory is bounded, the producer has credits, of which the consumer returns a quarter at a
//! time, or each where there are few; an empty message asks for all that are left.

use std::time::{Duration, Instant};

/// Reads every byte.
pub(crate) fn sum(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks();
    let words = words.iter().map(|word| u64::from_le_bytes(*word));
    let rest = rest.iter().map(|byte| u64::from(*byte));
    words.chain(rest).fold(0, u64::wrapping_add)
}

/// The producing side.
pub(crate) trait Outlet {
    /// Sends what this is a stream of, or what says that it is over for now.
    fn put(&mut self, is_last: bool);
    /// Waits until credits come back.
    fn returned(&mut self) -> u64;
}

/// The consuming side.
pub(crate) trait Inlet {
    /// Waits for the next message and reads all of it. Gives none when there will be no more.
    fn take(&mut self) -> Option<Taken>;
    /// Gives credits back.
    fn give_back(&mut self, credits: u64);
}

/// What has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    Message,
    /// All credits are wanted.
    Last,
}

impl Taken {
    /// For those who say it with a message without bytes.
    pub(crate) fn read(bytes: &[u8]) -> Self {
        std::hint::black_box(sum(bytes));
        if bytes.is_empty() { Self::Last } else { Self::Message }
    }
}

/// Produces for so long, and until all has been taken. Gives how much it was.
pub(crate) fn produce(outlet: &mut impl Outlet, window: u64, time: Duration) -> u64 {
    let (start, mut sent, mut credits) = (Instant::now(), 0_u64, window);
    // A look at the clock costs about as much as a small message.
    let rarely = if window > 64 { 64 } else { 1 };
    while !sent.is_multiple_of(rarely) || start.elapsed() < time {
        while credits == 0 {
            credits += outlet.returned();
        }
        outlet.put(false);
        credits -= 1;
        sent += 1;
    }
    outlet.put(true);
    while credits < window {
        credits += outlet.returned();
    }
    sent
}

/// Consumes until there is no more.
pub(crate) fn consume(inlet: &mut impl Inlet, window: u64) {
    let mut taken = 0;
    while let Some(what) = inlet.take() {
        taken += u64::from(what == Taken::Message);
        if what == Taken::Last || taken >= (window / 4).max(1) {
            inlet.give_back(taken);
            taken = 0;
        }
    }
}
