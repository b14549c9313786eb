//! Terminals side by side: the short way for portals whose peer is on the same node.
//!
//! ```text
//! terminal ── end ═══ end ── terminal        what the routers and ends say
//!     └────────────────────────┘             what two terminals side by side say besides
//! ```
//!
//! Where one link joins two terminals of a node, each names the other. A put then goes from router to
//! router and looks at no end, whose memory is elsewhere; such a parcel is on no link, and so neither
//! end counts it. A close does at once what its messages would come to. Everything else sees a link
//! like any other. A link that changes hands, a terminal that becomes a proxy, and the end of the
//! route part the two.

use crate::count::Count;
use crate::end::Side;
use crate::engine::Engine;
use crate::ids::{EndId, PortalId, RouterId};
use crate::message::Payload;
use crate::parcel::Parcel;

impl<P: Payload> Engine<P> {
    /// The terminal whose link this end is, if it is one's at all and its route goes on.
    fn terminal_at(&self, end: EndId) -> Option<RouterId> {
        let id = self.ends.get(end.0)?.router?;
        let router = self.routers.get(id.0)?;
        let goes_on = !router.is_proxy() && !router.is_closing();
        (goes_on && router.side(Side::Outer).primary == Some(end)).then_some(id)
    }

    /// The terminal at the other end of a terminal's link, by what the ends say.
    pub(crate) fn find_beside(&self, id: RouterId) -> Option<RouterId> {
        let end = self.routers.get(id.0)?.side(Side::Outer).primary?;
        self.terminal_at(end)?;
        self.terminal_at(self.ends[end.0].twin()?).filter(|&other| other != id)
    }

    /// Has a terminal that was given a link, and the one at its other end, name each other.
    pub(crate) fn pair_up(&mut self, id: RouterId) {
        if let Some(other) = self.find_beside(id) {
            self.routers[id.0].beside = Some(other);
            self.routers[other.0].beside = Some(id);
        }
    }

    /// Has two terminals that are not side by side any more name each other no longer.
    pub(crate) fn unpair(&mut self, id: RouterId) {
        if let Some(other) = self.routers[id.0].beside.take() {
            self.routers[other.0].beside = None;
        }
    }

    /// The portal beside this one, which can be put into then: a terminal that is closed, or was told
    /// that its peer is, whoever said so, has nobody beside it.
    #[inline]
    pub(crate) fn reader_beside(&self, portal: PortalId) -> Option<PortalId> {
        self.routers.get(portal.0)?.beside
    }

    /// Puts a parcel into a portal, and so into the queue of the one beside it. Nothing is on its way
    /// between the two: this node's messages to itself are all delivered when a step has ended.
    #[inline]
    pub(crate) fn put_beside(&mut self, portal: PortalId, peer: PortalId, parcel: Parcel<P>) {
        let router = &mut self.routers[portal.0];
        let sequence = router.next_out;
        router.next_out += 1;
        self.enqueue(peer, sequence, Parcel { hops: 1, ..parcel });
        self.settle();
    }

    /// The terminal beside this one, if it can be told at once that this one is closed: nothing that
    /// is under way could have to do with either.
    pub(crate) fn quiet_beside(&self, id: PortalId) -> Option<RouterId> {
        let router = &self.routers[id.0];
        let other = router.beside?;
        let peer = &self.routers[other.0];
        let quiet = self.loopback.is_empty()
            && router.decaying().is_empty()
            && peer.decaying().is_empty()
            && !peer.is_closing()
            && !peer.queue.reaches(router.next_out)
            && peer.queue.expected() == router.next_out;
        quiet.then_some(other)
    }

    /// Ends the route of a terminal that is closed and the quiet one beside it. Comes to the same as
    /// `Closed` there, and `Fin` both ways.
    pub(crate) fn close_beside(&mut self, closed: PortalId, other: RouterId) {
        let Some(router) = self.routers.remove(closed.0) else { return };
        let peer = &mut self.routers[other.0];
        peer.beside = None;
        peer.set_over(Side::Outer, true);
        let outer = peer.side_mut(Side::Outer);
        outer.closed = Some(Count::new(router.next_out));
        let ends = [outer.primary.take(), router.side(Side::Outer).primary];
        for end in ends.into_iter().flatten() {
            self.ends.remove(end.0);
        }
        self.spring(other, false);
    }
}

#[cfg(test)]
mod tests {
    use crate::count::Count;
    use crate::end::Side;
    use crate::message::RouteMessage;
    use crate::{Config, Engine, NodeName, Parcel, PortalId, TrapConditions, TrapId};

    type Node = Engine<Vec<u8>>;

    fn node_with_pair() -> (Node, PortalId, PortalId) {
        let mut node = Engine::new(Config {
            name: NodeName(1),
            is_broker: true,
            key: [7; 16],
            features: 0,
            max_payload: 1 << 20,
            takes_referrals: false,
            may_allocate: true,
            relays_handles: false,
        });
        let (a, b) = node.open_portals();
        (node, a, b)
    }

    fn put(node: &mut Node, portal: PortalId) {
        node.put(portal, Parcel::new(vec![7; 9], Vec::new())).unwrap();
    }

    /// Does the same to a node and to a copy of it that has to go the long way, and compares.
    fn both_ways(node: &Node, portal: PortalId, act: impl Fn(&mut Node)) -> Node {
        let (mut short, mut long) = (node.clone(), node.clone());
        long.unpair(portal);
        act(&mut short);
        act(&mut long);
        assert_eq!(short.audit(), Ok(()));
        assert!(short == long, "{short:#?}\n{long:#?}");
        short
    }

    #[test]
    fn the_short_way_to_close_ends_where_the_long_one_does() {
        let (mut node, a, b) = node_with_pair();
        let conditions = TrapConditions { peer_closed: true, ..TrapConditions::default() };
        node.set_trap(b, conditions, TrapId(1)).unwrap();
        for _ in 0..2 {
            let closed = both_ways(&node, a, |node| assert!(node.close(a)));
            assert!(closed.has_effects());
            both_ways(&closed, b, |node| assert!(node.close(b)));
            // The second time with something unread on both sides.
            put(&mut node, a);
            put(&mut node, b);
        }
    }

    #[test]
    fn a_route_that_does_not_add_up_is_cut_either_way() {
        // What proxies can do to a route that led through them before.
        let (mut lacking, a, b) = node_with_pair();
        lacking.routers[a.0].next_out += 1;
        let closed = both_ways(&lacking, a, |node| assert!(node.close(a)));
        assert!(closed.cause(b).is_some());

        let (mut ahead, a, b) = node_with_pair();
        let parcel = Parcel::new(vec![7], Vec::new());
        let Engine { routers, spares, .. } = &mut ahead;
        routers[b.0].queue.insert(3, parcel, spares).unwrap();
        let closed = both_ways(&ahead, a, |node| assert!(node.close(a)));
        assert!(closed.cause(b).is_some());
    }

    #[test]
    fn the_short_way_to_put_ends_where_the_long_one_does() {
        let (node, a, b) = node_with_pair();
        let used = both_ways(&node, a, |node| {
            put(node, a);
            put(node, b);
            put(node, a);
            assert!(node.get(b).is_ok());
            assert!(node.close(a));
        });
        assert_eq!(used.status(b).unwrap().num_parcels, 1);
    }

    #[test]
    fn the_short_way_is_taken_where_it_can_be() {
        let (mut node, a, b) = node_with_pair();
        put(&mut node, a);
        put(&mut node, b);
        assert!(node.ends.iter().all(|(_, end)| (end.sent, end.received) == (0, 0)));
        assert_eq!([node.reader_beside(a), node.quiet_beside(a)], [Some(b); 2]);
        // Something is under way to one of the two, or may be.
        let (decaying, other) = node.new_local_link(Side::Outer, Side::Outer);
        for terminal in [a, b] {
            let mut node = node.clone();
            node.routers[terminal.0].add_decaying(decaying);
            assert_eq!(node.quiet_beside(a), None);
        }
        node.send(other, RouteMessage::Closed(1));
        assert_eq!(node.quiet_beside(a), None);
        node.loopback.clear();
        node.routers[b.0].side_mut(Side::Inner).closed = Some(Count::new(1));
        assert_eq!(node.quiet_beside(a), None);
    }

    #[test]
    fn a_link_that_is_replaced_parts_the_two() {
        let (mut node, a, b) = node_with_pair();
        let (c, d) = node.open_portals();
        let (at_a, at_c) = node.new_local_link(Side::Outer, Side::Outer);
        node.attach(at_a, a);
        assert_eq!([a, b].map(|id| node.routers[id.0].beside), [None; 2]);
        node.attach(at_c, c);
        assert_eq!(
            [a, b, c, d].map(|id| node.routers[id.0].beside),
            [Some(c), None, Some(a), None]
        );
        assert!([a, b, c, d].iter().all(|&id| node.routers[id.0].beside == node.find_beside(id)));
    }

    #[test]
    fn who_is_put_into_a_parcel_stays_beside_its_peer() {
        let (mut node, a, b) = node_with_pair();
        let (c, d) = node.open_portals();
        node.put(a, Parcel::new(Vec::new(), vec![d])).unwrap();
        put(&mut node, c);
        assert_eq!(node.get(b).unwrap().portals, [d]);
        assert_eq!(node.get(d).unwrap().hops, 1);
        assert_eq!(node.audit(), Ok(()));
    }
}
