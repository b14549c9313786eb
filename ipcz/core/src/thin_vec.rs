//! Lists that are almost always empty.

use std::ops::{Deref, DerefMut};

/// A list that takes one word while it is empty, and an allocation more than a `Vec` when it is not.
///
/// ```
/// use ipcz_core::ThinVec;
/// let few: ThinVec<u8> = vec![1, 2].into();
/// assert_eq!(few.iter().sum::<u8>(), 3);
/// assert_eq!(few.into_vec(), [1, 2]);
/// assert_eq!(size_of::<ThinVec<u8>>(), size_of::<usize>());
/// ```
// An empty list is always `None`, so that equal lists are equal.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[allow(clippy::box_collection, reason = "one word in place of three")]
pub struct ThinVec<T>(Option<Box<Vec<T>>>);

impl<T> ThinVec<T> {
    /// An empty list.
    #[must_use]
    pub const fn new() -> Self {
        Self(None)
    }

    /// Adds an entry at the end.
    pub fn push(&mut self, entry: T) {
        self.0.get_or_insert_default().push(entry);
    }

    /// The entries as an ordinary list.
    #[must_use]
    #[inline]
    pub fn into_vec(self) -> Vec<T> {
        self.0.map_or_else(Vec::new, |entries| *entries)
    }
}

impl<T> Default for ThinVec<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Deref for ThinVec<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        self.0.as_ref().map_or(&[], |entries| entries)
    }
}

impl<T> DerefMut for ThinVec<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        self.0.as_mut().map_or(&mut [], |entries| entries)
    }
}

impl<T> From<Vec<T>> for ThinVec<T> {
    #[inline]
    fn from(entries: Vec<T>) -> Self {
        Self((!entries.is_empty()).then(|| Box::new(entries)))
    }
}

impl<T> FromIterator<T> for ThinVec<T> {
    fn from_iter<I: IntoIterator<Item = T>>(entries: I) -> Self {
        entries.into_iter().collect::<Vec<_>>().into()
    }
}

impl<T> Extend<T> for ThinVec<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, entries: I) {
        entries.into_iter().for_each(|entry| self.push(entry));
    }
}

impl<T> IntoIterator for ThinVec<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    #[inline]
    fn into_iter(self) -> Self::IntoIter {
        self.into_vec().into_iter()
    }
}

impl<'a, T> IntoIterator for &'a ThinVec<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    #[inline]
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<T: PartialEq, const N: usize> PartialEq<[T; N]> for ThinVec<T> {
    fn eq(&self, other: &[T; N]) -> bool {
        **self == *other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_list_is_like_every_other() {
        let emptied: ThinVec<u8> = Vec::with_capacity(9).into();
        assert_eq!(emptied, ThinVec::new());
        assert_eq!(emptied.into_vec(), []);
    }

    #[test]
    fn entries_survive_in_order() {
        let list: ThinVec<_> = (0..5).collect();
        assert_eq!(list, [0, 1, 2, 3, 4]);
        assert_eq!((&list).into_iter().count(), 5);
        assert_eq!(list.into_iter().collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn entries_can_be_added_and_changed() {
        let mut list = ThinVec::new();
        list.push(1);
        list.extend([2, 3]);
        list[1] = 7;
        assert_eq!(list, [1, 7, 3]);
        assert!(list != [1, 7, 4] && list != [1, 7]);
        assert_eq!(list.into_vec(), [1, 7, 3]);
    }
}
