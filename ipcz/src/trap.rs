//! Traps, as applications see them.

pub use ipcz_core::{PortalStatus as Status, TrapConditions as Conditions, TrapEvent, TrapFlags};

/// A trap was not set, because it would fire at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no trap was set: a condition of it is met already")]
pub struct Satisfied(pub TrapEvent);

impl Satisfied {
    /// What a trap on a portal that is gone would say.
    pub(crate) fn removed() -> Self {
        let flags = TrapFlags { removed: true, ..TrapFlags::default() };
        Self(TrapEvent { flags, status: Status::default() })
    }
}
