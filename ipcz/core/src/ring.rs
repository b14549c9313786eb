//! Routes that have no ends.
//!
//! ```text
//!   merge ──Probe──▶ proxy ── ... ──▶ terminal            a route: `merge` may be bypassed
//!         ◀─Answer── proxy ◀─ ... ───────┘
//!
//!   merge ──Probe──▶ proxy ──Probe──▶ proxy               a ring: `merge` cuts it
//!     ▲                                 │
//!     └────────────── Probe ────────────┘
//! ```
//!
//! Whoever merges the two ends of one route leaves a ring of proxies, of which nobody holds a portal.
//! Bypasses may make it smaller, but a ring whose links all have their owner on the same hand has no
//! proxy that owns two of them, and one whose nodes cannot be introduced has none that can go. So
//! each proxy that a merge made finds out what it is part of, and is not bypassed before it knows.
//!
//! *Every ring is found.* A probe that finds a terminal was there before that terminal was merged, if
//! it ever was. So of the merges that make a ring there is one whose probe finds none: the last, where
//! a merge comes before another if its probe reached that one's portal. Its maker waits for it, so it
//! comes back to it. Probes and answers are not lost, for proxies pass on what comes over old links
//! too, unless the route is being closed or cut, and then what they were about is settled.
//!
//! *Nothing else is cut.* On a route, a probe only gets further from its maker, whoever is bypassed
//! meanwhile. Only the maker acts on a token, and only those on its route ever see it. Whoever sends
//! one back that should not, or answers in place of a terminal, is on the route, and could as well
//! cut it, or keep its proxies by doing nothing.
//!
//! *Costs.* A probe passes each router once, and so does its answer; what passes on remembers
//! nothing. A token that a hostile peer invents may find no maker in a ring: its hops are counted.
//! A merge with a neighbour that is a terminal of the same node needs no probe.

use crate::end::Side;
use crate::engine::Engine;
use crate::ids::{EndId, RouterId};
use crate::limits;
use crate::message::{Payload, Probe, RouteMessage};

impl<P: Payload> Engine<P> {
    /// Lets a proxy that a merge made find out whether it is part of a ring.
    pub(crate) fn probe(&mut self, id: RouterId) {
        let Some(router) = self.routers.get(id.0) else { return };
        let [outer, inner] = Side::BOTH.map(|side| router.side(side).primary);
        let (Some(outer), Some(inner)) = (outer, inner) else { return };
        if router.is_closing() || self.ends_here(outer) || self.ends_here(inner) {
            return;
        }
        let token = self.secrets.fresh();
        self.routers[id.0].set_probe(Some(token));
        self.send(inner, RouteMessage::Probe(Probe { token, hops: 1 }));
    }

    /// Whether the router at the other end of a link is a terminal of this node.
    fn ends_here(&self, end: EndId) -> bool {
        let far = self.ends[end.0].twin().and_then(|twin| self.ends.get(twin.0)?.router);
        far.and_then(|far| self.routers.get(far.0)).is_some_and(|far| !far.is_proxy())
    }

    /// Some proxy wants to know whether its route has an end.
    pub(crate) fn receive_probe(&mut self, end: EndId, probe: Probe) {
        let (id, side) = self.place(end);
        let router = &self.routers[id.0];
        if router.probe() == Some(probe.token) {
            self.break_here(id);
        } else if router.is_proxy() {
            self.send_on(id, side.other(), probe, RouteMessage::Probe);
        } else {
            let answer = Probe { hops: 0, ..probe };
            self.send_on(id, side, answer, RouteMessage::Answer);
        }
    }

    /// The route of some proxy has an end.
    pub(crate) fn receive_answer(&mut self, end: EndId, probe: Probe) {
        let (id, side) = self.place(end);
        let router = &mut self.routers[id.0];
        if router.probe() == Some(probe.token) {
            router.set_probe(None);
            self.evaluate(id);
        } else if router.is_proxy() {
            self.send_on(id, side.other(), probe, RouteMessage::Answer);
        }
    }

    /// Sends a message on one side of a router, if anything may be sent there.
    pub(crate) fn send_on(
        &mut self,
        id: RouterId,
        side: Side,
        probe: Probe,
        say: impl FnOnce(Probe) -> RouteMessage,
    ) {
        if probe.hops == limits::MAX_HOPS {
            return self.break_here(id);
        }
        let primary = self.routers[id.0].side(side).primary;
        if let Some(end) = primary.filter(|end| !self.ends[end.0].fin_sent) {
            self.send(end, say(Probe { hops: probe.hops + 1, ..probe }));
        }
    }
}
