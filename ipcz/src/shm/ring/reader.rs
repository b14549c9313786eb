//! The consuming end of a ring.

use std::sync::atomic::Ordering;

use super::{CPU, HEAD, Place, TAIL, WAITING, is_aligned};
use crate::shm::memory::{Memory, Word};
use crate::shm::record::{HEADER_BYTES, Header, Kind, NO_CPU, Tag, size_of_record};
use crate::shm::{OutOfBounds, RingBroken};

/// The consuming end of a ring. One thread at a time.
pub struct Reader<M: Memory> {
    memory: M,
    place: Place,
    tail_word: M::Word,
    head_word: M::Word,
    cpu_word: M::Word,
    waiting_word: M::Word,
    /// Where the next record is.
    head: u32,
    /// Up to where the producer may write again.
    released: u32,
    /// How far records are complete, as last seen.
    tail: u32,
    /// The CPU that the producer knows of.
    cpu: u16,
    broken: Option<RingBroken>,
}

impl<M: Memory> Reader<M> {
    /// The consuming end of the ring at `place`, from which nobody has read.
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
            head: 0,
            released: 0,
            tail: 0,
            cpu: NO_CPU,
            broken: None,
        })
    }

    /// The next record, if there is one. Its header was copied out and checked; its bytes stay where
    /// they are until the record is copied out, and after that until [`Reader::release`].
    ///
    /// # Errors
    /// The producer broke the rules; it stays so.
    #[inline]
    #[expect(clippy::should_implement_trait, reason = "what it gives borrows the reader")]
    pub fn next(&mut self) -> Result<Option<Incoming<'_, M>>, RingBroken> {
        if !self.has_more()? {
            return Ok(None);
        }
        match self.take_header() {
            Ok((header, at)) => {
                let (len, tag) = (header.len as usize, header.tag);
                Ok(Some(Incoming { memory: &self.memory, at, len, tag }))
            }
            Err(broken) => Err(self.break_with(broken)),
        }
    }

    /// Whether there is a record. To be asked after arming one's flag, and before sleeping.
    ///
    /// # Errors
    /// The producer broke the rules; it stays so.
    #[inline]
    pub fn has_more(&mut self) -> Result<bool, RingBroken> {
        if let Some(broken) = self.broken {
            return Err(broken);
        }
        if self.head != self.tail {
            return Ok(true);
        }
        // Acquire: the records before this cursor are complete.
        let tail = self.tail_word.load(Ordering::Acquire);
        // The producer knows of `released`, and cannot be further ahead of it than the ring is long.
        let known = self.tail.wrapping_sub(self.released);
        let filled = tail.wrapping_sub(self.released);
        if filled < known || filled > self.place.capacity || !is_aligned(tail) {
            return Err(self.break_with(RingBroken("a tail that its writer cannot have reached")));
        }
        self.tail = tail;
        Ok(self.head != tail)
    }

    /// Up to where records were read.
    pub fn position(&self) -> u32 {
        self.head
    }

    /// The producer's cursor: it differs from [`Reader::position`] when there is something to read.
    pub fn tail_word(&self) -> &M::Word {
        &self.tail_word
    }

    /// Gives the room of the records that were read back to the producer. Once a batch is enough.
    ///
    /// Gives whether the producer waits for it: then the caller rings its node, through the
    /// [`Doorbell`](crate::shm::doorbell::Doorbell) of the opposite ring.
    #[inline]
    pub fn release(&mut self) -> bool {
        if self.released == self.head {
            return false;
        }
        // Release: what was copied out was copied before the producer overwrites it.
        self.head_word.store(self.head, Ordering::Release);
        self.released = self.head;
        // Before looking at the word: the producer sets it, fences, and looks at head again.
        M::fence();
        self.waiting_word.load(Ordering::Relaxed) != 0
            && self.waiting_word.swap(0, Ordering::Relaxed) != 0
    }

    /// Whether so much was read that its room is to be given back at once. Else that can wait until the
    /// reader sleeps: each time costs a fence, and moves a line of cache to the producer.
    #[inline]
    pub fn has_much_to_release(&self) -> bool {
        self.head.wrapping_sub(self.released) >= self.place.capacity / 4
    }

    /// Tells the producer on which CPU its records are read, if that has changed.
    #[inline]
    pub fn set_cpu(&mut self, cpu: u16) {
        if cpu != self.cpu {
            self.cpu = cpu;
            // The word is zero while the CPU is not known, as in fresh memory.
            let value = if cpu == NO_CPU { 0 } else { u32::from(cpu) + 1 };
            self.cpu_word.store(value, Ordering::Relaxed);
        }
    }

    /// Steps over the next record, and over a pad before it. Gives its header, and where its bytes are.
    #[inline]
    fn take_header(&mut self) -> Result<(Header, usize), RingBroken> {
        let (mut header, mut size) = self.look(self.head)?;
        if header.tag.kind == Kind::Pad {
            self.head = self.skip_pad(size)?;
            (header, size) = self.look(self.head)?;
            if header.tag.kind == Kind::Pad {
                // Or else a peer that writes pad after pad could keep its reader busy for ever.
                return Err(RingBroken("a pad behind a pad"));
            }
        }
        let at = self.place.at(self.head) + HEADER_BYTES;
        self.head = self.head.wrapping_add(size);
        Ok((header, at))
    }

    /// Copies the header at `cursor` out, and checks it. Gives it with the size of its record.
    #[inline]
    fn look(&self, cursor: u32) -> Result<(Header, u32), RingBroken> {
        let mut bytes = [0; HEADER_BYTES];
        let copied = self.memory.copy_out(self.place.at(cursor), &mut bytes);
        copied.map_err(|_| RingBroken("a record outside of its ring"))?;
        let header = Header::decode(bytes)?;
        let size = size_of_record(header.len as usize).unwrap_or(u32::MAX);
        if size > self.tail.wrapping_sub(cursor) || size > self.place.rest(cursor) {
            return Err(RingBroken("a record that is longer than what was published"));
        }
        if header.tag.kind != Kind::Pad && size > self.place.max_record() {
            return Err(RingBroken("a record that is longer than any may be"));
        }
        Ok((header, size))
    }

    /// The cursor behind a pad of `size` bytes, which must fill the ring and have a record behind it.
    #[cold]
    fn skip_pad(&self, size: u32) -> Result<u32, RingBroken> {
        let next = self.head.wrapping_add(size);
        if size != self.place.rest(self.head) || next == self.tail {
            return Err(RingBroken("a pad that does not lead to a record"));
        }
        Ok(next)
    }

    #[cold]
    fn break_with(&mut self, broken: RingBroken) -> RingBroken {
        self.broken = Some(broken);
        broken
    }
}

/// A record in the ring, whose header is a checked copy. The bytes are the peer's, which may
/// change them at any time, so each copy is to be checked by itself.
pub struct Incoming<'a, M: Memory> {
    memory: &'a M,
    at: usize,
    len: usize,
    tag: Tag,
}

impl<M: Memory> Incoming<'_, M> {
    /// What the sender says of it. The split is not greater than the length.
    #[inline]
    pub fn tag(&self) -> Tag {
        self.tag
    }

    /// How many bytes it has.
    #[inline]
    #[expect(clippy::len_without_is_empty, reason = "no caller wants to know")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Fills `bytes` with those at `offset`. One copy.
    ///
    /// # Errors
    /// The record ends before; nothing was copied.
    #[inline]
    pub fn read_at(&self, offset: usize, bytes: &mut [u8]) -> Result<(), RingBroken> {
        self.check(offset, bytes.len())?;
        self.memory.copy_out(self.at + offset, bytes).map_err(|_| OUTSIDE)
    }

    /// Appends `len` bytes at `offset` to `bytes`. One copy.
    ///
    /// # Errors
    /// The record ends before; nothing was copied.
    #[inline]
    pub fn append_to(
        &self,
        offset: usize,
        len: usize,
        bytes: &mut Vec<u8>,
    ) -> Result<(), RingBroken> {
        self.check(offset, len)?;
        self.memory.append_to(self.at + offset, len, bytes).map_err(|_| OUTSIDE)
    }

    /// Appends the head to `head` and the body to `body`, each in one copy.
    ///
    /// # Errors
    /// None that a record which [`Reader::next`] gave can have.
    pub fn split_to(&self, head: &mut Vec<u8>, body: &mut Vec<u8>) -> Result<(), RingBroken> {
        let split = self.tag.split as usize;
        self.append_to(0, split, head)?;
        self.append_to(split, self.len - split, body)
    }

    #[inline]
    fn check(&self, offset: usize, len: usize) -> Result<(), RingBroken> {
        match offset.checked_add(len) {
            Some(end) if end <= self.len => Ok(()),
            _ => Err(OUTSIDE),
        }
    }
}

const OUTSIDE: RingBroken = RingBroken("bytes outside of their record");
