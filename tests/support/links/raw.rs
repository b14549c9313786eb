//! A peer of which there is only a transport, and the memory that it shares.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use ipcz::driver::inproc::InProcDriver;
use ipcz::driver::{Attachment, Driver, Frame, Pump, Transport, TransportClosed, TransportHandler};
use ipcz::shm::layout::Layout;
use ipcz::shm::link::{Budgets, Ends};
use ipcz::shm::record::{Kind, Tag};
use ipcz::shm::{Mapping, Region};
use ipcz::{ConnectOptions, Connection, Node, Portal, Relation};

use crate::nodes;

pub(crate) const OFFER: u8 = 0x40;
pub(crate) const ACCEPT: u8 = 0x41;
pub(crate) const SWITCH: u8 = 0x42;
pub(crate) const DECLINE: u8 = 0x43;
pub(crate) const REGION: u8 = 0x44;
pub(crate) const PASS: u8 = 0x45;

/// What either side may add to its arena.
pub(crate) const BUDGET: u64 = 1 << 20;

/// The driver that delivers on the sender's thread, with a pump, as links over shared memory need one.
#[derive(Debug, Default)]
pub(crate) struct Pumped {
    interrupted: Mutex<bool>,
    changed: Condvar,
}

impl Pump for Pumped {
    fn wait(&self, timeout: Option<Duration>) -> io::Result<()> {
        let interrupted = self.interrupted.lock().unwrap();
        let limit = timeout.unwrap_or(Duration::from_secs(3600));
        let waited = self.changed.wait_timeout_while(interrupted, limit, |it| !*it);
        *waited.unwrap().0 = false;
        Ok(())
    }

    fn interrupt(&self) {
        *self.interrupted.lock().unwrap() = true;
        self.changed.notify_all();
    }
}

impl Driver for Pumped {
    fn create_transports(&self) -> io::Result<(Box<dyn Transport>, Box<dyn Transport>)> {
        InProcDriver::new().create_transports()
    }

    fn allocate_region(&self, num_bytes: usize) -> io::Result<Region> {
        Region::new(num_bytes)
    }

    fn pump(&self) -> Option<&dyn Pump> {
        Some(self)
    }
}

pub(crate) fn transports() -> (Box<dyn Transport>, Box<dyn Transport>) {
    InProcDriver::new().create_transports().unwrap()
}

/// A peer that says what it likes.
pub(crate) struct Raw {
    transport: Arc<dyn Transport>,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen(Mutex<Vec<Vec<u8>>>);

impl TransportHandler for Seen {
    fn on_frames(&self, frames: &mut Vec<Frame>) {
        self.0.lock().unwrap().extend(frames.drain(..).map(|frame| frame.head));
    }

    fn on_drained(&self) {}

    fn on_closed(&self, _: TransportClosed) {}
}

impl Raw {
    pub(crate) fn client_of(broker: &Node) -> (Self, Connection) {
        Self::peer_of(broker, &ConnectOptions::portals(2))
    }

    pub(crate) fn peer_of(broker: &Node, options: &ConnectOptions) -> (Self, Connection) {
        let (a, b) = transports();
        let connection = broker.connect_transport(a, Relation::Client, options).unwrap();
        let seen = Arc::new(Seen::default());
        b.activate(seen.clone()).unwrap();
        (Self { transport: Arc::from(b), seen }, connection)
    }

    pub(crate) fn send(&self, frame: Frame) {
        let _ = self.transport.transmit(&mut VecDeque::from([frame]));
    }

    /// Says hello as a node of these features.
    pub(crate) fn hello(&self, name: u128, features: u64) {
        let mut head = nodes::hello(name);
        head[8..16].copy_from_slice(&features.to_le_bytes());
        self.send(Frame { head, ..Frame::default() });
    }

    pub(crate) fn was_told(&self, word: u8) -> bool {
        self.seen.0.lock().unwrap().iter().any(|head| head.first() == Some(&word))
    }

    pub(crate) fn was_offered(&self) -> bool {
        self.was_told(OFFER)
    }
}

/// An offer of these sizes.
pub(crate) fn offer(ring: u32, arena: u32, budget: u64) -> Vec<u8> {
    let mut head = vec![OFFER];
    head.extend(ring.to_le_bytes());
    head.extend(arena.to_le_bytes());
    head.extend(budget.to_le_bytes());
    head.extend(budget.to_le_bytes());
    head
}

/// A parcel without anything in it, over the link of an initial portal.
pub(crate) fn parcel(link: u64, sequence: u64) -> Frame {
    let mut head = vec![2];
    head.extend(link.to_le_bytes());
    head.extend(sequence.to_le_bytes());
    head.extend([0; 4]);
    Frame { head, ..Frame::default() }
}

/// Makes a region look like one of a link.
pub(crate) fn write_header(region: &Region, layout: Layout) {
    drop(Ends::make(region, layout, Budgets::default(), || {}).unwrap());
}

/// A peer that has made a region for its link, and writes there.
pub(crate) struct Linked {
    pub(crate) raw: Raw,
    pub(crate) connection: Connection,
    pub(crate) portal: Portal,
    pub(crate) region: Region,
    pub(crate) memory: Mapping,
    ends: Ends,
}

impl Linked {
    pub(crate) fn client_of(broker: &Node, name: u128) -> Self {
        let (raw, connection) = Raw::client_of(broker);
        let portal = connection.take_portal(0).unwrap();
        raw.hello(name, 3);
        let layout = Layout::DEFAULT;
        let region = Region::new(layout.num_bytes()).unwrap();
        let budgets = Budgets { send: BUDGET, receive: BUDGET };
        let ends = Ends::make(&region, layout, budgets, || {}).unwrap();
        let memory = region.map().unwrap();
        let head = offer(layout.ring_bytes(), layout.arena_bytes(), BUDGET);
        let attachments = vec![Attachment::Region(region.try_clone().unwrap())];
        raw.send(Frame { head, attachments, ..Frame::default() });
        nodes::eventually("the offer is accepted", || raw.was_told(ACCEPT));
        raw.send(Frame { head: vec![SWITCH], ..Frame::default() });
        Self { raw, connection, portal, region, memory, ends }
    }

    /// Has the peer look at what was written.
    pub(crate) fn ring(&self) {
        self.raw.send(Frame::default());
    }

    pub(crate) fn write(&mut self, tag: Tag, parts: &[&[u8]]) {
        self.ends.writer.write(tag, parts).unwrap();
        self.ends.writer.publish();
        self.ring();
    }

    /// Sends a parcel as honest nodes do.
    pub(crate) fn send_inline(&mut self, sequence: u64, payload: &[u8]) {
        let head = parcel(0, sequence).head;
        self.write(Tag::of(Kind::Inline, head.len() as u32), &[&head, payload]);
    }

    /// Where the payload of the next message lies that was sent to it.
    pub(crate) fn receive_block(&mut self) -> Vec<u8> {
        loop {
            let Some(record) = self.ends.reader.next().unwrap() else {
                std::thread::yield_now();
                continue;
            };
            let (tag, len) = (record.tag(), record.len());
            if tag.kind == Kind::Block {
                let mut block = Vec::new();
                let at = tag.split as usize;
                record.append_to(at, len - at, &mut block).unwrap();
                return block;
            }
        }
    }
}

/// An honest client over shared memory, to see that it is left alone.
pub(crate) struct Honest {
    near: Portal,
    far: Portal,
    _client: Node,
}

impl Honest {
    pub(crate) fn client_of(broker: &Node) -> Self {
        let client = Node::with_driver(Arc::new(Pumped::default()), false).unwrap();
        let (a, b) = transports();
        let options = ConnectOptions::default();
        let to_client = broker.connect_transport(a, Relation::Client, &options).unwrap();
        let to_broker = client.connect_transport(b, Relation::Broker, &options).unwrap();
        let (near, far) = (to_client.take_portal(0).unwrap(), to_broker.take_portal(0).unwrap());
        Self { near, far, _client: client }
    }

    pub(crate) fn check(&self) {
        self.near.put("down").unwrap();
        assert_eq!(self.far.recv_timeout(nodes::PATIENCE).unwrap().bytes(), b"down");
        self.far.put("up").unwrap();
        assert_eq!(self.near.recv_timeout(nodes::PATIENCE).unwrap().bytes(), b"up");
    }
}

pub(crate) fn broker() -> Node {
    Node::with_driver(Arc::new(Pumped::default()), true).unwrap()
}

/// A panic would be caught by the node, and cost the peer its connection as well.
pub(crate) fn no_panics() -> impl Fn(&str) {
    static PANICS: AtomicUsize = AtomicUsize::new(0);
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let default = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            PANICS.fetch_add(1, Ordering::Relaxed);
            default(info);
        }));
    });
    |what| assert_eq!(PANICS.load(Ordering::Relaxed), 0, "{what}: a panic")
}
