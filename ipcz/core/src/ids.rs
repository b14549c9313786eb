//! Names for what the engine talks about.

use std::fmt;

use crate::slab::Key;

/// The name of a node: 128 random bits, unique in every network it may ever join.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeName(pub u128);

impl fmt::Display for NodeName {
    /// The first 32 bits in hexadecimal: enough to tell the nodes of one network apart.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0 >> 96)
    }
}

impl fmt::Debug for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeName({:032x})", self.0)
    }
}

/// A router of this node. The routers that are terminals are what applications call portals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouterId(pub(crate) Key);

/// A terminal router of this node, seen by the application.
pub type PortalId = RouterId;

impl RouterId {
    /// This id as a number that is never zero.
    #[must_use]
    pub fn to_bits(self) -> u64 {
        self.0.to_bits()
    }

    /// The id that [`RouterId::to_bits`] gave, or any other: an unknown id is refused when used.
    #[must_use]
    pub fn from_bits(bits: u64) -> Self {
        Self(Key::from_bits(bits))
    }
}

/// One end of a link, at this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct EndId(pub(crate) Key);

/// How messages name the link that they belong to.
///
/// Between two nodes it is the id that the link's creator picked from its half of the id space.
/// On a node's loopback it is the receiving end's own slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

/// What only the two ends of a link know, and those they tell. It authorises a bypass.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Secret(pub u128);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// A connection to another node. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(pub(crate) u32);

impl PeerId {
    /// This node, as its own peer.
    pub(crate) const LOOPBACK: Self = Self(0);

    /// This id as a number.
    #[must_use]
    pub fn to_bits(self) -> u32 {
        self.0
    }
}

/// A parcel that is on hold until the embedder has made it ready. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket {
    pub(crate) end: EndId,
    pub(crate) number: u64,
}

/// A trap, named by whoever set it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrapId(pub u64);

/// A transport that the embedder holds and the engine only speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransportId(pub u64);

/// Shared memory that the embedder holds and the engine only speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemoryId(pub u64);

/// A request for shared memory, made by this node or passed through it. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AllocationId(pub u64);
