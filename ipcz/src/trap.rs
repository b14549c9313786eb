//! Traps, as applications see them: see [`Portal::trap`](crate::Portal::trap).

pub use ipcz_core::{PortalStatus as Status, TrapConditions as Conditions, TrapEvent, TrapFlags};

/// The status of a portal that its node does not have any more.
pub(crate) const GONE: Status =
    Status { peer_closed: true, dead: true, num_parcels: 0, num_bytes: 0 };

/// A trap was not set, because it would fire at once. What it would have said is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no trap was set: a condition of it is met already")]
pub struct Satisfied(pub TrapEvent);

impl Satisfied {
    /// What a trap on a portal that is gone would say.
    pub(crate) fn removed() -> Self {
        let flags = TrapFlags { removed: true, ..TrapFlags::default() };
        Self(TrapEvent { flags, status: GONE })
    }
}
