//! Objects in parcels: put, made ready by the node's embedder, refused.

use ipcz_core::{Parcel, Route, Ticket};

use super::model::{Ep, Load, Place, Tag};
use super::step::Applied;
use super::world::{Violation, World};

/// What a serializer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The parcel is ready.
    Ready,
    /// So it is, and one portal of a new pair is in it.
    WithPortal(Ep),
    /// It cannot leave.
    Refused,
}

impl World {
    /// Answers one of the requests that a node's engine has made.
    pub(super) fn serialize(&mut self, node: u8, nth: u8, verdict: Verdict) -> Applied {
        let usable = usize::from(nth) < self.node(node).serializing.len();
        let taken = |first: Ep| self.model.eps.range(first..first + 2).next().is_some();
        if !usable || matches!(verdict, Verdict::WithPortal(first) if taken(first)) {
            return Ok(false);
        }
        let (ticket, mut parcel) = self.node_mut(node).serializing.remove(nth.into());
        match verdict {
            Verdict::Ready => self.answer_ready(node, ticket, parcel),
            Verdict::WithPortal(first) => {
                self.add_portal(node, first, &mut parcel);
                self.answer_ready(node, ticket, parcel);
            }
            Verdict::Refused => {
                self.model.may_be_cut(parcel.payload.from);
                self.engine(node).handle_serialized(ticket, Err(parcel));
            }
        }
        self.done(node)
    }

    fn answer_ready(&mut self, node: u8, ticket: Ticket, mut parcel: Parcel<Tag>) {
        parcel.payload.load = Load::Serialized;
        self.engine(node).handle_serialized(ticket, Ok(parcel));
    }

    /// Opens a pair of portals and puts one in front of those in a parcel.
    fn add_portal(&mut self, node: u8, first: Ep, parcel: &mut Parcel<Tag>) {
        let (kept, sent) = self.engine(node).open_portals();
        let Tag { from, number, .. } = parcel.payload;
        self.model.add_pair(first, [Place::Held(node, kept), Place::Travelling(from)]);
        self.taint_if_hostile(node, first);
        self.budget.portals += 2;
        let before = std::mem::take(&mut parcel.portals);
        parcel.portals = [sent].into_iter().chain(before).collect();
        let Some(endpoint) = self.model.eps.get_mut(&from) else { return };
        if let Some(inside) = endpoint.sent.get_mut(number as usize) {
            inside.insert(0, first + 1);
        }
        let (tainted, peer) = (endpoint.tainted, endpoint.peer);
        if tainted {
            self.model.taint(first + 1);
        }
        if self.model.is_gone(peer) {
            self.model.forget(first + 1);
        }
    }

    /// Whether a parcel with this load may be refused by this portal for what it holds.
    pub(super) fn is_stuck(&self, via: Ep, load: Load) -> bool {
        let Some((node, portal)) = self.model.held(via) else { return false };
        let route = self.node(node).engine.route(portal);
        load == Load::Fixed && matches!(route, Some(Route::Remote(_)))
    }

    /// What leaves a node was made ready.
    pub(super) fn check_ready(&self, payload: &Tag) -> Result<(), Violation> {
        match payload.load {
            Load::Plain | Load::Serialized => Ok(()),
            Load::Object | Load::Fixed => {
                Err(Violation::new("only what is ready leaves its node", format!("{payload:?}")))
            }
        }
    }
}
