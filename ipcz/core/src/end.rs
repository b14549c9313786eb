//! One end of a link: what a router knows of its connection to the next router of the route.

use crate::count::Count;
use crate::ids::{EndId, LinkId, PeerId, RouterId, Secret};
use crate::message::EndKey;
use crate::slab::Key;

/// Which neighbour of a router is meant.
///
/// A terminal has its peer on the outer side, and the application on the inner one. A proxy stands
/// where a terminal was: the inner side is where that terminal went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Side {
    Outer = 0,
    Inner = 1,
}

impl Side {
    pub(crate) const BOTH: [Self; 2] = [Self::Outer, Self::Inner];

    pub(crate) fn other(self) -> Self {
        match self {
            Self::Outer => Self::Inner,
            Self::Inner => Self::Outer,
        }
    }
}

/// One end of a link. Ends that are not a router's primary ones are decaying: they only receive.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct End {
    /// `None` only on the loopback, until the other end's offer to bypass has been looked at.
    pub(crate) router: Option<RouterId>,
    pub(crate) side: Side,
    pub(crate) peer: PeerId,
    /// How messages to the other end name the link. On the loopback, that end's key.
    pub(crate) link: LinkId,
    /// Zero on the loopback, where it is derived. As bytes, which are aligned more closely.
    secret: [u8; 16],
    /// Whether this end may replace the link. Exactly one of the two may.
    pub(crate) owner: bool,
    /// Whether this end has asked to become the owner.
    pub(crate) asked: bool,
    /// Whether the other end is known to be a proxy's, which never gives its link away.
    pub(crate) peer_is_proxy: bool,
    pub(crate) fin_sent: bool,
    /// Whether all that the other end sent has arrived, and nothing more will.
    pub(crate) finished: bool,
    /// Parcels sent on this link.
    pub(crate) sent: u64,
    /// Parcels received on this link.
    pub(crate) received: u64,
    /// Parcels that the other end says it has sent in all.
    pub(crate) fin_count: Option<Count>,
    /// A bypass that waits until the node it leads to is connected.
    pub(crate) pending: Option<Box<EndKey>>,
}

impl End {
    pub(crate) fn new(side: Side, peer: PeerId, link: LinkId, secret: Secret) -> Self {
        Self {
            router: None,
            side,
            peer,
            link,
            secret: secret.0.to_ne_bytes(),
            owner: false,
            asked: false,
            peer_is_proxy: false,
            fin_sent: false,
            finished: false,
            sent: 0,
            received: 0,
            fin_count: None,
            pending: None,
        }
    }

    /// What the two ends of the link know.
    pub(crate) fn secret(&self) -> Secret {
        Secret(u128::from_ne_bytes(self.secret))
    }

    /// The other end of a link on the loopback.
    pub(crate) fn twin(&self) -> Option<EndId> {
        (self.peer == PeerId::LOOPBACK).then(|| EndId(Key::from_bits(self.link.0)))
    }

    /// Whether the link has begun to end.
    pub(crate) fn is_ending(&self) -> bool {
        self.fin_sent || self.fin_count.is_some()
    }
}
