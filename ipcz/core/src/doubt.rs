//! Links that are lost when they were replaced already.
//!
//! ```text
//!            ┌─ ─ lost ─ ─┐                 T lost an old link, and keeps the new one
//!  U ────────┴─── new ────┴──────── T
//!    ◀───────── HowMany ───────────         may something have been on the old one?
//!    ────────── SoMany(n) ────────▶         T has all up to n: nothing was
//! ```
//!
//! A link that a bypass replaced only delivers what was on its way. Mostly that is nothing, and then
//! its loss is no reason to cut the route. But a parcel may have been lost with it, and a reader must
//! not wait for it for ever. So a terminal asks its peer over the link that it has now how many
//! parcels there are. It goes on if it has them all; if some are missing when no replaced link is
//! left that could bring them, it cuts the route, and the cause is the loss.
//!
//! *No loss goes unnoticed.* Whoever asks got the link it asks on from a router that sends on it too
//! by the time it is asked. So what is put after the answer does not take the way that was lost, and
//! all that was put before is counted. Each further loss asks again, and only the last answer
//! counts. Question and answer are lost only with a link between the two: that cuts the route, or
//! reaches the one who asks as a further loss. If the peer closes, it says so, and the length of the
//! route takes the place of the answer.
//!
//! *Nothing is cut for what is still to come* on the terminal's own links: what is on hold is not
//! counted, and what waits for its handles is waited for. Where a proxy is still in between, an
//! answer may overtake what comes there over old links; then the route is cut though it need not be.
//! So is one where a proxy loses a link, or whose portal leaves before the answer is there: they have
//! no numbers to go by.

use crate::count::Count;
use crate::end::Side;
use crate::engine::Engine;
use crate::ids::{EndId, RouterId, Secret};
use crate::message::{Cause, CauseKind, Payload, Probe, RouteMessage};

/// That a replaced link of a terminal was lost, and perhaps parcels with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Doubt {
    /// The loss.
    pub(crate) cause: Cause,
    /// The last question to the peer.
    token: Secret,
    /// The answer: how many parcels must have come for nothing to be missing.
    pub(crate) put: Option<Count>,
}

impl<P: Payload> Engine<P> {
    /// A link is lost, or cut beyond its other end. A route that needs it is cut.
    pub(crate) fn lose_end(&mut self, id: EndId, cause: Cause) {
        let (router_id, _) = self.place(id);
        let router = &self.routers[router_id.0];
        let replaced = !router.is_proxy() && !router.is_primary(id);
        self.remove_end(id);
        if !replaced {
            return self.break_route(router_id, cause);
        }
        self.doubt(router_id, cause);
        self.end_gone(router_id);
    }

    /// Has a terminal find out whether it lost something with a replaced link.
    fn doubt(&mut self, id: RouterId, cause: Cause) {
        let router = &self.routers[id.0];
        if !router.is_open() || router.is_complete() {
            return;
        }
        let first = router.doubt().map_or(cause, |doubt| doubt.cause);
        let token = self.secrets.fresh();
        let router = &mut self.routers[id.0];
        router.set_doubt(Some(Doubt { cause: first, token, put: None }));
        // The length of a route that is closed says the same as an answer.
        if !router.is_closing() {
            self.send_on(id, Side::Outer, Probe { token, hops: 0 }, RouteMessage::HowMany);
        }
    }

    /// Some terminal wants to know how many parcels its peer has put.
    pub(crate) fn receive_how_many(&mut self, end: EndId, probe: Probe) {
        let (id, side) = self.place(end);
        let router = &self.routers[id.0];
        if router.is_proxy() {
            self.send_on(id, side.other(), probe, RouteMessage::HowMany);
        } else if router.is_open() {
            let answer = Probe { hops: 0, ..probe };
            self.send_count(id, side, answer, router.next_out);
        }
    }

    /// Some terminal's peer has put this many parcels.
    pub(crate) fn receive_so_many(&mut self, end: EndId, probe: Probe, count: u64) {
        let (id, side) = self.place(end);
        let router = &mut self.routers[id.0];
        if router.is_proxy() {
            return self.send_count(id, side.other(), probe, count);
        }
        if let Some(doubt) = router.doubt().filter(|doubt| doubt.token == probe.token) {
            router.set_doubt(Some(Doubt { put: Some(Count::new(count)), ..doubt }));
            self.settle_doubt(id);
        }
    }

    /// Sends an answer on. It overtakes what is on hold, which is yet to come and so not counted.
    fn send_count(&mut self, id: RouterId, side: Side, probe: Probe, count: u64) {
        let primary = self.routers[id.0].side(side).primary;
        let held = primary.and_then(|end| self.on_hold.first(end));
        let count = held.map_or(count, |held| count.min(held));
        self.send_on(id, side, probe, |probe| RouteMessage::SoMany(probe, count));
    }

    /// Goes on if nothing is missing after all; cuts the route if something is that cannot come.
    pub(crate) fn settle_doubt(&mut self, id: RouterId) {
        let Some(router) = self.routers.get_mut(id.0) else { return };
        let Some(doubt) = router.doubt() else { return };
        let Some(cause) = router.unsettled() else { return router.set_doubt(None) };
        // If it is closed, its links count what is to come, and the last of them settles it.
        if doubt.put.is_none() || router.is_closing() || !router.decaying().is_empty() {
            return;
        }
        let primary = router.side(Side::Outer).primary;
        let incomplete = primary.map(|end| self.relays.num_waiting(self.ends[end.0].peer, end));
        if incomplete.unwrap_or_default() == 0 {
            self.break_route(id, cause);
        }
    }

    /// Cuts a route whose links have ended before all was there that should be: for a loss, if there
    /// was one, or else they do not add up.
    pub(crate) fn break_incomplete(&mut self, id: RouterId) {
        let node = Some(self.config.name);
        let known = self.routers.get(id.0).and_then(|router| router.doubt());
        let cause = known.map_or(Cause { kind: CauseKind::RouteBroken, node }, |doubt| doubt.cause);
        self.break_route(id, cause);
    }
}
