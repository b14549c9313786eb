//! Secrets without randomness: a keyed pseudo-random function over a counter.
//!
//! The embedder supplies the key, from the system's random numbers in a program and from a seed in
//! a test. SipHash-2-4 with 128 bits of output is such a function: whoever sees some of its outputs
//! cannot predict others.

use siphasher::sip128::SipHasher24;

use crate::ids::Secret;

/// Derives the secrets of one node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Secrets {
    key: [u8; 16],
    next: u64,
}

/// What a derived secret is for: different uses never share an output.
#[derive(Clone, Copy)]
enum Use {
    Fresh = 1,
    Loopback = 2,
    Initial = 3,
}

impl Secrets {
    pub(crate) fn new(key: [u8; 16]) -> Self {
        Self { key, next: 0 }
    }

    /// A secret that was never given before.
    pub(crate) fn fresh(&mut self) -> Secret {
        self.next += 1;
        derive(&self.key, Use::Fresh, self.next)
    }

    /// The secret of an end on the loopback. It is derived when needed, so local links store none.
    pub(crate) fn of_loopback(&self, end: u64) -> Secret {
        derive(&self.key, Use::Loopback, end)
    }
}

/// The secret of the initial link number `index`, from what the owning node's hello carried.
pub(crate) fn of_initial_link(hello: Secret, index: u32) -> Secret {
    derive(&hello.0.to_le_bytes(), Use::Initial, u64::from(index))
}

fn derive(key: &[u8; 16], purpose: Use, number: u64) -> Secret {
    let mut input = [0; 9];
    input[0] = purpose as u8;
    input[1..].copy_from_slice(&number.to_le_bytes());
    Secret(SipHasher24::new_with_key(key).hash(&input).as_u128())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_differ_by_number_use_and_key() {
        let mut one = Secrets::new([1; 16]);
        let mut two = Secrets::new([2; 16]);
        let first = one.fresh();
        assert_ne!(first, one.fresh());
        assert_ne!(first, two.fresh());
        assert_ne!(first, one.of_loopback(1));
        assert_ne!(one.of_loopback(1), one.of_loopback(2));
    }
}
