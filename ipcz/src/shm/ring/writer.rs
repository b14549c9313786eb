//! The producing end of a ring.

use std::sync::atomic::Ordering;

use super::{CPU, HEAD, Place, TAIL, WAITING, is_aligned};
use crate::shm::memory::{Memory, Word};
use crate::shm::record::{ALIGNMENT, HEADER_BYTES, Header, Kind, NO_CPU, Tag, size_of_record};
use crate::shm::{OutOfBounds, RingBroken};

/// Why a record was not written. Nothing of it is in the ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// There is no room until the consumer has read more. What was written before is published, and
    /// the consumer will ring when it has made room; whoever gets this rings it now, as after a
    /// [`Writer::publish`].
    #[error("the ring is full")]
    Full,
    /// No ring of this size has room for it, ever.
    #[error("the record is longer than the ring can carry")]
    TooLong,
    /// The consumer broke the rules.
    #[error(transparent)]
    Broken(#[from] RingBroken),
}

/// The producing end of a ring. One thread at a time.
pub struct Writer<M: Memory> {
    memory: M,
    place: Place,
    tail_word: M::Word,
    head_word: M::Word,
    cpu_word: M::Word,
    waiting_word: M::Word,
    /// Where the next record goes.
    tail: u32,
    /// Up to where the consumer may read.
    published: u32,
    /// How far the consumer has read, as last seen.
    head: u32,
    broken: Option<RingBroken>,
}

impl<M: Memory> Writer<M> {
    /// The producing end of the ring at `place`, which nobody has written to.
    ///
    /// # Errors
    /// There is no such place in `memory`.
    pub fn new(memory: &M, place: Place) -> Result<Self, OutOfBounds> {
        super::check_place(memory, &place)?;
        Ok(Self {
            tail_word: memory.word(place.control + TAIL)?,
            head_word: memory.word(place.control + HEAD)?,
            cpu_word: memory.word(place.control + CPU)?,
            waiting_word: memory.word(place.control + WAITING)?,
            memory: memory.clone(),
            place,
            tail: 0,
            published: 0,
            head: 0,
            broken: None,
        })
    }

    /// How many bytes a record can have at most.
    pub fn max_bytes(&self) -> usize {
        self.place.max_record() as usize - HEADER_BYTES
    }

    /// Makes room for a record of up to `len` bytes, which are then put into it piece by piece. The
    /// consumer sees nothing of it before [`Slot::commit`] and [`Writer::publish`].
    ///
    /// # Errors
    /// See [`WriteError`].
    #[inline]
    pub fn reserve(&mut self, len: usize) -> Result<Slot<'_, M>, WriteError> {
        self.reserve_leaving(len, self.place.reserve)
    }

    /// As [`Writer::reserve`], for records that hand blocks back: these may use the ring's last bytes.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub fn reserve_for_hand_back(&mut self, len: usize) -> Result<Slot<'_, M>, WriteError> {
        self.reserve_leaving(len, 0)
    }

    /// Writes a record of `parts`, one after the other, in one copy.
    ///
    /// # Errors
    /// See [`WriteError`].
    #[inline]
    pub fn write(&mut self, tag: Tag, parts: &[&[u8]]) -> Result<(), WriteError> {
        let mut len = 0_usize;
        for part in parts {
            len = len.checked_add(part.len()).ok_or(WriteError::TooLong)?;
        }
        let mut slot = self.reserve(len)?;
        for part in parts {
            slot.put(part)?;
        }
        slot.commit(tag)
    }

    /// Shows the consumer everything that was written. Gives whether that is news, in which case the
    /// caller has to see to the [`Doorbell`](crate::shm::doorbell::Doorbell).
    #[inline]
    pub fn publish(&mut self) -> bool {
        if self.published == self.tail {
            return false;
        }
        // Release: whoever sees this cursor also sees the records before it.
        self.tail_word.store(self.tail, Ordering::Release);
        self.published = self.tail;
        true
    }

    /// Whether a record of `len` bytes would still find no room. If so, the consumer rings when it has
    /// made some. To be asked after arming one's own flag, and before sleeping.
    ///
    /// # Errors
    /// The consumer broke the rules.
    pub fn still_full(&mut self, len: usize) -> Result<bool, RingBroken> {
        match self.reserve(len) {
            Ok(_) | Err(WriteError::TooLong) => Ok(false),
            Err(WriteError::Full) => Ok(true),
            Err(WriteError::Broken(broken)) => Err(broken),
        }
    }

    /// The CPU that the consumer ran on last, or [`NO_CPU`]. A hint: the consumer may say anything.
    pub fn consumer_cpu(&self) -> u16 {
        let value = self.cpu_word.load(Ordering::Relaxed);
        value.checked_sub(1).and_then(|cpu| u16::try_from(cpu).ok()).unwrap_or(NO_CPU)
    }

    /// How many of the written bytes the consumer has not read, as far as is known.
    pub fn in_flight(&self) -> u32 {
        self.tail.wrapping_sub(self.head)
    }

    #[inline]
    fn reserve_leaving(&mut self, len: usize, leave: u32) -> Result<Slot<'_, M>, WriteError> {
        let size = size_of_record(len).filter(|&size| size <= self.place.max_record());
        let size = size.ok_or(WriteError::TooLong)?;
        let rest = self.place.rest(self.tail);
        let pad = if size > rest { rest } else { 0 };
        let needed = pad + size + leave;
        if needed > self.place.capacity - self.in_flight() || self.broken.is_some() {
            self.make_room(needed)?;
        }
        let start = self.tail.wrapping_add(pad);
        let room = size - HEADER_BYTES as u32;
        Ok(Slot { writer: self, start, room, filled: 0 })
    }

    /// Looks again whether `needed` bytes are free, and if not, asks to be rung when some are.
    #[cold]
    fn make_room(&mut self, needed: u32) -> Result<(), WriteError> {
        if self.has_room(needed)? {
            return Ok(());
        }
        // What is not published can never be read.
        self.publish();
        // A swap, as the consumer's is, so that the two are in one order; see `doorbell`.
        self.waiting_word.swap(1, Ordering::Relaxed);
        // Before looking at head again: the consumer moves head, fences, and looks at this word.
        M::fence();
        if self.has_room(needed)? {
            self.waiting_word.store(0, Ordering::Relaxed);
            return Ok(());
        }
        Err(WriteError::Full)
    }

    fn has_room(&mut self, needed: u32) -> Result<bool, RingBroken> {
        if let Some(broken) = self.broken {
            return Err(broken);
        }
        // Acquire: what the consumer copied out before it moved head may be overwritten now.
        let head = self.head_word.load(Ordering::Acquire);
        // It can be between where it was and what was published. Modulo 2^32, like the cursors.
        let can_reach = self.published.wrapping_sub(self.head);
        if head.wrapping_sub(self.head) > can_reach || !is_aligned(head) {
            let broken = RingBroken("a head that its reader cannot have reached");
            self.broken = Some(broken);
            return Err(broken);
        }
        self.head = head;
        Ok(needed <= self.place.capacity - self.in_flight())
    }
}

/// A record that is being written. Dropping it leaves the ring as it was.
pub struct Slot<'a, M: Memory> {
    writer: &'a mut Writer<M>,
    start: u32,
    room: u32,
    filled: u32,
}

impl<M: Memory> Slot<'_, M> {
    /// Appends `bytes` to the record.
    ///
    /// # Errors
    /// [`WriteError::TooLong`]: there is no room for them; nothing was appended.
    #[inline]
    pub fn put(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        if bytes.len() > (self.room - self.filled) as usize {
            return Err(WriteError::TooLong);
        }
        let at = self.writer.place.at(self.start) + HEADER_BYTES + self.filled as usize;
        self.writer.memory.copy_in(at, bytes).map_err(|_| WriteError::TooLong)?;
        self.filled += bytes.len() as u32;
        Ok(())
    }

    /// Completes the record with what was put into it.
    ///
    /// # Errors
    /// [`WriteError::TooLong`]: the tag's split lies behind the end of what was put.
    #[inline]
    pub fn commit(self, tag: Tag) -> Result<(), WriteError> {
        if tag.split > self.filled {
            return Err(WriteError::TooLong);
        }
        let Writer { memory, place, tail, .. } = self.writer;
        let pad = self.start.wrapping_sub(*tail);
        if pad > 0 {
            let tag = Tag::of(Kind::Pad, 0);
            let header = Header { len: pad - HEADER_BYTES as u32, tag };
            memory.copy_in(place.at(*tail), &header.encode()).map_err(|_| WriteError::TooLong)?;
        }
        let header = Header { len: self.filled, tag };
        memory.copy_in(place.at(self.start), &header.encode()).map_err(|_| WriteError::TooLong)?;
        let end = HEADER_BYTES as u32 + self.filled;
        *tail = self.start.wrapping_add(end.next_multiple_of(ALIGNMENT as u32));
        Ok(())
    }
}
