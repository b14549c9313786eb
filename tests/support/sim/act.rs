//! What applications do with portals.

use ipcz_core::{
    GetRefused, MergeRefused, Message, Parcel, PortalId, PutRefused, TrapConditions, TrapEvent,
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
            let here = self.model.held(ep).filter(|&(at, _)| at == node && ep != via);
            let Some((_, id)) = here else { return Ok(false) };
            if !self.model.may_carry(via, ep) {
                return Ok(false);
            }
            portals.push(id);
        }
        let number = self.model.eps[&via].sent.len() as u32;
        let parcel =
            Parcel::new(Tag { from: via, number, size, load, handle: Handle::of(size) }, portals);
        match self.engine(node).put(portal, parcel.clone()) {
            Ok(()) => {
                if load == Load::Fixed {
                    self.model.may_be_cut(via);
                }
                self.sent(via, moved);
            }
            Err((_, back)) if back != parcel => {
                return Err(Violation::new(
                    "a refused parcel stays the caller's",
                    format!("p{via}"),
                ));
            }
            Err((refused, _)) => self.check_put_refused(via, load, moved, refused)?,
        }
        self.done(node)
    }

    fn sent(&mut self, via: Ep, moved: &[Ep]) {
        self.budget.parcels += 1;
        let Some(endpoint) = self.model.eps.get_mut(&via) else { return };
        endpoint.sent.push(moved.to_vec());
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

    pub(super) fn get(&mut self, at: Ep) -> Applied {
        let Some((node, portal)) = self.model.held(at) else { return Ok(false) };
        match self.engine(node).get(portal) {
            Ok(parcel) => self.taken(node, at, &parcel)?,
            Err(GetRefused::Empty | GetRefused::Disconnected(_)) => {}
            Err(GetRefused::PeerClosed) => {}
            Err(GetRefused::UnknownPortal) => {
                return Err(Violation::new("a portal stays where it was put", format!("p{at}")));
            }
        }
        let here = self.engine(node).status(portal).map_or(0, |status| status.num_parcels);
        for armed in self.model.traps.values_mut().filter(|armed| armed.ep == at) {
            armed.parcels = here;
        }
        self.done(node)
    }

    fn taken(&mut self, node: u8, at: Ep, parcel: &Parcel<Tag>) -> Result<(), Violation> {
        let Tag { size, load, .. } = parcel.payload;
        let handle = Handle::of(size);
        let expected = Tag { size, load, handle, ..self.expected_at(at) };
        let inside = self.model.eps[&expected.from].sent.get(expected.number as usize).cloned();
        let tainted = self.model.eps[&at].tainted;
        let right = parcel.payload == expected
            && inside.as_ref().map(Vec::len) == Some(parcel.portals.len());
        if !right {
            if tainted {
                self.discard(node, &parcel.portals);
                return Ok(());
            }
            let detail = format!("p{at} expected {expected:?} with {inside:?}, got {parcel:?}");
            return Err(Violation::new("parcels arrive once, in order, complete", detail));
        }
        for (&ep, &portal) in inside.unwrap_or_default().iter().zip(&parcel.portals) {
            if self.model.eps[&ep].place != Place::Travelling(expected.from) {
                if tainted {
                    self.discard(node, &[portal]);
                    continue;
                }
                return Err(Violation::new("a portal is in one place", format!("p{ep}")));
            }
            self.model.set_place(ep, Place::Held(node, portal));
            self.taint_if_hostile(node, ep);
        }
        if let Some(endpoint) = self.model.eps.get_mut(&at) {
            endpoint.taken += 1;
        }
        Ok(())
    }

    /// Closes portals that a hostile node made up.
    fn discard(&mut self, node: u8, portals: &[PortalId]) {
        for &portal in portals {
            self.engine(node).close(portal);
        }
    }

    /// The next parcel that `at` must get.
    pub(super) fn expected_at(&self, at: Ep) -> Tag {
        let endpoint = &self.model.eps[&at];
        Tag { from: endpoint.peer, number: endpoint.taken, ..Tag::default() }
    }

    pub(super) fn close(&mut self, ep: Ep) -> Applied {
        let Some((node, portal)) = self.model.held(ep) else { return Ok(false) };
        self.model.forget(ep);
        if !self.engine(node).close(portal) {
            return Err(Violation::new("an open portal can be closed", format!("p{ep}")));
        }
        self.carry_out(node)?;
        self.check_no_traps(ep)?;
        self.done(node)
    }

    pub(super) fn merge(&mut self, a: Ep, b: Ep) -> Applied {
        let (Some((node, first)), Some((other, second))) = (self.model.held(a), self.model.held(b))
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
            Some(_) if event.flags.any() => Ok(()),
            _ => Err(Violation::new("a trap fires once", format!("{trap:?} {event:?}"))),
        }
    }
}
