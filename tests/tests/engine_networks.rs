//! Introductions, joined brokers and referrals, between engines that are driven by hand: who is told
//! what, and that nobody waits for ever.

#[path = "../support/engines/mod.rs"]
mod engines;

use engines::net::Net;
use ipcz_core::{
    CauseKind, ConnectRefused, Message, NetworkMessage, NodeName, Relation, Route, limits,
};

/// Two brokers, 0 and 1, with a client each, 2 and 3; a route between the clients, by way of both.
struct Joined {
    net: Net,
    near: ipcz_core::PortalId,
    far: ipcz_core::PortalId,
}

/// Sends one end of a route of node 2 to node 3, as far as broker 1, and then on its way.
fn joined(prepare: impl FnOnce(&mut Net)) -> Joined {
    let mut net = Net::new(2, 4);
    let [x_y, y_x] = net.join(0, 1);
    let [x_b, b_x] = net.client(0, 2);
    let [y_d, d_y] = net.client(1, 3);
    let (near, far) = net.engines[2].open_portals();
    let far = net.pass((2, b_x), (0, x_b), far);
    let far = net.pass((0, x_y), (1, y_x), far);
    prepare(&mut net);
    let far = net.pass((1, y_d), (3, d_y), far);
    Joined { net, near, far }
}

/// How many messages about connections were delivered that `is` says.
fn delivered(net: &Net, is: impl Fn(&NetworkMessage) -> bool) -> usize {
    let messages = net.delivered.iter();
    messages.filter(|(_, message)| matches!(message, Message::Network(m) if is(m))).count()
}

#[test]
fn clients_of_joined_brokers_meet_once() {
    let Joined { net, near, far } = joined(|_| ());
    assert_eq!(net.engines[2].route(near), Some(Route::Remote(NodeName(4))));
    assert_eq!(net.engines[3].route(far), Some(Route::Remote(NodeName(3))));
    assert_eq!(net.proxies(), 0);
    net.assert_no_introductions();
    let introduced = |with: u128| {
        delivered(&net, |m| matches!(m, NetworkMessage::Introduce { node, .. } if node.0 == with))
    };
    // Of clients 3 and 4, each hears once of the other.
    assert!(introduced(3) >= 1 && introduced(4) >= 1);
    assert!(net.ended.is_empty(), "{:?}", net.ended);
    // By the broker with the lesser name, whoever asked.
    let makers: Vec<_> = net.asked.iter().map(|(node, _)| *node).collect();
    assert!(makers.iter().all(|&maker| maker == 0), "{makers:?}");
}

#[test]
fn a_broker_meets_the_client_of_another() {
    for (broker, other, grants) in [(0, 1, true), (1, 0, true), (0, 1, false), (1, 0, false)] {
        let mut net = Net::new(2, 3);
        let [to_other, at_other] = net.join(broker, other);
        let [to_client, at_client] = net.client(other, 2);
        net.grants = grants;
        let (near, far) = net.engines[broker].open_portals();
        let far = net.pass((broker, to_other), (other, at_other), far);
        let far = net.pass((other, to_client), (2, at_client), far);
        let (from, to) = (broker as u128 + 1, other as u128 + 1);
        let direct = if grants { NodeName(3) } else { NodeName(to) };
        assert_eq!(net.engines[broker].route(near), Some(Route::Remote(direct)));
        let direct = if grants { NodeName(from) } else { NodeName(to) };
        assert_eq!(net.engines[2].route(far), Some(Route::Remote(direct)));
        net.assert_no_introductions();
    }
}

#[test]
fn an_introduction_across_brokers_without_transports() {
    let Joined { net, near, .. } = joined(|net| net.grants = false);
    assert!(net.proxies() > 0);
    net.assert_no_introductions();
    assert_eq!(net.engines[2].cause(near), None);
}

#[test]
fn a_node_that_no_broker_knows() {
    // The route leads to a node that leaves every broker before it can be found.
    let mut net = Net::new(2, 4);
    let [x_y, y_x] = net.join(0, 1);
    let [x_b, b_x] = net.client(0, 2);
    let (near, far) = net.engines[2].open_portals();
    let far = net.pass((2, b_x), (0, x_b), far);
    // Node 1 is asked to connect to node 2, and node 2 is gone by then.
    net.put((0, x_y), far);
    net.crash(2);
    net.rest();
    let arrived = net.take((1, y_x));
    assert!(net.engines[1].cause(arrived).is_some());
    let _ = near;
    net.assert_no_introductions();
}

#[test]
fn a_broker_asks_the_other_brokers_for_a_client() {
    // A request for a node that nobody knows: every other broker is asked, then the client is told.
    let mut net = Net::new(3, 4);
    net.join(0, 1);
    net.join(1, 2);
    assert_eq!([0, 1, 2].map(|node| net.peers(node).len()), [2, 2, 2]);
    net.client(0, 3);
    let request = NetworkMessage::RequestIntroduction(NodeName(99));
    let peer = net.engines[0].topology().peers.len();
    assert_eq!(peer, 3);
    net.inject(3, 0, request);
    net.rest();
    assert_eq!(delivered(&net, |m| matches!(m, NetworkMessage::Locate { .. })), 2);
    let refused = |m: &NetworkMessage| *m == NetworkMessage::IntroductionRefused(NodeName(99));
    assert_eq!(delivered(&net, refused), 1);
    net.assert_no_introductions();
}

/// Broker 1, joined with broker 0, has a route that leads by way of that to broker 2, or to its client 3.
/// Broker 2 has just joined 0, which has no transports yet to introduce it to 1.
fn third_broker(to_client: bool) -> (Net, ipcz_core::PortalId) {
    let mut net = Net::new(3, 4);
    let [x_y, y_x] = net.join(0, 1);
    let [z_d, d_z] = net.client(2, 3);
    net.late = true;
    let [x_z, z_x] = net.join(0, 2);
    let (near, far) = net.engines[1].open_portals();
    let far = net.pass((1, y_x), (0, x_y), far);
    let far = net.pass((0, x_z), (2, z_x), far);
    if to_client {
        net.pass((2, z_d), (3, d_z), far);
    }
    (net, near)
}

#[test]
fn a_third_broker_searches_once_it_knows_all_others() {
    for (to_client, name) in [(false, NodeName(3)), (true, NodeName(4))] {
        let (mut net, near) = third_broker(to_client);
        assert!(net.proxies() > 0);
        for _ in 0..8 {
            net.answer_late();
            net.rest();
        }
        assert_eq!(net.engines[1].route(near), Some(Route::Remote(name)));
        assert_eq!(net.proxies(), 0);
        net.assert_no_introductions();
        assert_eq!(delivered(&net, |m| matches!(m, NetworkMessage::IntroductionRefused(_))), 0);
    }
}

#[test]
fn a_search_does_not_wait_for_brokers_that_are_lost() {
    for lost in [0, 1] {
        let (mut net, _) = third_broker(true);
        net.inject(3, 2, NetworkMessage::RequestIntroduction(NodeName(99)));
        net.rest();
        assert!(net.engines[2].pending_introductions() > 0);
        net.crash(lost);
        for _ in 0..8 {
            net.answer_late();
            net.rest();
        }
        let refused = |m: &NetworkMessage| *m == NetworkMessage::IntroductionRefused(NodeName(99));
        assert_eq!(delivered(&net, refused), 1, "without {lost}");
        for node in (0..4).filter(|&node| node != lost) {
            assert_eq!(net.engines[node].pending_introductions(), 0, "node {node} without {lost}");
        }
    }
}

#[test]
fn a_search_ends_when_the_last_broker_that_was_asked_is_lost() {
    for silent in [[1, 2], [2, 1]] {
        let mut net = Net::new(3, 4);
        net.join(0, 1);
        net.join(1, 2);
        net.client(0, 3);
        net.inject(3, 0, NetworkMessage::RequestIntroduction(NodeName(99)));
        net.deliver_to(0);
        assert_eq!(net.engines[0].pending_introductions(), 1);
        for broker in silent {
            net.crash(broker);
        }
        net.rest();
        let refused = |m: &NetworkMessage| *m == NetworkMessage::IntroductionRefused(NodeName(99));
        assert_eq!(delivered(&net, refused), 1);
        assert_eq!(net.engines[0].pending_introductions(), 0);
    }
}

#[test]
fn a_search_is_forgotten_with_who_asked() {
    let mut net = Net::new(2, 3);
    net.join(0, 1);
    net.client(0, 2);
    net.inject(2, 0, NetworkMessage::RequestIntroduction(NodeName(99)));
    net.deliver_to(0);
    net.crash(2);
    net.rest();
    assert_eq!(net.engines[0].pending_introductions(), 0);
}

#[test]
fn a_client_lost_before_it_hears_of_its_introduction() {
    for step in 0..24 {
        for lost in [2, 3, 1, 0] {
            let mut net = Net::new(2, 4);
            let [x_y, y_x] = net.join(0, 1);
            let [x_b, b_x] = net.client(0, 2);
            let [y_d, _] = net.client(1, 3);
            let (_, far) = net.engines[2].open_portals();
            let far = net.pass((2, b_x), (0, x_b), far);
            let far = net.pass((0, x_y), (1, y_x), far);
            net.put((1, y_d), far);
            for _ in 0..step {
                net.step();
            }
            net.crash(lost);
            net.rest();
            for (index, engine) in net.engines.iter().enumerate().filter(|at| at.0 != lost) {
                let waits = engine.pending_introductions();
                assert_eq!(
                    waits, 0,
                    "node {index}, {lost} lost after {step} deliveries: {:?}",
                    net.delivered
                );
            }
        }
    }
}

/// Clients 1 and 2 of broker 0, whose route is about to be bypassed: both have got their ends of the
/// connection, and neither has got the other one's hello.
fn about_to_meet() -> (Net, ipcz_core::PortalId) {
    let mut net = Net::new(1, 3);
    let [x_b, b_x] = net.client(0, 1);
    let [x_c, c_x] = net.client(0, 2);
    let (near, far) = net.engines[1].open_portals();
    let far = net.pass((1, b_x), (0, x_b), far);
    net.hold_back(1, 2);
    net.hold_back(2, 1);
    net.pass((0, x_c), (2, c_x), far);
    (net, near)
}

#[test]
fn an_introduction_whose_connection_is_lost_is_asked_for_again() {
    for losses in 1..=limits::MAX_LOST_INTRODUCTIONS + 1 {
        let (mut net, near) = about_to_meet();
        for _ in 0..losses {
            assert!(net.proxies() > 0);
            net.lose(1, 2);
            net.let_go();
            for (from, to) in [(1, 2), (2, 1)] {
                // All but the news of the loss.
                while net.step_between(from, to) {}
                net.hold_back(from, to);
            }
            net.rest();
        }
        net.let_go();
        net.rest();
        net.assert_no_introductions();
        let direct =
            if losses > limits::MAX_LOST_INTRODUCTIONS { NodeName(1) } else { NodeName(3) };
        assert_eq!(net.engines[1].route(near), Some(Route::Remote(direct)), "{losses} losses");
    }
}

#[test]
fn a_node_shares_its_broker() {
    let mut net = Net::new(1, 3);
    net.client(0, 1);
    net.connect(1, Relation::Client, 2, Relation::Broker);
    assert_eq!([0, 1, 2].map(|node| net.peers(node)), [vec![1, 2], vec![0, 2], vec![0, 1]]);
    net.assert_no_introductions();
}

#[test]
fn a_node_shares_a_broker_that_it_is_about_to_have() {
    let mut net = Net::new(1, 3);
    net.begin(0, Relation::Client, 1, Relation::Broker);
    net.hold_back(0, 1);
    net.begin(1, Relation::Client, 2, Relation::Broker);
    net.rest();
    assert_eq!([1, 2].map(|node| net.peers(node)), [vec![2], vec![1]]);
    net.let_go();
    net.rest();
    assert_eq!([0, 1, 2].map(|node| net.peers(node)), [vec![1, 2], vec![0, 2], vec![0, 1]]);
}

/// Whether a node that was to inherit a broker may look for another.
fn may_look_again(net: &mut Net, node: usize) -> bool {
    net.engines[node].connect(Relation::Broker, 0).map(|_| ()) != Err(ConnectRefused::HasBroker)
}

#[test]
fn an_heir_hears_that_there_will_be_no_broker() {
    // The broker is lost before it said hello.
    let mut net = Net::new(1, 3);
    net.begin(0, Relation::Client, 1, Relation::Broker);
    net.hold_back(0, 1);
    net.begin(1, Relation::Client, 2, Relation::Broker);
    net.rest();
    assert!(!may_look_again(&mut net, 2));
    net.crash(0);
    net.rest();
    assert!(may_look_again(&mut net, 2));
    // There are no transports.
    let mut net = Net::new(1, 3);
    net.client(0, 1);
    net.grants = false;
    net.connect(1, Relation::Client, 2, Relation::Broker);
    assert!(may_look_again(&mut net, 2));
    // The broker takes no referrals.
    let mut net = Net::new(1, 3);
    let config = ipcz_core::Config { takes_referrals: false, ..engines::config(1, true) };
    net.engines[0] = ipcz_core::Engine::new(config);
    net.client(0, 1);
    net.connect(1, Relation::Client, 2, Relation::Broker);
    assert_eq!(net.peers(2), [1]);
    assert!(may_look_again(&mut net, 2));
}

/// Node 3, a client of broker 0, was introduced to broker 1, lost its own, and is to inherit broker 1
/// from that one's client 2.
fn heir_of_an_acquaintance(takes_referrals: bool) -> (Net, [ipcz_core::PortalId; 2]) {
    let mut net = Net::new(2, 5);
    let config = ipcz_core::Config { takes_referrals, ..engines::config(2, true) };
    net.engines[1] = ipcz_core::Engine::new(config);
    let [x_y, y_x] = net.join(0, 1);
    let [x_m, m_x] = net.client(0, 3);
    net.client(1, 2);
    let (near, far) = net.engines[3].open_portals();
    let far = net.pass((3, m_x), (0, x_m), far);
    let far = net.pass((0, x_y), (1, y_x), far);
    assert_eq!(net.peers(3), [0, 1]);
    net.crash(0);
    net.rest();
    net.begin(2, Relation::Client, 3, Relation::Broker);
    (net, [near, far])
}

#[test]
fn a_broker_that_was_an_acquaintance_is_inherited() {
    // Whichever of the two hears of it first.
    for first in [1, 3] {
        let (mut net, [near, far]) = heir_of_an_acquaintance(true);
        for node in [2, 3, 2, first] {
            net.deliver_to(node);
        }
        net.rest();
        assert_eq!(net.peers(3), [1, 2]);
        assert!(!may_look_again(&mut net, 3));
        // That broker introduces it from now on.
        let [to_new, at_new] = net.client(1, 4);
        net.pass((1, to_new), (4, at_new), far);
        assert_eq!(net.engines[3].route(near), Some(Route::Remote(NodeName(5))));
        assert_eq!(net.proxies(), 0);
        net.assert_no_introductions();
    }
}

#[test]
fn a_broker_that_was_an_acquaintance_and_takes_no_referrals() {
    for first in [1, 3] {
        let (mut net, _) = heir_of_an_acquaintance(false);
        for node in [2, 3, 2, first] {
            net.deliver_to(node);
        }
        net.rest();
        assert_eq!(net.peers(3), [1, 2]);
        assert!(may_look_again(&mut net, 3));
        net.assert_no_introductions();
    }
}

#[test]
fn nobody_is_made_a_client_by_others() {
    // Node 2 says that it brings node 3, which has a broker: nothing comes of it.
    let mut net = Net::new(2, 5);
    let [x_y, y_x] = net.join(0, 1);
    let [x_m, m_x] = net.client(0, 3);
    net.client(1, 2);
    let (near, far) = net.engines[3].open_portals();
    let far = net.pass((3, m_x), (0, x_m), far);
    let far = net.pass((0, x_y), (1, y_x), far);
    let transport = net.dead_end();
    net.inject(2, 1, NetworkMessage::Refer { node: NodeName(4), transport });
    net.rest();
    // Broker 0 introduces it to node 4, as before, and nobody breaks the protocol.
    let [to_new, at_new] = net.client(1, 4);
    net.pass((1, to_new), (4, at_new), far);
    assert_eq!(net.engines[3].route(near), Some(Route::Remote(NodeName(5))));
    assert!(net.asked.iter().all(|(node, _)| *node == 0), "{:?}", net.asked);
    assert!(net.ended.is_empty(), "{:?}", net.ended);
}

#[test]
fn an_heir_that_is_lost_is_forgotten() {
    let mut net = Net::new(1, 3);
    net.begin(0, Relation::Client, 1, Relation::Broker);
    net.hold_back(0, 1);
    net.begin(1, Relation::Client, 2, Relation::Broker);
    net.rest();
    net.crash(2);
    net.rest();
    net.let_go();
    net.rest();
    assert!(net.asked.is_empty());
    assert_eq!(net.peers(0), [1]);
}

#[test]
fn nodes_that_cannot_be_peers() {
    // Two nodes that take each other for their broker, or for their client.
    let both = [Relation::Broker, Relation::Client];
    for (brokers, relations) in [(0, [both[0]; 2]), (2, [both[1]; 2]), (1, [both[0]; 2])] {
        let mut net = Net::new(brokers, 2);
        net.connect(0, relations[0], 1, relations[1]);
        let kinds: Vec<_> = net.ended.iter().map(|(_, cause)| cause.kind).collect();
        assert_eq!(kinds, [CauseKind::WrongRole; 2], "{brokers} {relations:?}");
        assert_eq!((net.peers(0), net.peers(1)), (vec![], vec![]));
    }
    let mut net = Net::new(1, 2);
    net.client(0, 1);
    let (_, refused) = (0, net.engines[1].connect(Relation::Broker, 0).unwrap_err());
    assert_eq!(refused, ConnectRefused::HasBroker);
    let mut net = Net::new(0, 1);
    let refused = net.engines[0].connect(Relation::Client, 0).unwrap_err();
    assert_eq!(refused, ConnectRefused::NoBroker);
}

#[test]
fn brokers_that_are_connected_already() {
    let mut net = Net::new(2, 2);
    net.join(0, 1);
    net.join(0, 1);
    let kinds: Vec<_> = net.ended.iter().map(|(_, cause)| cause.kind).collect();
    assert_eq!(kinds, [CauseKind::AlreadyConnected; 2]);
    assert_eq!(net.peers(0), [1]);
}

#[test]
fn an_offer_that_comes_after_the_loss_of_the_old_way_says_whose_loss() {
    let mut net = Net::new(1, 3);
    let [at_1, from_1] = net.client(0, 1);
    let [at_2, from_2] = net.client(0, 2);
    let (near, far) = net.engines[1].open_portals();
    // The two meet first, by way of another route.
    let (first, other) = net.engines[1].open_portals();
    let other = net.pass((1, from_1), (0, at_1), other);
    net.pass((0, at_2), (2, from_2), other);
    assert_eq!(net.engines[1].route(first), Some(Route::Remote(NodeName(3))));

    let far = net.pass((1, from_1), (0, at_1), far);
    net.hold_back(2, 1);
    let far = net.pass((0, at_2), (2, from_2), far);
    net.lose(0, 1);
    net.deliver_to(1);
    // The offer is answered before the old way says anything.
    net.let_go();
    net.hold_back(0, 2);
    net.rest();
    for (node, portal) in [(1, near), (2, far)] {
        let cause = net.engines[node].cause(portal);
        assert_eq!(cause.map(|cause| cause.kind), Some(CauseKind::NodeLost), "{node}: {cause:?}");
    }
}
