//! Traps: one-shot notices that a portal has reached a condition.

use crate::effect::Effect;
use crate::engine::Engine;
use crate::ids::{PortalId, RouterId, TrapId};
use crate::message::Payload;
use crate::router::Router;
use crate::status::{Trap, TrapConditions, TrapEvent, TrapFlags};

/// Why a trap was not set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrapRefused {
    /// No such portal.
    UnknownPortal,
    /// A condition is met already. Nothing was set and nothing will fire.
    Satisfied(TrapEvent),
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
    #[inline]
    pub(crate) fn spring(&mut self, id: RouterId, arrived: bool) {
        if self.routers.get(id.0).is_some_and(Router::has_traps) {
            self.spring_set(id, arrived);
        }
    }

    #[cold]
    fn spring_set(&mut self, id: RouterId, arrived: bool) {
        let router = &mut self.routers[id.0];
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
        let Some(router) = self.routers.get_mut(id.0).filter(|router| router.has_traps()) else {
            return;
        };
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
