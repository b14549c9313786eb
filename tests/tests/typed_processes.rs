//! Typed calls between real processes: services, cancellation, deadlines, pipes, streams, and a server that is killed.

#![warn(clippy::pedantic)]

#[path = "../support/block_on.rs"]
mod block_on;

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use block_on::block_on;
use ipcz::{
    CallError, Child, DisconnectKind, Node, Proxy, ReceiverSet, Services, Stream, StreamError,
};

const PATIENCE: Duration = Duration::from_secs(20);
const ROLE: &str = "IPCZ_TEST_PROCESSES";

#[ipcz::interface]
trait Worker {
    /// Waits for as long as it is let.
    async fn hold(&self);
    /// How many calls of `hold` are under way.
    async fn held(&self) -> u32;
    async fn count(&self, from: u64) -> Stream<u64>;
    async fn sum(&self, numbers: Stream<u64>) -> Result<u64, String>;
    async fn session(&self) -> Result<SessionProxy, String>;
    #[oneway]
    fn note(&self, bytes: Vec<u8>);
    async fn noted(&self) -> u64;
}

#[ipcz::interface]
trait Session {
    fn next(&mut self) -> u32;
}

#[derive(Clone, Default)]
struct Busy {
    held: Arc<AtomicU32>,
    noted: Arc<AtomicU32>,
    set: ReceiverSet,
}

struct Held(Arc<AtomicU32>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Worker for Busy {
    async fn hold(&self) {
        self.held.fetch_add(1, Ordering::SeqCst);
        let _held = Held(Arc::clone(&self.held));
        std::future::pending::<()>().await;
    }

    async fn held(&self) -> u32 {
        self.held.load(Ordering::SeqCst)
    }

    async fn count(&self, from: u64) -> Stream<u64> {
        Stream::from_iter(from..)
    }

    async fn sum(&self, mut numbers: Stream<u64>) -> Result<u64, String> {
        let mut sum = 0;
        while let Some(number) = numbers.next().await {
            sum += number.map_err(|error| error.to_string())?;
        }
        Ok(sum)
    }

    async fn session(&self) -> Result<SessionProxy, String> {
        let (proxy, receiver) = SessionProxy::pair(&ipcz::context().node().unwrap());
        self.set.add(receiver.serve(Numbers(0)));
        Ok(proxy)
    }

    fn note(&self, bytes: Vec<u8>) {
        self.noted.fetch_add(u32::try_from(bytes.len()).unwrap(), Ordering::SeqCst);
    }

    async fn noted(&self) -> u64 {
        u64::from(self.noted.load(Ordering::SeqCst))
    }
}

struct Numbers(u32);

impl Session for Numbers {
    fn next(&mut self) -> u32 {
        self.0 += 1;
        self.0
    }
}

/// No test of its own: what the other process runs.
#[test]
fn the_other_process() {
    if std::env::var_os(ROLE).is_none() {
        return;
    }
    let (_node, parent) = Node::from_parent().unwrap();
    let busy = Busy::default();
    let services = Services::new();
    let set = busy.set.clone();
    services.offer(move |receiver: WorkerReceiver| busy.set.add(receiver.serve(busy.clone())));
    thread::spawn(move || set.run_blocking());
    services.serve_blocking(&parent).unwrap();
}

fn worker() -> (Child, WorkerProxy) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "the_other_process"]).env(ROLE, "1").stdout(Stdio::null());
    let mut child = Node::broker().unwrap().spawn(command).unwrap();
    child.kill_on_drop(true);
    let worker = child.find().unwrap().wait().unwrap();
    (child, worker)
}

fn until_held(worker: &WorkerProxy, count: u32) {
    while worker.held().wait().unwrap() != count {}
}

#[test]
fn cancellation_and_deadlines_reach_the_other_process() {
    let (child, worker) = worker();
    let calls: Vec<_> = (0..10).map(|_| worker.hold()).collect();
    until_held(&worker, 10);
    drop(calls);
    until_held(&worker, 0);
    let late = worker.hold().deadline(Duration::from_millis(30));
    assert_eq!(block_on(late), Err(CallError::TimedOut));
    until_held(&worker, 0);
    let kept = worker.hold();
    until_held(&worker, 1);
    // A client that goes takes its calls along.
    drop((kept, worker));
    let worker: WorkerProxy = child.find().unwrap().wait().unwrap();
    until_held(&worker, 0);
}

#[test]
fn streams_and_pipes_between_processes() {
    let (_child, worker) = worker();
    let mut numbers = worker.count(5).wait().unwrap();
    for n in 5..20_000 {
        assert_eq!(numbers.next_blocking(), Some(Ok(n)));
    }
    // All the way back, by the process itself, while it still sends.
    let (mut sender, stream) = Stream::pair(&ipcz::Endpoint::portal(&worker).node());
    let sum = worker.sum(stream);
    for n in 0..1000 {
        sender.send_blocking(n).unwrap();
    }
    sender.finish().unwrap();
    assert_eq!(sum.wait(), Ok(499_500));

    for _ in 0..100 {
        let (session, opened) = worker.session().pipelined();
        let (one, two) = (session.next(), session.next());
        assert_eq!((one.wait(), two.wait()), (Ok(1), Ok(2)));
        opened.wait().unwrap();
    }
}

#[test]
fn a_flood_is_held_up_by_the_other_process() {
    let (_child, worker) = worker();
    for n in 0..20_000_u32 {
        match worker.note(vec![1; 3]).now() {
            Ok(()) => {}
            Err(CallError::WouldBlock) => worker.note(vec![1; 3]).wait().unwrap(),
            Err(error) => panic!("{n}: {error}"),
        }
    }
    assert_eq!(worker.noted().wait().unwrap(), 60_000);
}

#[test]
fn a_killed_server_is_told_apart() {
    let (mut child, worker) = worker();
    let (tell, told) = mpsc::channel();
    worker.on_disconnect(move |why| tell.send(why).unwrap());
    let mut numbers = worker.count(0).wait().unwrap();
    assert_eq!(numbers.next_blocking(), Some(Ok(0)));
    let held = worker.hold();
    let session = worker.session().wait().unwrap();
    assert_eq!(session.next().wait().unwrap(), 1);
    child.kill().unwrap();
    let why = told.recv_timeout(PATIENCE).unwrap();
    assert_eq!(why.kind(), DisconnectKind::NodeLost);
    assert_eq!(why.node(), child.peer_name());
    assert_eq!(held.wait(), Err(CallError::Disconnected(why)));
    assert_eq!(block_on(session.closed()).kind(), DisconnectKind::NodeLost);
    let last = numbers.blocking().find_map(Result::err);
    let Some(StreamError::Disconnected(why)) = last else { panic!("{last:?}") };
    assert_eq!(why.kind(), DisconnectKind::NodeLost);
    assert_eq!(numbers.next_blocking(), None);
}
