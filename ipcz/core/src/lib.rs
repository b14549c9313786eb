//! The routing engine of ipcz, as a pure state machine for one node.
//!
//! Applications hold *portals* in entangled pairs. Each portal is the *terminal* router at one end of
//! a *route*; routers on neighbouring stations of a route are joined by a *link*. A portal that
//! moves to another node leaves a *proxy* behind, which then arranges for its own *bypass*.
//!
//! [`Engine`] holds the routers, links and peers of one node. It is told of what happens outside and
//! says what is to be done about it; see there. Whoever embeds it supplies transports, threads and
//! random numbers. Tests embed whole networks of them in one thread.
//!
//! | concern | file |
//! | --- | --- |
//! | putting, passing on, taking parcels | `parcels` `queue` |
//! | parcels that are made ready before they leave | `hold` |
//! | portals that travel | `moves` |
//! | getting proxies out of the way | `bypass` |
//! | the end of routes and links | `closing` |
//! | cut routes, lost nodes | `loss` |
//! | two routes made one | `merge` |
//! | routes without ends | `ring` |
//! | connections | `peer` `connect` |
//! | introductions | `introductions` `broker` `federation` `referral` |
//! | memory that another node allocates | `memory` |
//! | handles that brokers pass on | `relay` `couriers` |
//! | notices to applications | `trap` |
//! | what must hold between steps | `audit` |
//! | bounds on what peers can make a node do | `limits` |

#![forbid(unsafe_code)]

mod audit;
mod beside;
mod broker;
mod bypass;
mod closing;
mod connect;
mod count;
mod couriers;
mod effect;
mod end;
mod engine;
mod federation;
mod hold;
mod ids;
mod introductions;
pub mod limits;
mod loss;
mod memory;
mod merge;
mod message;
mod moves;
mod parcel;
mod parcels;
mod peer;
mod queue;
mod referral;
mod relay;
mod ring;
mod router;
mod secrets;
mod slab;
mod status;
mod thin_vec;
mod topology;
mod trap;

pub use audit::Holdings;
pub use connect::{ConnectRefused, Relation, WIRE_VERSION};
pub use effect::{Effect, Introduction, Pairing};
pub use engine::{Config, Engine};
pub use ids::{
    AllocationId, LinkId, MemoryId, NodeName, PeerId, PortalId, RouterId, Secret, Ticket,
    TransportId, TrapId,
};
pub use memory::{AllocateFailed, AllocateRefused};
pub use merge::MergeRefused;
pub use message::{
    Accept, Cause, CauseKind, Descriptor, EndKey, Hello, Message, NetworkMessage, Payload, Probe,
    ProtocolViolation, Provided, Relay, RelayKey, RouteMessage,
};
pub use parcel::Parcel;
pub use parcels::{GetRefused, PutRefused};
pub use status::{PortalStatus, TrapConditions, TrapEvent, TrapFlags};
pub use thin_vec::ThinVec;
pub use topology::{Counts, PeerInfo, Route, RouterLink, Station, StationEnd, Topology};
pub use trap::TrapRefused;
