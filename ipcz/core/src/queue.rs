//! The parcels that wait at a terminal, in the order of their sequence numbers.

use std::collections::{BTreeMap, VecDeque};

use crate::message::Payload;
use crate::parcel::Parcel;

/// Parcels by sequence number: those in order stand ready, those ahead of a gap wait apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ParcelQueue<P> {
    /// The sequence number of the first ready parcel, or of the next one expected.
    next: u64,
    ready: VecDeque<Parcel<P>>,
    ready_bytes: usize,
    /// Most queues never see a gap, and there are hundreds of thousands of queues.
    #[allow(clippy::box_collection, reason = "8 bytes in place of 24 in every router")]
    early: Option<Box<BTreeMap<u64, Parcel<P>>>>,
}

impl<P: Payload> ParcelQueue<P> {
    /// An empty queue whose first parcel will be number `next`.
    pub(crate) fn new(next: u64) -> Self {
        Self { next, ready: VecDeque::new(), ready_bytes: 0, early: None }
    }

    /// The number of the parcel that [`ParcelQueue::pop`] gives next.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// The number of the first parcel that has not arrived.
    pub(crate) fn expected(&self) -> u64 {
        self.next + self.ready.len() as u64
    }

    pub(crate) fn len(&self) -> usize {
        self.ready.len()
    }

    /// Parcels that are ready or wait behind a gap.
    pub(crate) fn num_held(&self) -> usize {
        self.ready.len() + self.early.as_ref().map_or(0, |early| early.len())
    }

    pub(crate) fn num_bytes(&self) -> usize {
        self.ready_bytes
    }

    pub(crate) fn front(&self) -> Option<&Parcel<P>> {
        self.ready.front()
    }

    pub(crate) fn front_mut(&mut self) -> Option<&mut Parcel<P>> {
        self.ready.front_mut()
    }

    /// Whether some parcel with this number or a later one has arrived.
    pub(crate) fn reaches(&self, number: u64) -> bool {
        self.expected() > number
            || self.early.as_ref().is_some_and(|early| early.range(number..).next().is_some())
    }

    /// Stores parcel `number`. Gives it back if that number was there before.
    pub(crate) fn insert(&mut self, number: u64, parcel: Parcel<P>) -> Result<(), Parcel<P>> {
        if number < self.expected() {
            return Err(parcel);
        }
        if number > self.expected() {
            let early = self.early.get_or_insert_default();
            if early.contains_key(&number) {
                return Err(parcel);
            }
            early.insert(number, parcel);
            return Ok(());
        }
        self.push(parcel);
        while let Some(next) = self.take_early() {
            self.push(next);
        }
        Ok(())
    }

    fn push(&mut self, parcel: Parcel<P>) {
        self.ready_bytes += parcel.payload.num_bytes();
        self.ready.push_back(parcel);
    }

    fn take_early(&mut self) -> Option<Parcel<P>> {
        let expected = self.expected();
        let early = self.early.as_mut()?;
        let parcel = early.remove(&expected);
        if early.is_empty() {
            self.early = None;
        }
        parcel
    }

    /// Takes the next parcel in order.
    pub(crate) fn pop(&mut self) -> Option<Parcel<P>> {
        let parcel = self.ready.pop_front()?;
        self.ready_bytes -= parcel.payload.num_bytes();
        self.next += 1;
        if self.ready.is_empty() {
            // An emptied queue of a quiet portal holds no memory.
            if self.ready.capacity() > 64 {
                self.ready = VecDeque::new();
            }
        }
        Some(parcel)
    }

    /// Takes what waits behind a gap that will never be filled.
    pub(crate) fn take_unreachable(&mut self) -> Vec<Parcel<P>> {
        self.early.take().map(|early| early.into_values().collect()).unwrap_or_default()
    }

    /// Takes everything, each with its number.
    pub(crate) fn take_all(&mut self) -> Vec<(u64, Parcel<P>)> {
        let first = self.next;
        self.ready_bytes = 0;
        let ready = std::mem::take(&mut self.ready).into_iter();
        let mut all: Vec<_> = (first..).zip(ready).collect();
        if let Some(early) = self.early.take() {
            all.extend(*early);
        }
        all
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
        let mut queue = ParcelQueue::new(10);
        for number in [12, 10, 13, 11] {
            queue.insert(number, parcel(number as u8)).unwrap();
        }
        assert_eq!(queue.num_bytes(), 12);
        for number in 10..14 {
            assert_eq!(queue.pop(), Some(parcel(number)));
        }
        assert_eq!(queue.pop(), None);
        assert_eq!(queue.num_bytes(), 0);
    }

    #[test]
    fn a_number_is_taken_once() {
        let mut queue = ParcelQueue::new(0);
        queue.insert(0, parcel(0)).unwrap();
        queue.insert(2, parcel(2)).unwrap();
        assert!(queue.insert(0, parcel(9)).is_err());
        assert!(queue.insert(2, parcel(9)).is_err());
        assert!(queue.reaches(2) && !queue.reaches(3));
        queue.pop();
        assert!(queue.insert(0, parcel(9)).is_err());
    }

    #[test]
    fn everything_can_be_taken_with_its_number() {
        let mut queue = ParcelQueue::new(5);
        queue.insert(5, parcel(5)).unwrap();
        queue.insert(8, parcel(8)).unwrap();
        let numbers: Vec<_> = queue.take_all().into_iter().map(|(number, _)| number).collect();
        assert_eq!(numbers, [5, 8]);
    }
}
