//! Who becomes a broker of whom: only those whom both sides meant to.

use std::path::PathBuf;
use std::time::Duration;

use ipcz::{ConnectOptions, Connection, DisconnectKind, ErrorKind, Listener, Node};

const PATIENCE: Duration = Duration::from_secs(30);

fn path(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("ipcz-{name}-{}", std::process::id()))
}

fn assert_wrong_role(sides: [&Connection; 2]) {
    for side in sides {
        let why = side.wait_ended(PATIENCE).expect("it ends");
        assert_eq!(why.kind(), DisconnectKind::WrongRole);
        assert_eq!(side.node().topology().peers, []);
    }
}

#[test]
fn a_broker_that_was_not_asked_to_join_does_not() {
    let path = path("unasked");
    let listener = Listener::bind(&path).unwrap();
    let other = Node::broker().unwrap();
    let there = other.join(&path).unwrap();
    let here = listener.accept().unwrap();
    assert_wrong_role([&here, &there]);
}

#[test]
fn a_client_does_not_become_a_broker() {
    let path = path("client");
    let listener = Listener::bind(&path).unwrap();
    let (_client, there) = Node::connect(&path).unwrap();
    let here = listener.accept_broker(&ConnectOptions::default()).unwrap();
    assert_wrong_role([&here, &there]);
}

#[test]
fn only_brokers_join_brokers() {
    let path = path("joiner");
    let listener = Listener::bind(&path).unwrap();
    let (client, _there) = Node::connect(&path).unwrap();
    assert_eq!(client.join(&path).unwrap_err().kind(), ErrorKind::NotBroker);
    let clients = client.listen(path.with_extension("too")).unwrap();
    let refused = clients.accept_broker(&ConnectOptions::default()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotBroker);
    drop(listener);
}
