//! Endpoints of typed interfaces: as arguments, as what they are not, and on one thread.

#![warn(clippy::pedantic)]

#[path = "../support/block_on.rs"]
mod block_on;

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use block_on::block_on;
use ipcz::Node;

/// A portal travels only through its own node, so the tests share one.
fn node() -> Node {
    static NODE: LazyLock<Node> = LazyLock::new(|| Node::broker().unwrap());
    NODE.clone()
}

#[ipcz::interface]
trait Session {
    fn next(&self) -> u32;
}

struct Numbers(AtomicU32);

impl Session for Numbers {
    fn next(&self) -> u32 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

#[ipcz::interface]
trait Keeper {
    fn keep(&self, session: SessionProxy) -> u32;
    fn receivers(&self, receivers: Vec<SessionReceiver>);
}

struct Shelf;

impl Keeper for Shelf {
    fn keep(&self, session: SessionProxy) -> u32 {
        session.next().wait().unwrap()
    }

    fn receivers(&self, receivers: Vec<SessionReceiver>) {
        for (start, receiver) in (0..).zip(receivers) {
            thread::spawn(move || receiver.serve_blocking(Numbers(AtomicU32::new(start * 10))));
        }
    }
}

#[test]
fn a_proxy_that_waits_is_no_argument() {
    let (keeper, receiver) = KeeperProxy::pair(&node());
    let server = thread::spawn(move || receiver.serve_blocking(Shelf));
    let (session, _numbers) = SessionProxy::pair(&node());
    let _pending = session.next();
    let error = keeper.keep(session).wait().unwrap_err();
    assert_eq!(
        error.to_string(),
        "the call could not be encoded: argument `session` of `Keeper::keep`: a `SessionProxy` has 1 \
         calls without a reply: wait for them before sending it"
    );
    drop(keeper);
    server.join().unwrap().unwrap();
}

#[test]
fn receivers_travel_with_what_is_queued_in_them() {
    let (keeper, receiver) = KeeperProxy::pair(&node());
    thread::spawn(move || receiver.serve_blocking(Shelf));
    let (one, first) = SessionProxy::pair(&node());
    let (two, second) = SessionProxy::pair(&node());
    let early = two.next();
    keeper.receivers(vec![first, second]).wait().unwrap();
    assert_eq!(early.wait().unwrap(), 10);
    assert_eq!(two.next().wait().unwrap(), 11);
    // A proxy may move on as soon as its calls are answered.
    assert_eq!(one.next().wait().unwrap(), 0);
    assert_eq!(keeper.keep(one).wait().unwrap(), 1);
}

#[test]
fn an_endpoint_is_no_data_elsewhere() {
    let (session, receiver) = SessionProxy::pair(&node());
    let refused = serde_json::to_string(&session).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "a `SessionProxy` is not data: it can only be part of a message of an ipcz interface"
    );
    let refused = serde_json::from_str::<SessionProxy>("[0,0,0]").unwrap_err();
    assert!(refused.to_string().starts_with("a portal is not data"), "{refused}");
    thread::spawn(move || receiver.serve_blocking(Numbers(AtomicU32::new(1))));
    assert_eq!(session.next().wait().unwrap(), 1);
}

/// Servers of it stay on one thread.
#[ipcz::interface(local)]
trait Local {
    async fn count(&self) -> u32;
}

struct NotSend(std::rc::Rc<std::cell::Cell<u32>>);

impl Local for NotSend {
    async fn count(&self) -> u32 {
        let count = std::rc::Rc::clone(&self.0);
        std::future::ready(()).await;
        count.replace(count.get() + 1)
    }
}

#[test]
fn a_local_server_need_not_be_send() {
    let (local, receiver) = LocalProxy::pair(&node());
    let client = thread::spawn(move || (local.count().wait(), local.count().wait()));
    block_on(receiver.serve(NotSend(std::rc::Rc::default()))).unwrap();
    assert_eq!(client.join().unwrap(), (Ok(0), Ok(1)));
}
