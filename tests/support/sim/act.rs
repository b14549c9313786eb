//! What applications do with portals.

use ipcz_core::{
    MergeRefused, Message, Parcel, PortalId, PutRefused, TrapConditions, TrapEvent, TrapFlags,
    TrapId, TrapRefused,
};

use super::model::{Armed, Ep, Handle, Load, Place, Tag};
use super::step::Applied;
use super::world::{Violation, World};

impl World {
    pub(super) fn open(&mut self, node: u8, first: Ep) -> Applied {
        let taken =
            self.model.eps.contains_key(&first) || self.model.eps.contains_key(&(first + 1));
        if taken || !self.node(node).alive {
            return Ok(false);
        }
        let (a, b) = self.engine(node).open_portals();
        self.budget.portals += 2;
        self.model.add_pair(first, [Place::Held(node, a), Place::Held(node, b)]);
        self.taint_if_hostile(node, first);
        self.done(node)
    }

    pub(super) fn taint_if_hostile(&mut self, node: u8, ep: Ep) {
        if self.node(node).hostile {
            self.model.taint(ep);
        }
    }

    pub(super) fn put(&mut self, via: Ep, size: u8, load: Load, moved: &[Ep]) -> Applied {
        let Some((node, portal)) = self.model.held(via) else { return Ok(false) };
        let mut portals = Vec::new();
        for &ep in moved {
            let here = self.model.free(ep).filter(|&(at, _)| at == node && ep != via);
            let Some((_, id)) = here else { return Ok(false) };
            if !self.model.may_carry(via, ep) {
                return Ok(false);
            }
            portals.push(id);
        }
        let number = self.model.eps[&via].sent.len() as u32;
        let parcel =
            Parcel::new(Tag { from: via, number, size, load, handle: Handle::of(size) }, portals);
        match self.put_or_not(node, portal, parcel)? {
            Ok(()) => {
                if load == Load::Fixed {
                    self.model.may_be_cut(via);
                }
                self.sent(via, size, moved);
            }
            Err(refused) => self.check_put_refused(via, load, moved, refused)?,
        }
        self.done(node)
    }

    /// Puts a parcel, or is refused as was to be expected, and then nothing has changed.
    fn put_or_not(
        &mut self,
        node: u8,
        portal: PortalId,
        parcel: Parcel<Tag>,
    ) -> Result<Result<(), PutRefused>, Violation> {
        let said = self.node(node).engine.check_put(portal, &parcel.portals);
        let before = said.is_err().then(|| self.node(node).engine.clone());
        let put = self.engine(node).put(portal, parcel.clone());
        let for_its_payload =
            [PutRefused::TooLarge, PutRefused::CannotLeave, PutRefused::NoRelay].map(Err);
        let put = match put {
            Err((refused, back)) if back == parcel => Err(refused),
            Err(_) => {
                let detail = format!("node {node}: {parcel:?}");
                return Err(Violation::new("a refused parcel stays the caller's", detail));
            }
            Ok(()) => Ok(()),
        };
        if put != said && (said.is_err() || !for_its_payload.contains(&put)) {
            let detail = format!("node {node}: {said:?}, then {put:?}");
            return Err(Violation::new("a put does what it was said to do", detail));
        }
        if before.is_some_and(|before| before != self.node(node).engine) {
            return Err(Violation::new("a refused put changes nothing", format!("node {node}")));
        }
        Ok(put)
    }

    fn sent(&mut self, via: Ep, size: u8, moved: &[Ep]) {
        self.budget.parcels += 1;
        let Some(endpoint) = self.model.eps.get_mut(&via) else { return };
        endpoint.sent.push(moved.to_vec());
        endpoint.bytes.push(endpoint.bytes.last().map_or(0, |sum| *sum) + usize::from(size));
        let tainted = endpoint.tainted;
        let peer = endpoint.peer;
        let own = moved.contains(&peer);
        endpoint.own |= own;
        let lost = self.model.is_gone(peer) || own;
        let follow = 1 + self.model.num_travelling();
        // A portal on its own route moves with each hop until the parcel is too old, see `age`.
        let hops = if own { 8 } else { 1 };
        self.budget.portals += moved.len() * follow * hops;
        for &ep in moved {
            self.note_change(ep);
            self.model.set_place(ep, Place::Travelling(via));
            if tainted {
                self.model.taint(ep);
            }
        }
        // Not before: what is forgotten is found in no parcel.
        for &ep in moved.iter().filter(|_| lost) {
            self.model.forget(ep);
        }
    }

    /// Makes a parcel that will travel for ever as old as if it had, within a few hops.
    pub(super) fn age(&self, message: &mut Message<Tag>) {
        if let Message::Parcel { payload, hops, .. } = message
            && self.model.eps.get(&payload.from).is_some_and(|endpoint| endpoint.own)
        {
            *hops = hops.saturating_mul(6);
        }
    }

    fn check_put_refused(
        &self,
        via: Ep,
        load: Load,
        moved: &[Ep],
        refused: PutRefused,
    ) -> Result<(), Violation> {
        let own = moved.contains(&self.model.peer(via));
        let peer = &self.model.eps[&self.model.peer(via)];
        let excused = match refused {
            PutRefused::PeerClosed => !matches!(peer.place, Place::Held(..)),
            PutRefused::OwnRoute { .. } => own,
            PutRefused::NoRelay => self.relaying && self.troubles.refused,
            PutRefused::CannotLeave => self.is_stuck(via, load),
            PutRefused::Disconnected(_) => true, // `check_node` looks at who may be cut.
            _ => false,
        };
        if excused || peer.tainted || self.troubles.lost {
            return Ok(());
        }
        Err(Violation::new("a put succeeds while the peer is open", format!("p{via}: {refused:?}")))
    }

    pub(super) fn close(&mut self, ep: Ep) -> Applied {
        let Some((node, portal)) = self.model.held(ep) else { return Ok(false) };
        self.end_get(ep, false)?;
        self.model.forget(ep);
        if !self.engine(node).close(portal) {
            return Err(Violation::new("an open portal can be closed", format!("p{ep}")));
        }
        self.carry_out(node)?;
        self.check_no_traps(ep)?;
        self.done(node)
    }

    pub(super) fn merge(&mut self, a: Ep, b: Ep) -> Applied {
        let (Some((node, first)), Some((other, second))) = (self.model.free(a), self.model.free(b))
        else {
            return Ok(false);
        };
        let unused = |ep: Ep| self.model.eps[&ep].sent.is_empty() && self.model.eps[&ep].taken == 0;
        if node != other || a == b || !unused(a) || !unused(b) {
            return Ok(false);
        }
        if self.model.peer(a) != b && self.model.join_would_swallow(a, b) {
            return Ok(false);
        }
        let tainted = self.model.eps[&a].tainted || self.model.eps[&b].tainted;
        let ring = self.model.peer(a) == b;
        if let Err(refused) = self.engine(node).merge(first, second) {
            if ring && refused == MergeRefused::SameRoute {
                return Ok(false);
            }
            if tainted {
                return Ok(false); // A parcel of unknown origin was taken, perhaps.
            }
            return Err(Violation::new("unused portals merge", format!("p{a} p{b}: {refused:?}")));
        }
        let ends = [self.model.peer(a), self.model.peer(b)];
        [a, b].into_iter().for_each(|ep| self.note_change(ep));
        self.model.join(a, b);
        for ep in ends.into_iter().filter(|_| tainted) {
            if let Some(endpoint) = self.model.eps.get_mut(&ep) {
                endpoint.tainted = false;
            }
            self.model.taint(ep);
        }
        self.carry_out(node)?;
        self.check_no_traps(a)?;
        self.check_no_traps(b)?;
        self.done(node)
    }

    pub(super) fn set_trap(&mut self, ep: Ep, conditions: TrapConditions) -> Applied {
        let Some((node, portal)) = self.model.held(ep) else { return Ok(false) };
        let id = self.model.next_trap;
        self.model.next_trap += 1;
        match self.engine(node).set_trap(portal, conditions, TrapId(id)) {
            Ok(()) => {
                let status = self.engine(node).status(portal);
                let parcels = status.map_or(0, |status| status.num_parcels);
                self.model.traps.insert(id, Armed { ep, node, conditions, parcels });
            }
            Err(TrapRefused::Satisfied(event)) if event.flags.any() => {}
            Err(refused) => {
                let detail = format!("p{ep}: {refused:?}");
                return Err(Violation::new("a trap can be set on an open portal", detail));
            }
        }
        self.done(node)
    }

    pub(super) fn clear_trap(&mut self, trap: u64) -> Applied {
        let Some(armed) = self.model.traps.get(&trap).cloned() else { return Ok(false) };
        let held = self.model.held(armed.ep).filter(|at| at.0 == armed.node);
        let Some((node, portal)) = held else { return Ok(false) };
        if !self.engine(node).clear_trap(portal, TrapId(trap)) {
            return Err(Violation::new("a trap that is set can be cleared", format!("{armed:?}")));
        }
        self.model.traps.remove(&trap);
        self.done(node)
    }

    pub(super) fn trap_fired(
        &mut self,
        node: u8,
        trap: TrapId,
        event: &TrapEvent,
    ) -> Result<(), Violation> {
        let armed = self.model.traps.remove(&trap.0);
        match armed.filter(|armed| armed.node == node) {
            Some(armed) if says_why(&armed, event) => Ok(()),
            Some(armed) => {
                let detail = format!("{armed:?} {event:?}");
                Err(Violation::new("a trap says why it fires", detail))
            }
            None => Err(Violation::new("a trap fires once", format!("{trap:?} {event:?}"))),
        }
    }
}

/// Whether a trap tells exactly those of its conditions that are met.
fn says_why(armed: &Armed, event: &TrapEvent) -> bool {
    let TrapEvent { flags, status } = *event;
    let TrapConditions { peer_closed, dead, above_parcels, above_bytes, new_parcel } =
        armed.conditions;
    let met = TrapFlags {
        removed: false,
        peer_closed: peer_closed && status.peer_closed,
        dead: dead && status.dead,
        above_parcels: above_parcels.is_some_and(|min| status.num_parcels > min),
        above_bytes: above_bytes.is_some_and(|min| status.num_bytes > min),
        new_parcel: new_parcel && status.num_parcels > armed.parcels,
    };
    let removed = TrapFlags { removed: true, ..TrapFlags::default() };
    // It fires at what is new, and what was there before is no longer.
    flags == removed
        || flags.any() && (flags == met || flags == TrapFlags { new_parcel: false, ..met })
}
