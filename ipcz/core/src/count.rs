//! Numbers of parcels, where not to know one takes no room.

use std::num::NonZeroU64;

/// A number of parcels. An `Option` of it is no larger.
///
/// The greatest number of all stands for itself and the one below it: no honest route gets there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Count(NonZeroU64);

impl Count {
    pub(crate) fn new(number: u64) -> Self {
        Self(NonZeroU64::MIN.saturating_add(number))
    }

    pub(crate) fn get(self) -> u64 {
        self.0.get() - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_survive_and_take_no_more_room() {
        assert_eq!(size_of::<Option<Count>>(), 8);
        for number in [0, 1, u64::MAX - 1] {
            assert_eq!(Count::new(number).get(), number);
        }
        assert_eq!(Count::new(u64::MAX).get(), u64::MAX - 1);
    }
}
