//! Connections that are lost and made again, in every role that they have: between engines that are
//! driven by hand.

#[path = "../support/engines/mod.rs"]
mod engines;

use engines::net::Net;
use ipcz_core::{CauseKind, NodeName, PortalId, Relation, Route};

/// A portal of a node, and the node.
type At = (usize, PortalId);

fn named(node: usize) -> Option<Route> {
    Some(Route::Remote(NodeName(node as u128 + 1)))
}

/// A new route, one end of which goes along the roads. Gives its ends.
fn route(net: &mut Net, from: usize, roads: &[[At; 2]]) -> [At; 2] {
    let (near, far) = net.engines[from].open_portals();
    let last = roads.iter().fold((from, far), |(at, it), &[road, end]| {
        assert_eq!(at, road.0);
        (end.0, net.pass(road, end, it))
    });
    [(from, near), last]
}

/// The ends of a route are linked directly, and nothing of how that came about is left.
fn assert_direct(net: &Net, [a, b]: [At; 2]) {
    assert_eq!(net.engines[a.0].route(a.1), named(b.0));
    assert_eq!(net.engines[b.0].route(b.1), named(a.0));
    assert_eq!(net.proxies(), 0);
    net.assert_no_introductions();
}

/// Everything that a route ends in was told that it is cut.
fn assert_cut(net: &Net, ends: [At; 2]) {
    for (node, portal) in ends {
        assert!(net.engines[node].cause(portal).is_some(), "node {node}");
    }
}

/// The portals of a connection, with their nodes, in the direction `a` to `b` and back.
fn roads(a: usize, b: usize, portals: [PortalId; 2]) -> [[At; 2]; 2] {
    let [near, far] = [(a, portals[0]), (b, portals[1])];
    [[near, far], [far, near]]
}

fn client(net: &mut Net, broker: usize, client: usize) -> [[At; 2]; 2] {
    let portals = net.client(broker, client);
    roads(broker, client, portals)
}

fn join(net: &mut Net, a: usize, b: usize) -> [[At; 2]; 2] {
    let portals = net.join(a, b);
    roads(a, b, portals)
}

#[test]
fn a_client_comes_back_to_its_broker() {
    let mut net = Net::new(1, 3);
    let [down, _] = client(&mut net, 0, 1);
    let [other, _] = client(&mut net, 0, 2);
    let old = route(&mut net, 0, &[down]);
    for _ in 0..3 {
        net.lose(0, 1);
        net.rest();
        assert_eq!(net.peers(0), [2]);
        let [down, up] = client(&mut net, 0, 1);
        assert_eq!(net.peers(0), [1, 2]);
        let direct = route(&mut net, 0, &[down]);
        assert_direct(&net, direct);
        // It is introduced again, though it was a client before.
        let met = route(&mut net, 1, &[up, other]);
        assert_direct(&net, met);
        net.lose(1, 2);
        net.rest();
        assert_cut(&net, met);
    }
    assert_cut(&net, old);
}

#[test]
fn a_client_that_comes_back_before_its_broker_has_heard_of_the_loss_may_try_again() {
    let mut net = Net::new(1, 3);
    client(&mut net, 0, 1);
    let [other, _] = client(&mut net, 0, 2);
    net.lose(0, 1);
    net.deliver_to(1);
    // A name is one node's, so the broker takes the second for somebody else who claims it.
    net.begin(0, Relation::Client, 1, Relation::Broker);
    net.ended.clear();
    while net.step_from_latest() {}
    assert!(net.ended.iter().any(|(_, cause)| cause.kind == CauseKind::AlreadyConnected));
    net.rest();
    assert_eq!(net.peers(0), [2]);
    let [_, up] = client(&mut net, 0, 1);
    let met = route(&mut net, 1, &[up, other]);
    assert_direct(&net, met);
}

#[test]
fn another_client_takes_the_place_of_one_that_died() {
    let mut net = Net::new(1, 4);
    let [_, up] = client(&mut net, 0, 1);
    let [to_old, _] = client(&mut net, 0, 2);
    let old = route(&mut net, 1, &[up, to_old]);
    assert_direct(&net, old);
    net.crash(2);
    net.rest();
    assert_eq!(net.engines[1].cause(old[0].1).map(|cause| cause.kind), Some(CauseKind::NodeLost));
    assert_eq!((net.peers(0), net.peers(1)), (vec![1], vec![0]));
    let [to_new, _] = client(&mut net, 0, 3);
    let new = route(&mut net, 1, &[up, to_new]);
    assert_direct(&net, new);
}

#[test]
fn a_client_that_lost_its_broker_finds_another() {
    let mut net = Net::new(2, 4);
    let [_, up] = client(&mut net, 0, 2);
    let [down, _] = client(&mut net, 0, 3);
    let kept = route(&mut net, 2, &[up, down]);
    net.crash(0);
    net.rest();
    assert_direct(&net, kept);
    // The two know each other, and are clients of one broker again.
    let [_, up] = client(&mut net, 1, 2);
    let [down, _] = client(&mut net, 1, 3);
    let new = route(&mut net, 2, &[up, down]);
    assert_direct(&net, new);
    assert_direct(&net, kept);
    net.lose(2, 3);
    net.rest();
    // So they meet by way of it once they have lost each other.
    let met = route(&mut net, 2, &[up, down]);
    assert_direct(&net, met);
}

#[test]
fn brokers_join_again() {
    let mut net = Net::new(2, 4);
    let [_, b_x] = client(&mut net, 0, 2);
    let [y_d, _] = client(&mut net, 1, 3);
    let [x_y, _] = join(&mut net, 0, 1);
    let old = route(&mut net, 2, &[b_x, x_y, y_d]);
    assert_direct(&net, old);
    for _ in 0..3 {
        net.lose(0, 1);
        net.lose(2, 3);
        net.rest();
        assert!(!net.peers(0).contains(&1) && !net.peers(2).contains(&3));
        let [x_y, _] = join(&mut net, 0, 1);
        let new = route(&mut net, 2, &[b_x, x_y, y_d]);
        assert_direct(&net, new);
    }
}

#[test]
fn brokers_that_were_introduced_lose_each_other_and_join_again() {
    let mut net = Net::new(3, 3);
    join(&mut net, 0, 1);
    join(&mut net, 1, 2);
    assert_eq!(net.peers(0), [1, 2]);
    net.lose(0, 2);
    net.rest();
    assert_eq!(net.peers(0), [1]);
    let [a_c, _] = join(&mut net, 0, 2);
    assert_eq!(net.peers(0), [1, 2]);
    let new = route(&mut net, 0, &[a_c]);
    assert_direct(&net, new);
}

#[test]
fn nodes_that_were_introduced_meet_again_when_they_need_each_other() {
    let mut net = Net::new(1, 3);
    let [_, up] = client(&mut net, 0, 1);
    let [down, _] = client(&mut net, 0, 2);
    for _ in 0..5 {
        let met = route(&mut net, 1, &[up, down]);
        assert_direct(&net, met);
        assert_eq!(net.peers(1), [0, 2]);
        net.lose(1, 2);
        net.rest();
        assert_eq!(net.peers(1), [0]);
        assert_cut(&net, met);
    }
}

#[test]
fn nodes_meet_again_when_only_one_has_heard_of_the_loss() {
    for first in [1, 2] {
        let mut net = Net::new(1, 3);
        let [_, up] = client(&mut net, 0, 1);
        let [down, _] = client(&mut net, 0, 2);
        route(&mut net, 1, &[up, down]);
        net.lose(1, 2);
        net.hold_back(3 - first, first);
        net.rest();
        // What is said on the old connection now is lost, and a route that it concerns is cut at
        // both ends; any other arrives.
        let ends = route(&mut net, 1, &[up, down]);
        net.let_go();
        net.rest();
        let cut = ends.map(|(node, portal)| net.engines[node].cause(portal).is_some());
        assert_eq!(cut[0], cut[1]);
        let again = route(&mut net, 1, &[up, down]);
        assert_direct(&net, again);
    }
}

/// Broker 0 with clients 1 and 2; node 3 inherits it from 1. With roads from 0 to 2 and back, and a
/// route from 3 to 2.
fn inherited() -> (Net, [[At; 2]; 2], [At; 2]) {
    let mut net = Net::new(1, 5);
    let [_, up] = client(&mut net, 0, 1);
    let to_2 = client(&mut net, 0, 2);
    let [_, heir_up] = client(&mut net, 1, 3);
    let met = route(&mut net, 3, &[heir_up, up, to_2[0]]);
    assert_direct(&net, met);
    assert_eq!(net.peers(3), [0, 1, 2]);
    (net, to_2, met)
}

#[test]
fn an_inherited_broker_is_lost_and_found_again() {
    let (mut net, [down, _], _) = inherited();
    net.lose(0, 3);
    net.rest();
    assert_eq!(net.peers(3), [1, 2]);
    // It may look for a broker of its own, and the one that it inherited is as good as any.
    let [_, up] = client(&mut net, 0, 3);
    net.lose(2, 3);
    net.rest();
    let met = route(&mut net, 3, &[up, down]);
    assert_direct(&net, met);
}

#[test]
fn an_inherited_broker_is_inherited_again_from_another() {
    let (mut net, [_, up_2], _) = inherited();
    net.lose(0, 3);
    net.lose(2, 3);
    net.rest();
    assert_eq!(net.peers(3), [1]);
    let [_, up] = client(&mut net, 2, 3);
    assert_eq!(net.peers(3), [0, 1, 2]);
    let met = route(&mut net, 3, &[up, up_2]);
    assert_direct(&net, met);
}

#[test]
fn an_heir_that_lost_who_shared_its_broker_keeps_it() {
    let (mut net, [_, up_2], [from_heir, at_2]) = inherited();
    let [to_4, _] = client(&mut net, 0, 4);
    net.lose(1, 3);
    net.rest();
    assert_eq!(net.peers(3), [0, 2]);
    let met = route(&mut net, 3, &[[from_heir, at_2], up_2, to_4]);
    assert_direct(&net, met);
}
