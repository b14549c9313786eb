//! The loss of what a route led through before it became direct, between engines that are driven by
//! hand: a route that lacks nothing goes on, and one that does is cut for the loss.

#[path = "../support/engines/mod.rs"]
mod engines;

use engines::net::Net;
use ipcz_core::{Cause, CauseKind, GetRefused, Message, NodeName, PortalId, Route, RouteMessage};

/// A route between the clients 1 and 2 of the broker 0. The far end is on its way through the broker,
/// and the two clients are connected.
struct Middle {
    net: Net,
    near: PortalId,
    far: PortalId,
    /// The ends of another route between the two.
    link: [PortalId; 2],
}

const LOST: Cause = Cause { kind: CauseKind::NodeLost, node: Some(NodeName(1)) };

/// What node 1 puts before the far end has left the broker for node 2.
fn middle(put_before: usize) -> Middle {
    let mut net = Net::new(1, 3);
    let [at_1, from_1] = net.client(0, 1);
    let [at_2, from_2] = net.client(0, 2);
    // The two meet first, by way of another route.
    let (first, other) = net.engines[1].open_portals();
    let other = net.pass((1, from_1), (0, at_1), other);
    let other = net.pass((0, at_2), (2, from_2), other);
    assert_eq!(net.engines[1].route(first), Some(Route::Remote(NodeName(3))));

    let (near, far) = net.engines[1].open_portals();
    let far = net.pass((1, from_1), (0, at_1), far);
    // What node 1 says to the broker from now on does not get there: the old links cannot end.
    net.hold_back(1, 0);
    (0..put_before).for_each(|_| net.say((1, near)));
    net.put((0, at_2), far);
    net.rest();
    let far = net.take((2, from_2));
    Middle { net, near, far, link: [first, other] }
}

impl Middle {
    fn both(&self) -> [(usize, PortalId); 2] {
        [(1, self.near), (2, self.far)]
    }

    fn assert_direct(&self) {
        assert_eq!(self.net.engines[1].route(self.near), Some(Route::Remote(NodeName(3))));
        assert_eq!(self.net.engines[2].route(self.far), Some(Route::Remote(NodeName(2))));
    }

    fn assert_cut(&self, cause: Cause) {
        for (node, portal) in self.both() {
            assert_eq!(self.net.engines[node].cause(portal), Some(cause), "node {node}");
        }
    }

    fn talk(&mut self) {
        for (from, to) in [(0, 1), (1, 0)] {
            let both = self.both();
            self.net.say(both[from]);
            self.net.rest();
            let (node, portal) = both[to];
            assert!(self.net.engines[node].get(portal).is_ok());
        }
    }
}

#[test]
fn a_route_that_lacks_nothing_goes_on() {
    let mut it = middle(0);
    it.assert_direct();
    assert!(it.net.engines[2].counts().ends > 2, "the replaced links have not ended");
    it.net.crash(0);
    it.net.rest();
    it.assert_direct();
    it.talk();
    let asked = |m: &Message<_>| matches!(m, Message::Route(_, RouteMessage::HowMany(_)));
    assert_eq!(it.net.delivered.iter().filter(|(_, m)| asked(m)).count(), 2);
    // Nothing is left of the replaced links.
    it.net.engines[1].close(it.near);
    it.net.work(1);
    it.net.rest();
    it.net.engines[2].close(it.far);
    it.net.work(2);
    it.net.rest();
    assert_eq!(it.net.engines.iter().skip(1).map(|e| e.counts().ends).collect::<Vec<_>>(), [1, 1]);
}

#[test]
fn a_parcel_that_is_lost_on_the_old_way_cuts_the_route_for_that_loss() {
    let mut it = middle(1);
    it.assert_direct();
    it.net.say((1, it.near));
    it.net.say((2, it.far));
    it.net.rest();
    it.net.crash(0);
    it.net.rest();
    it.assert_cut(LOST);
    // What came in order can be read; what came after the gap cannot.
    assert!(it.net.engines[1].get(it.near).is_ok());
    assert_eq!(it.net.engines[2].get(it.far).err(), Some(GetRefused::Disconnected(LOST)));
}

#[test]
fn a_close_in_place_of_an_answer() {
    for lacking in [0, 1] {
        let mut it = middle(lacking);
        it.net.say((1, it.near));
        it.net.engines[1].close(it.near);
        it.net.work(1);
        it.net.crash(0);
        it.net.rest();
        let far = &mut it.net.engines[2];
        if lacking == 0 {
            assert!(far.get(it.far).is_ok());
            assert_eq!(far.get(it.far).err(), Some(GetRefused::PeerClosed));
        } else {
            assert_eq!(far.get(it.far).err(), Some(GetRefused::Disconnected(LOST)));
        }
        assert_eq!(it.net.engines[2].counts().ends, 1);
        assert_eq!(it.net.engines[1].counts().ends, 1);
    }
}

#[test]
fn a_loss_before_the_new_link_is_accepted() {
    for hears in [1, 2] {
        let mut net = Net::new(1, 3);
        let [at_1, from_1] = net.client(0, 1);
        let [at_2, from_2] = net.client(0, 2);
        let (first, other) = net.engines[1].open_portals();
        let other = net.pass((1, from_1), (0, at_1), other);
        let other = net.pass((0, at_2), (2, from_2), other);
        let (near, far) = net.engines[1].open_portals();
        let far = net.pass((1, from_1), (0, at_1), far);
        net.hold_back(2, 1);
        let far = net.pass((0, at_2), (2, from_2), far);
        assert_eq!(net.engines[2].route(far), Some(Route::Remote(NodeName(2))));
        assert_eq!(net.engines[1].route(near), Some(Route::Remote(NodeName(1))));
        net.crash(0);
        // Whoever hears first: the end that was not asked yet has lost its only link.
        net.deliver_to(hears);
        net.rest();
        Middle { net, near, far, link: [first, other] }.assert_cut(LOST);
    }
}

#[test]
fn the_other_end_moves_meanwhile() {
    for lacking in [0, 1] {
        let mut it = middle(lacking);
        let (mine, theirs) = (it.near, it.far);
        it.net.hold_back(1, 2);
        it.net.put((2, it.link[1]), theirs);
        it.net.crash(0);
        it.net.deliver_to(1);
        it.net.let_go();
        it.net.rest();
        let arrived = it.net.take((1, it.link[0]));
        let causes = [mine, arrived].map(|portal| it.net.engines[1].cause(portal));
        // The portal had left before the loss was known where it was.
        assert_eq!(causes, [Some(LOST); 2]);
    }
}

#[test]
fn the_other_end_has_moved_before() {
    // The portal is back at node 1, and the way by node 2 and the one by the broker have yet to end.
    let mut it = middle(0);
    it.net.hold_back(1, 2);
    it.net.put((2, it.link[1]), it.far);
    it.net.deliver_to(1);
    let arrived = it.net.take((1, it.link[0]));
    it.net.crash(0);
    it.net.deliver_to(1);
    it.net.let_go();
    it.net.rest();
    let causes = [it.near, arrived].map(|portal| it.net.engines[1].cause(portal));
    assert_eq!(causes[0], causes[1], "neither waits for the other");
    assert!(causes[0].is_none_or(|cause| cause == LOST), "{causes:?}");
}
