//! Routes that are cut: everything behind the cut hears of it.

use crate::end::Side;
use crate::engine::Engine;
use crate::ids::{EndId, PeerId, RouterId};
use crate::message::{Cause, Payload, RouteMessage};

impl<P: Payload> Engine<P> {
    /// A neighbour says that the route is cut.
    pub(crate) fn receive_disconnected(&mut self, end: EndId, cause: Cause) {
        let (router, _) = self.place(end);
        self.remove_end(end);
        self.break_route(router, cause);
    }

    /// Cuts a route at this router: tells all its neighbours, and forgets it unless a portal needs
    /// it to say what arrived before.
    pub(crate) fn break_route(&mut self, id: RouterId, cause: Cause) {
        let Some(router) = self.routers.get(id.0) else { return };
        let ends: Vec<_> = router.ends().collect();
        for end in ends {
            self.send(end, RouteMessage::Disconnected(cause));
            self.remove_end(end);
        }
        let router = &mut self.routers[id.0];
        if !router.is_open() {
            self.routers.remove(id.0);
            return;
        }
        if router.is_complete() {
            // It has everything that its peer ever put, and lost nothing. The `Fin` that was to
            // come would have said as much, and proxies that it may become rely on that.
            router.set_over(Side::Outer, true);
        } else if router.broken().is_none() {
            router.set_broken(cause);
            router.side_mut(Side::Outer).closed = None;
            let lost = router.queue.take_unreachable();
            lost.into_iter().for_each(|parcel| self.discard(parcel));
            self.spring(id, false);
        }
    }

    /// Cuts every route that passes over a peer's connection.
    pub(crate) fn break_links_of(&mut self, peer: PeerId, cause: Cause) {
        let Some(peer) = self.peers.get_mut(&peer) else { return };
        let links = std::mem::take(&mut peer.links);
        for (_, end) in links {
            if let Some(router) = self.remove_end(end).and_then(|end| end.router) {
                self.break_route(router, cause);
            }
        }
    }
}
