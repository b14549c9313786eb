//! A router: a portal's own end of its route, or a station on the way of another's.

use crate::count::Count;
use crate::doubt::Doubt;
use crate::end::Side;
use crate::ids::{EndId, RouterId, Secret};
use crate::message::{Cause, Payload};
use crate::queue::ParcelQueue;
use crate::status::{PortalStatus, Trap};

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
    pub(crate) closed: Option<Count>,
}

/// A station of a route.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Router<P> {
    pub(crate) role: Role,
    pub(crate) sides: [RouterSide; 2],
    /// The terminal at the other end of this terminal's link, if both are here. The ends say so too;
    /// this spares a put and a close the way over them. See [`crate::beside`].
    pub(crate) beside: Option<RouterId>,
    /// Whether each side's primary end has finished: nothing comes from there any more.
    over: [bool; 2],
    /// Whether this proxy has told its neighbours to bypass it.
    pub(crate) committed: bool,
    /// The number of the next parcel to be put.
    pub(crate) next_out: u64,
    pub(crate) queue: ParcelQueue<P>,
    /// What most routers never have.
    rare: Option<Box<Rare>>,
}

/// What most routers never have. Most portals are idle, and there may be hundreds of thousands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Rare {
    decaying: Vec<EndId>,
    broken: Option<Cause>,
    doubt: Option<Doubt>,
    traps: Vec<Trap>,
    probe: Option<Secret>,
}

impl<P: Payload> Router<P> {
    /// A terminal that has yet to get its link.
    pub(crate) fn terminal(next_in: u64, next_out: u64) -> Self {
        Self {
            role: Role::Terminal,
            sides: [RouterSide::default(), RouterSide::default()],
            beside: None,
            over: [false; 2],
            committed: false,
            next_out,
            queue: ParcelQueue::new(next_in),
            rare: None,
        }
    }

    /// The ends, of either side, that have been replaced and still receive.
    #[inline]
    pub(crate) fn decaying(&self) -> &[EndId] {
        self.rare.as_ref().map_or(&[], |rare| &rare.decaying)
    }

    pub(crate) fn add_decaying(&mut self, end: EndId) {
        self.rare.get_or_insert_default().decaying.push(end);
    }

    /// Lets go of an end, whichever it was.
    pub(crate) fn remove_end(&mut self, id: EndId) {
        for side in &mut self.sides {
            side.primary = side.primary.filter(|&primary| primary != id);
        }
        if let Some(rare) = &mut self.rare {
            rare.decaying.retain(|&decaying| decaying != id);
            self.tidy();
        }
    }

    /// Why the route was cut. Only a terminal outlives that.
    #[inline]
    pub(crate) fn broken(&self) -> Option<Cause> {
        self.rare.as_ref()?.broken
    }

    pub(crate) fn set_broken(&mut self, cause: Cause) {
        let rare = self.rare.get_or_insert_default();
        rare.broken = Some(cause);
        rare.doubt = None;
    }

    pub(crate) fn take_broken(&mut self) -> Option<Cause> {
        let cause = self.rare.as_mut()?.broken.take();
        self.tidy();
        cause
    }

    /// Whether something may have been lost with a link that was replaced.
    pub(crate) fn doubt(&self) -> Option<Doubt> {
        self.rare.as_ref()?.doubt
    }

    pub(crate) fn set_doubt(&mut self, doubt: Option<Doubt>) {
        if doubt.is_some() || self.doubt().is_some() {
            self.rare.get_or_insert_default().doubt = doubt;
            self.tidy();
        }
    }

    /// What this terminal may have lost something by, as long as it is not known to have it all.
    pub(crate) fn unsettled(&self) -> Option<Cause> {
        let expected = self.queue.expected();
        let lacks = |doubt: &Doubt| doubt.put.is_none_or(|put| expected < put.get());
        let doubt = self.doubt().filter(lacks)?;
        (!self.is_complete()).then_some(doubt.cause)
    }

    /// What this proxy has asked about its route, while it waits for the answer.
    pub(crate) fn probe(&self) -> Option<Secret> {
        self.rare.as_ref()?.probe
    }

    pub(crate) fn set_probe(&mut self, token: Option<Secret>) {
        self.rare.get_or_insert_default().probe = token;
        self.tidy();
    }

    #[inline]
    pub(crate) fn has_traps(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| !rare.traps.is_empty())
    }

    pub(crate) fn add_trap(&mut self, trap: Trap) {
        self.rare.get_or_insert_default().traps.push(trap);
    }

    /// Keeps the traps that `keep` says, in order.
    pub(crate) fn retain_traps(&mut self, keep: impl FnMut(&Trap) -> bool) {
        if let Some(rare) = &mut self.rare {
            rare.traps.retain(keep);
            self.tidy();
        }
    }

    /// Equal routers are equal whatever they had before.
    fn tidy(&mut self) {
        self.rare = self.rare.take().filter(|rare| **rare != Rare::default());
    }

    #[inline]
    pub(crate) fn side(&self, side: Side) -> &RouterSide {
        &self.sides[side as usize]
    }

    #[inline]
    pub(crate) fn side_mut(&mut self, side: Side) -> &mut RouterSide {
        &mut self.sides[side as usize]
    }

    /// Whether nothing comes from this side any more.
    #[inline]
    pub(crate) fn is_over(&self, side: Side) -> bool {
        self.over[side as usize]
    }

    pub(crate) fn set_over(&mut self, side: Side, over: bool) {
        self.over[side as usize] = over;
    }

    #[inline]
    pub(crate) fn is_proxy(&self) -> bool {
        self.role == Role::Proxy
    }

    /// Whether an application holds this router.
    #[inline]
    pub(crate) fn is_open(&self) -> bool {
        !self.is_proxy() && self.side(Side::Inner).closed.is_none()
    }

    /// Whether either end of the route is known to be closed.
    #[inline]
    pub(crate) fn is_closing(&self) -> bool {
        self.sides.iter().any(|side| side.closed.is_some())
    }

    pub(crate) fn is_primary(&self, end: EndId) -> bool {
        self.sides.iter().any(|side| side.primary == Some(end))
    }

    pub(crate) fn ends(&self) -> impl Iterator<Item = EndId> + '_ {
        let primaries = self.sides.iter().filter_map(|side| side.primary);
        primaries.chain(self.decaying().iter().copied())
    }

    /// Whether every parcel that the other side put has arrived, and it is closed.
    pub(crate) fn is_complete(&self) -> bool {
        self.side(Side::Outer).closed == Some(Count::new(self.queue.expected()))
    }

    pub(crate) fn status(&self) -> PortalStatus {
        let peer_closed = self.broken().is_some() || self.is_complete();
        PortalStatus {
            peer_closed,
            dead: peer_closed && self.queue.len() == 0,
            num_parcels: self.queue.len(),
            num_bytes: self.queue.num_bytes(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_router_is_as_it_was_once_what_is_rare_is_gone() {
        let new = Router::<Vec<u8>>::terminal(0, 0);
        let mut router = new.clone();
        router.set_probe(Some(Secret(1)));
        router.set_probe(None);
        assert!(router == new);
        let end = EndId(crate::slab::Key::from_bits(1));
        router.add_decaying(end);
        router.remove_end(end);
        assert!(router == new);
        let cause = Cause { kind: crate::CauseKind::NodeLost, node: None };
        router.set_broken(cause);
        assert_eq!(router.take_broken(), Some(cause));
        assert!(router == new);
    }

    #[test]
    fn an_idle_portal_is_small() {
        assert!(size_of::<Router<Vec<u8>>>() <= 80, "{}", size_of::<Router<Vec<u8>>>());
        assert!(size_of::<crate::end::End>() <= 88, "{}", size_of::<crate::end::End>());
    }
}
