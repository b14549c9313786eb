//! Typed calls between two ends of one process: values, errors, endpoints, order, and the end.

#![warn(clippy::pedantic)]

#[path = "../support/block_on.rs"]
mod block_on;

use std::fs::File;
use std::future::Future;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, Mutex, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use block_on::block_on;
use futures_util::FutureExt;
use futures_util::future::{join, join_all};
use ipcz::{CallError, Endpoint, Node, OsHandle, Portal, ServeError};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Counts {
    lines: u64,
    words: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum CountError {
    NotText,
    TooLong { limit: u32 },
}

impl std::fmt::Display for CountError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::error::Error for CountError {}

/// Hears how far a count is.
#[ipcz::interface(name = "test.Progress")]
trait Progress {
    /// Takes a step.
    #[oneway]
    fn update(&mut self, done: u64);
    /// How many steps there were.
    async fn seen(&mut self) -> Vec<u64>;
}

/// Does a bit of everything.
#[ipcz::interface(name = "test.Desk")]
trait Desk {
    /// Counts, and reports each line.
    async fn count(&self, file: OsHandle, watcher: ProgressProxy) -> Result<Counts, CountError>;
    /// Gives a new session.
    async fn open(&self, name: &str) -> Result<SessionProxy, CountError>;
    /// Gives bytes back, in reverse.
    async fn reverse(&self, bytes: &[u8]) -> Vec<u8>;
    /// The same, in other clothes.
    async fn mixed(&self, a: Vec<u8>, b: [u8; 4], c: Option<Vec<u8>>) -> Result<Vec<u8>, String>;
    /// Waits until somebody calls `release`.
    async fn hold(&self) -> u32;
    /// Releases all that wait, and says how many came.
    fn release(&self) -> u32;
    /// Nothing in, nothing out.
    fn nothing(&self);
    /// Any number of portals.
    async fn portals(&self, portals: Vec<(String, Option<Portal>)>) -> Vec<Portal>;
    /// Says goodbye by its old name.
    #[deprecated = "say nothing"]
    fn goodbye(&self) -> String;
    /// Never compiled.
    #[cfg(any())]
    fn absent(&self, what: DoesNotExist);
}

#[ipcz::interface]
trait Session {
    fn next(&self) -> u32;
}

struct Steps(Arc<Mutex<Vec<u64>>>);

impl Progress for Steps {
    fn update(&mut self, done: u64) {
        self.0.lock().unwrap().push(done);
    }

    async fn seen(&mut self) -> Vec<u64> {
        self.0.lock().unwrap().clone()
    }
}

#[derive(Default)]
struct Clerk {
    holding: Mutex<Vec<std::task::Waker>>,
    held: AtomicU32,
    is_released: AtomicU32,
}

struct Numbers(AtomicU32);

impl Session for Numbers {
    fn next(&self) -> u32 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

impl Desk for Clerk {
    async fn count(&self, file: OsHandle, watcher: ProgressProxy) -> Result<Counts, CountError> {
        let mut text = String::new();
        let mut file = File::from(OwnedFd::try_from(file).unwrap());
        file.read_to_string(&mut text).map_err(|_| CountError::NotText)?;
        for done in 1..=text.lines().count() {
            watcher.update(done as u64).now().unwrap();
        }
        let words = text.split_whitespace().count() as u64;
        Ok(Counts { lines: text.lines().count() as u64, words })
    }

    async fn open(&self, name: &str) -> Result<SessionProxy, CountError> {
        if name.len() > 8 {
            return Err(CountError::TooLong { limit: 8 });
        }
        let (proxy, receiver) = SessionProxy::pair(&node());
        let first = u32::try_from(name.len()).unwrap();
        thread::spawn(move || receiver.serve_blocking(Numbers(AtomicU32::new(first))));
        Ok(proxy)
    }

    async fn reverse(&self, bytes: &[u8]) -> Vec<u8> {
        bytes.iter().rev().copied().collect()
    }

    async fn mixed(&self, a: Vec<u8>, b: [u8; 4], c: Option<Vec<u8>>) -> Result<Vec<u8>, String> {
        let c = c.ok_or("no c")?;
        Ok([a, b.to_vec(), c].concat())
    }

    async fn hold(&self) -> u32 {
        self.held.fetch_add(1, Ordering::SeqCst);
        std::future::poll_fn(|context| {
            let released = self.is_released.load(Ordering::SeqCst);
            if released > 0 {
                return std::task::Poll::Ready(released);
            }
            self.holding.lock().unwrap().push(context.waker().clone());
            std::task::Poll::Pending
        })
        .await
    }

    fn release(&self) -> u32 {
        self.is_released.store(7, Ordering::SeqCst);
        let holding = std::mem::take(&mut *self.holding.lock().unwrap());
        holding.into_iter().for_each(std::task::Waker::wake);
        self.held.load(Ordering::SeqCst)
    }

    fn nothing(&self) {}

    async fn portals(&self, portals: Vec<(String, Option<Portal>)>) -> Vec<Portal> {
        portals.into_iter().filter_map(|(_, portal)| portal).collect()
    }

    fn goodbye(&self) -> String {
        "bye".into()
    }
}

/// A portal travels only through its own node, so the tests share one.
fn node() -> Node {
    static NODE: LazyLock<Node> = LazyLock::new(|| Node::broker().unwrap());
    NODE.clone()
}

/// A desk that is served by a thread without an executor.
fn desk() -> (DeskProxy, JoinHandle<Result<(), ServeError>>) {
    let (proxy, receiver) = DeskProxy::pair(&node());
    (proxy, thread::spawn(move || receiver.serve_blocking(Clerk::default())))
}

fn file_with(text: &[u8]) -> OsHandle {
    let memory = rustix::fs::memfd_create("text", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
    let mut file = File::from(memory);
    file.write_all(text).unwrap();
    file.seek(SeekFrom::Start(0)).unwrap();
    file.into()
}

#[test]
fn one_method_awaited_and_waited_for() {
    let (desk, server) = desk();
    assert_eq!(desk.reverse(b"abc").wait().unwrap(), b"cba");
    assert_eq!(block_on(desk.reverse(b"abc")).unwrap(), b"cba");
    assert_eq!(block_on(async { desk.reverse(&[]).await }).unwrap(), b"");
    desk.nothing().wait().unwrap();
    #[allow(deprecated)]
    let bye = desk.goodbye().wait_timeout(Duration::from_secs(10));
    assert_eq!(bye.unwrap(), "bye");
    drop(desk);
    server.join().unwrap().unwrap();
}

#[test]
fn both_ends_in_one_task() {
    let (desk, receiver) = DeskProxy::pair(&node());
    let client = async move {
        let calls = (0..100_u8).map(|n| desk.reverse(&[n, 0]));
        let all = join_all(calls).await;
        for (n, reversed) in (0..100).zip(all) {
            assert_eq!(reversed.unwrap(), [0, n]);
        }
    };
    let (served, ()) = block_on(join(receiver.serve(Clerk::default()), client));
    served.unwrap();
}

#[test]
fn a_file_and_a_proxy_as_arguments() {
    let (desk, server) = desk();
    let steps = Arc::default();
    let (watcher, progress) = ProgressProxy::pair(&node());
    let hears = thread::spawn({
        let steps = Arc::clone(&steps);
        move || progress.serve_blocking(Steps(steps))
    });
    let counts = desk.count(file_with(b"one two\nthree\n"), watcher).wait().unwrap();
    assert_eq!(counts, Counts { lines: 2, words: 3 });
    hears.join().unwrap().unwrap();
    assert_eq!(*steps.lock().unwrap(), [1, 2]);

    let (watcher, _progress) = ProgressProxy::pair(&node());
    let refused = desk.count(file_with(&[0xff]), watcher).wait();
    assert_eq!(refused, Err(CallError::Application(CountError::NotText)));
    drop(desk);
    server.join().unwrap().unwrap();
}

#[test]
fn a_proxy_as_a_result() {
    let (desk, _server) = desk();
    let session = desk.open("four").wait().unwrap();
    assert_eq!(session.next().wait().unwrap(), 4);
    assert_eq!(block_on(session.next()).unwrap(), 5);
    let error = desk.open("much too long").wait().unwrap_err();
    assert_eq!(error, CallError::Application(CountError::TooLong { limit: 8 }));
    assert_eq!(error.to_string(), "TooLong { limit: 8 }");
}

#[test]
fn bytes_in_all_their_clothes() {
    let (desk, _server) = desk();
    let large = vec![3; 3 << 20];
    let mixed = desk.mixed(large.clone(), [1, 2, 3, 4], Some(vec![5])).wait().unwrap();
    assert_eq!(mixed, [large, vec![1, 2, 3, 4, 5]].concat());
    let error = desk.mixed(vec![], [0; 4], None).wait();
    assert_eq!(error, Err(CallError::Application("no c".to_string())));
}

#[test]
fn hundreds_of_portals_in_one_message() {
    let (desk, _server) = desk();
    let (near, far): (Vec<_>, Vec<_>) = (0..300).map(|_| node().open_portals()).unzip();
    let far = far.into_iter().enumerate();
    let far = far.map(|(n, portal)| (n.to_string(), (n % 3 != 0).then_some(portal))).collect();
    let back = desk.portals(far).wait().unwrap();
    assert_eq!(back.len(), 200);
    near[1].put(b"x").unwrap();
    assert_eq!(back[0].recv_blocking().unwrap().bytes(), b"x");
    near[0].recv_blocking().expect_err("never sent, so dropped");
}

#[test]
fn shared_calls_run_at_the_same_time() {
    let (desk, server) = desk();
    let first = desk.hold();
    let second = desk.hold();
    assert_eq!(desk.hold().wait_timeout(Duration::from_millis(30)), Err(CallError::TimedOut));
    assert_eq!(desk.release().wait().unwrap(), 3);
    assert_eq!(first.wait().unwrap(), 7);
    assert_eq!(block_on(second).unwrap(), 7);
    drop(desk);
    server.join().unwrap().unwrap();
}

#[test]
fn many_threads_share_a_proxy() {
    let (desk, server) = desk();
    thread::scope(|scope| {
        for t in 0..8_u8 {
            let desk = &desk;
            scope.spawn(move || {
                for n in 0..200_u8 {
                    let call = desk.reverse(&[t, n]);
                    let reversed = if n % 2 == 0 { call.wait() } else { block_on(call) };
                    assert_eq!(reversed.unwrap(), [n, t]);
                }
            });
        }
    });
    drop(desk);
    server.join().unwrap().unwrap();
}

#[test]
fn one_way_messages_and_calls_keep_their_order() {
    let (watcher, progress) = ProgressProxy::pair(&node());
    let server = thread::spawn(move || block_on(progress.serve(Steps(Arc::default()))));
    for done in 0..100 {
        match done % 3 {
            0 => watcher.update(done).wait(),
            1 => watcher.update(done).now(),
            _ => block_on(watcher.update(done)),
        }
        .unwrap();
    }
    assert_eq!(watcher.seen().wait().unwrap(), (0..100).collect::<Vec<_>>());
    drop(watcher);
    server.join().unwrap().unwrap();
}

#[test]
fn a_dropped_call_is_no_protocol_error() {
    let (desk, _server) = desk();
    drop(desk.reverse(b"nobody wants this"));
    assert_eq!(desk.reverse(b"ab").wait().unwrap(), b"ba");
    let held = desk.hold();
    drop(desk.release());
    // The call keeps the connection, even without its proxy.
    drop(desk);
    assert_eq!(held.wait().unwrap(), 7);
}

#[test]
fn replies_that_nobody_wants_do_not_pile_up() {
    let (desk, _server) = desk();
    for n in 0..1000_u16 {
        drop(desk.reverse(&n.to_le_bytes()));
        if n % 100 == 0 {
            thread::sleep(Duration::from_millis(1));
        }
    }
    desk.nothing().wait().unwrap();
    drop(desk.nothing());
    let shown = format!("{desk:?}");
    let waiting = shown.trim_start_matches("DeskProxy(Client { waiting: ");
    let waiting: u32 = waiting.split_once(',').unwrap().0.parse().unwrap();
    assert!(waiting < 64, "{shown}");
}

#[test]
fn every_way_of_waiting_at_once() {
    let (desk, server) = desk();
    let is_right = |n: u16, result: Result<Vec<u8>, CallError>| match result {
        Ok(bytes) => assert_eq!(bytes, n.to_be_bytes()),
        Err(CallError::TimedOut) => {}
        Err(error) => panic!("{error}"),
    };
    thread::scope(|scope| {
        for t in 0..6_u16 {
            let desk = &desk;
            scope.spawn(move || {
                for n in t * 1000..t * 1000 + 300 {
                    let call = desk.reverse(&n.to_le_bytes());
                    match n % 5 {
                        0 => is_right(n, call.wait()),
                        1 => is_right(n, block_on(call)),
                        2 => {
                            is_right(
                                n,
                                call.wait_timeout(Duration::from_micros(u64::from(n % 90))),
                            );
                        }
                        3 => drop(call),
                        _ => {
                            // Polled, then waited for by blocking.
                            let mut call = call;
                            match (&mut call).now_or_never() {
                                Some(result) => is_right(n, result),
                                None => is_right(n, call.wait()),
                            }
                        }
                    }
                }
            });
        }
    });
    drop(desk);
    server.join().unwrap().unwrap();
}

#[test]
fn a_dead_server_fails_pending_and_later_calls() {
    let (desk, receiver) = DeskProxy::pair(&node());
    let awaited = desk.hold();
    let waited = desk.hold();
    // Whether the thread waits already when the server goes makes no difference to what it sees.
    let (begins, begun) = mpsc::channel();
    let thread = thread::spawn(move || {
        begins.send(()).unwrap();
        block_on(awaited)
    });
    begun.recv().unwrap();
    drop(receiver);
    assert!(matches!(thread.join().unwrap(), Err(CallError::Disconnected(_))));
    assert!(matches!(waited.wait(), Err(CallError::Disconnected(_))));
    let later = desk.hold().wait().unwrap_err();
    assert!(matches!(later, CallError::Disconnected(_)));
    assert!(later.to_string().starts_with("the server is gone: "), "{later}");
}

#[test]
fn a_proxy_that_waits_does_not_leave() {
    let (desk, _receiver) = DeskProxy::pair(&node());
    let held = desk.hold();
    let desk = desk.into_portal().expect_err("a call is pending");
    drop(held);
    // Its reply would go to whoever has the portal then.
    desk.into_portal().expect_err("a call is pending");
}

#[test]
fn names_and_debug() {
    assert_eq!(DeskProxy::INTERFACE, "test.Desk");
    assert_eq!(SessionReceiver::INTERFACE, "typed::Session");
    let (session, receiver) = SessionProxy::pair(&node());
    assert_eq!(format!("{session:?}"), "SessionProxy(Client { waiting: 0, .. })");
    assert_eq!(format!("{receiver:?}"), "SessionReceiver(Incoming { .. })");
}

fn is_send<T: Send>(value: T) -> T {
    value
}

#[test]
fn everything_goes_to_other_threads() {
    fn is_sync<T: Sync>(_: &T) {}
    let (desk, receiver) = DeskProxy::pair(&node());
    is_sync(&desk);
    let call = is_send(desk.hold());
    let _future: &dyn Future<Output = _> = &call;
    drop(is_send(receiver.serve(Clerk::default())));
    is_send(desk);
}
