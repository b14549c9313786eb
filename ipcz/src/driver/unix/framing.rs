//! How a frame looks in the byte stream.
//!
//! A frame is a header, one byte for the kind of each attachment, the head and the body, with
//! nothing between them. All numbers are little-endian.
//!
//! | offset | bytes | content |
//! | --- | --- | --- |
//! | 0 | 4 | `69 70 63 7a` ("ipcz") |
//! | 4 | 4 | length of the head, at most [`MAX_HEAD_BYTES`] |
//! | 8 | 4 | length of the body, at most [`MAX_BODY_BYTES`] |
//! | 12 | 2 | number of attachments *n*, at most [`MAX_ATTACHMENTS`] |
//! | 14 | 2 | zero |
//! | 16 | *n* | kinds: 1 a handle, 2 a transport, 3 a region |
//! | 16 + *n* | | head, then body |
//!
//! Each attachment is one descriptor, in the order of the kinds. The first 253 (as many as one
//! control message holds) travel with the first byte of the header, the next 253 with the kind
//! byte of the first of them, and so on. So the descriptors of a frame have all arrived when its last
//! byte has, and at no time have more arrived than the frame that is being received can claim.
//! A receiver holds the sender to both.

use crate::driver::limits::{MAX_ATTACHMENTS, MAX_BODY_BYTES, MAX_HEAD_BYTES};

/// The size of a header.
pub(super) const HEADER_BYTES: usize = 16;

const MAGIC: [u8; 4] = *b"ipcz";

/// What the header of a frame says, checked against the limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) head_bytes: usize,
    pub(super) body_bytes: usize,
    pub(super) attachments: usize,
}

/// What an attachment is, since as a descriptor they all look alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Handle = 1,
    Transport = 2,
    /// A region that whoever gets it may write.
    Region = 3,
    /// One that it may only read.
    ReadOnlyRegion = 4,
}

impl Kind {
    pub(super) fn decode(byte: u8) -> Result<Kind, &'static str> {
        match byte {
            1 => Ok(Kind::Handle),
            2 => Ok(Kind::Transport),
            3 => Ok(Kind::Region),
            4 => Ok(Kind::ReadOnlyRegion),
            _ => Err("an attachment of unknown kind"),
        }
    }
}

impl Header {
    /// The bytes of this header. The numbers are within the limits, so none is cut.
    pub(super) fn encode(self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4..8].copy_from_slice(&(self.head_bytes as u32).to_le_bytes());
        bytes[8..12].copy_from_slice(&(self.body_bytes as u32).to_le_bytes());
        bytes[12..14].copy_from_slice(&(self.attachments as u16).to_le_bytes());
        bytes
    }

    /// Reads a header; the error says which rule it breaks.
    pub(super) fn decode(bytes: [u8; HEADER_BYTES]) -> Result<Header, &'static str> {
        let [m0, m1, m2, m3, h0, h1, h2, h3, b0, b1, b2, b3, n0, n1, z0, z1] = bytes;
        let header = Header {
            head_bytes: u32::from_le_bytes([h0, h1, h2, h3]) as usize,
            body_bytes: u32::from_le_bytes([b0, b1, b2, b3]) as usize,
            attachments: u16::from_le_bytes([n0, n1]).into(),
        };
        if [m0, m1, m2, m3] != MAGIC {
            return Err("a frame does not begin with the magic number");
        }
        if [z0, z1] != [0, 0] {
            return Err("a reserved field of a frame's header is not zero");
        }
        if header.head_bytes > MAX_HEAD_BYTES {
            return Err("the head of a frame is longer than allowed");
        }
        if header.body_bytes > MAX_BODY_BYTES {
            return Err("the body of a frame is longer than allowed");
        }
        if header.attachments > MAX_ATTACHMENTS {
            return Err("a frame has more attachments than allowed");
        }
        Ok(header)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LARGEST: Header = Header {
        head_bytes: MAX_HEAD_BYTES,
        body_bytes: MAX_BODY_BYTES,
        attachments: MAX_ATTACHMENTS,
    };

    #[test]
    fn headers_survive_the_way() {
        let small = Header { head_bytes: 1, body_bytes: 0x0203_0405, attachments: 0x0607 };
        let bytes = small.encode();
        assert_eq!(bytes, *b"ipcz\x01\0\0\0\x05\x04\x03\x02\x07\x06\0\0");
        for header in [small, LARGEST] {
            assert_eq!(Header::decode(header.encode()), Ok(header));
        }
    }

    #[test]
    fn headers_beyond_a_limit_are_refused() {
        for (offset, what) in [(4, "head"), (8, "body"), (12, "attachments")] {
            let mut bytes = LARGEST.encode();
            bytes[offset] += 1;
            assert!(Header::decode(bytes).unwrap_err().contains(what));
        }
        for offset in [0, 14, 15] {
            let mut bytes = LARGEST.encode();
            bytes[offset] ^= 1;
            assert!(Header::decode(bytes).is_err());
        }
    }
}
