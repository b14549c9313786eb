//! Calls over their whole life: deadlines, cancellation, credit, pipes, the end and its reasons.

#![warn(clippy::pedantic)]

#[path = "../support/block_on.rs"]
mod block_on;
#[path = "../support/nodes.rs"]
#[allow(dead_code, reason = "some of it is for other tests")]
mod nodes;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver as Inbox, Sender};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use block_on::block_on;
use futures_util::FutureExt;
use ipcz::{CallError, DisconnectKind, Endpoint, Node, Proxy, Receiver, ServeError};
use nodes::PATIENCE;

/// Longer than a test waits for what never comes.
const LATER: Duration = Duration::from_secs(3600);

#[ipcz::interface]
trait Desk {
    /// Never ends by itself. Says when it begins and when it is dropped.
    async fn hold(&self, what: u32) -> u32;
    /// How long it has, in milliseconds.
    async fn time_left(&self) -> Option<u64>;
    /// How long a call that it makes itself has.
    async fn passed_on(&self, desk: DeskProxy) -> Option<u64>;
    async fn echo(&self, bytes: Vec<u8>) -> u64;
    #[oneway]
    fn note(&self, bytes: Vec<u8>);
    async fn open(&self, how: &str) -> Result<DeskProxy, String>;
    async fn reject(&self, why: String) -> u32;
    /// What it is called by, twice.
    async fn name(&self) -> String {
        let half = self.half().await;
        format!("{half}{half}")
    }
    async fn half(&self) -> String {
        "half".into()
    }
    #[since(2)]
    fn plain(&self, add: u32) -> u32 {
        add + 1
    }
}

#[derive(Clone)]
struct Clerk {
    told: Arc<Mutex<Sender<String>>>,
    notes: Arc<AtomicU32>,
}

struct OnDrop(Clerk, String);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.tell(&self.1);
    }
}

impl Clerk {
    fn new() -> (Self, Inbox<String>) {
        let (tell, told) = mpsc::channel();
        (Self { told: Arc::new(Mutex::new(tell)), notes: Arc::default() }, told)
    }

    fn tell(&self, what: &str) {
        let _ = self.told.lock().unwrap().send(what.into());
    }
}

impl Desk for Clerk {
    async fn hold(&self, what: u32) -> u32 {
        self.tell(&format!("begun {what}"));
        let _guard = OnDrop(self.clone(), format!("dropped {what}"));
        std::future::pending().await
    }

    async fn time_left(&self) -> Option<u64> {
        let at = ipcz::context().deadline()?;
        u64::try_from(at.saturating_duration_since(Instant::now()).as_millis()).ok()
    }

    async fn passed_on(&self, desk: DeskProxy) -> Option<u64> {
        desk.time_left().await.unwrap()
    }

    async fn echo(&self, bytes: Vec<u8>) -> u64 {
        bytes.len() as u64
    }

    fn note(&self, bytes: Vec<u8>) {
        assert!(bytes.iter().all(|byte| *byte == 7));
        self.notes.fetch_add(1, Ordering::SeqCst);
    }

    async fn open(&self, how: &str) -> Result<DeskProxy, String> {
        match how {
            "refused" => return Err("refused".into()),
            "panic" => panic!("as asked"),
            "slow" => std::future::pending().await,
            _ => {}
        }
        let (proxy, receiver) = DeskProxy::pair(&ipcz::context().node().unwrap());
        let clerk = self.clone();
        thread::spawn(move || receiver.serve_blocking(clerk));
        if how == "used" {
            assert_eq!(proxy.half().await.unwrap(), "half");
        }
        Ok(proxy)
    }

    async fn reject(&self, why: String) -> u32 {
        ipcz::context().reject(why);
        7
    }
}

#[ipcz::interface]
trait Alone {
    async fn hold(&mut self, what: u32) -> u32;
    async fn echo(&mut self, what: u32) -> u32;
}

impl Alone for Clerk {
    async fn hold(&mut self, what: u32) -> u32 {
        Desk::hold(self, what).await
    }

    async fn echo(&mut self, what: u32) -> u32 {
        what
    }
}

type Server = JoinHandle<Result<(), ServeError>>;

fn desk() -> (DeskProxy, Inbox<String>, Server) {
    let (proxy, receiver) = DeskProxy::pair(&Node::broker().unwrap());
    let (clerk, told) = Clerk::new();
    (proxy, told, thread::spawn(move || receiver.serve_blocking(clerk)))
}

fn alone() -> (AloneProxy, Inbox<String>, Server) {
    let (proxy, receiver) = AloneProxy::pair(&Node::broker().unwrap());
    let (clerk, told) = Clerk::new();
    (proxy, told, thread::spawn(move || receiver.serve_blocking(clerk)))
}

fn hears(told: &Inbox<String>, what: &str) {
    assert_eq!(told.recv_timeout(PATIENCE).unwrap(), what);
}

#[test]
fn what_a_server_does_not_say_is_the_traits() {
    let (desk, _told, server) = desk();
    assert_eq!(desk.name().wait().unwrap(), "halfhalf");
    assert_eq!(desk.plain(6).wait().unwrap(), 7);
    assert_eq!((DeskProxy::VERSION, AloneReceiver::VERSION), (2, 1));
    assert_eq!(desk.version().wait().unwrap(), 2);
    drop(desk);
    server.join().unwrap().unwrap();
}

#[test]
fn a_dropped_call_drops_the_servers_future() {
    let (desk, told, _server) = desk();
    let (first, second) = (desk.hold(1), desk.hold(2));
    hears(&told, "begun 1");
    hears(&told, "begun 2");
    drop(second);
    hears(&told, "dropped 2");
    drop(first);
    hears(&told, "dropped 1");
    assert_eq!(desk.echo(vec![1, 2]).wait().unwrap(), 2);
}

#[test]
fn a_dropped_call_frees_a_server_of_one_call_at_a_time() {
    let (alone, told, server) = alone();
    let (first, second, third) = (alone.hold(1), alone.hold(2), alone.echo(3));
    hears(&told, "begun 1");
    // Not begun, and never will be.
    drop(second);
    drop(first);
    hears(&told, "dropped 1");
    assert_eq!(third.wait().unwrap(), 3);
    drop(alone);
    server.join().unwrap().unwrap();
    assert!(told.try_recv().is_err());
}

#[test]
fn a_deadline_holds_on_both_sides() {
    for way in 0..3 {
        let (desk, told, _server) = desk();
        let call = desk.hold(1).deadline(Duration::from_millis(30));
        let result = match way {
            0 => call.wait(),
            1 => block_on(call),
            _ => {
                // Nobody waits for it: it is the server that ends it.
                hears(&told, "begun 1");
                hears(&told, "dropped 1");
                call.wait()
            }
        };
        assert_eq!(result, Err(CallError::TimedOut), "{way}");
        if way < 2 {
            hears(&told, "begun 1");
            hears(&told, "dropped 1");
        }
        assert_eq!(desk.half().wait().unwrap(), "half");
    }
    let (alone, told, _server) = alone();
    let (held, echo) = (alone.hold(1).deadline(Duration::from_millis(30)), alone.echo(2));
    assert_eq!(block_on(echo).unwrap(), 2);
    assert_eq!(held.wait(), Err(CallError::TimedOut));
    hears(&told, "begun 1");
    hears(&told, "dropped 1");
}

#[test]
fn a_deadline_that_does_not_pass_does_nothing() {
    let (desk, _told, _server) = desk();
    assert_eq!(desk.echo(vec![1]).deadline(LATER).wait().unwrap(), 1);
    assert_eq!(block_on(desk.echo(vec![1]).deadline(LATER)).unwrap(), 1);
    assert_eq!(desk.echo(vec![1]).deadline(Duration::MAX).wait().unwrap(), 1);
    assert_eq!(desk.time_left().wait().unwrap(), None);
}

#[test]
fn calls_of_a_call_have_its_deadline() {
    let (desk, _told, _server) = desk();
    let node = desk.portal().node();
    let (other, receiver) = DeskProxy::pair(&node);
    let (clerk, _) = Clerk::new();
    thread::spawn(move || receiver.serve_blocking(clerk));
    // Two calls in a row, so that the deadline has arrived before the method asks.
    let (clerk, _) = Clerk::new();
    let (relay, receiver) = RelayProxy::pair(&node);
    thread::spawn(move || receiver.serve_blocking(Through(clerk)));
    let left = relay.ask(desk, other).deadline(Duration::from_secs(600)).wait().unwrap();
    let left = left.expect("a deadline");
    assert!((300_000..=600_000).contains(&left), "{left}");
}

#[ipcz::interface]
trait Relay {
    async fn ask(&self, desk: DeskProxy, other: DeskProxy) -> Option<u64>;
}

struct Through(Clerk);

impl Relay for Through {
    async fn ask(&self, desk: DeskProxy, other: DeskProxy) -> Option<u64> {
        let call = ipcz::context();
        while call.deadline().is_none() {
            desk.half().await.unwrap();
        }
        assert_eq!(self.0.half().await, "half");
        desk.passed_on(other).await.unwrap()
    }
}

#[test]
fn one_way_messages_wait_for_a_server_that_is_behind() {
    let (desk, receiver) = DeskProxy::pair(&Node::broker().unwrap());
    let mut sent = 0;
    while desk.note(vec![7]).now().is_ok() {
        sent += 1;
    }
    assert_eq!(sent, 1024);
    assert_eq!(desk.note(vec![7]).now(), Err(CallError::WouldBlock));
    let behind = desk.echo(vec![1, 2, 3]);
    let load = desk.load();
    assert_eq!((load.calls, load.sent, load.waiting), (1, 1024, 1));
    // Heads, lengths and bytes.
    assert_eq!((load.sent_bytes, load.waiting_bytes), (1024 * 18, 20));
    drop(behind);
    assert_eq!((desk.load().calls, desk.load().waiting), (0, 0));
    let late = desk.note(vec![7]).wait_timeout(Duration::from_millis(10));
    assert_eq!(late, Err(CallError::TimedOut));
    let mut waits = desk.note(vec![7]);
    assert!((&mut waits).now_or_never().is_none());
    // Dropped before it has left.
    drop(desk.note(vec![8]));

    let (clerk, _told) = Clerk::new();
    let notes = Arc::clone(&clerk.notes);
    let server = thread::spawn(move || receiver.serve_blocking(clerk));
    block_on(waits).unwrap();
    for n in 0..5000 {
        match n % 3 {
            0 => desk.note(vec![7]).wait().unwrap(),
            1 => block_on(desk.note(vec![7])).unwrap(),
            _ => desk.note(vec![7]).wait_timeout(PATIENCE).unwrap(),
        }
    }
    desk.echo(vec![]).wait().unwrap();
    drop(desk);
    server.join().unwrap().unwrap();
    assert_eq!(notes.load(Ordering::SeqCst), 1024 + 1 + 5000);
}

#[test]
fn bytes_are_bounded_and_large_messages_go() {
    let (desk, receiver) = DeskProxy::pair(&Node::broker().unwrap());
    let mut sent = 0;
    while desk.note(vec![7; 1 << 20]).now().is_ok() {
        sent += 1;
    }
    // 16 MiB, less what their heads weigh.
    assert_eq!(sent, 15);
    let (clerk, _told) = Clerk::new();
    let server = thread::spawn(move || receiver.serve_blocking(clerk));
    for _ in 0..3 {
        desk.note(vec![7; 40 << 20]).wait().unwrap();
        assert_eq!(desk.echo(vec![7; 20 << 20]).wait().unwrap(), 20 << 20);
    }
    drop(desk);
    server.join().unwrap().unwrap();
}

#[test]
fn calls_keep_their_order_behind_a_server_that_is_behind() {
    let (desk, receiver) = DeskProxy::pair(&Node::broker().unwrap());
    let mut calls: Vec<_> = (0..3000_usize).map(|n| desk.echo(vec![7; n])).collect();
    let refused = desk.echo(vec![]).now().err();
    assert_eq!(refused, Some(CallError::WouldBlock));
    // Given up before it has left.
    drop(calls.remove(2900));
    let (clerk, _told) = Clerk::new();
    let server = thread::spawn(move || receiver.serve_blocking(clerk));
    for (n, call) in (0..3000).filter(|n| *n != 2900).zip(calls) {
        assert_eq!(if n % 2 == 0 { call.wait() } else { block_on(call) }.unwrap(), n);
    }
    drop(desk);
    server.join().unwrap().unwrap();
}

#[test]
fn credit_moves_with_the_proxy() {
    #[ipcz::interface]
    trait Keeper {
        async fn keep(&self, desk: DeskProxy) -> DeskProxy;
    }
    struct Shelf;
    impl Keeper for Shelf {
        async fn keep(&self, desk: DeskProxy) -> DeskProxy {
            desk
        }
    }
    let node = Node::broker().unwrap();
    let (keeper, receiver) = KeeperProxy::pair(&node);
    thread::spawn(move || receiver.serve_blocking(Shelf));
    let (mut desk, receiver) = DeskProxy::pair(&node);
    let mut sent = 0;
    // However often it moves, no more than a window is on its way.
    for _ in 0..8 {
        while sent % 200 != 199 && desk.note(vec![7]).now().is_ok() {
            sent += 1;
        }
        sent += u32::from(desk.note(vec![7]).now().is_ok());
        desk = keeper.keep(desk).wait().unwrap();
    }
    assert_eq!(sent, 1024);
    let (clerk, _told) = Clerk::new();
    thread::spawn(move || receiver.serve_blocking(clerk));
    desk.note(vec![7]).wait().unwrap();
}

#[test]
fn a_client_that_ignores_credit_is_cut_off() {
    let (near, far) = Node::broker().unwrap().open_portals();
    let id = ipcz_codegen::names::method_id("hold")
        ^ ipcz_codegen::names::method_id(AloneReceiver::INTERFACE);
    for call in 1..=4096_u32 {
        let mut request = vec![1, 0, 0, 0];
        request.extend(call.to_le_bytes());
        request.extend(id.to_le_bytes());
        request.push(5);
        near.put(request).unwrap();
    }
    let (clerk, _told) = Clerk::new();
    let error = AloneReceiver::from_portal(far).serve_blocking(clerk).unwrap_err();
    assert!(error.to_string().contains("more than it had credit for"), "{error}");
}

#[test]
fn a_call_goes_behind_the_one_that_gives_its_proxy() {
    for link in [false, true] {
        let pair = nodes::sockets();
        let (desk, receiver) = if link {
            let (near, far) = pair.portals();
            (DeskProxy::from_portal(near), DeskReceiver::from_portal(far))
        } else {
            DeskProxy::pair(&pair.broker)
        };
        let (opened, reply) = desk.open("").pipelined();
        let (deeper, again) = opened.open("").pipelined();
        let early = deeper.half();
        let (clerk, _told) = Clerk::new();
        thread::spawn(move || receiver.serve_blocking(clerk));
        assert_eq!(early.wait().unwrap(), "half");
        reply.wait().unwrap();
        block_on(again).unwrap();
        // Again while the server is quick, so that the reply may be faster than the pipe.
        for _ in 0..50 {
            let (opened, reply) = desk.open("").pipelined();
            drop(reply);
            assert_eq!(opened.half().wait().unwrap(), "half");
        }
        // Even when the first proxy is gone.
        let (opened, reply) = desk.open("").pipelined();
        drop((desk, reply));
        assert_eq!(opened.half().wait().unwrap(), "half");
    }
}

#[test]
fn a_reply_that_is_there_already_is_piped_too() {
    let (desk, _told, _server) = desk();
    let mut call = desk.open("");
    // Everything up to here has arrived, and nobody has asked for this one.
    desk.half().wait().unwrap();
    let (opened, reply) = call.pipelined();
    assert_eq!(opened.half().wait().unwrap(), "half");
    reply.wait().unwrap();
    call = desk.open("refused");
    desk.half().wait().unwrap();
    let (opened, reply) = call.pipelined();
    assert!(matches!(opened.half().wait(), Err(CallError::Pipelined(_))));
    assert_eq!(reply.wait(), Err(CallError::Application("refused".into())));
}

#[test]
fn a_failed_call_fails_what_was_piped_into_it() {
    let fails = |desk: &DeskProxy, how, cause: &str| {
        let (opened, reply) = desk.open(how).deadline(Duration::from_millis(50)).pipelined();
        let (deeper, _again) = opened.open("").pipelined();
        for result in [opened.half().wait(), block_on(deeper.half())] {
            let Err(CallError::Pipelined(why)) = result else { panic!("{how}: {result:?}") };
            assert!(why.contains(cause), "{how}: {why}");
        }
        reply.wait().expect_err("it failed");
    };
    let (desk, _told, _server) = desk();
    for _ in 0..10 {
        fails(&desk, "refused", "an error of its own");
        fails(&desk, "panic", "panicked");
    }
    fails(&desk, "slow", "its deadline passed");
    let (opened, reply) = desk.open("used").pipelined();
    let Err(CallError::Pipelined(why)) = opened.half().wait() else { panic!() };
    assert!(why.contains("used before"), "{why}");
    // The call itself has worked.
    reply.wait().unwrap();

    let gone = desk.into_portal().unwrap();
    let desk = DeskProxy::from_portal(gone.node().open_portals().0);
    let (opened, reply) = desk.open("").pipelined();
    assert!(matches!(reply.wait(), Err(CallError::Disconnected(_))));
    assert!(opened.half().wait().is_err());
}

#[test]
fn a_stopped_server_ends_what_it_began_and_nothing_else() {
    let (desk, mut receiver) = DeskProxy::pair(&Node::broker().unwrap());
    let stopper = receiver.stopper();
    let (clerk, told) = Clerk::new();
    let server = thread::spawn(move || receiver.serve_blocking(clerk));
    let held = desk.hold(1).deadline(Duration::from_millis(200));
    hears(&told, "begun 1");
    stopper.stop();
    // The server may not have heard of it yet.
    while desk.half().wait() != Err(CallError::Refused("Desk::half")) {}
    assert_eq!(held.wait(), Err(CallError::TimedOut));
    server.join().unwrap().unwrap();
    let Err(CallError::Disconnected(why)) = desk.half().wait() else { panic!() };
    assert_eq!(why.kind(), DisconnectKind::Stopped);
    assert_eq!(block_on(desk.closed()).kind(), DisconnectKind::Stopped);
}

#[test]
fn the_end_is_told_to_an_idle_proxy() {
    let (desk, receiver) = DeskProxy::pair(&Node::broker().unwrap());
    let (tell, told) = mpsc::channel();
    let also = tell.clone();
    desk.on_disconnect(move |why| tell.send(why.kind()).unwrap());
    let waits = thread::spawn({
        let desk = Arc::new(desk);
        let late = Arc::clone(&desk);
        move || (block_on(desk.closed()).kind(), late)
    });
    drop(receiver);
    assert_eq!(told.recv_timeout(PATIENCE).unwrap(), DisconnectKind::PeerClosed);
    let (kind, desk) = waits.join().unwrap();
    assert_eq!(kind, DisconnectKind::PeerClosed);
    desk.on_disconnect(move |why| also.send(why.kind()).unwrap());
    assert_eq!(told.recv_timeout(PATIENCE).unwrap(), DisconnectKind::PeerClosed);
}

#[test]
fn a_lost_node_and_a_panicking_server_are_told_apart() {
    let pair = nodes::sockets();
    let (near, far) = pair.portals();
    let desk = DeskProxy::from_portal(near);
    drop(far);
    assert_eq!(block_on(desk.closed()).kind(), DisconnectKind::PeerClosed);

    let pair = nodes::sockets();
    let (near, _far) = pair.portals();
    let desk = DeskProxy::from_portal(near);
    pair.to_broker.disconnect();
    assert_eq!(block_on(desk.closed()).kind(), DisconnectKind::Shutdown);

    let (desk, receiver) = DeskProxy::pair(&Node::broker().unwrap());
    let (clerk, _told) = Clerk::new();
    let call = desk.hold(1);
    let serving = thread::spawn(move || {
        let mut serving = Box::pin(receiver.serve(clerk));
        assert!((&mut serving).now_or_never().is_none());
        panic!("outside of a method");
    });
    serving.join().unwrap_err();
    let Err(CallError::Disconnected(why)) = call.wait() else { panic!() };
    assert_eq!(why.kind(), DisconnectKind::Panicked);
}

#[test]
fn a_rejected_client_is_named_and_cut_off() {
    let pair = nodes::sockets();
    let (near, far) = pair.portals();
    let (desk, receiver) = (DeskProxy::from_portal(near), DeskReceiver::from_portal(far));
    let (clerk, _told) = Clerk::new();
    let server = thread::spawn(move || receiver.serve_blocking(clerk));
    let result = desk.reject("too long".into()).wait();
    let Err(CallError::Disconnected(why)) = result else { panic!("{result:?}") };
    assert_eq!(why.kind(), DisconnectKind::Rejected);
    assert_eq!(server.join().unwrap(), Err(ServeError::Rejected("too long".into())));
    assert_eq!(pair.to_client.wait_ended(PATIENCE).unwrap().kind(), DisconnectKind::Rejected);
}

#[test]
fn a_method_knows_its_caller_and_its_endpoint() {
    #[ipcz::interface]
    trait Who {
        async fn is_there(&self) -> (Option<u128>, String);
    }
    struct Known;
    impl Who for Known {
        async fn is_there(&self) -> (Option<u128>, String) {
            let call = ipcz::context();
            let name = call.data::<String>().expect("given below");
            assert!(call.data::<u8>().is_none());
            (call.caller().map(|node| node.0), name.to_string())
        }
    }
    let pair = nodes::sockets();
    let (near, far) = pair.portals();
    let (who, receiver) = (WhoProxy::from_portal(near), WhoReceiver::from_portal(far));
    let receiver = receiver.with_data(Arc::new("far".to_string()));
    thread::spawn(move || receiver.serve_blocking(Known));
    assert_eq!(who.is_there().wait().unwrap(), (Some(pair.broker.name().0), "far".into()));
    let (who, receiver) = WhoProxy::pair(&pair.broker);
    let receiver = receiver.with_data(Arc::new("near".to_string()));
    thread::spawn(move || receiver.serve_blocking(Known));
    assert_eq!(who.is_there().wait().unwrap(), (None, "near".into()));
    assert!(!ipcz::context().is_call());
}
