//! Services by name over one connection, and many endpoints in one task.

#![warn(clippy::pedantic)]

#[path = "../support/block_on.rs"]
mod block_on;
#[path = "../support/nodes.rs"]
#[allow(dead_code, reason = "some of it is for other tests")]
mod nodes;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use block_on::block_on;
use ipcz::{
    CallError, DisconnectKind, Node, NotOffered, Receiver, ReceiverSet, ServeError, Services,
};
use nodes::PATIENCE;

#[ipcz::interface(name = "test.Adder")]
trait Adder {
    async fn add(&self, a: u32, b: u32) -> u32;
    /// Makes another adder, in the same set.
    async fn another(&self) -> AdderProxy;
}

#[ipcz::interface(name = "test.Adder")]
trait Adder2 {
    async fn add(&self, a: u32, b: u32) -> u32;
    #[since(2)]
    async fn sub(&self, a: u32, b: u32) -> u32;
}

#[ipcz::interface]
trait Other {
    fn number(&mut self) -> u32;
}

struct Sums(ReceiverSet);

impl Adder for Sums {
    async fn add(&self, a: u32, b: u32) -> u32 {
        a + b
    }

    async fn another(&self) -> AdderProxy {
        let (proxy, receiver) = AdderProxy::pair(&ipcz::context().node().unwrap());
        self.0.add(receiver.serve(Sums(self.0.clone())));
        proxy
    }
}

struct Number(u32);

impl Other for Number {
    fn number(&mut self) -> u32 {
        self.0 += 1;
        self.0
    }
}

/// Services that a thread serves, over a connection between two nodes.
fn offered(set: &ReceiverSet) -> (nodes::Pair, Services) {
    let services = Services::new();
    let (adders, others) = (set.clone(), set.clone());
    services.offer(move |receiver: AdderReceiver| adders.add(receiver.serve(Sums(adders.clone()))));
    services.offer(move |receiver: OtherReceiver| others.add(receiver.serve(Number(6))));
    (nodes::sockets(), services)
}

#[test]
fn services_are_found_by_name() {
    let set = ReceiverSet::new();
    let (pair, services) = offered(&set);
    let running = set.clone();
    thread::spawn(move || running.run_blocking());
    let client = &pair.to_client;
    // Asked before anybody answers, and used before it was found.
    let (early, found) = client.find::<AdderProxy>().unwrap().pipelined();
    let sum = early.add(1, 2);
    thread::spawn({
        let (services, to_broker) = (services.clone(), pair.to_broker);
        move || services.serve_blocking(&to_broker)
    });
    assert_eq!(sum.wait().unwrap(), 3);
    found.wait().unwrap();
    let mut other: OtherProxy = client.find().unwrap().wait().unwrap();
    assert_eq!(other.number().wait().unwrap(), 7);
    other = block_on(client.find().unwrap()).unwrap();
    assert_eq!(other.number().wait().unwrap(), 7);
    let adders: Vec<AdderProxy> = (0..20).map(|_| client.find().unwrap().wait().unwrap()).collect();
    let sums: Vec<_> = adders.iter().zip(0..).map(|(adder, n)| adder.add(n, n)).collect();
    for (sum, n) in sums.into_iter().zip(0..) {
        assert_eq!(sum.wait().unwrap(), 2 * n);
    }

    let too_old = client.find_version::<Adder2Proxy>(2).unwrap().wait();
    let offered = NotOffered::TooOld { name: "test.Adder".into(), offered: 1, wanted: 2 };
    assert_eq!(too_old.unwrap_err(), CallError::Application(offered));
    let any = client.find::<Adder2Proxy>().unwrap().wait().unwrap();
    assert_eq!(any.add(1, 1).wait().unwrap(), 2);
    assert_eq!(any.sub(1, 1).wait(), Err(CallError::UnknownMethod("Adder2::sub")));

    services.withdraw::<OtherReceiver>();
    let gone = client.find::<OtherProxy>().unwrap().wait().unwrap_err();
    assert_eq!(gone, CallError::Application(NotOffered::Unknown("typed_services::Other".into())));
    assert_eq!(gone.to_string(), "the other side does not offer `typed_services::Other`");
    assert_eq!(other.number().wait().unwrap(), 8);
}

#[test]
fn a_request_that_nobody_answers_has_a_deadline() {
    let pair = nodes::sockets();
    let found = pair.to_client.find::<AdderProxy>().unwrap().deadline(Duration::from_millis(20));
    assert_eq!(found.wait().unwrap_err(), CallError::TimedOut);
    let found = pair.to_client.find::<AdderProxy>().unwrap();
    pair.to_broker.disconnect();
    let Err(CallError::Disconnected(why)) = found.wait() else { panic!() };
    assert_eq!(why.kind(), DisconnectKind::Shutdown);
    // A connection whose portal is used otherwise.
    let pair = nodes::sockets();
    let _portals = pair.portals();
    assert!(pair.to_client.find::<AdderProxy>().is_err());
    assert!(Services::new().serve_blocking(&pair.to_broker).is_err());
}

#[test]
fn a_set_serves_what_is_added_and_ends_when_it_is_closed() {
    let node = Node::broker().unwrap();
    let set = ReceiverSet::new();
    let ended = Arc::new(AtomicU32::new(0));
    let (tell, told) = mpsc::channel();
    set.on_end({
        let ended = Arc::clone(&ended);
        move |result| {
            ended.fetch_add(1, Ordering::SeqCst);
            tell.send(result).unwrap();
        }
    });
    let server = thread::spawn({
        let set = set.clone();
        move || block_on(set.run())
    });
    let (adder, receiver) = AdderProxy::pair(&node);
    set.add(receiver.serve(Sums(set.clone())));
    let mut adders = vec![adder];
    for n in 0..50 {
        // Each is made by a method of the one before.
        let next = adders[n].another().wait().unwrap();
        adders.push(next);
    }
    assert_eq!((set.len(), set.is_empty()), (51, false));
    assert_eq!(adders[50].add(1, 2).wait().unwrap(), 3);
    adders.truncate(10);
    for _ in 0..41 {
        assert_eq!(told.recv_timeout(PATIENCE).unwrap(), Ok(()));
    }
    assert_eq!(adders[9].add(1, 2).wait().unwrap(), 3);
    set.close();
    drop(adders);
    server.join().unwrap();
    assert_eq!((set.len(), ended.load(Ordering::SeqCst)), (0, 51));
}

#[test]
fn one_bad_client_of_a_set_costs_the_others_nothing() {
    let node = Node::broker().unwrap();
    let set = ReceiverSet::new();
    let (tell, told) = mpsc::channel();
    set.on_end(move |result| tell.send(result).unwrap());
    let (bad, far) = node.open_portals();
    let receiver = <AdderReceiver as ipcz::Endpoint>::from_portal(far);
    set.add(receiver.serve(Sums(set.clone())));
    let (adder, mut receiver) = AdderProxy::pair(&node);
    let stopper = receiver.stopper();
    set.add(receiver.serve(Sums(set.clone())));
    thread::spawn({
        let set = set.clone();
        move || set.run_blocking()
    });
    bad.put("nonsense").unwrap();
    let error = told.recv_timeout(PATIENCE).unwrap().unwrap_err();
    assert!(matches!(error, ServeError::BadRequest(_)));
    assert_eq!(adder.add(1, 2).wait().unwrap(), 3);
    stopper.stop();
    assert_eq!(told.recv_timeout(PATIENCE).unwrap(), Ok(()));
    assert_eq!(block_on(ipcz::Proxy::closed(&adder)).kind(), DisconnectKind::Stopped);
}
