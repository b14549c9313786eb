//! Traps: one-shot notices that a portal has reached a condition.

use crate::effect::Effect;
use crate::engine::Engine;
use crate::ids::{PortalId, RouterId, TrapId};
use crate::message::Payload;

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
    /// Fire when a parcel arrives.
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

/// Why a trap was not set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrapRefused {
    /// No such portal.
    UnknownPortal,
    /// A condition is met already. Nothing was set and nothing will fire.
    Satisfied(TrapEvent),
}

/// A trap that is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Trap {
    id: TrapId,
    conditions: TrapConditions,
}

impl TrapConditions {
    fn met(&self, status: &PortalStatus, arrived: bool) -> TrapFlags {
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

impl<P: Payload> Engine<P> {
    /// Sets a trap that fires once, as an [`Effect::Fire`] with the name `trap`.
    ///
    /// # Errors
    /// [`TrapRefused`]; nothing was set.
    pub fn set_trap(
        &mut self,
        portal: PortalId,
        conditions: TrapConditions,
        trap: TrapId,
    ) -> Result<(), TrapRefused> {
        let router = self.open_terminal_mut(portal).ok_or(TrapRefused::UnknownPortal)?;
        let status = router.status();
        let flags = conditions.met(&status, false);
        if flags.any() {
            return Err(TrapRefused::Satisfied(TrapEvent { flags, status }));
        }
        router.add_trap(Trap { id: trap, conditions });
        Ok(())
    }

    /// Takes a trap back. It will not fire. Gives whether it was set.
    pub fn clear_trap(&mut self, portal: PortalId, trap: TrapId) -> bool {
        let Some(router) = self.open_terminal_mut(portal) else { return false };
        let mut found = false;
        router.retain_traps(|set| {
            found |= set.id == trap;
            set.id != trap
        });
        found
    }

    /// Fires the traps whose conditions are met now; `arrived` tells that a parcel just did.
    pub(crate) fn spring(&mut self, id: RouterId, arrived: bool) {
        let Some(router) = self.routers.get_mut(id.0) else { return };
        if !router.has_traps() {
            return;
        }
        let status = router.status();
        let effects = &mut self.effects;
        router.retain_traps(|trap| {
            let flags = trap.conditions.met(&status, arrived);
            if flags.any() {
                effects
                    .push_back(Effect::Fire { trap: trap.id, event: TrapEvent { flags, status } });
            }
            !flags.any()
        });
    }

    /// Fires every trap of a portal that is about to go.
    pub(crate) fn spring_removed(&mut self, id: RouterId) {
        let Some(router) = self.routers.get_mut(id.0) else { return };
        let status = router.status();
        let flags = TrapFlags { removed: true, ..TrapFlags::default() };
        let effects = &mut self.effects;
        router.retain_traps(|trap| {
            let event = TrapEvent { flags, status };
            effects.push_back(Effect::Fire { trap: trap.id, event });
            false
        });
    }
}
