//! A parcel's bytes, and where they are.
//!
//! | state | copies so far | who makes it |
//! | --- | --- | --- |
//! | `Own` | 0 | the application; a link, of what came inline or over a transport |
//! | `Staged` | 1, in | whoever puts something large into a portal whose route leads to another node, under no lock |
//! | `Received` | 0, read where its sender wrote it; 1, out, once somebody wants a slice | the link that it came over |
//!
//! | what is done | system calls | copies | allocations | locks |
//! | --- | --- | --- | --- | --- |
//! | to stage | - | 1, in | 1, its place | the arena's, once |
//! | to read pieces of what was received | - | 1, of the pieces | - | its own, once a piece |
//! | to take a slice or all of it | - | 1, out, the first time | 1, of its size, the first time | its own; the arena's, as the block goes back |
//! | to drop it unread | - | - | - | the arena's |
//!
//! A block that goes back wakes the background thread if nobody reads: once for all that go back until it looks.
//!
//! A staged parcel keeps the application's own bytes until it has left, so nothing is lost if it takes
//! another way after all. That is then another copy, and never one out of memory that a peer can write.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, OnceLock};

use crate::shm::Mapping;
use crate::shm::arena::{BlockView, OutBlock, SendArena};
use crate::sync::lock;

type Memory = Arc<Mapping>;

/// What is smaller is copied into the ring.
pub(crate) const LEAST_STAGED: usize = 4 << 10;

/// The bytes of a parcel.
pub(crate) enum Data {
    Own(Vec<u8>),
    Staged(Box<Staged>),
    Received(Box<Received>),
}

/// Bytes of this process that were copied to where a peer can read them, which it does not know.
pub(crate) struct Staged {
    bytes: Vec<u8>,
    block: OutBlock<Memory>,
}

/// Bytes that a peer has written.
pub(crate) struct Received {
    num_bytes: usize,
    /// Not here any more once it was copied.
    view: Mutex<Option<BlockView<Memory>>>,
    copy: OnceLock<Vec<u8>>,
}

impl Data {
    #[inline]
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Own(bytes) => bytes.len(),
            Self::Staged(staged) => staged.bytes.len(),
            Self::Received(received) => received.num_bytes,
        }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What a peer has written to a block.
    pub(crate) fn received(view: BlockView<Memory>) -> Self {
        let (num_bytes, view) = (view.len(), Mutex::new(Some(view)));
        Self::Received(Box::new(Received { num_bytes, view, copy: OnceLock::new() }))
    }

    /// The bytes. Received ones are copied, the first time.
    #[inline]
    pub(crate) fn as_slice(&self) -> &[u8] {
        match self {
            Self::Own(bytes) => bytes,
            Self::Staged(staged) => &staged.bytes,
            Self::Received(received) => received.copy(),
        }
    }

    /// The bytes, private from now on.
    pub(crate) fn as_vec_mut(&mut self) -> &mut Vec<u8> {
        if !matches!(self, Self::Own(_)) {
            *self = Self::Own(std::mem::take(self).into_vec());
        }
        match self {
            Self::Own(bytes) => bytes,
            Self::Staged(staged) => &mut staged.bytes,
            Self::Received(_) => unreachable!("it was made private above"),
        }
    }

    #[inline]
    pub(crate) fn into_vec(self) -> Vec<u8> {
        match self {
            Self::Own(bytes) => bytes,
            Self::Staged(staged) => staged.bytes,
            Self::Received(received) => received.into_copy(),
        }
    }

    /// Copies bytes from `offset` on, as many as there are and fit. Gives how many.
    pub(crate) fn read_at(&self, offset: usize, buffer: &mut [u8]) -> usize {
        let count = buffer.len().min(self.len().saturating_sub(offset));
        let buffer = &mut buffer[..count];
        match self {
            Self::Received(received) => received.read_at(offset, buffer),
            _ => buffer.copy_from_slice(&self.as_slice()[offset..][..count]),
        }
        count
    }

    /// Copies the bytes to where the peer that has `arena` can read them, if they are many, and there
    /// is room.
    pub(crate) fn stage(&mut self, arena: &SendArena<Memory>) {
        let bytes = self.as_vec_mut();
        let Some(block) = arena.try_allocate(bytes.len()) else { return };
        if block.copy_in(0, bytes).is_ok() {
            let bytes = std::mem::take(bytes);
            *self = Self::Staged(Box::new(Staged { bytes, block }));
        }
    }

    /// Gives the place up that the bytes were copied to.
    pub(crate) fn unstage(&mut self) {
        if let Self::Staged(staged) = self {
            *self = Self::Own(std::mem::take(&mut staged.bytes));
        }
    }

    /// Whether it was staged in this arena.
    pub(crate) fn is_staged_in(&self, arena: &SendArena<Memory>) -> bool {
        matches!(self, Self::Staged(staged) if staged.block.is_of(arena))
    }

    /// Takes it apart, if it was staged in this arena.
    pub(crate) fn take_staged(
        self,
        arena: &SendArena<Memory>,
    ) -> (Vec<u8>, Option<OutBlock<Memory>>) {
        match self {
            Self::Staged(staged) => {
                let Staged { bytes, block } = *staged;
                let block = if block.is_of(arena) { Some(block) } else { None };
                (bytes, block)
            }
            other => (other.into_vec(), None),
        }
    }
}

impl Received {
    fn copy(&self) -> &[u8] {
        self.copy.get_or_init(|| match lock(&self.view).take() {
            Some(view) => view.to_vec(),
            None => Vec::new(),
        })
    }

    fn into_copy(self) -> Vec<u8> {
        self.copy();
        self.copy.into_inner().unwrap_or_default()
    }

    /// `buffer` is not longer than what there is.
    fn read_at(&self, offset: usize, buffer: &mut [u8]) {
        if let Some(view) = &*lock(&self.view) {
            // A view lies within its region, so this cannot fail.
            let _ = view.read_at(offset, buffer);
            return;
        }
        buffer.copy_from_slice(&self.copy()[offset..][..buffer.len()]);
    }
}

impl Default for Data {
    fn default() -> Self {
        Self::Own(Vec::new())
    }
}

impl From<Vec<u8>> for Data {
    #[inline]
    fn from(bytes: Vec<u8>) -> Self {
        Self::Own(bytes)
    }
}

impl fmt::Debug for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own(bytes) => bytes.fmt(f),
            Self::Staged(staged) => staged.bytes.fmt(f),
            Self::Received(received) => write!(f, "{} bytes in shared memory", received.num_bytes),
        }
    }
}

/// Reads a parcel's bytes from the first to the last: see [`Parcel::reader`](crate::Parcel::reader).
#[derive(Debug)]
pub struct ParcelReader<'a> {
    data: &'a Data,
    position: usize,
}

impl<'a> ParcelReader<'a> {
    pub(crate) fn new(data: &'a Data) -> Self {
        Self { data, position: 0 }
    }
}

impl io::Read for ParcelReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.data.read_at(self.position, buffer);
        self.position += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use crate::shm::Region;
    use crate::shm::arena::{ReceiveArena, Span};

    const SIZE: usize = 10_000;

    /// Both ends of an arena.
    fn arena() -> (SendArena<Memory>, ReceiveArena<Memory>) {
        let memory = Arc::new(Region::new(64 << 10).unwrap().map().unwrap());
        let span = Span { memory, base: 0, len: 64 << 10 };
        (SendArena::new(span.clone(), 0).unwrap(), ReceiveArena::new(span, 0, || {}).unwrap())
    }

    fn bytes() -> Vec<u8> {
        (0..SIZE).map(|at| (at % 251) as u8).collect()
    }

    /// Bytes as they arrive.
    fn received() -> (Data, ReceiveArena<Memory>) {
        let (out, back) = arena();
        let mut data = Data::from(bytes());
        data.stage(&out);
        let (_, block) = data.take_staged(&out);
        let view = back.receive(block.unwrap().commit(SIZE).unwrap()).unwrap();
        (Data::received(view), back)
    }

    #[test]
    fn staged_bytes_are_still_there_if_they_go_elsewhere() {
        let ((out, _), (other, _)) = (arena(), arena());
        let mut data = Data::from(bytes());
        data.stage(&out);
        assert!(data.is_staged_in(&out) && !data.is_staged_in(&other));
        assert_eq!((data.len(), data.as_slice()), (SIZE, &bytes()[..]));
        assert!(out.usage().1 > 0);
        let (kept, block) = data.take_staged(&other);
        assert!(block.is_none() && kept == bytes());
        assert_eq!(out.usage().1, 0, "the block is free again");
    }

    #[test]
    fn what_has_no_room_stays_as_it_is() {
        let (out, _) = arena();
        let _all = out.allocate(64 << 10).unwrap();
        let mut data = Data::from(bytes());
        data.stage(&out);
        assert!(matches!(data, Data::Own(_)) && data.as_slice() == bytes());
    }

    #[test]
    fn received_bytes_are_copied_once_and_their_block_goes_back() {
        let (data, back) = received();
        assert_eq!((data.len(), back.has_done()), (SIZE, false));
        let first = data.as_slice().as_ptr();
        assert!(back.has_done());
        assert_eq!((data.as_slice(), data.as_slice().as_ptr()), (&bytes()[..], first));
        assert_eq!(data.into_vec(), bytes());
    }

    #[test]
    fn received_bytes_are_read_where_they_are() {
        let (mut data, back) = received();
        let mut piece = [0; 300];
        assert_eq!(data.read_at(SIZE - 100, &mut piece), 100);
        assert_eq!(piece[..100], bytes()[SIZE - 100..]);
        assert_eq!(data.read_at(SIZE + 1, &mut piece), 0);
        let mut all = Vec::new();
        ParcelReader::new(&data).read_to_end(&mut all).unwrap();
        assert!(all == bytes() && !back.has_done());
        data.as_vec_mut().truncate(3);
        assert_eq!((data.as_slice(), back.has_done()), (&bytes()[..3], true));
    }

    #[test]
    fn received_bytes_that_nobody_wants_go_back_unread() {
        let (data, back) = received();
        drop(data);
        assert!(back.has_done());
    }
}
