//! A connection between two nodes: two queues, and who holds its ends.

use std::collections::VecDeque;
use std::fmt;

use ipcz_core::{Message, PeerId, TransportId};

use super::model::Tag;

/// One of the two ends of a connection.
pub type Side = usize;

/// A connection: the nodes that it was made for, the lesser first, and which one of theirs it is.
/// It is a name only: who has the ends is up to who activates them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId {
    /// The nodes, by their place in the world. The second may be the same as the first: a broker
    /// that was tricked.
    pub nodes: [u8; 2],
    /// How many there were before between these two.
    pub nth: u16,
}

impl ConnId {
    /// The name of one end, as messages carry it.
    pub(super) fn transport(self, side: Side) -> TransportId {
        let [a, b] = self.nodes.map(u64::from);
        TransportId(a << 32 | b << 24 | u64::from(self.nth) << 8 | side as u64)
    }

    /// The end of that name. Any number names one, though it may not exist.
    pub(super) fn from_transport(id: TransportId) -> (Self, Side) {
        let byte = |shift: u32| (id.0 >> shift & 0xff) as u8;
        let nodes = [byte(32), byte(24)];
        (Self { nodes, nth: (id.0 >> 8 & 0xffff) as u16 }, (id.0 & 1) as Side)
    }
}

impl fmt::Display for ConnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.nodes[0], self.nodes[1])?;
        if self.nth > 0 { write!(f, "#{}", self.nth) } else { Ok(()) }
    }
}

/// Who has one end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Holder {
    /// A node, as its connection to this peer.
    Node(u8, PeerId),
    /// Nobody yet: it travels in a message.
    Message,
    /// It is closed.
    Nobody,
}

/// What travels on a connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Packet {
    Message(Message<Tag>),
    /// The other end was closed after it sent what came before.
    Lost,
}

/// A connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Conn {
    pub(super) holders: [Holder; 2],
    /// What is on its way to each end.
    pub(super) queues: [VecDeque<Packet>; 2],
    /// Whether a hostile node had one of the ends.
    pub(super) hostile: bool,
    /// Whether it was made to lead to a broker that is shared.
    pub(super) referral: bool,
}

impl Conn {
    pub(super) fn new(holders: [Holder; 2]) -> Self {
        Self { holders, queues: Default::default(), hostile: false, referral: false }
    }
}

/// The transport in a message, if one is in it.
pub(super) fn transport_in(packet: &Packet) -> Option<TransportId> {
    match packet {
        Packet::Message(Message::Network(message)) => message.transport(),
        _ => None,
    }
}
