//! How routes and links end: a length for the route, a count for each link.
//!
//! ```text
//! closer ──Closed(length), Fin(count)──▶ proxy ──Closed(length), Fin──▶ peer
//!        ◀──────────── Fin(count) ─────        ◀──────── Fin ────────
//! ```
//!
//! `Closed` says how many parcels a side put in all. `Fin` says how many travelled on one link; it
//! takes effect when that many have arrived, so nothing is lost on links that are replaced. A link
//! is forgotten when both its ends have said so.

use crate::count::Count;
use crate::end::Side;
use crate::engine::Engine;
use crate::ids::{EndId, PortalId, RouterId};
use crate::message::{Cause, CauseKind, Payload, ProtocolViolation, RouteMessage};

impl<P: Payload> Engine<P> {
    /// Closes a portal. Unread parcels are dropped, the portals in them closed; what was put before
    /// still arrives. Gives whether the portal was open.
    pub fn close(&mut self, portal: PortalId) -> bool {
        if self.open_terminal(portal).is_none() {
            return false;
        }
        self.close_terminal(portal);
        self.settle();
        true
    }

    /// Closes a terminal within a step.
    pub(crate) fn close_terminal(&mut self, id: PortalId) {
        if self.open_terminal(id).is_none() {
            return;
        }
        self.spring_removed(id);
        let router = &mut self.routers[id.0];
        router.set_doubt(None);
        let unread = router.queue.take_all();
        let length = router.next_out;
        router.side_mut(Side::Inner).closed = Some(Count::new(length));
        unread.into_iter().for_each(|(_, parcel)| self.discard(parcel));
        if let Some(peer) = self.quiet_beside(id) {
            return self.close_beside(id, peer);
        }
        self.unpair(id);
        let router = &self.routers[id.0];
        match router.side(Side::Outer).primary {
            Some(end) => {
                self.send(end, RouteMessage::Closed(length));
                self.check_fins(id);
            }
            None if router.decaying().is_empty() => {
                self.routers.remove(id.0);
            }
            None => {}
        }
    }

    /// The other side of a route says how many parcels it put in all.
    pub(crate) fn receive_closed(&mut self, end: EndId, length: u64) {
        let (id, side) = self.place(end);
        let router = &mut self.routers[id.0];
        match router.side(side).closed {
            Some(known) if known == Count::new(length) => return,
            Some(_) => return self.break_here(id),
            None => {}
        }
        if router.is_open() && router.queue.reaches(length) {
            return self.break_here(id);
        }
        router.side_mut(side).closed = Some(Count::new(length));
        if router.is_proxy() {
            if let Some(onwards) = router.side(side.other()).primary {
                self.send(onwards, RouteMessage::Closed(length));
            }
        } else {
            self.unpair(id);
            self.spring(id, false);
        }
        self.check_fins(id);
    }

    /// The other end of a link says how many parcels it sent on it.
    pub(crate) fn receive_fin(&mut self, id: EndId, count: u64) -> Result<(), ProtocolViolation> {
        let end = &mut self.ends[id.0];
        if end.fin_count.is_some() {
            return Err(ProtocolViolation("a link ended twice"));
        }
        if count < end.received + self.relays.num_waiting(end.peer, id) {
            return Err(ProtocolViolation("more parcels on a link than were counted"));
        }
        end.fin_count = Some(Count::new(count));
        self.check_finished(id);
        Ok(())
    }

    /// Lets a `Fin` take effect once everything it counted has arrived.
    pub(crate) fn check_finished(&mut self, id: EndId) {
        let Some(end) = self.ends.get_mut(id.0) else { return };
        if end.finished || end.fin_count != Some(Count::new(end.received)) {
            return;
        }
        end.finished = true;
        let (router_id, side) = self.place(id);
        let router = &mut self.routers[router_id.0];
        if router.is_primary(id) {
            router.set_over(side, true);
        } else {
            self.send_fin(id);
        }
        if self.has_run_dry(router_id, side) {
            return self.break_incomplete(router_id);
        }
        self.forget_refused(id);
        self.check_fins(router_id);
        self.remove_if_done(id);
    }

    /// Ends the primary links on which a router will send nothing more.
    pub(crate) fn check_fins(&mut self, id: RouterId) {
        for side in Side::BOTH {
            let Some(router) = self.routers.get(id.0) else { return };
            let Some(primary) = router.side(side).primary else { continue };
            let nothing_more = if router.is_proxy() {
                let source = side.other();
                router.is_over(source)
                    && router
                        .ends()
                        .map(|end| &self.ends[end.0])
                        .all(|end| end.side != source || end.finished)
            } else {
                router.is_closing()
            };
            if nothing_more {
                self.send_fin(primary);
                self.remove_if_done(primary);
            }
        }
    }

    /// Says, once, how much was sent on a link.
    pub(crate) fn send_fin(&mut self, id: EndId) {
        let end = &mut self.ends[id.0];
        if !end.fin_sent {
            end.fin_sent = true;
            let count = end.sent;
            // Else it follows what is on hold: the count includes that.
            if !self.on_hold.is_for(id) {
                self.send(id, RouteMessage::Fin(count));
            }
        }
    }

    /// Forgets an end whose link has ended in both directions, and its router if that was all.
    pub(crate) fn remove_if_done(&mut self, id: EndId) {
        let Some(end) = self.ends.get(id.0) else { return };
        if !(end.fin_sent && end.finished) || self.on_hold.is_for(id) {
            return;
        }
        if let Some(router_id) = self.remove_end(id).and_then(|end| end.router) {
            self.end_gone(router_id);
        }
    }

    /// Forgets a router that has lost its last end. If another has gone, it may do what it could not.
    pub(crate) fn end_gone(&mut self, router_id: RouterId) {
        let Some(router) = self.routers.get(router_id.0) else { return };
        let unlinked = router.ends().next().is_none();
        let (open, complete) = (router.is_open(), router.is_complete());
        if unlinked && !open {
            self.routers.remove(router_id.0);
        } else if unlinked && !complete || self.has_run_dry(router_id, Side::Outer) {
            self.break_incomplete(router_id);
        } else {
            self.settle_doubt(router_id);
            self.evaluate(router_id);
        }
    }

    /// Forgets a link on the loopback that was offered in vain, before it is known why.
    fn forget_refused(&mut self, id: EndId) {
        let Some(twin) = self.ends[id.0].twin() else { return };
        let (router, _) = self.place(id);
        let router = &self.routers[router.0];
        let needed = !router.is_primary(id) || router.committed || router.is_closing();
        if !needed && self.ends.get(twin.0).is_none() {
            self.remove_end(id);
        }
    }

    /// Whether all that comes from a side has come, and it did not say how much that would be. What
    /// was replaced before may still bring that, or why it will not come.
    fn has_run_dry(&self, id: RouterId, side: Side) -> bool {
        let Some(router) = self.routers.get(id.0) else { return false };
        let finished = |id: EndId| self.ends[id.0].side != side || self.ends[id.0].finished;
        router.is_over(side)
            && !router.committed
            && !router.is_closing()
            && router.ends().all(finished)
    }

    /// The router of an end, and the end's side of it.
    pub(crate) fn place(&self, id: EndId) -> (RouterId, Side) {
        let end = &self.ends[id.0];
        (end.router.expect("messages are for ends that have a router"), end.side)
    }

    /// Cuts a route whose parts contradict each other.
    pub(crate) fn break_here(&mut self, id: RouterId) {
        let node = Some(self.config.name);
        self.break_route(id, Cause { kind: CauseKind::RouteBroken, node });
    }
}
