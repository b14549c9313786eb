//! A router: a portal's own end of its route, or a station on the way of another's.

use crate::end::Side;
use crate::ids::EndId;
use crate::message::{Cause, Payload};
use crate::queue::ParcelQueue;
use crate::trap::{PortalStatus, Trap};

/// Whether a router ends its route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Role {
    /// An application holds it, or has closed it and the other side has yet to hear of that.
    Terminal,
    /// Its portal went elsewhere. It passes on what comes, and tries to get out of the way.
    Proxy,
}

/// One side of a router.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct RouterSide {
    /// The end that is sent on.
    pub(crate) primary: Option<EndId>,
    /// The number of parcels that will have come from this side in all, once that is known.
    pub(crate) closed: Option<u64>,
    /// Whether the primary end has finished: nothing comes from this side any more.
    pub(crate) over: bool,
}

/// A station of a route.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Router<P> {
    pub(crate) role: Role,
    pub(crate) sides: [RouterSide; 2],
    /// The ends, of either side, that have been replaced and still receive.
    pub(crate) decaying: Vec<EndId>,
    /// Whether this proxy has told its neighbours to bypass it.
    pub(crate) committed: bool,
    /// Why the route was cut. Only a terminal outlives that.
    pub(crate) broken: Option<Cause>,
    /// The number of the next parcel to be put.
    pub(crate) next_out: u64,
    pub(crate) queue: ParcelQueue<P>,
    pub(crate) traps: Vec<Trap>,
}

impl<P: Payload> Router<P> {
    /// A terminal that has yet to get its link.
    pub(crate) fn terminal(next_in: u64, next_out: u64) -> Self {
        Self {
            role: Role::Terminal,
            sides: [RouterSide::default(), RouterSide::default()],
            decaying: Vec::new(),
            committed: false,
            broken: None,
            next_out,
            queue: ParcelQueue::new(next_in),
            traps: Vec::new(),
        }
    }

    pub(crate) fn side(&self, side: Side) -> &RouterSide {
        &self.sides[side as usize]
    }

    pub(crate) fn side_mut(&mut self, side: Side) -> &mut RouterSide {
        &mut self.sides[side as usize]
    }

    pub(crate) fn is_proxy(&self) -> bool {
        self.role == Role::Proxy
    }

    /// Whether an application holds this router.
    pub(crate) fn is_open(&self) -> bool {
        !self.is_proxy() && self.side(Side::Inner).closed.is_none()
    }

    /// Whether either end of the route is known to be closed.
    pub(crate) fn is_closing(&self) -> bool {
        self.sides.iter().any(|side| side.closed.is_some())
    }

    pub(crate) fn is_primary(&self, end: EndId) -> bool {
        self.sides.iter().any(|side| side.primary == Some(end))
    }

    pub(crate) fn ends(&self) -> impl Iterator<Item = EndId> + '_ {
        let primaries = self.sides.iter().filter_map(|side| side.primary);
        primaries.chain(self.decaying.iter().copied())
    }

    /// Whether every parcel that the other side put has arrived, and it is closed.
    pub(crate) fn is_complete(&self) -> bool {
        self.side(Side::Outer).closed == Some(self.queue.expected())
    }

    pub(crate) fn status(&self) -> PortalStatus {
        let peer_closed = self.broken.is_some() || self.is_complete();
        PortalStatus {
            peer_closed,
            dead: peer_closed && self.queue.len() == 0,
            num_parcels: self.queue.len(),
            num_bytes: self.queue.num_bytes(),
        }
    }
}
