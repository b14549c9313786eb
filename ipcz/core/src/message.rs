//! What nodes say to each other.

use crate::ids::{LinkId, MemoryId, NodeName, Secret, TransportId};

/// What an application puts into a parcel, as far as the engine cares: it never looks inside.
pub trait Payload: Sized {
    /// The payload's size, as portals report it.
    fn num_bytes(&self) -> usize;

    /// Whether it may leave the node as it is. If not, it is handed out before it does: see
    /// [`Effect::Serialize`](crate::Effect::Serialize).
    fn is_ready(&self) -> bool {
        true
    }

    /// Whether it may leave the node at all, perhaps after it was made ready. What is ready can.
    fn can_leave(&self) -> bool {
        true
    }

    /// Whether it holds something that not every connection carries.
    fn has_handles(&self) -> bool {
        false
    }

    /// Splits off what not every connection carries, if it holds any. What stays says where that
    /// belongs.
    fn take_handles(&mut self) -> Option<Self> {
        None
    }

    /// Puts back what was split off. Gives false, and may be left in any state, if it is not what is
    /// missing here.
    #[must_use]
    fn join(&mut self, handles: Self) -> bool {
        drop(handles);
        false
    }
}

impl Payload for Vec<u8> {
    fn num_bytes(&self) -> usize {
        self.len()
    }
}

/// A message between two nodes. Each ordered pair of nodes is a reliable first-in, first-out
/// channel.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Message<P> {
    /// The first message on every connection, and only that.
    Hello(Hello),
    /// A parcel on a link, with a descriptor for each portal that moves with it.
    Parcel {
        /// The link it travels on.
        link: LinkId,
        /// Its number on the route.
        sequence: u64,
        /// How many links it has travelled, this one included.
        hops: u16,
        /// If what the payload held of handles travels by way of a broker, the number of that
        /// [`Relay`].
        relayed: Option<u64>,
        /// What the application put.
        payload: P,
        /// The portals in it, in order.
        portals: Vec<Descriptor>,
    },
    /// Something about the route that a link belongs to.
    Route(LinkId, RouteMessage),
    /// "I replace the link that this key names."
    Accept(Accept),
    /// Something about who is connected with whom.
    Network(NetworkMessage),
    /// To a broker, between brokers and from one: what belongs into a parcel that travels directly.
    Relay(Relay<P>),
}

/// The handles of a parcel, on their way by brokers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Relay<P> {
    /// The node that sent the parcel.
    pub from: NodeName,
    /// The node that it was sent to.
    pub to: NodeName,
    /// Which parcel: `from` never gives a number twice.
    pub id: u64,
    /// What [`Payload::take_handles`] gave.
    pub handles: P,
}

/// Which relay is meant, where its handles are not at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelayKey {
    /// See [`Relay::from`].
    pub from: NodeName,
    /// See [`Relay::to`].
    pub to: NodeName,
    /// See [`Relay::id`].
    pub id: u64,
}

/// How a node introduces itself on a new connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Hello {
    /// The wire version that the sender speaks. Different ones do not understand each other.
    pub version: u16,
    /// Optional features that the sender has, as bits. What both have is used.
    pub features: u64,
    /// The largest payload that the sender takes, in bytes.
    pub max_payload: u64,
    /// The sender's name.
    pub name: NodeName,
    /// Whether the sender introduces nodes to each other.
    pub is_broker: bool,
    /// Whether the sender takes the receiver for its broker.
    pub wants_broker: bool,
    /// Whether the receiver is to allocate shared memory for the sender.
    pub wants_memory: bool,
    /// If the sender has brokers pass on the handles in its parcels: the number from which it counts
    /// those on this connection.
    pub relays_from: Option<u64>,
    /// How many portals the sender has made for this connection.
    pub num_portals: u32,
    /// What the secrets of the initial links are derived from, if the sender owns them.
    pub secret: Secret,
}

/// A message about a route, sent over one of its links.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RouteMessage {
    /// The sender's side put this many parcels in all, and is closed.
    Closed(u64),
    /// The sender put this many parcels on this link, and no more will come.
    Fin(u64),
    /// "Give me this link."
    Yield,
    /// "It is yours."
    Grant,
    /// "Connect to the end that this key names, in place of me."
    BypassMe(EndKey),
    /// "Does this route have an end?" The token is the sender's own.
    Probe(Probe),
    /// "The route that asked this has one."
    Answer(Probe),
    /// "How many parcels have you put? Some may be lost." From one end of a route to the other.
    HowMany(Probe),
    /// "So many, and they are on their way." The answer to that.
    SoMany(Probe, u64),
    /// The route is cut.
    Disconnected(Cause),
}

/// A question about a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Probe {
    /// Tells it from all others.
    pub token: Secret,
    /// How many routers have passed it on.
    pub hops: u16,
}

/// Names one end of a link, to someone who knows neither node of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EndKey {
    /// The node where the end lives.
    pub node: NodeName,
    /// The node at the link's other end.
    pub via: NodeName,
    /// How messages from `via` name the link.
    pub link: LinkId,
    /// Proves that whoever shows the key was told of it.
    pub secret: Secret,
}

/// The new link of a bypass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Accept {
    /// The end whose link is replaced.
    pub key: EndKey,
    /// The link that replaces it.
    pub link: LinkId,
    /// The new link's secret.
    pub secret: Secret,
}

/// A portal that moves: what its new terminal starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Descriptor {
    /// The link to the new terminal.
    pub link: LinkId,
    /// That link's secret.
    pub secret: Secret,
    /// The number of the next parcel to be taken.
    pub next_in: u64,
    /// The number of the next parcel to be put.
    pub next_out: u64,
    /// Whether the new terminal's end owns the link. If not, a proxy stayed behind.
    pub owner: bool,
}

/// A message about connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NetworkMessage {
    /// To a broker: "introduce me to this node."
    RequestIntroduction(NodeName),
    /// From a broker: "this transport leads to that node."
    Introduce {
        /// Who is at the other end.
        node: NodeName,
        /// The transport that leads there.
        transport: TransportId,
    },
    /// To a broker: its introduction to this node has arrived. Or from one: the node that was brought
    /// to it is its client. With the receiver's own name: that is what one of the two is to the other.
    Introduced(NodeName),
    /// From a broker: that node is unknown, or cannot be reached.
    IntroductionRefused(NodeName),
    /// To a broker: "this transport leads to a node that would be your client."
    Refer {
        /// Who is at the other end.
        node: NodeName,
        /// The transport that leads there.
        transport: TransportId,
    },
    /// From a node that shares its broker: "this transport leads to it."
    Referred {
        /// The broker at the other end.
        broker: NodeName,
        /// The transport that leads there.
        transport: TransportId,
    },
    /// There will be no broker for the node that was to inherit one, which may be the receiver, or from
    /// the node that was to share it.
    ReferralRefused(NodeName),
    /// Between brokers: "is this node a client of yours? This one of mine wants to meet it."
    Locate {
        /// Who is looked for.
        node: NodeName,
        /// Who looks.
        seeker: NodeName,
    },
    /// Between brokers: the answer to that.
    Located {
        /// Who is looked for.
        node: NodeName,
        /// Who looks.
        seeker: NodeName,
        /// Whether it is.
        found: bool,
    },
    /// Between brokers: "hand this introduction to your client."
    PassIntroduction {
        /// The client.
        to: NodeName,
        /// Who is at the other end of the transport.
        node: NodeName,
        /// The transport that leads there.
        transport: TransportId,
    },
    /// Between brokers: "tell your client that it will not be introduced to that node."
    PassRefusal {
        /// The client.
        to: NodeName,
        /// Who it wanted to meet.
        node: NodeName,
    },
    /// Between brokers: "my client has heard of its introduction to that node."
    PassIntroduced {
        /// The client.
        from: NodeName,
        /// Who it was introduced to.
        node: NodeName,
    },
    /// To the node that allocates for the sender: "make shared memory of this size."
    RequestMemory {
        /// The sender's name for the request.
        id: u64,
        /// In bytes.
        size: u64,
        /// How many nodes have passed the request on.
        hops: u16,
    },
    /// The answer to that.
    ProvideMemory {
        /// The receiver's name for its request.
        id: u64,
        /// The memory, or nothing if there is none to be had.
        memory: Option<Provided>,
    },
    /// From a broker, and between brokers: what was to be relayed cannot be.
    RelayRefused(RelayKey),
    /// Between brokers: what was to be relayed went on.
    RelayPassed(RelayKey),
    /// "The handles of my parcels with these numbers will not come, unless they have."
    Unrelayed {
        /// The first of them.
        first: u64,
        /// The last of them.
        last: u64,
    },
    /// "My broker is lost, and what you relayed to me with it, perhaps."
    RelaysLost,
    /// "All that I relayed before I heard that has been said."
    RelaysLostHeard,
    /// Between brokers: "is this node a client of yours? One of mine relays something to it."
    Seek {
        /// Who is looked for.
        node: NodeName,
        /// Who looks.
        seeker: NodeName,
    },
    /// Between brokers: the answer to that.
    Sought {
        /// Who is looked for.
        node: NodeName,
        /// Who looks.
        seeker: NodeName,
        /// Whether it is.
        found: bool,
    },
    /// The last message on a connection that ends on purpose, and why it does.
    Goodbye(CauseKind),
}

/// Memory that arrives in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Provided {
    /// The memory.
    pub memory: MemoryId,
    /// Its size in bytes, as the embedder that received it found it to be.
    pub size: u64,
}

/// Why a route was cut, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cause {
    /// What happened.
    pub kind: CauseKind,
    /// The node that is to blame or was lost, where it is known.
    pub node: Option<NodeName>,
}

/// What cut a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CauseKind {
    /// A connection ended without a farewell: the node's process ended, or was killed.
    NodeLost,
    /// A node broke the protocol and was disconnected.
    Violation,
    /// The two ends of the route disagree about what was sent on it.
    RouteBroken,
    /// A node was shut down on purpose.
    Shutdown,
    /// A connection was not set up: the nodes speak different versions of the protocol.
    WrongVersion,
    /// A connection was not set up: one side has to be the other's broker.
    WrongRole,
    /// A connection was not set up: these two nodes are connected already, or are one.
    AlreadyConnected,
    /// A parcel held something that cannot leave its node, and the route leads to another one.
    Unsendable,
    /// A node sent a parcel that an application rejected, and was disconnected.
    Rejected,
    /// Handles of a parcel that this node sent had to travel by a broker, and could not.
    NotRelayed,
}

/// A peer said what no honest node says. It costs the peer its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProtocolViolation(pub &'static str);

impl std::fmt::Display for ProtocolViolation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for ProtocolViolation {}

impl NetworkMessage {
    /// Where the message says which transport it carries, if it carries one.
    pub fn transport_mut(&mut self) -> Option<&mut TransportId> {
        match self {
            Self::Introduce { transport, .. }
            | Self::Refer { transport, .. }
            | Self::Referred { transport, .. }
            | Self::PassIntroduction { transport, .. } => Some(transport),
            _ => None,
        }
    }

    /// The memory that the message carries, if it carries some.
    #[must_use]
    pub fn memory(self) -> Option<MemoryId> {
        match self {
            Self::ProvideMemory { memory, .. } => memory.map(|provided| provided.memory),
            _ => None,
        }
    }

    /// The transport that the message carries, if it carries one.
    #[must_use]
    pub fn transport(mut self) -> Option<TransportId> {
        self.transport_mut().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_payload_travels_in_one_piece() {
        let mut payload = vec![1_u8];
        assert!(payload.is_ready() && payload.can_leave() && !payload.has_handles());
        assert_eq!(payload.take_handles(), None);
        assert!(!payload.join(vec![2]));
        assert_eq!(payload, [1]);
    }
}
