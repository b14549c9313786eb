//! What lies where in the shared region of a link.
//!
//! | at | size | what |
//! | --- | --- | --- |
//! | 0 | 8 | `ipczlink` |
//! | 8 | 4 | version, 1 |
//! | 12 | 4 | bytes of each ring |
//! | 16 | 4 | bytes of each first arena |
//! | 20 | 4 | zero |
//! | 24 | 8 | bytes of the region |
//! | 128 | 512 | control lines of the ring from the side that made the region |
//! | 640 | 512 | control lines of the ring to it |
//! | 4096 | ring | records of the ring from that side |
//! | | ring | records of the ring to it |
//! | | arena | first blocks of that side |
//! | | arena | first blocks of the other |
//!
//! All numbers are little-endian. Both sides know the sizes before there is a region, from what they said
//! to each other over the socket; the copies of them here only show a mistake early. Whoever is given the region
//! compares them with what was agreed, and the region's real size too, and places everything by
//! what was agreed.

use super::arena::GRANULE_BYTES;
use super::ring::{CONTROL_BYTES, Place};

const MAGIC: &[u8; 8] = b"ipczlink";
const VERSION: u32 = 1;

/// Where the control lines begin: behind the header, in lines that nothing else is in.
const CONTROL: usize = 128;

/// Where the records begin: on a page of their own.
const DATA: usize = 4096;

pub(super) const HEADER_BYTES: usize = 32;

/// What of a ring only hand-backs may use: room for the longest of them
/// ([`MAX_RANGES`](super::arena::MAX_RANGES) ranges) and for a pad before it, which is shorter.
const RESERVE: u32 = 1024;

/// The smallest ring, and the largest: it must leave room beside its reserve, and is mapped for each link.
const RING_SIZES: std::ops::RangeInclusive<u32> = 4096..=16 << 20;

/// The largest first arena. Further regions are added as they are needed.
const MAX_ARENA: u32 = 64 << 20;

/// The sizes of a link's region, as the two sides agreed on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Layout {
    ring_bytes: u32,
    arena_bytes: u32,
}

/// Why a region is not one for a link, or a size is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LayoutError {
    /// A ring is a power of two of bytes from 4 KiB to 16 MiB.
    #[error("{0} bytes are no size of a ring")]
    RingSize(u32),
    /// An arena is a multiple of 1 KiB up to 64 MiB, or nothing.
    #[error("{0} bytes are no size of an arena")]
    ArenaSize(u32),
    /// The region's real size is not the one that follows from what was agreed.
    #[error("the region has {found} bytes, where {expected} were agreed on")]
    RegionSize {
        /// What the region should have.
        expected: usize,
        /// What it has.
        found: usize,
    },
    /// The region does not begin as one for a link of these sizes does.
    #[error("the region is not one for this link")]
    Header,
}

/// One of the two sides of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The one that made the region.
    Maker,
    /// The one that was given it.
    Taker,
}

impl Side {
    /// The other side.
    pub fn other(self) -> Side {
        match self {
            Side::Maker => Side::Taker,
            Side::Taker => Side::Maker,
        }
    }

    fn index(self) -> usize {
        match self {
            Side::Maker => 0,
            Side::Taker => 1,
        }
    }
}

impl Layout {
    /// What a link has unless told otherwise: rings that 1,024 small messages in flight do not fill,
    /// and arenas that keep more in flight than a transfer between two processors needs (256 KiB).
    pub const DEFAULT: Layout = Layout { ring_bytes: 256 << 10, arena_bytes: 1 << 20 };

    /// A layout of these sizes.
    ///
    /// # Errors
    /// [`LayoutError::RingSize`] or [`LayoutError::ArenaSize`], which say what is possible.
    ///
    /// ```
    /// use ipcz::shm::layout::{Layout, LayoutError};
    /// let layout = Layout::new(64 << 10, 0)?;
    /// assert_eq!(layout.num_bytes(), 4096 + 2 * (64 << 10));
    /// assert!(Layout::new(5000, 0).is_err());
    /// # Ok::<_, LayoutError>(())
    /// ```
    pub fn new(ring_bytes: u32, arena_bytes: u32) -> Result<Layout, LayoutError> {
        if !ring_bytes.is_power_of_two() || !RING_SIZES.contains(&ring_bytes) {
            return Err(LayoutError::RingSize(ring_bytes));
        }
        if !arena_bytes.is_multiple_of(GRANULE_BYTES) || arena_bytes > MAX_ARENA {
            return Err(LayoutError::ArenaSize(arena_bytes));
        }
        Ok(Layout { ring_bytes, arena_bytes })
    }

    /// The bytes of each of the two rings.
    pub fn ring_bytes(&self) -> u32 {
        self.ring_bytes
    }

    /// The bytes of each of the two first arenas.
    pub fn arena_bytes(&self) -> u32 {
        self.arena_bytes
    }

    /// The size of the region.
    pub fn num_bytes(&self) -> usize {
        self.arena(Side::Taker) + self.arena_bytes as usize
    }

    /// Where the ring is that `side` writes to.
    pub(super) fn ring(&self, side: Side) -> Place {
        Place {
            control: CONTROL + side.index() * CONTROL_BYTES,
            data: DATA + side.index() * self.ring_bytes as usize,
            capacity: self.ring_bytes,
            reserve: RESERVE,
        }
    }

    /// Where the first arena is that `side` writes to.
    pub(super) fn arena(&self, side: Side) -> usize {
        DATA + 2 * self.ring_bytes as usize + side.index() * self.arena_bytes as usize
    }

    /// How the region begins.
    pub(super) fn header(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[0..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.ring_bytes.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.arena_bytes.to_le_bytes());
        bytes[24..32].copy_from_slice(&(self.num_bytes() as u64).to_le_bytes());
        bytes
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn nothing_overlaps_and_everything_is_inside() {
        for (ring, arena) in [(4096, 0), (256 << 10, 1 << 20), (16 << 20, 64 << 20)] {
            let layout = Layout::new(ring, arena).unwrap();
            let mut pieces = vec![(0, HEADER_BYTES)];
            for side in [Side::Maker, Side::Taker] {
                let place = layout.ring(side);
                assert!(place.control.is_multiple_of(128) && place.data.is_multiple_of(4096));
                pieces.push((place.control, CONTROL_BYTES));
                pieces.push((place.data, place.capacity as usize));
                pieces.push((layout.arena(side), arena as usize));
            }
            pieces.sort_unstable();
            for pair in pieces.windows(2) {
                assert!(pair[0].0 + pair[0].1 <= pair[1].0, "{pair:?}");
            }
            let last = pieces.last().unwrap();
            assert_eq!(last.0 + last.1, layout.num_bytes());
        }
    }

    #[test]
    fn the_header_is_what_the_table_says() {
        let header = Layout::new(1 << 16, 1 << 10).unwrap().header();
        assert_eq!(&header[..8], b"ipczlink");
        assert_eq!(&header[8..16], &[1, 0, 0, 0, 0, 0, 1, 0]);
        assert_eq!(&header[16..24], &[0, 4, 0, 0, 0, 0, 0, 0]);
        let size = 4096 + 2 * (1 << 16) + 2 * (1 << 10);
        assert_eq!(u64::from_le_bytes(header[24..32].try_into().unwrap()), size);
    }

    #[test]
    fn impossible_sizes_are_refused() {
        for ring in [0, 2048, 4097, 12 << 10, 32 << 20, u32::MAX] {
            assert_eq!(Layout::new(ring, 0), Err(LayoutError::RingSize(ring)));
        }
        for arena in [1, 1023, 1025, (64 << 20) + 1024, u32::MAX] {
            assert_eq!(Layout::new(4096, arena), Err(LayoutError::ArenaSize(arena)));
        }
    }
}
