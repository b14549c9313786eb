//! System calls of the data path, as the driver sees them: what leaves over a transport, and how often the
//! background thread sleeps. `data_syscalls` counts all of them, with `strace`, on a quiet machine.

#[allow(dead_code, reason = "shared with other tests, which use all of it")]
#[path = "../support/nodes.rs"]
mod nodes;

use std::any::Any;
use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use ipcz::driver::unix::UnixDriver;
use ipcz::driver::{Driver, Frame, Pump, Transport, TransportClosed, TransportHandler};
use ipcz::shm::Region;
use ipcz::{Conditions, ConnectOptions, NodeOptions, Portal, Relation};
use nodes::PATIENCE;

/// What a node asks of its driver.
#[derive(Debug, Default)]
struct Calls {
    transmits: AtomicUsize,
    waits: AtomicUsize,
}

impl Calls {
    fn transmits(&self) -> usize {
        self.transmits.load(Ordering::SeqCst)
    }

    fn waits(&self) -> usize {
        self.waits.load(Ordering::SeqCst)
    }
}

/// The system's driver, counted.
#[derive(Debug)]
struct Counting {
    system: Arc<UnixDriver>,
    calls: Arc<Calls>,
}

impl Counting {
    fn new() -> Arc<Self> {
        Arc::new(Self { system: UnixDriver::new().unwrap(), calls: Arc::default() })
    }

    fn count(&self, inner: Box<dyn Transport>) -> Box<dyn Transport> {
        Box::new(Counted { inner, calls: Arc::clone(&self.calls) })
    }
}

impl Driver for Counting {
    fn create_transports(&self) -> io::Result<(Box<dyn Transport>, Box<dyn Transport>)> {
        self.system.create_transports()
    }

    fn allocate_region(&self, num_bytes: usize) -> io::Result<Region> {
        self.system.allocate_region(num_bytes)
    }

    fn pump(&self) -> Option<&dyn Pump> {
        Some(self)
    }
}

impl Pump for Counting {
    fn wait(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.calls.waits.fetch_add(1, Ordering::SeqCst);
        self.system.pump().unwrap().wait(timeout)
    }

    fn interrupt(&self) {
        self.system.pump().unwrap().interrupt();
    }
}

#[derive(Debug)]
struct Counted {
    inner: Box<dyn Transport>,
    calls: Arc<Calls>,
}

impl Transport for Counted {
    fn activate(&self, handler: Arc<dyn TransportHandler>) -> io::Result<()> {
        self.inner.activate(handler)
    }

    fn transmit(&self, frames: &mut VecDeque<Frame>) -> Result<(), TransportClosed> {
        self.calls.transmits.fetch_add(1, Ordering::SeqCst);
        self.inner.transmit(frames)
    }

    fn queued_bytes(&self) -> usize {
        self.inner.queued_bytes()
    }

    fn deactivate(&self) {
        self.inner.deactivate();
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send + Sync> {
        self.inner.into_any()
    }
}

/// A portal each of two nodes over shared memory, and what they ask of their drivers.
struct Joined {
    near: Portal,
    far: Portal,
    here: Arc<Calls>,
    there: Arc<Calls>,
}

fn join() -> Joined {
    let (here, there) = (Counting::new(), Counting::new());
    let options = NodeOptions::default();
    let broker = options.with_driver(here.clone(), true).unwrap();
    let client = options.with_driver(there.clone(), false).unwrap();
    let (a, b) = std::os::unix::net::UnixStream::pair().unwrap();
    let a = here.count(here.system.transport(a.into()).unwrap());
    let b = there.count(there.system.transport(b.into()).unwrap());
    let connect = ConnectOptions::default();
    let to_client = broker.connect_transport(a, Relation::Client, &connect).unwrap();
    let to_broker = client.connect_transport(b, Relation::Broker, &connect).unwrap();
    let (near, far) = (to_client.take_portal(0).unwrap(), to_broker.take_portal(0).unwrap());
    // By then the link has changed over.
    for _ in 0..3 {
        near.put("there").unwrap();
        assert_eq!(far.recv_timeout(PATIENCE).unwrap().bytes(), b"there");
        far.put("back").unwrap();
        assert_eq!(near.recv_timeout(PATIENCE).unwrap().bytes(), b"back");
    }
    let (here, there) = (Arc::clone(&here.calls), Arc::clone(&there.calls));
    Joined { near, far, here, there }
}

/// Has the node of a portal be busy in a callback from the next parcel on. Gives who hears of that, and what
/// ends it when it is dropped.
fn keep_busy(portal: &Portal) -> (mpsc::Receiver<()>, mpsc::Sender<()>) {
    let (busy, is_busy) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let conditions = Conditions { new_parcel: true, ..Conditions::default() };
    let callback = move |_| {
        busy.send(()).unwrap();
        let _ = released.recv();
    };
    portal.trap(conditions, callback).unwrap();
    (is_busy, release)
}

#[test]
fn messages_to_a_peer_that_was_rung_cost_no_call() {
    const MESSAGES: usize = 1000;
    let Joined { near, far, here, there } = join();
    let (is_busy, release) = keep_busy(&far);
    near.put("the callback runs").unwrap();
    is_busy.recv_timeout(PATIENCE).unwrap();
    // The thread asked to be rung again before it ran the callback.
    near.put("rings once more").unwrap();
    let (transmits, waits) = (here.transmits(), there.waits());
    for number in 0..MESSAGES {
        near.put(number.to_le_bytes().to_vec()).unwrap();
    }
    assert_eq!(here.transmits() - transmits, 0, "messages in the ring need no transport");
    assert_eq!(there.waits() - waits, 0, "the callback keeps the thread that sleeps in the driver");
    drop(release);
    let awaited = |text: &[u8]| assert_eq!(far.recv_timeout(PATIENCE).unwrap().bytes(), text);
    awaited(b"the callback runs");
    awaited(b"rings once more");
    (0..MESSAGES).for_each(|number| awaited(&number.to_le_bytes()));
    // A tick of the background thread now and then, and no more than one for many messages.
    let spent = there.transmits() + there.waits() - waits;
    assert!(spent < MESSAGES / 2, "{spent} calls to read {MESSAGES} messages");
}
