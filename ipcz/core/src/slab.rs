//! Storage by key, where a stale key finds nothing.

use std::num::NonZeroU32;
use std::ops::{Index, IndexMut};

/// A slot and the generation of what stands in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    index: u32,
    /// Odd, since a slot is taken: so an optional key is no larger than a key.
    generation: NonZeroU32,
}

impl Key {
    /// A number that is never zero.
    pub(crate) fn to_bits(self) -> u64 {
        (u64::from(self.generation.get()) << 32) + u64::from(self.index)
    }

    /// Any number gives a key; one that was never given out finds nothing.
    pub(crate) fn from_bits(bits: u64) -> Self {
        let index = (bits & 0xffff_ffff) as u32;
        // An even generation stands for a slot that is free.
        let generation = NonZeroU32::new((bits >> 32) as u32).unwrap_or(FREE);
        Self { index, generation }
    }
}

const FREE: NonZeroU32 = NonZeroU32::new(2).unwrap();

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Slot<T> {
    generation: u32,
    value: Option<T>,
}

/// Slots in one allocation. A table grows by pages, so that it moves at most one page's worth of what
/// it holds, and never takes much more memory than it needs. So large that the list of the pages of a
/// million slots stays in the processor's nearest cache.
const PAGE: usize = 4096;

/// A table of values with keys that are not reused until a slot has been taken 2^31 times.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Slab<T> {
    pages: Vec<Vec<Slot<T>>>,
    free: Vec<u32>,
    len: usize,
}

impl<T> Slab<T> {
    pub(crate) const fn new() -> Self {
        Self { pages: Vec::new(), free: Vec::new(), len: 0 }
    }

    #[inline]
    pub(crate) fn insert(&mut self, value: T) -> Key {
        let index = self.free.pop().unwrap_or_else(|| self.grow());
        let slot = self.slot_mut(index).expect("free slots are slots");
        slot.generation = slot.generation.wrapping_add(1);
        slot.value = Some(value);
        let generation = NonZeroU32::new(slot.generation).expect("a taken slot's is odd");
        self.len += 1;
        Key { index, generation }
    }

    /// Adds a free slot that is in no list.
    #[cold]
    fn grow(&mut self) -> u32 {
        if self.pages.last().is_none_or(|page| page.len() == PAGE) {
            // The first page begins small and grows as it fills.
            let room = if self.pages.is_empty() { 4 } else { PAGE };
            self.pages.push(Vec::with_capacity(room));
        }
        let full = self.pages.len() - 1;
        let page = &mut self.pages[full];
        page.push(Slot { generation: 0, value: None });
        let index = full * PAGE + page.len() - 1;
        u32::try_from(index).expect("fewer than 2^32 slots fit in memory")
    }

    #[inline]
    fn slot(&self, index: u32) -> Option<&Slot<T>> {
        let index = index as usize;
        self.pages.get(index / PAGE)?.get(index % PAGE)
    }

    #[inline]
    fn slot_mut(&mut self, index: u32) -> Option<&mut Slot<T>> {
        let index = index as usize;
        self.pages.get_mut(index / PAGE)?.get_mut(index % PAGE)
    }

    #[inline]
    pub(crate) fn remove(&mut self, key: Key) -> Option<T> {
        let slot = self.slot_mut(key.index)?;
        if slot.generation != key.generation.get() {
            return None;
        }
        let value = slot.value.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(key.index);
        self.len -= 1;
        Some(value)
    }

    #[inline]
    pub(crate) fn get(&self, key: Key) -> Option<&T> {
        let slot = self.slot(key.index)?;
        if slot.generation == key.generation.get() { slot.value.as_ref() } else { None }
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let slot = self.slot_mut(key.index)?;
        if slot.generation == key.generation.get() { slot.value.as_mut() } else { None }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Key, &T)> {
        self.pages.iter().flatten().zip(0..).filter_map(|(slot, index)| {
            let generation = NonZeroU32::new(slot.generation)?;
            slot.value.as_ref().map(|value| (Key { index, generation }, value))
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }
}

impl<T> Index<Key> for Slab<T> {
    type Output = T;

    #[inline]
    fn index(&self, key: Key) -> &T {
        self.get(key).expect("the engine holds keys of live entries only")
    }
}

impl<T> IndexMut<Key> for Slab<T> {
    #[inline]
    fn index_mut(&mut self, key: Key) -> &mut T {
        self.get_mut(key).expect("the engine holds keys of live entries only")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_key_finds_nothing() {
        let mut slab = Slab::new();
        let first = slab.insert('a');
        assert_eq!(slab.remove(first), Some('a'));
        let second = slab.insert('b');
        assert_eq!(slab.get(first), None);
        assert_eq!(slab.remove(first), None);
        assert_eq!(slab[second], 'b');
        assert_eq!(slab.len(), 1);
    }

    #[test]
    fn keys_survive_as_bits_and_are_never_zero() {
        let mut slab = Slab::new();
        let key = slab.insert(());
        assert_ne!(key.to_bits(), 0);
        assert_eq!(Key::from_bits(key.to_bits()), key);
        assert_eq!(slab.get(Key::from_bits(0)), None);
    }
}
