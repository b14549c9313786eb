//! Portals that travel: what leaves, what stays behind, what arrives.
//!
//! ```text
//! peer ───── T              peer ───── T' ─ ─ ─ new terminal     T becomes the proxy T'
//!
//! U ── T   (both here)      U ─ ─ ─ new terminal                 nothing stays behind
//! ```
//!
//! In the second case, the peer is a quiet terminal of this node and is simply given the new link.

use crate::end::Side;
use crate::engine::Engine;
use crate::ids::{EndId, PeerId, PortalId, RouterId};
use crate::limits;
use crate::message::{Cause, Descriptor, Payload, ProtocolViolation, RouteMessage};
use crate::parcel::Parcel;
use crate::router::{Role, Router};

/// What a portal had not read when it left, to be sent after it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Unread<P> {
    /// The link to the new terminal.
    pub(crate) end: EndId,
    pub(crate) parcels: Vec<(u64, Parcel<P>)>,
    /// The cause, if the route had been cut before the portal left, or is now.
    pub(crate) broken: Option<Cause>,
}

impl<P: Payload> Engine<P> {
    /// Makes a terminal leave for `peer`. What it had not read follows later in this step.
    pub(crate) fn depart(&mut self, peer: PeerId, portal: PortalId) -> Descriptor {
        self.spring_removed(portal);
        let (link, secret) = self.new_link(peer);
        let router = &mut self.routers[portal.0];
        let queue = &router.queue;
        let (next_in, next_out) = (queue.next(), router.next_out);
        // What may be missing can be found out here only.
        let doubted = router.unsettled();
        router.set_doubt(None);
        let unread = router.queue.take_all();
        let broken = router.take_broken().or(doubted);
        let swapped = self.quiet_local_peer(portal);
        let end = match swapped {
            Some(local) => {
                let end = self.new_remote_end(Side::Outer, peer, link, secret);
                self.hand_over(portal, local, end);
                end
            }
            None => {
                let end = self.new_remote_end(Side::Inner, peer, link, secret);
                self.ends[end.0].owner = true;
                self.stay_behind(portal, end);
                end
            }
        };
        self.unread.push_back(Unread { end, parcels: unread, broken });
        Descriptor { link, secret, next_in, next_out, owner: swapped.is_some() }
    }

    /// The peer of a portal, if it is a terminal here and nothing at all is under way between them.
    pub(crate) fn quiet_local_peer(&self, portal: PortalId) -> Option<PortalId> {
        if !self.loopback.is_empty() {
            return None;
        }
        let peer = self.routers[portal.0].beside?;
        let quiet = |id: RouterId| {
            let router = &self.routers[id.0];
            !router.is_closing() && router.decaying().is_empty()
        };
        (quiet(portal) && quiet(peer)).then_some(peer)
    }

    /// Gives the local peer of a terminal that leaves the link to where it went.
    pub(crate) fn hand_over(&mut self, leaving: PortalId, local: PortalId, end: EndId) {
        for router in [leaving, local] {
            if let Some(old) = self.routers[router.0].side(Side::Outer).primary {
                self.remove_end(old);
            }
        }
        self.routers.remove(leaving.0);
        self.attach(end, local);
    }

    /// Makes a terminal the proxy between its peer and where its portal went.
    fn stay_behind(&mut self, portal: PortalId, end: EndId) {
        self.unpair(portal);
        let router = &mut self.routers[portal.0];
        router.role = Role::Proxy;
        let ends: Vec<_> = router.ends().collect();
        for id in ends {
            if self.ends[id.0].owner {
                self.forget_pending(id);
            }
        }
        self.attach(end, portal);
    }

    /// Sends what a portal had not read, and how its route stands, behind it.
    pub(crate) fn forward_unread(&mut self, unread: Unread<P>) {
        let Unread { end, parcels, broken } = unread;
        for (sequence, parcel) in parcels {
            self.transmit_parcel(end, sequence, parcel);
        }
        if self.ends.get(end.0).is_none_or(|end| end.side == Side::Outer) {
            return; // A peer that was handed the link: its route stands as it stood.
        }
        let (router_id, _) = self.place(end);
        if let Some(cause) = broken {
            self.break_route(router_id, cause);
            return;
        }
        if let Some(length) = self.routers[router_id.0].side(Side::Outer).closed {
            self.send(end, RouteMessage::Closed(length.get()));
        }
        self.check_fins(router_id);
        self.evaluate(router_id);
    }

    /// Makes the terminals of portals that arrive.
    pub(crate) fn arrive(
        &mut self,
        peer: PeerId,
        descriptors: &[Descriptor],
    ) -> Result<Vec<PortalId>, ProtocolViolation> {
        if descriptors.len() > limits::MAX_PORTALS_PER_PARCEL {
            return Err(ProtocolViolation("too many portals in a parcel"));
        }
        // All are checked before any exists, so that a violation leaves nothing behind.
        let mut links = std::collections::BTreeSet::new();
        for descriptor in descriptors {
            self.check_new_link(peer, descriptor.link)?;
            if !links.insert(descriptor.link) {
                return Err(ProtocolViolation("two portals on one link"));
            }
        }
        Ok(descriptors.iter().map(|descriptor| self.arrive_one(peer, descriptor)).collect())
    }

    fn arrive_one(&mut self, peer: PeerId, descriptor: &Descriptor) -> PortalId {
        let router = Router::terminal(descriptor.next_in, descriptor.next_out);
        let router = RouterId(self.routers.insert(router));
        let end = self.new_remote_end(Side::Outer, peer, descriptor.link, descriptor.secret);
        self.ends[end.0].owner = descriptor.owner;
        self.ends[end.0].peer_is_proxy = !descriptor.owner;
        self.attach(end, router);
        router
    }
}
