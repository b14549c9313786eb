//! A node with a limit on what is queued for a connection refuses puts there, and says when there is room.

#[path = "../support/block_on.rs"]
mod block_on;

use std::process::Command;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use block_on::block_on;
use ipcz::{
    Child, Disconnect, DisconnectKind, Handle, Node, NodeOptions, Parcel, Portal, PutErrorKind,
    PutReadyError,
};
use rustix::process::{Pid, Signal, kill_process};

const WORKER: &str = env!("CARGO_BIN_EXE_raw-worker");
const PATIENCE: Duration = Duration::from_secs(60);

const LIMIT: usize = 1 << 20;
/// More than what rings and the system's buffers hold.
const IN_MEMORY: usize = 4 << 20;
const SIZE: usize = 3000;

/// A node with a limit, and a child that sends back what comes.
struct Pair {
    node: Node,
    child: Child,
    portal: Portal,
}

impl Pair {
    fn new(options: NodeOptions) -> Self {
        let node = options.with_queue_limit(LIMIT).broker().unwrap();
        let (child, portal) = worker(&node);
        Self { node, child, portal }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.child.id().cast_signed()).unwrap(), signal).unwrap();
    }

    /// Stops the child, and puts until that is refused. Gives how many parcels were taken.
    fn fill(&self) -> usize {
        self.signal(Signal::STOP);
        while !self.is_stopped() {
            thread::yield_now();
        }
        let mut taken = 0;
        // What was on its way when that was refused may leave room for some more.
        while self.portal.put_ready_timeout(Duration::from_millis(20)).is_ok() {
            while self.portal.put(numbered(taken)).is_ok() {
                taken += 1;
                assert!(taken * SIZE < LIMIT + IN_MEMORY, "it takes them without end");
            }
        }
        taken
    }

    /// Whether all threads of the child are: the signal is taken some time after it was sent.
    fn is_stopped(&self) -> bool {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        threads.map(|thread| thread.unwrap().path().join("stat")).all(|stat| {
            let stat = std::fs::read_to_string(stat).unwrap();
            stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
        })
    }
}

fn worker(node: &Node) -> (Child, Portal) {
    let mut child = node.spawn(Command::new(WORKER)).unwrap();
    child.kill_on_drop(true);
    let portal = child.take_portal(0).unwrap();
    for _ in 0..3 {
        portal.put("hello").unwrap();
        assert_eq!(portal.recv_timeout(PATIENCE).unwrap().bytes(), b"hello");
    }
    (child, portal)
}

fn numbered(number: usize) -> Vec<u8> {
    let mut bytes = vec![7; SIZE];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    bytes
}

fn number_of(parcel: &Parcel) -> usize {
    usize::from_le_bytes(parcel.bytes()[..8].try_into().unwrap())
}

fn each_carrier() -> [NodeOptions; 3] {
    let plain = NodeOptions::default;
    [plain(), plain().without_allocation(), plain().without_shared_links()]
}

#[test]
fn a_stopped_peer_has_puts_refused_and_others_do_not() {
    for options in each_carrier() {
        let pair = Pair::new(options);
        let (_other_child, other) = worker(&pair.node);
        let taken = pair.fill();
        assert!(taken * SIZE > LIMIT / 2, "{taken}");

        let (kept, sent) = pair.node.open_portals();
        let parcel = Parcel::with_handles("with a portal", vec![Handle::from(sent)]);
        let refused = pair.portal.put(parcel).unwrap_err();
        assert_eq!(refused.kind(), PutErrorKind::QueueFull);
        let (bytes, mut handles) = refused.into_parcel().into_parts();
        assert_eq!(bytes, b"with a portal");
        let Some(Handle::Portal(sent)) = handles.pop() else { panic!("it was not put") };
        kept.put("still here").unwrap();
        assert_eq!(sent.try_recv().unwrap().bytes(), b"still here");
        let refused = pair.portal.begin_put(5).unwrap().commit().unwrap_err();
        assert_eq!(refused.kind(), PutErrorKind::QueueFull);

        other.put("others go on").unwrap();
        assert_eq!(other.recv_timeout(PATIENCE).unwrap().bytes(), b"others go on");
        other.put_ready_blocking().unwrap();

        let soon = Duration::from_millis(20);
        assert_eq!(pair.portal.put_ready_timeout(soon), Err(PutReadyError::Full));
        pair.signal(Signal::CONT);
        pair.portal.put_ready_blocking().unwrap();
        pair.portal.put(numbered(taken)).unwrap();
        for number in 0..=taken {
            assert_eq!(number_of(&pair.portal.recv_timeout(PATIENCE).unwrap()), number);
        }
        pair.portal.put_ready_timeout(Duration::ZERO).unwrap();
    }
}

/// Puts a parcel, however long that takes.
fn put_blocking(portal: &Portal, mut bytes: Vec<u8>) {
    while let Err(refused) = portal.put(bytes) {
        assert_eq!(refused.kind(), PutErrorKind::QueueFull);
        bytes = refused.into_parcel().into_bytes();
        portal.put_ready_blocking().unwrap();
    }
}

async fn put(portal: &Portal, mut bytes: Vec<u8>) {
    while let Err(refused) = portal.put(bytes) {
        bytes = refused.into_parcel().into_bytes();
        portal.put_ready().await.unwrap();
    }
}

#[test]
fn several_wait_and_all_have_their_turn() {
    const EACH: usize = 500;
    for options in each_carrier() {
        let pair = Pair::new(options);
        let taken = pair.fill();
        let portal = &pair.portal;
        thread::scope(|scope| {
            for thread in 0..4 {
                scope.spawn(move || {
                    for number in 0..EACH {
                        let bytes = numbered(taken + thread * EACH + number);
                        if thread % 2 == 0 {
                            put_blocking(portal, bytes);
                        } else {
                            block_on(put(portal, bytes));
                        }
                    }
                });
            }
            thread::sleep(Duration::from_millis(20));
            pair.signal(Signal::CONT);
            let parcels = (0..taken + 4 * EACH).map(|_| portal.recv_timeout(PATIENCE).unwrap());
            let mut numbers: Vec<_> = parcels.map(|parcel| number_of(&parcel)).collect();
            numbers.sort_unstable();
            assert!(numbers.into_iter().eq(0..taken + 4 * EACH));
        });
    }
}

/// Has tasks and threads wait in all ways, has `end` end it, and gives what they were told.
fn waits_ended(pair: Pair, end: impl FnOnce(&Pair)) -> Vec<Disconnect> {
    pair.fill();
    let portal = &pair.portal;
    thread::scope(|scope| {
        let waits = [
            scope.spawn(|| portal.put_ready_blocking().unwrap_err()),
            scope.spawn(|| portal.put_ready_blocking().unwrap_err()),
            scope.spawn(|| block_on(portal.put_ready()).unwrap_err()),
            scope.spawn(|| match portal.put_ready_timeout(PATIENCE).unwrap_err() {
                PutReadyError::Disconnected(why) => why,
                PutReadyError::Full => panic!("nobody told it"),
            }),
        ];
        thread::sleep(Duration::from_millis(20));
        end(&pair);
        waits.into_iter().map(|wait| wait.join().unwrap()).collect()
    })
}

#[test]
fn whoever_waits_hears_of_the_end() {
    for options in each_carrier() {
        let ended = waits_ended(Pair::new(options.clone()), |pair| pair.signal(Signal::KILL));
        let all = |kind| move |why: &Disconnect| why.kind() == kind;
        assert!(ended.iter().all(all(DisconnectKind::NodeLost)), "{ended:?}");
        let ended = waits_ended(Pair::new(options), |pair| {
            pair.node.shut_down(Duration::ZERO);
        });
        assert!(ended.iter().all(all(DisconnectKind::Shutdown)), "{ended:?}");
    }
}

struct Told(thread::Thread);

impl Wake for Told {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

#[test]
fn the_last_waker_is_used_and_who_gives_up_is_forgotten() {
    let pair = Pair::new(NodeOptions::default());
    pair.fill();
    let told = Arc::new(Told(thread::current()));
    let mut first = Box::pin(pair.portal.put_ready());
    let mut second = Box::pin(pair.portal.put_ready());
    let waker = Waker::from(Arc::clone(&told));
    for future in [&mut first, &mut second] {
        let mut nobody = Context::from_waker(Waker::noop());
        assert!(future.as_mut().poll(&mut nobody).is_pending());
        assert!(future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    }
    assert_eq!(Arc::strong_count(&told), 4, "this one, its waker, and two that were cloned");
    drop(first);
    assert_eq!(Arc::strong_count(&told), 3);
    pair.signal(Signal::CONT);
    let until = Instant::now() + PATIENCE;
    while second.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
        assert!(Instant::now() < until);
        thread::park_timeout(PATIENCE);
    }
    drop(second);
    // Whoever woke this thread may be about to let go.
    while Arc::strong_count(&told) > 2 {
        assert!(Instant::now() < until);
        thread::yield_now();
    }
}

#[test]
fn nothing_is_refused_between_portals_of_a_node_or_without_a_limit() {
    let node = NodeOptions::default().with_queue_limit(0).broker().unwrap();
    let (near, far) = node.open_portals();
    (0..100).for_each(|number| near.put(numbered(number)).unwrap());
    near.put_ready_timeout(Duration::ZERO).unwrap();
    drop(far);
    let gone = near.put_ready_timeout(Duration::ZERO).unwrap_err();
    let PutReadyError::Disconnected(why) = gone else { panic!("{gone}") };
    assert_eq!(why.kind(), DisconnectKind::PeerClosed);

    let node = Node::broker().unwrap();
    let (child, portal) = worker(&node);
    kill_process(Pid::from_raw(child.id().cast_signed()).unwrap(), Signal::STOP).unwrap();
    for number in 0..(2 * IN_MEMORY / SIZE) {
        portal.put(numbered(number)).unwrap();
    }
    portal.put_ready_timeout(Duration::ZERO).unwrap();
}
