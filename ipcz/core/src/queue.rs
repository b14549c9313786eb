//! The parcels that wait at a terminal, in the order of their sequence numbers.
//!
//! A queue has memory only while something is in it. Emptied queues leave theirs to the next one that
//! needs some: a put costs an allocation only if more queues hold something than did before, and what
//! it writes to is still in the processor's cache.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{Hash, Hasher};

use crate::message::Payload;
use crate::parcel::Parcel;

/// Parcels by sequence number: those in order stand ready, those ahead of a gap wait apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ParcelQueue<P> {
    /// The sequence number of the first ready parcel, or of the next one expected.
    next: u64,
    /// `None` if there is nothing. Most portals are idle, and there may be hundreds of thousands.
    stored: Option<Box<Stored<P>>>,
}

/// What a queue holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Stored<P> {
    ready: VecDeque<Parcel<P>>,
    ready_bytes: usize,
    early: BTreeMap<u64, Parcel<P>>,
}

impl<P> Stored<P> {
    fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.early.is_empty()
    }
}

/// Memory that emptied queues left for others. How much of it there is is no part of the state: any
/// two are equal, and a clone has none.
#[derive(Debug)]
#[allow(clippy::vec_box, reason = "the boxes move from queue to queue as they are")]
pub(crate) struct Spares<P>(Vec<Box<Stored<P>>>);

impl<P> Spares<P> {
    /// Enough for a few portals that are used by turns.
    const MAX: usize = 16;
    /// Room for more parcels than this is not kept.
    const MAX_CAPACITY: usize = 64;

    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    #[inline]
    fn take(&mut self) -> Box<Stored<P>> {
        self.0.pop().unwrap_or_else(|| {
            Box::new(Stored { ready: VecDeque::new(), ready_bytes: 0, early: BTreeMap::new() })
        })
    }

    #[inline]
    fn keep(&mut self, emptied: Box<Stored<P>>) {
        if self.0.len() < Self::MAX && emptied.ready.capacity() <= Self::MAX_CAPACITY {
            self.0.push(emptied);
        }
    }
}

impl<P> Clone for Spares<P> {
    fn clone(&self) -> Self {
        Self::new()
    }
}

impl<P> PartialEq for Spares<P> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl<P> Eq for Spares<P> {}

impl<P> Hash for Spares<P> {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

impl<P: Payload> ParcelQueue<P> {
    /// An empty queue whose first parcel will be number `next`.
    pub(crate) fn new(next: u64) -> Self {
        Self { next, stored: None }
    }

    /// The number of the parcel that [`ParcelQueue::pop`] gives next.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// The number of the first parcel that has not arrived.
    pub(crate) fn expected(&self) -> u64 {
        self.next + self.len() as u64
    }

    pub(crate) fn len(&self) -> usize {
        self.stored.as_ref().map_or(0, |stored| stored.ready.len())
    }

    /// Parcels that are ready or wait behind a gap.
    pub(crate) fn num_held(&self) -> usize {
        self.stored.as_ref().map_or(0, |stored| stored.ready.len() + stored.early.len())
    }

    pub(crate) fn num_bytes(&self) -> usize {
        self.stored.as_ref().map_or(0, |stored| stored.ready_bytes)
    }

    pub(crate) fn front(&self) -> Option<&Parcel<P>> {
        self.stored.as_ref()?.ready.front()
    }

    pub(crate) fn front_mut(&mut self) -> Option<&mut Parcel<P>> {
        self.stored.as_mut()?.ready.front_mut()
    }

    /// Whether some parcel with this number or a later one has arrived.
    pub(crate) fn reaches(&self, number: u64) -> bool {
        let later = |stored: &Stored<P>| stored.early.range(number..).next().is_some();
        self.expected() > number || self.stored.as_deref().is_some_and(later)
    }

    /// Stores parcel `number`. Gives it back if that number was there before.
    #[inline]
    pub(crate) fn insert(
        &mut self,
        number: u64,
        parcel: Parcel<P>,
        spares: &mut Spares<P>,
    ) -> Result<(), Parcel<P>> {
        let expected = self.expected();
        if number < expected {
            return Err(parcel);
        }
        let stored = self.stored.get_or_insert_with(|| spares.take());
        if number > expected {
            if stored.early.contains_key(&number) {
                return Err(parcel);
            }
            stored.early.insert(number, parcel);
            return Ok(());
        }
        stored.push(parcel);
        if !stored.early.is_empty() {
            stored.close_gap(expected + 1);
        }
        Ok(())
    }

    /// Takes the next parcel in order.
    #[inline]
    pub(crate) fn pop(&mut self, spares: &mut Spares<P>) -> Option<Parcel<P>> {
        let stored = self.stored.as_mut()?;
        let parcel = stored.ready.pop_front()?;
        stored.ready_bytes -= parcel.payload.num_bytes();
        self.next += 1;
        if stored.is_empty() {
            self.stored.take().into_iter().for_each(|emptied| spares.keep(emptied));
        }
        Some(parcel)
    }

    /// Takes what waits behind a gap that will never be filled.
    pub(crate) fn take_unreachable(&mut self) -> Vec<Parcel<P>> {
        let Some(stored) = &mut self.stored else { return Vec::new() };
        let early = std::mem::take(&mut stored.early);
        if stored.is_empty() {
            self.stored = None;
        }
        early.into_values().collect()
    }

    /// Takes everything, each with its number.
    #[inline]
    pub(crate) fn take_all(&mut self) -> Vec<(u64, Parcel<P>)> {
        let Some(stored) = self.stored.take() else { return Vec::new() };
        let Stored { ready, early, .. } = *stored;
        (self.next..).zip(ready).chain(early).collect()
    }
}

impl<P: Payload> Stored<P> {
    #[inline]
    fn push(&mut self, parcel: Parcel<P>) {
        self.ready_bytes += parcel.payload.num_bytes();
        self.ready.push_back(parcel);
    }

    /// Puts in line what waited for the parcels before `next`.
    #[cold]
    fn close_gap(&mut self, next: u64) {
        for number in next.. {
            let Some(parcel) = self.early.remove(&number) else { return };
            self.push(parcel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parcel(number: u8) -> Parcel<Vec<u8>> {
        Parcel::new(vec![number; 3], Vec::new())
    }

    #[test]
    fn parcels_come_out_in_order_whatever_order_they_went_in() {
        let (mut queue, mut spares) = (ParcelQueue::new(10), Spares::new());
        for number in [12, 10, 13, 11] {
            queue.insert(number, parcel(number as u8), &mut spares).unwrap();
        }
        for number in 10..14 {
            assert_eq!(queue.num_bytes(), 3 * (14 - usize::from(number)));
            assert_eq!(queue.pop(&mut spares), Some(parcel(number)));
        }
        assert_eq!(queue.pop(&mut spares), None);
        assert_eq!(queue.num_bytes(), 0);
    }

    #[test]
    fn a_number_is_taken_once() {
        let (mut queue, mut spares) = (ParcelQueue::new(0), Spares::new());
        queue.insert(0, parcel(0), &mut spares).unwrap();
        queue.insert(2, parcel(2), &mut spares).unwrap();
        assert!(queue.insert(0, parcel(9), &mut spares).is_err());
        assert!(queue.insert(2, parcel(9), &mut spares).is_err());
        assert!(queue.reaches(2) && !queue.reaches(3));
        queue.pop(&mut spares);
        assert!(queue.insert(0, parcel(9), &mut spares).is_err());
    }

    #[test]
    fn everything_can_be_taken_with_its_number() {
        let (mut queue, mut spares) = (ParcelQueue::new(5), Spares::new());
        queue.insert(5, parcel(5), &mut spares).unwrap();
        queue.insert(8, parcel(8), &mut spares).unwrap();
        let numbers: Vec<_> = queue.take_all().into_iter().map(|(number, _)| number).collect();
        assert_eq!(numbers, [5, 8]);
    }

    #[test]
    fn what_waits_behind_a_gap_can_be_taken_alone() {
        let (mut queue, mut spares) = (ParcelQueue::new(5), Spares::new());
        assert_eq!(queue.take_unreachable(), []);
        for number in [8, 5, 7] {
            queue.insert(number, parcel(number as u8), &mut spares).unwrap();
        }
        assert_eq!((queue.len(), queue.num_held(), queue.expected()), (1, 3, 6));
        assert_eq!(queue.take_unreachable(), [parcel(7), parcel(8)]);
        assert_eq!((queue.len(), queue.num_held(), queue.num_bytes()), (1, 1, 3));
        assert_eq!(queue.pop(&mut spares), Some(parcel(5)));
        queue.insert(7, parcel(7), &mut spares).unwrap();
        assert_eq!(queue.take_unreachable(), [parcel(7)]);
        assert!(queue == ParcelQueue::new(6), "as if nothing had ever been in it");
    }

    #[test]
    fn an_emptied_queue_leaves_its_memory_to_the_next() {
        let (mut first, mut second) = (ParcelQueue::new(0), ParcelQueue::new(0));
        let mut spares = Spares::new();
        first.insert(0, parcel(0), &mut spares).unwrap();
        let memory = std::ptr::from_ref(&**first.stored.as_ref().unwrap());
        first.pop(&mut spares);
        assert!(first.stored.is_none());
        second.insert(0, parcel(1), &mut spares).unwrap();
        assert_eq!(std::ptr::from_ref(&**second.stored.as_ref().unwrap()), memory);
        assert!(spares.0.is_empty());
    }

    #[test]
    fn spares_are_bounded() {
        let mut spares = Spares::new();
        let mut queues: Vec<_> =
            (0..=Spares::<Vec<u8>>::MAX).map(|_| ParcelQueue::new(0)).collect();
        queues.iter_mut().for_each(|queue| queue.insert(0, parcel(0), &mut spares).unwrap());
        queues.iter_mut().for_each(|queue| drop(queue.pop(&mut spares)));
        assert_eq!(spares.0.len(), Spares::<Vec<u8>>::MAX);
        spares = Spares::new();
        let many = Spares::<Vec<u8>>::MAX_CAPACITY as u64 + 1;
        for number in 0..many {
            queues[0].insert(number + 1, parcel(0), &mut spares).unwrap();
        }
        while queues[0].pop(&mut spares).is_some() {}
        assert!(spares.0.is_empty());
    }
}
