//! What all libraries are asked to do: the rows.

use serde::{Deserialize, Serialize};

use crate::bench::Mode;

pub(crate) const KIB: usize = 1 << 10;
pub(crate) const MIB: usize = 1 << 20;

/// Calls under way at any time, of [`Work::Outstanding`]; endpoints under way, of [`Work::Endpoints`].
pub(crate) const OUTSTANDING: usize = 64;
/// Bytes of a raw message that goes back and forth.
pub(crate) const BALL: usize = 64;
/// Bytes of the argument of [`Work::Vector`] and [`Work::Bytes`].
pub(crate) const LARGE: usize = MIB;

/// A kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Work {
    /// 64 bytes there and back.
    RoundTrip,
    /// The same after 2 ms in which nothing happened.
    Asleep,
    /// `add(u64, u64) -> u64`.
    Add,
    /// `echo32([u8; 32]) -> [u8; 32]`.
    Echo32,
    /// `add` with 64 calls under way.
    Outstanding,
    /// Messages of so many bytes one way, all of which are read.
    Stream { size: usize },
    /// `sum(Vec<u8>) -> u64` with 1 MiB, of which every byte is read.
    Vector,
    /// The same with the type that the library has for bytes.
    Bytes,
    /// A pair of endpoints made, one sent, both closed.
    Endpoints,
}

/// What a figure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Nanoseconds,
    Operations,
    BytesPerSecond,
}

impl Work {
    pub(crate) const ALL: [Self; 11] = [
        Self::RoundTrip,
        Self::Asleep,
        Self::Add,
        Self::Echo32,
        Self::Outstanding,
        Self::Stream { size: 64 },
        Self::Stream { size: 64 * KIB },
        Self::Stream { size: MIB },
        Self::Vector,
        Self::Bytes,
        Self::Endpoints,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::RoundTrip => "rtt.hot",
            Self::Asleep => "rtt.asleep",
            Self::Add => "call.add",
            Self::Echo32 => "call.echo32",
            Self::Outstanding => "outstanding.64",
            Self::Stream { size: 64 } => "oneway.64",
            Self::Stream { size: MIB } => "oneway.1M",
            Self::Stream { .. } => "oneway.64K",
            Self::Vector => "call.vec",
            Self::Bytes => "call.bytes",
            Self::Endpoints => "endpoints",
        }
    }

    /// The same in words.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::RoundTrip => "round trip, 64 B",
            Self::Asleep => "the same, idle for 2 ms before",
            Self::Add => "call `add(u64, u64)`",
            Self::Echo32 => "call `echo32([u8; 32])`",
            Self::Outstanding => "`add`, 64 calls outstanding",
            Self::Stream { size: 64 } => "one way, 64 B",
            Self::Stream { size: MIB } => "one way, 1 MiB",
            Self::Stream { .. } => "one way, 64 KiB",
            Self::Vector => "call `sum(Vec<u8>)`, 1 MiB",
            Self::Bytes => "the same, type for bytes",
            Self::Endpoints => "endpoints sent",
        }
    }

    pub(crate) fn unit(self) -> Unit {
        match self {
            Self::RoundTrip | Self::Asleep | Self::Add | Self::Echo32 => Unit::Nanoseconds,
            Self::Vector | Self::Bytes => Unit::Nanoseconds,
            Self::Stream { size } if size > BALL => Unit::BytesPerSecond,
            Self::Stream { .. } | Self::Outstanding | Self::Endpoints => Unit::Operations,
        }
    }

    /// What to multiply a sample by, to have it in that unit.
    pub(crate) fn scale(self) -> f64 {
        match (self, self.unit()) {
            (Self::Stream { size }, Unit::BytesPerSecond) => size as f64,
            _ => 1.0,
        }
    }

    pub(crate) fn mode(self) -> Mode {
        match self {
            Self::Asleep => Mode::Idle,
            _ => Mode::Hot,
        }
    }
}

/// Messages of a stream that may be under way.
pub(crate) fn window(size: usize) -> u64 {
    if size > BALL { 4 } else { 1024 }
}
