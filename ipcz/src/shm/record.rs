//! What a record in a ring looks like, byte by byte.
//!
//! Records lie at multiples of [`ALIGNMENT`]. A record is a header of [`HEADER_BYTES`] and its bytes,
//! padded to the next multiple with bytes of no meaning. All numbers are little-endian.
//!
//! | at | size | what |
//! | --- | --- | --- |
//! | 0 | 4 | how many bytes follow the header, padding not counted |
//! | 4 | 1 | the [`Kind`] |
//! | 5 | 1 | flags, for the kind to define |
//! | 6 | 2 | the CPU that the sender ran on, [`NO_CPU`] if it does not know |
//! | 8 | 4 | the split: how many of the bytes are the head; the others are the body |
//! | 12 | 4 | zero |
//!
//! A record never runs over the end of the ring. Where the next one would, a record of kind
//! [`Kind::Pad`] fills what is left, and the next one lies at the ring's start.
//!
//! What the kinds hold is up to the link, but for these:
//!
//! | kind | bytes |
//! | --- | --- |
//! | [`Kind::Block`] | the head, then as body a [`Block`](super::arena::Block) (12 bytes) that holds the payload |
//! | [`Kind::HandBack`] | one block (12 bytes) after another: what the receiver has done with |
//! | [`Kind::AddRegion`] | the index of the region (4 bytes), which comes over the socket |
//! | [`Kind::DropRegion`] | the index of the region (4 bytes) |
//! | [`Kind::Want`] | nothing: whoever holds blocks hands back what it can, now |

use super::RingBroken;

/// The size of a record's header.
pub const HEADER_BYTES: usize = 16;

/// Records lie at multiples of this, so that there is always room for the header of a pad, and
/// payloads are aligned for any type.
pub const ALIGNMENT: usize = 16;

/// The sender's CPU when it is not known.
pub const NO_CPU: u16 = u16::MAX;

/// What a record is. Zero is none, so that zeroed memory is no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Fills the rest of the ring. Seen by no reader.
    Pad = 1,
    /// A message with its payload.
    Inline = 2,
    /// A message whose payload is in a block.
    Block = 3,
    /// Keeps the place of a message that comes over the socket.
    Marker = 4,
    /// Blocks that their receiver has done with.
    HandBack = 5,
    /// The arena of this direction has a further region.
    AddRegion = 6,
    /// The arena of this direction has a region less.
    DropRegion = 7,
    /// The arena of this direction is full.
    Want = 8,
}

impl Kind {
    fn from_byte(byte: u8) -> Option<Kind> {
        Some(match byte {
            1 => Kind::Pad,
            2 => Kind::Inline,
            3 => Kind::Block,
            4 => Kind::Marker,
            5 => Kind::HandBack,
            6 => Kind::AddRegion,
            7 => Kind::DropRegion,
            8 => Kind::Want,
            _ => return None,
        })
    }
}

/// What the sender says of a record, beside its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tag {
    /// What it is.
    pub kind: Kind,
    /// For the kind to define.
    pub flags: u8,
    /// The CPU that the sender ran on, or [`NO_CPU`].
    pub cpu: u16,
    /// How many of the bytes are the head.
    pub split: u32,
}

impl Tag {
    /// A record of this kind, of which all bytes are the head.
    pub fn of(kind: Kind, split: u32) -> Tag {
        Tag { kind, flags: 0, cpu: NO_CPU, split }
    }
}

/// A header that was copied out of the ring and checked, as far as that needs no ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) len: u32,
    pub(super) tag: Tag,
}

impl Header {
    #[inline]
    pub(super) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[0..4].copy_from_slice(&self.len.to_le_bytes());
        bytes[4] = self.tag.kind as u8;
        bytes[5] = self.tag.flags;
        bytes[6..8].copy_from_slice(&self.tag.cpu.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.tag.split.to_le_bytes());
        bytes
    }

    #[inline]
    pub(super) fn decode(bytes: [u8; HEADER_BYTES]) -> Result<Header, RingBroken> {
        let word = |at: usize| u32::from_le_bytes(std::array::from_fn(|i| bytes[at + i]));
        let (len, split) = (word(0), word(8));
        let kind = Kind::from_byte(bytes[4]).ok_or(RingBroken("a record of no known kind"))?;
        if split > len {
            return Err(RingBroken("a head that is longer than its record"));
        }
        if word(12) != 0 {
            return Err(RingBroken("a record with something where nothing may be"));
        }
        let cpu = u16::from_le_bytes([bytes[6], bytes[7]]);
        Ok(Header { len, tag: Tag { kind, flags: bytes[5], cpu, split } })
    }
}

/// What a record of `len` bytes takes of the ring, if that can be counted.
#[inline]
pub(super) fn size_of_record(len: usize) -> Option<u32> {
    let size = len.checked_add(HEADER_BYTES)?.checked_next_multiple_of(ALIGNMENT)?;
    u32::try_from(size).ok()
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_what_the_table_says() {
        let tag = Tag { kind: Kind::Block, flags: 0x5a, cpu: 0x0102, split: 7 };
        let header = Header { len: 0x0a0b_0c0d, tag };
        let bytes = [0x0d, 0x0c, 0x0b, 0x0a, 3, 0x5a, 2, 1, 7, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(header.encode(), bytes);
        assert_eq!(Header::decode(bytes), Ok(header));
    }

    #[test]
    fn what_is_no_header_is_refused() {
        let good = Header { len: 4, tag: Tag::of(Kind::Inline, 4) }.encode();
        for (at, value) in [(4, 0), (4, 9), (4, 0xff), (8, 5), (11, 1), (12, 1), (15, 0x80)] {
            let mut bad = good;
            bad[at] = value;
            assert!(Header::decode(bad).is_err(), "{at} {value}");
        }
        assert!(Header::decode([0; HEADER_BYTES]).is_err());
        for kind in 1..=8 {
            assert_eq!(Kind::from_byte(kind).map(|kind| kind as u8), Some(kind));
        }
    }

    #[test]
    fn sizes_are_padded_and_cannot_overflow() {
        assert_eq!(size_of_record(0), Some(16));
        assert_eq!(size_of_record(1), Some(32));
        assert_eq!(size_of_record(16), Some(32));
        assert_eq!(size_of_record(usize::MAX), None);
        assert_eq!(size_of_record(u32::MAX as usize), None);
    }
}
