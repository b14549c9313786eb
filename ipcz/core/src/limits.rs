//! Every bound that protects a node from its peers, with its reason.

/// Portals that one parcel may carry. Each costs the receiver a router; more than this many are
/// better sent in several parcels.
pub const MAX_PORTALS_PER_PARCEL: usize = 4096;

/// Links that a parcel, or a question about a route, may travel. Past it the route that carries it is
/// cut.
///
/// A portal that is sent over its own route while proxies remain there moves with each hop, and so
/// lengthens the rest of its way by as much: it would travel for ever. So would anything that a
/// hostile peer lets into a ring, and if that is on one node, a step would never end. Only a count
/// tells these from honest travel, which can be long: a parcel that waits unread in a portal moves
/// with it each time, 10,000 times perhaps. So this is as large as its field allows.
pub const MAX_HOPS: u16 = u16::MAX;

/// Portals that a connection may start with. A hello that asks for more is refused, because each
/// costs a router before anything is known of the peer.
pub const MAX_INITIAL_PORTALS: u32 = 1024;

/// How far ahead of the next expected parcel a sequence number may be. What waits is what a peer
/// really sent, so this bounds no memory; it refuses numbers that no honest route can reach.
pub const MAX_SEQUENCE_GAP: u64 = 1 << 32;

/// Introductions that a node may wait for at once, and searches that a broker makes on behalf of one
/// node. Past it a bypass is not tried, and the proxy stays: slower, but correct.
pub const MAX_PENDING_INTRODUCTIONS: usize = 4096;

/// Ends that may wait for one introduction. Past it a bypass is not tried.
pub const MAX_ENDS_PER_INTRODUCTION: usize = 1 << 20;

/// How often an introduction is asked for again after its connection was lost before it worked. A node
/// that closes each connection that it is introduced over would be asked for without end.
pub const MAX_LOST_INTRODUCTIONS: u8 = 3;

/// Requests for memory that one peer may have open. A node that delegates keeps to it by itself and
/// lets further requests wait at home, so this bounds what a peer can make its delegate remember, and
/// allocate at a time.
pub const MAX_PENDING_MEMORY: usize = 64;

/// The largest piece of shared memory, in bytes. A delegate gives it at a stranger's word; pages are
/// used only as they are written, address space and files' sizes at once.
pub const MAX_MEMORY_BYTES: u64 = 1 << 32;

/// Nodes that may pass on a request for memory. Delegates that were chosen in a circle would pass it
/// on for ever.
pub const MAX_DELEGATES: u16 = 16;

/// Parcels of one peer that may wait for handles that a broker relays, such handles that may wait for
/// their parcels, and relays of one client that a broker may have under way to other brokers. Each
/// holds a descriptor of some process at least, and no process has as many as this.
pub const MAX_RELAYS: usize = 1 << 16;
