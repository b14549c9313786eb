//! Gets of every kind: of whatever comes next, with a bound, in two phases.

use ipcz_core::{GetRefused, Parcel, Payload, PortalId};

use super::model::{Ep, Handle, Place, Tag};
use super::step::Applied;
use super::world::{Violation, World};

/// What stays in the queue while a parcel's bytes are lent: as large as it was, and its handles.
fn without_bytes(tag: Tag) -> Tag {
    Tag { from: Ep::MAX, number: u32::MAX, ..tag }
}

impl World {
    pub(super) fn get(&mut self, at: Ep) -> Applied {
        let Some((node, portal)) = self.model.free(at) else { return Ok(false) };
        let next = self.node(node).engine.peek(portal).cloned();
        let got = self.engine(node).get(portal);
        if got.as_ref().ok() != next.as_ref() {
            let detail = format!("p{at}: {next:?}, then {got:?}");
            return Err(Violation::new("what is looked at is what is taken", detail));
        }
        match got {
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

    /// Takes a parcel if it has no more than so many bytes.
    pub(super) fn get_within(&mut self, at: Ep, most: u8) -> Applied {
        let Some((node, portal)) = self.model.free(at) else { return Ok(false) };
        match self.node(node).engine.peek(portal) {
            None => Ok(false),
            Some(next) if next.payload.num_bytes() <= most.into() => self.get(at),
            Some(_) => self.done(node),
        }
    }

    /// Begins a get in two phases: the bytes of the next parcel are lent, and it stays where it is.
    pub(super) fn begin_get(&mut self, at: Ep) -> Applied {
        let Some((node, portal)) = self.model.free(at) else { return Ok(false) };
        let Some(payload) = self.engine(node).peek_mut(portal) else { return Ok(false) };
        let lent = std::mem::replace(payload, without_bytes(*payload));
        self.model.lent.insert(at, lent);
        self.done(node)
    }

    /// Ends such a get: the bytes go back to where they were lent from. Then it is taken or left.
    pub(super) fn end_get(&mut self, at: Ep, commit: bool) -> Applied {
        let Some(lent) = self.model.lent.remove(&at) else { return Ok(false) };
        let Some((node, portal)) = self.model.held(at) else { return Ok(false) };
        match self.engine(node).peek_mut(portal) {
            Some(payload) if *payload == without_bytes(lent) => *payload = lent,
            other => {
                let detail = format!("p{at}: {other:?} instead of {lent:?}");
                return Err(Violation::new("a parcel that is lent stays the next one", detail));
            }
        }
        if commit { self.get(at) } else { self.done(node) }
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
}
