//! Routes of nodes that are to inherit a broker: what waits until it knows them, and what does not.

#[path = "../support/engines/mod.rs"]
mod engines;

use engines::net::Net;
use ipcz_core::{Message, NetworkMessage, NodeName, Relation, Route, RouteMessage};

/// Nodes 2 and 3 have a route by way of node 1, whose broker they are to inherit: its hello is under way.
fn heirs_with_a_route() -> (Net, [ipcz_core::PortalId; 2]) {
    let mut net = Net::new(1, 4);
    net.begin(0, Relation::Client, 1, Relation::Broker);
    net.hold_back(0, 1);
    let [to_2, at_2] = net.begin(1, Relation::Client, 2, Relation::Broker);
    let [to_3, at_3] = net.begin(1, Relation::Client, 3, Relation::Broker);
    net.rest();
    let (near, far) = net.engines[3].open_portals();
    let far = net.pass((3, at_3), (1, to_3), far);
    let far = net.pass((1, to_2), (2, at_2), far);
    (net, [near, far])
}

#[test]
fn a_route_waits_for_the_broker() {
    let (mut net, [near, far]) = heirs_with_a_route();
    // A broker refuses to introduce a node that it does not know yet, so that one comes first.
    net.let_go();
    net.hold_back(0, 2);
    net.rest();
    net.let_go();
    net.rest();
    assert_eq!(net.engines[3].route(near), Some(Route::Remote(NodeName(3))));
    assert_eq!(net.engines[2].route(far), Some(Route::Remote(NodeName(4))));
    assert_eq!(net.proxies(), 0);
    net.assert_no_introductions();
}

#[test]
fn a_route_does_not_wait_for_a_broker_that_is_lost() {
    let (mut net, [near, far]) = heirs_with_a_route();
    net.crash(0);
    net.rest();
    net.assert_no_introductions();
    assert_eq!((net.engines[3].cause(near), net.engines[2].cause(far)), (None, None));
    let parcel = engines::with(vec![]);
    net.engines[3].put(near, parcel.clone()).unwrap();
    net.work(3);
    net.rest();
    assert_eq!(net.engines[2].get(far).map(|got| got.payload), Ok(parcel.payload));
}

/// How many bypasses were asked for.
fn bypasses(net: &Net) -> usize {
    let asks =
        |message: &Message<_>| matches!(message, Message::Route(_, RouteMessage::BypassMe(_)));
    net.delivered.iter().filter(|(_, message)| asks(message)).count()
}

#[test]
fn a_route_waits_until_the_broker_knows_who_it_leads_to() {
    let (mut net, [near, far]) = heirs_with_a_route();
    // The broker refuses whoever asks for node 3 by now.
    net.let_go();
    net.hold_back(3, 0);
    net.rest();
    assert_eq!(bypasses(&net), 0);
    net.let_go();
    net.rest();
    assert_eq!(net.engines[3].route(near), Some(Route::Remote(NodeName(3))));
    assert_eq!(net.engines[2].route(far), Some(Route::Remote(NodeName(4))));
    assert_eq!(net.proxies(), 0);
    net.assert_no_introductions();
}

#[test]
fn an_heir_cannot_say_that_the_broker_knows_another() {
    let (mut net, _) = heirs_with_a_route();
    net.inject(2, 1, NetworkMessage::Introduced(NodeName(4)));
    net.rest();
    assert_eq!(bypasses(&net), 0);
}
