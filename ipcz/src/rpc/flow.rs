//! What may be on its way to the other end, counted at both.

use super::codec::CodecError;

pub(super) use super::limits::{CALLS, STREAM};

/// How much may be on its way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    pub(super) messages: u32,
    pub(super) bytes: u64,
}

impl Window {
    /// What a message of so many bytes counts: half of the window at most, so that one of any size can go once
    /// that much is free. Credit that the other end holds back is less.
    pub(super) fn weight(self, bytes: usize) -> u64 {
        u64::try_from(bytes).unwrap_or(u64::MAX).min(self.bytes / 2)
    }
}

/// Messages, and the bytes that they count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Amount {
    pub(super) messages: u32,
    pub(super) bytes: u64,
}

impl Amount {
    fn add(&mut self, weight: u64) {
        self.messages = self.messages.saturating_add(1);
        self.bytes = self.bytes.saturating_add(weight);
    }

    /// A peer may give back more than was taken; that is no more than all of it.
    pub(super) fn give_back(&mut self, amount: Self) {
        self.messages = self.messages.saturating_sub(amount.messages);
        self.bytes = self.bytes.saturating_sub(amount.bytes);
    }

    /// Takes room for a message, if there is any.
    pub(super) fn take_of(&mut self, weight: u64, window: Window) -> bool {
        let fits = self.messages < window.messages && self.bytes + weight <= window.bytes;
        if fits {
            self.add(weight);
        }
        fits
    }

    /// Notes a message that is done with. Gives the credit to send, if that is worth a message.
    pub(super) fn consume(&mut self, weight: u64, window: Window) -> Option<Self> {
        self.add(weight);
        let is_due = self.messages >= window.messages / 4 || self.bytes >= window.bytes / 4;
        is_due.then(|| std::mem::take(self))
    }

    /// What another holder of this end said that it had counted. It may have said anything.
    pub(super) fn bounded(self, window: Window) -> Self {
        Self { messages: self.messages.min(window.messages), bytes: self.bytes.min(window.bytes) }
    }
}

/// A server's account of one client.
#[derive(Debug, Default)]
pub(super) struct Account {
    /// What has arrived and was not given back.
    held: Amount,
    /// One-way messages that are done with, and were not given back.
    done: Amount,
}

impl Account {
    /// A message arrived.
    pub(super) fn arrived(&mut self, weight: u64) -> Result<(), CodecError> {
        self.held.add(weight);
        // Twice: whoever had the portal before, without its count, may have sent a window too.
        if self.held.messages > 2 * CALLS.messages || self.held.bytes > 2 * CALLS.bytes {
            return Err(CodecError::new("the client sent more than it had credit for"));
        }
        Ok(())
    }

    /// A call is answered, which gives back what it took.
    pub(super) fn answered(&mut self, weight: u64) {
        self.held.give_back(Amount { messages: 1, bytes: weight });
    }

    /// A one-way message is done with. Gives the credit to send, if that is worth a message.
    pub(super) fn consumed(&mut self, weight: u64) -> Option<Amount> {
        let credit = self.done.consume(weight, CALLS)?;
        self.held.give_back(credit);
        Some(credit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_way_messages_of_any_sizes_never_get_stuck() {
        // Whatever is sent, in whatever sizes, a server that is done with all of it leaves room for more.
        for size in [1, 100, 5 << 20, 20 << 20, 300 << 20] {
            let (mut sent, mut account) = (Amount::default(), Account::default());
            for n in 0..10_000_usize {
                let weight = CALLS.weight(size + n % 7);
                assert!(sent.take_of(weight, CALLS), "message {n} of {size} bytes");
                account.arrived(weight).expect("within the window");
                if let Some(credit) = account.consumed(weight) {
                    sent.give_back(credit);
                }
            }
        }
    }

    #[test]
    fn a_server_that_is_not_done_holds_the_client_up() {
        let mut sent = Amount::default();
        assert_eq!((0..10_000).take_while(|_| sent.take_of(100, CALLS)).count(), 1024);
        let mut sent = Amount::default();
        assert_eq!((0..10_000).take_while(|_| sent.take_of(1 << 20, CALLS)).count(), 16);
    }

    #[test]
    fn a_client_that_does_not_care_is_found_out() {
        let mut account = Account::default();
        let sent = (0..10_000).take_while(|_| account.arrived(1).is_ok()).count();
        assert_eq!(sent, 2048);
    }
}
