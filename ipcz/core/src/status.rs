//! What a portal's owner can know of it, and wait for.

use crate::ids::TrapId;

/// What a portal's owner can know of it at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct PortalStatus {
    /// The peer is closed or lost, and nothing more is on its way.
    pub peer_closed: bool,
    /// [`PortalStatus::peer_closed`], and every parcel has been taken.
    pub dead: bool,
    /// Parcels that can be taken now.
    pub num_parcels: usize,
    /// Payload bytes of these parcels.
    pub num_bytes: usize,
}

/// When a trap fires. All traps also fire when their portal is closed or moved away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TrapConditions {
    /// Fire when the peer is closed and nothing more is on its way.
    pub peer_closed: bool,
    /// Fire when, besides, every parcel has been taken.
    pub dead: bool,
    /// Fire when more than this many parcels are there.
    pub above_parcels: Option<usize>,
    /// Fire when more than this many bytes are there.
    pub above_bytes: Option<usize>,
    /// Fire when a further parcel is there.
    pub new_parcel: bool,
}

/// Which conditions of a trap were met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TrapFlags {
    /// The portal was closed or moved to another node: the trap's last chance to fire.
    pub removed: bool,
    /// See [`TrapConditions::peer_closed`].
    pub peer_closed: bool,
    /// See [`TrapConditions::dead`].
    pub dead: bool,
    /// See [`TrapConditions::above_parcels`].
    pub above_parcels: bool,
    /// See [`TrapConditions::above_bytes`].
    pub above_bytes: bool,
    /// See [`TrapConditions::new_parcel`].
    pub new_parcel: bool,
}

impl TrapFlags {
    /// Whether any condition was met.
    #[must_use]
    pub fn any(self) -> bool {
        self != Self::default()
    }
}

/// What a trap's owner is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TrapEvent {
    /// The conditions that were met.
    pub flags: TrapFlags,
    /// The portal's status at that moment.
    pub status: PortalStatus,
}

/// A trap that is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Trap {
    pub(crate) id: TrapId,
    pub(crate) conditions: TrapConditions,
}

impl TrapConditions {
    pub(crate) fn met(&self, status: &PortalStatus, arrived: bool) -> TrapFlags {
        TrapFlags {
            removed: false,
            peer_closed: self.peer_closed && status.peer_closed,
            dead: self.dead && status.dead,
            above_parcels: self.above_parcels.is_some_and(|min| status.num_parcels > min),
            above_bytes: self.above_bytes.is_some_and(|min| status.num_bytes > min),
            new_parcel: self.new_parcel && arrived,
        }
    }
}
