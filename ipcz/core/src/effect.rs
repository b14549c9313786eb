//! What the engine asks of its embedder.

use crate::ids::{AllocationId, MemoryId, NodeName, PeerId, Ticket, TransportId, TrapId};
use crate::memory::AllocateFailed;
use crate::message::{Cause, Message};
use crate::parcel::Parcel;
use crate::status::TrapEvent;

/// Something to do, in the order in which the engine gives it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Effect<P> {
    /// Send this message to that peer.
    Send {
        /// Where to.
        peer: PeerId,
        /// What.
        message: Message<P>,
    },
    /// Make this parcel ready to leave the node and answer with
    /// [`Engine::handle_serialized`](crate::Engine::handle_serialized). Its portals stay the engine's.
    Serialize {
        /// Which parcel it is, for the answer.
        ticket: Ticket,
        /// The parcel. It is the embedder's until it answers.
        parcel: Parcel<P>,
    },
    /// This was in a parcel that nobody will take, and was not ready to leave the node: drop it.
    Discard(P),
    /// Tell the owner of this trap that it fired.
    Fire {
        /// Whose trap.
        trap: TrapId,
        /// What it is told.
        event: TrapEvent,
    },
    /// Make a pair of connected transports and answer with
    /// [`Engine::handle_transports`](crate::Engine::handle_transports).
    CreateTransports(Pairing),
    /// From now on, this transport is the connection to that peer.
    Activate {
        /// The new peer.
        peer: PeerId,
        /// A transport that arrived in a message.
        transport: TransportId,
    },
    /// This transport arrived in a message and is of no use: close it.
    DropTransport(TransportId),
    /// Make shared memory of `size` bytes and answer with
    /// [`Engine::handle_memory`](crate::Engine::handle_memory).
    Allocate {
        /// For whom: the engine knows.
        request: AllocationId,
        /// In bytes.
        size: u64,
    },
    /// What became of a request that [`Engine::allocate`](crate::Engine::allocate) made.
    Allocated {
        /// Which.
        request: AllocationId,
        /// The memory, or why there is none.
        memory: Result<MemoryId, AllocateFailed>,
    },
    /// This memory is of no use: release it.
    DropMemory(MemoryId),
    /// The connection to this peer works: its hello has arrived.
    Connected(PeerId),
    /// The connection to this peer is over: close its transport once what was sent before has left.
    /// Nothing it sends is of interest any more.
    Disconnect {
        /// Which peer.
        peer: PeerId,
        /// Why.
        cause: Cause,
    },
}

/// Who is to get a pair of connected transports. The engine knows what it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pairing {
    /// Two nodes that are being introduced to each other.
    Introduction(Introduction),
    /// A peer that inherits this node's broker, and that broker.
    Referral(PeerId),
}

/// Two nodes that are being introduced to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Introduction {
    pub(crate) first: Party,
    pub(crate) second: Party,
}

impl Introduction {
    /// The names of the two, for whoever wants to say or decide something about them.
    #[must_use]
    pub fn names(&self) -> [NodeName; 2] {
        [self.first.name, self.second.name]
    }
}

/// One of two nodes that are being introduced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Party {
    pub(crate) name: NodeName,
    /// The node itself, or its broker, or this node if it is the party.
    pub(crate) via: PeerId,
}
