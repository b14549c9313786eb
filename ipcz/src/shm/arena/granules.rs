//! Sets of granules: which pieces of a region are in some state. Private memory, a bit a granule.

use std::ops::Range;

/// A set of the granules of one region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Granules {
    words: Vec<u64>,
    /// How many granules the region has.
    all: u32,
    /// How many are in the set.
    len: u32,
    /// No granule before this one is outside of the set.
    first_gap: u32,
}

const BITS: u32 = u64::BITS;

impl Granules {
    /// The empty set of the granules of a region that has `all`.
    pub(super) fn new(all: u32) -> Granules {
        Granules { words: vec![0; all.div_ceil(BITS) as usize], all, len: 0, first_gap: 0 }
    }

    pub(super) fn all(&self) -> u32 {
        self.all
    }

    pub(super) fn len(&self) -> u32 {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether none of `range` is in the set, and all of it in the region.
    pub(super) fn has_none(&self, range: &Range<u32>) -> bool {
        range.end <= self.all && masks(range).all(|(word, mask)| self.words[word] & mask == 0)
    }

    /// Whether all of `range` is in the set.
    pub(super) fn has_all(&self, range: &Range<u32>) -> bool {
        range.end <= self.all && masks(range).all(|(word, mask)| self.words[word] & mask == mask)
    }

    /// Adds `range`, of which [`Granules::has_none`].
    pub(super) fn insert(&mut self, range: &Range<u32>) {
        masks(range).for_each(|(word, mask)| self.words[word] |= mask);
        self.len += range.len() as u32;
        if range.start == self.first_gap {
            self.first_gap = range.end;
        }
    }

    /// Takes `range` out, of which [`Granules::has_all`].
    pub(super) fn remove(&mut self, range: &Range<u32>) {
        masks(range).for_each(|(word, mask)| self.words[word] &= !mask);
        self.len -= range.len() as u32;
        self.first_gap = self.first_gap.min(range.start);
    }

    /// The first run of `count` granules that are not in the set.
    pub(super) fn find_gap(&self, count: u32) -> Option<Range<u32>> {
        let mut start = self.first_gap;
        while start + count <= self.all {
            let gap = self.next(start, false)?;
            let end = self.next(gap, true).unwrap_or(self.all);
            if end - gap >= count {
                return Some(gap..gap + count);
            }
            start = end;
        }
        None
    }

    /// The runs of granules in the set, in order.
    pub(super) fn runs(&self) -> impl Iterator<Item = Range<u32>> {
        let mut from = 0;
        std::iter::from_fn(move || {
            let start = self.next(from, true)?;
            from = self.next(start, false).unwrap_or(self.all);
            Some(start..from)
        })
    }

    /// The first granule from `from` on that is in the set, or is not.
    fn next(&self, from: u32, inside: bool) -> Option<u32> {
        let mut first = u64::MAX << (from % BITS);
        for index in (from / BITS) as usize..self.words.len() {
            let word = if inside { self.words[index] } else { !self.words[index] };
            if word & first != 0 {
                let found = index as u32 * BITS + (word & first).trailing_zeros();
                return (found < self.all).then_some(found);
            }
            first = u64::MAX;
        }
        None
    }
}

/// The words that hold `range`, each with its bits.
fn masks(range: &Range<u32>) -> impl Iterator<Item = (usize, u64)> + use<> {
    let Range { start, end } = *range;
    (start / BITS..end.div_ceil(BITS)).map(move |word| {
        let from = start.saturating_sub(word * BITS);
        let to = (end - word * BITS).min(BITS);
        let below = |bit: u32| 1_u64.checked_shl(bit).map_or(u64::MAX, |bit| bit - 1);
        (word as usize, below(to) & !below(from))
    })
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// The same set, the slow way.
    struct Naive(Vec<bool>);

    impl Naive {
        fn find_gap(&self, count: usize) -> Option<Range<u32>> {
            let starts = 0..(self.0.len() + 1).checked_sub(count)?;
            let mut found = starts.filter(|&at| self.0[at..at + count].iter().all(|set| !set));
            found.next().map(|at| at as u32..(at + count) as u32)
        }

        fn first_run(&self) -> Option<Range<u32>> {
            let start = self.0.iter().position(|&set| set)?;
            let len = self.0[start..].iter().take_while(|&&set| set).count();
            Some(start as u32..(start + len) as u32)
        }
    }

    #[test]
    fn it_agrees_with_a_slow_set() {
        let mut seed = 1_u64;
        let mut random = move |below: u32| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) as u32 % below
        };
        for all in [1, 5, 63, 64, 65, 128, 200] {
            let mut set = Granules::new(all);
            let mut naive = Naive(vec![false; all as usize]);
            for _ in 0..2000 {
                let start = random(all);
                let range = start..start + 1 + random(all - start);
                let bits = range.start as usize..range.end as usize;
                assert_eq!(set.has_none(&range), naive.0[bits.clone()].iter().all(|set| !set));
                assert_eq!(set.has_all(&range), naive.0[bits.clone()].iter().all(|&set| set));
                if set.has_none(&range) {
                    set.insert(&range);
                    naive.0[bits].fill(true);
                } else if set.has_all(&range) {
                    set.remove(&range);
                    naive.0[bits].fill(false);
                } else {
                    let run = set.runs().next().expect("some of the range is in it");
                    set.remove(&run);
                    naive.0[run.start as usize..run.end as usize].fill(false);
                }
                assert_eq!(set.len() as usize, naive.0.iter().filter(|&&set| set).count());
                assert_eq!(set.runs().next(), naive.first_run());
                assert_eq!(set.runs().map(|run| run.len()).sum::<usize>(), set.len() as usize);
                let count = 1 + random(all);
                assert_eq!(set.find_gap(count), naive.find_gap(count as usize));
            }
        }
    }

    #[test]
    fn what_leaves_the_region_is_in_neither() {
        let set = Granules::new(64);
        assert!(!set.has_none(&(60..65)) && !set.has_all(&(64..65)));
        assert!(set.has_none(&(60..64)));
        assert_eq!(set.find_gap(65), None);
    }
}
