//! Endpoints of typed interfaces: as arguments, as what they are not, and on one thread.

#![warn(clippy::pedantic)]

#[path = "../support/block_on.rs"]
mod block_on;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::thread;

use block_on::block_on;
use ipcz::{Endpoint, LocalExclusive, Node, Proxy, Receiver, SharedMemory};

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

#[ipcz::interface]
trait Log {
    #[oneway]
    fn note(&self, what: u32);
    fn notes(&self) -> Vec<u32>;
}

#[ipcz::interface]
trait Count {
    /// How many notes there are, and notes that.
    fn count(&self) -> u32;
    #[since(3)]
    fn never(&self) {}
}

#[derive(Clone, Default)]
struct Diary(Arc<Mutex<Vec<u32>>>);

impl Log for Diary {
    fn note(&self, what: u32) {
        self.0.lock().unwrap().push(what);
    }

    fn notes(&self) -> Vec<u32> {
        self.0.lock().unwrap().clone()
    }
}

impl Count for Diary {
    fn count(&self) -> u32 {
        let mut notes = self.0.lock().unwrap();
        let count = u32::try_from(notes.len()).unwrap();
        notes.push(1000 + count);
        count
    }
}

#[test]
fn interfaces_on_one_portal_keep_one_order() {
    let (log, receiver) = LogProxy::pair(&node());
    let receiver = receiver.associate::<CountReceiver>().associate::<SessionReceiver>();
    let count: CountProxy = log.associate();
    let session: SessionProxy = count.associate();
    let diary = Diary::default();
    let servers = ((diary.clone(), diary), Numbers(AtomicU32::new(70)));
    let server = thread::spawn(move || receiver.serve_blocking(servers));
    let mut counts = Vec::new();
    let mut expected = Vec::new();
    for n in 0..100 {
        log.note(n).now().unwrap();
        counts.push((2 * n + 1, count.count()));
        expected.extend([n, 1000 + 2 * n + 1]);
    }
    assert_eq!(session.next().wait().unwrap(), 70);
    for (n, count) in counts {
        assert_eq!(count.wait().unwrap(), n);
    }
    assert_eq!(log.notes().wait().unwrap(), expected);
    let versions = [log.version(), count.version(), session.version()];
    assert_eq!(versions.map(|version| version.wait().unwrap()), [1, 3, 1]);

    // None of them leaves while there are others.
    let log = log.into_portal().unwrap_err();
    let missing: KeeperProxy = count.associate();
    let error = missing.receivers(vec![]).wait().unwrap_err();
    assert_eq!(error, ipcz::CallError::UnknownMethod("Keeper::receivers"));
    drop((log, missing, count));
    assert_eq!(session.next().wait().unwrap(), 71);
    let session = SessionProxy::from_portal(session.into_portal().unwrap());
    assert_eq!(session.next().wait().unwrap(), 72);
    drop(session);
    server.join().unwrap().unwrap();
}

#[ipcz::interface]
trait Painter {
    async fn paint(&self, area: Option<SharedMemory>) -> Result<Vec<SharedMemory>, String>;
}

struct Brush;

impl Painter for Brush {
    async fn paint(&self, area: Option<SharedMemory>) -> Result<Vec<SharedMemory>, String> {
        let area = area.ok_or("no area")?;
        area.map().unwrap().copy_in(2, b"painted").unwrap();
        Ok(vec![area])
    }
}

#[test]
fn shared_memory_is_a_value() {
    let (painter, receiver) = PainterProxy::pair(&node());
    thread::spawn(move || receiver.serve_blocking(Brush));
    let memory = node().allocate_memory(4096).wait().unwrap();
    let back = painter.paint(Some(memory.try_clone().unwrap())).wait().unwrap();
    for memory in back.iter().chain([&memory]) {
        let mut copy = [0; 7];
        memory.map().unwrap().copy_out(2, &mut copy).unwrap();
        assert_eq!(&copy, b"painted");
    }
    let refused = serde_json::to_string(&memory).unwrap_err();
    assert!(refused.to_string().starts_with("shared memory is not data"), "{refused}");
    assert!(painter.paint(None).wait().is_err());
}

#[ipcz::interface]
trait Tally {
    async fn add(&mut self, n: u32) -> Result<u32, String>;
    #[oneway]
    fn reset(&mut self);
    fn label(&self, text: &str) -> String;
    #[deprecated = "use `add`"]
    fn old(&self) -> u32 {
        7
    }
}

#[derive(Default)]
struct Sum(u32);

impl Tally for Sum {
    async fn add(&mut self, n: u32) -> Result<u32, String> {
        let before = self.0;
        // Another call that came between would be seen.
        std::future::ready(()).await;
        self.0 = before.checked_add(n).ok_or("too much")?;
        Ok(self.0)
    }

    fn reset(&mut self) {
        self.0 = 0;
    }

    fn label(&self, text: &str) -> String {
        format!("{text} {}", self.0)
    }
}

async fn use_any(tally: &impl TallyClient) {
    assert_eq!(tally.add(3).await, Ok(3));
    assert_eq!(tally.add(4).await, Ok(7));
    assert_eq!(tally.label("sum").await, Ok("sum 7".into()));
    let error = tally.add(u32::MAX).await;
    assert_eq!(error, Err(ipcz::CallError::Application("too much".to_string())));
    tally.reset().await.unwrap();
    assert_eq!(tally.add(1).await, Ok(1));
    #[allow(deprecated)]
    let old = tally.old().await;
    assert_eq!(old, Ok(7));
}

async fn count_any(counter: &impl CountClient) -> u32 {
    counter.count().await.unwrap()
}

#[test]
fn code_does_not_mind_where_its_server_is() {
    let (tally, receiver) = TallyProxy::pair(&node());
    thread::spawn(move || receiver.serve_blocking(Sum::default()));
    block_on(use_any(&tally));
    let local = LocalExclusive::new(Sum::default());
    block_on(use_any(&local));
    assert_eq!(block_on(local.server()).0, 1);

    let diary = Diary::default();
    let (count, receiver) = CountProxy::pair(&node());
    let served = diary.clone();
    thread::spawn(move || receiver.serve_blocking(served));
    let local = ipcz::Local::new(diary);
    assert_eq!(block_on(count_any(&count)), 0);
    assert_eq!(block_on(count_any(&local)), 1);
    assert_eq!(block_on(count_any(&local.clone())), 2);
    assert_eq!(local.server().0.lock().unwrap().len(), 3);
}
