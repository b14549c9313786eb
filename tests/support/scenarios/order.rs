//! What a node can be told to do, and what it answers.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A portal, by the name that the test gave it. It keeps that name wherever it goes.
pub(super) type Name = u64;

/// What a node may not do by itself.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Nature {
    /// Make shared memory: the node that it connects to does that for it.
    pub(super) delegates: bool,
    /// Send handles to others than its broker.
    pub(super) relays: bool,
}

/// What a node is told to do.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Order {
    /// Be of this nature, once it is a node and no broker.
    Be(Nature),
    /// Be a broker.
    BeBroker,
    /// Listen at this path.
    Listen(PathBuf),
    /// Be a node that is connected to who listens at this path. The first portal gets this name.
    Connect(PathBuf, Name),
    /// Be connected to who listens at this path, after the broker was lost.
    Reconnect(PathBuf, Name),
    /// End all connections that it began or accepted.
    Disconnect,
    /// Join the broker that listens at this path.
    Join(PathBuf, Name),
    /// Accept who has connected.
    Accept(Name),
    /// Accept a broker.
    AcceptBroker(Name),
    /// Run a program with a node of its own, which is told this number and this path.
    Spawn { program: PathBuf, control: PathBuf, name: Name },
    /// Be the node of a program that was spawned.
    BeSpawned(Name),
    /// Open `count` pairs, named from `first` on: the near ends, then the far ends.
    Open { first: Name, count: u64 },
    /// Put the portals named from `first` on over the portal `road`, many in a parcel.
    Send { road: Name, first: Name, count: u64 },
    /// Take as many portals from the portal `road`.
    Take { road: Name, first: Name, count: u64 },
    /// Put parcels numbered from `number` on, `count` into each of the `portals` from `first` on.
    Put { first: Name, portals: u64, number: u64, count: u64 },
    /// Put the parcel numbered `number`, with memory and a pipe that hold that number too.
    PutLoaded { portal: Name, number: u64 },
    /// Put two parcels, numbered from `number` on, in this way.
    PutSo { portal: Name, number: u64, way: Putting },
    /// Take two parcels, numbered from `number` on, in this way, and check what is in them.
    GetSo { portal: Name, number: u64, way: Getting },
    /// Put back whatever comes, as traps tell of it, until the route is over.
    Serve(Name),
    /// Wait until that is so, and say how many parcels came.
    Served,
    /// Take as many, and check the numbers.
    Get { first: Name, portals: u64, number: u64, count: u64 },
    /// Take what is there, from `number` on, and say how many that were.
    Drain { portal: Name, number: u64 },
    /// Take one parcel, numbered `number`, or learn why there is none.
    GetOrEnd { portal: Name, number: u64 },
    /// Put one, and learn whether that was refused.
    TryPut { portal: Name, number: u64 },
    /// Take a parcel from the portal and reject it.
    Reject(Name),
    /// Wait until the portal's route ends, and say why.
    End(Name),
    /// Merge two portals.
    Merge(Name, Name),
    /// Close the portals from `first` on.
    Close { first: Name, count: u64 },
    /// Say where the portal leads.
    Route(Name),
    /// Say what the node knows of the network.
    Look,
    /// End without a word, as far as that is possible without a process of one's own.
    Die,
}

/// How parcels are put.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub enum Putting {
    /// In two phases: three are begun, the second is put and then the first, and the third is given up.
    TwoPhases,
    /// With an object, whose parcel holds a handle; and one behind it.
    Objects,
    /// With parcels in parcels, one of them an object's, and memory and handles in those.
    Nested,
}

impl Putting {
    /// All ways.
    pub const ALL: [Self; 3] = [Self::TwoPhases, Self::Objects, Self::Nested];
}

/// How parcels are taken.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub enum Getting {
    /// If they are no larger than this: at first they are.
    Within,
    /// Some bytes and one handle first, then the rest.
    InParts,
    /// In two phases.
    TwoPhases,
    /// In two phases, of which the second is to leave it, and then as usual.
    GivenUp,
    /// Both at once, to be looked at in the other order.
    Overlapped,
}

impl Getting {
    /// All ways.
    pub const ALL: [Self; 5] =
        [Self::Within, Self::InParts, Self::TwoPhases, Self::GivenUp, Self::Overlapped];
}

/// What a node answers.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    Done,
    Count(u64),
    Ended(Ended),
    Leads(Leads),
    Seen(Seen),
    /// It could not. The text says why.
    Failed(String),
}

/// Why a route is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// The name of the [`DisconnectKind`](ipcz::DisconnectKind).
    pub kind: String,
    /// The node that was lost or did wrong.
    pub node: Option<u128>,
}

impl From<ipcz::Disconnect> for Ended {
    fn from(why: ipcz::Disconnect) -> Self {
        Self { kind: format!("{:?}", why.kind()), node: why.node().map(|name| name.0) }
    }
}

/// Where a portal leads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Leads {
    /// To the same node.
    Here,
    /// To the node of this name.
    To(u128),
    /// Nowhere.
    Nowhere,
}

/// What a node knows of the network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Its name.
    pub name: u128,
    /// The nodes it is connected to, and the links to each.
    pub peers: Vec<(u128, usize)>,
    /// Its portals.
    pub terminals: usize,
    /// Its proxies.
    pub proxies: usize,
    /// The descriptors of its process.
    pub descriptors: usize,
    /// The threads of its process.
    pub threads: usize,
}
