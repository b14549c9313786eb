//! Networks of more than one broker, and nodes that share one: in one process, step by step.

use std::sync::Arc;

use ipcz::driver::Driver;
use ipcz::driver::inproc::InProcDriver;
use ipcz::{ConnectOptions, DisconnectKind, Handle, Node, Parcel, Portal, Relation, Route};

struct Network {
    driver: Arc<dyn Driver>,
}

impl Network {
    fn new() -> Self {
        Self { driver: Arc::new(InProcDriver::new()) }
    }

    fn node(&self, is_broker: bool) -> Node {
        Node::with_driver(self.driver.clone(), is_broker).unwrap()
    }

    /// Connects two nodes, and gives them a portal each.
    fn connect(&self, a: &Node, to: Relation, b: &Node, from: Relation) -> (Portal, Portal) {
        let (left, right) = self.driver.create_transports().unwrap();
        let options = ConnectOptions::default();
        let left = a.connect_transport(left, to, &options).unwrap();
        let right = b.connect_transport(right, from, &options).unwrap();
        (left.take_portal(0).unwrap(), right.take_portal(0).unwrap())
    }

    fn client(&self, of: &Node) -> (Node, Portal, Portal) {
        let client = self.node(false);
        let (down, up) = self.connect(of, Relation::Client, &client, Relation::Broker);
        (client, down, up)
    }
}

fn pass(from: &Portal, to: &Portal, portal: Portal) -> Portal {
    from.put(Parcel::with_handles("", vec![Handle::from(portal)])).unwrap();
    let (_, mut handles) = to.try_recv().unwrap().into_parts();
    let Some(Handle::Portal(portal)) = handles.pop() else { panic!("no portal") };
    portal
}

/// The two ends of a route talk, and the route is one link between their nodes.
fn assert_direct(a: (&Node, &Portal), b: (&Node, &Portal)) {
    a.1.put("there").unwrap();
    assert_eq!(b.1.try_recv().unwrap().bytes(), b"there");
    b.1.put("back").unwrap();
    assert_eq!(a.1.try_recv().unwrap().bytes(), b"back");
    assert_eq!(a.1.route(), Route::Remote(b.0.name()));
    assert_eq!(b.1.route(), Route::Remote(a.0.name()));
}

fn assert_no_proxies(nodes: &[&Node]) {
    for node in nodes {
        assert_eq!(node.topology().proxies, 0, "{:?}", node.topology());
    }
}

#[test]
fn clients_of_joined_brokers_are_linked_directly() {
    let net = Network::new();
    let (x, y) = (net.node(true), net.node(true));
    let (x_y, y_x) = net.connect(&x, Relation::Broker, &y, Relation::Broker);
    let (b, x_b, b_x) = net.client(&x);
    let (d, y_d, d_y) = net.client(&y);
    let (near, far) = b.open_portals();
    let far = pass(&b_x, &x_b, far);
    let far = pass(&x_y, &y_x, far);
    let far = pass(&y_d, &d_y, far);
    assert_direct((&b, &near), (&d, &far));
    assert_no_proxies(&[&x, &y, &b, &d]);
}

#[test]
fn a_broker_and_another_brokers_client_are_linked_directly() {
    let net = Network::new();
    let (x, y) = (net.node(true), net.node(true));
    let (x_y, y_x) = net.connect(&x, Relation::Broker, &y, Relation::Broker);
    let (d, y_d, d_y) = net.client(&y);
    let (near, far) = x.open_portals();
    let far = pass(&x_y, &y_x, far);
    let far = pass(&y_d, &d_y, far);
    assert_direct((&x, &near), (&d, &far));
    let (near, far) = d.open_portals();
    let far = pass(&d_y, &y_d, far);
    let far = pass(&y_x, &x_y, far);
    assert_direct((&d, &near), (&x, &far));
    assert_no_proxies(&[&x, &y, &d]);
}

#[test]
fn brokers_that_join_one_join_all() {
    let net = Network::new();
    let brokers: Vec<_> = (0..4).map(|_| net.node(true)).collect();
    // A chain of connections; the rest are introduced.
    let joints: Vec<_> = brokers
        .windows(2)
        .map(|pair| net.connect(&pair[0], Relation::Broker, &pair[1], Relation::Broker))
        .collect();
    for broker in &brokers {
        assert_eq!(broker.topology().peers.len(), 3, "{:?}", broker.topology());
    }
    let (b, first_b, b_first) = net.client(&brokers[0]);
    let (d, last_d, d_last) = net.client(&brokers[3]);
    let (near, mut far) = b.open_portals();
    far = pass(&b_first, &first_b, far);
    for (left, right) in &joints {
        far = pass(left, right, far);
    }
    far = pass(&last_d, &d_last, far);
    assert_direct((&b, &near), (&d, &far));
    assert_no_proxies(&brokers.iter().collect::<Vec<_>>());
}

#[test]
fn a_node_shares_its_broker() {
    let net = Network::new();
    let x = net.node(true);
    let (n, _x_n, _n_x) = net.client(&x);
    let (c, x_c, c_x) = net.client(&x);
    // M knows N only, and N is no broker.
    let (m, n_m, m_n) = net.client(&n);
    let (n_c, c_n) = n.open_portals();
    let c_n = pass(&_n_x, &_x_n, c_n);
    let c_n = pass(&x_c, &c_x, c_n);
    let (near, far) = m.open_portals();
    let far = pass(&m_n, &n_m, far);
    let far = pass(&n_c, &c_n, far);
    assert_direct((&m, &near), (&c, &far));
    assert_no_proxies(&[&x, &n, &c, &m]);
    let m_peers = m.topology().peers;
    assert!(m_peers.iter().any(|peer| peer.is_broker && peer.name == x.name()), "{m_peers:?}");
}

#[test]
fn a_node_without_a_broker_has_none_to_share() {
    let net = Network::new();
    let (n, m) = (net.node(false), net.node(false));
    let (left, right) = net.driver.create_transports().unwrap();
    let options = ConnectOptions::default();
    let refused = n.connect_transport(left, Relation::Client, &options).unwrap_err();
    assert_eq!(refused.kind(), ipcz::ErrorKind::NoBroker);
    // The other one sees the end of it.
    let connection = m.connect_transport(right, Relation::Broker, &options).unwrap();
    assert_eq!(connection.ended().map(|why| why.kind()), Some(DisconnectKind::NodeLost));
}

#[test]
fn a_broker_goes_and_its_clients_keep_their_links() {
    let net = Network::new();
    let (x, y) = (net.node(true), net.node(true));
    let (x_y, y_x) = net.connect(&x, Relation::Broker, &y, Relation::Broker);
    let (b, x_b, b_x) = net.client(&x);
    let (d, y_d, d_y) = net.client(&y);
    let (near, far) = b.open_portals();
    let far = pass(&y_d, &d_y, pass(&x_y, &y_x, pass(&b_x, &x_b, far)));
    x.shut_down(std::time::Duration::from_secs(5));
    assert_direct((&b, &near), (&d, &far));
    assert_eq!(b_x.try_recv().unwrap_err(), ipcz::TryRecvError::Disconnected(b_x_reason(&b_x)));
    let (_kept, sent) = b.open_portals();
    // What needs the broker still works as far as the nodes are linked.
    let sent = pass(&near, &far, sent);
    sent.put("on the link that is there").unwrap();
}

fn b_x_reason(portal: &Portal) -> ipcz::Disconnect {
    match portal.try_recv() {
        Err(ipcz::TryRecvError::Disconnected(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_node_that_is_about_to_share_its_broker_waits_with_its_bypass() {
    let net = Network::new();
    let (x, n) = (net.node(true), net.node(false));
    let (left, right) = net.driver.create_transports().unwrap();
    let options = ConnectOptions::default();
    let n_x = n.connect_transport(left, Relation::Broker, &options).unwrap();
    let n_x = n_x.take_portal(0).unwrap();
    let (m, n_m, m_n) = net.client(&n);
    let (near, far) = m.open_portals();
    n_x.put(Parcel::with_handles("", vec![Handle::from(pass(&m_n, &n_m, far))])).unwrap();
    // The broker hears of a route to M before it hears of M.
    let x_n = x.connect_transport(right, Relation::Client, &options).unwrap();
    let (_, mut handles) = x_n.take_portal(0).unwrap().try_recv().unwrap().into_parts();
    let Some(Handle::Portal(far)) = handles.pop() else { panic!("no portal") };
    assert_direct((&m, &near), (&x, &far));
    assert_no_proxies(&[&x, &n, &m]);
}
