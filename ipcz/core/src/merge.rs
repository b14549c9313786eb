//! Two routes made one.
//!
//! ```text
//! peer of a ──── a   b ──── peer of b        peer of a ──── proxy ──── peer of b
//! ```
//!
//! The two terminals become one proxy, which is then bypassed like any other, once it knows that
//! its route has ends (`ring`).

use crate::end::Side;
use crate::engine::Engine;
use crate::ids::{EndId, PortalId, RouterId};
use crate::message::{Payload, RouteMessage};
use crate::router::Role;

/// Why two portals were not merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MergeRefused {
    /// One of them is unknown or closed.
    UnknownPortal,
    /// They are one portal, or each other's peer.
    SameRoute,
    /// A parcel was already put into one of them, or taken from it.
    Used,
}

impl<P: Payload> Engine<P> {
    /// Merges two portals: both go, and their peers become each other's peers.
    ///
    /// # Errors
    /// Why they were left as they are.
    pub fn merge(&mut self, first: PortalId, second: PortalId) -> Result<(), MergeRefused> {
        for portal in [first, second] {
            let router = self.open_terminal(portal).ok_or(MergeRefused::UnknownPortal)?;
            if router.next_out > 0 || router.queue.next() > 0 {
                return Err(MergeRefused::Used);
            }
        }
        if first == second || self.local_peer(first) == Some(second) {
            return Err(MergeRefused::SameRoute);
        }
        self.join(first, second);
        self.settle();
        Ok(())
    }

    /// Makes one proxy of two terminals.
    pub(crate) fn join(&mut self, first: PortalId, second: PortalId) {
        self.spring_removed(first);
        self.spring_removed(second);
        self.unpair(first);
        self.unpair(second);
        let Some(mut other) = self.routers.remove(second.0) else { return };
        let router = &mut self.routers[first.0];
        router.role = Role::Proxy;
        let from_outer = router.queue.take_all();
        let from_inner = other.queue.take_all();
        let cause = router.take_broken().or(other.broken());
        for id in other.ends() {
            let end = &mut self.ends[id.0];
            end.router = Some(first);
            end.side = Side::Inner;
        }
        other.decaying().iter().for_each(|&end| router.add_decaying(end));
        router.set_over(Side::Inner, other.is_over(Side::Outer));
        let [outer, _] = other.sides;
        *router.side_mut(Side::Inner) = outer;
        for (sequence, parcel) in from_outer {
            self.pass_on(first, Side::Inner, sequence, parcel);
        }
        for (sequence, parcel) in from_inner {
            self.pass_on(first, Side::Outer, sequence, parcel);
        }
        match cause {
            Some(cause) => self.break_route(first, cause),
            None => self.start_proxy(first),
        }
    }

    /// Tells both sides of a new proxy what the other side is known to be.
    fn start_proxy(&mut self, id: RouterId) {
        for side in Side::BOTH {
            // It may be gone: what one side had not read could not go where the other leads.
            let Some(router) = self.routers.get(id.0) else { return };
            if let (Some(length), Some(onwards)) =
                (router.side(side).closed, router.side(side.other()).primary)
            {
                self.send(onwards, RouteMessage::Closed(length.get()));
            }
        }
        self.check_fins(id);
        if self.routers.get(id.0).is_some_and(|router| router.ends().next().is_none()) {
            self.routers.remove(id.0);
        }
        self.probe(id);
        self.evaluate(id);
    }

    /// Continues a route over a new link: `held` is a terminal that no application sees, whose
    /// peer's route is to lead over `end` from now on.
    pub(crate) fn extend_route(&mut self, held: PortalId, end: EndId) {
        match self.quiet_local_peer(held) {
            Some(local) => {
                let unread = self.routers[held.0].queue.take_all();
                self.hand_over(held, local, end);
                for (sequence, parcel) in unread {
                    self.transmit_parcel(end, sequence, parcel);
                }
            }
            None => {
                let far = RouterId(self.routers.insert(crate::router::Router::terminal(0, 0)));
                self.attach(end, far);
                self.join(held, far);
            }
        }
    }
}
