//! ipcz: raw portals and a typed service.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::time::Instant;

use ipcz::{Connection, Endpoint, Handle, Listener, Node, Parcel, Portal};

use super::order;
use crate::bench::{Bench, Mode};
use crate::columns::Column;
use crate::flow::{self, Inlet, Outlet, Taken};
use crate::meter::{Sample, prepared};
use crate::work::{BALL, LARGE, OUTSTANDING, Work, window};

/// From here on, a message is written in place: one copy instead of two.
const WRITTEN_IN_PLACE: usize = 4096;

#[ipcz::interface(name = "peers.Service")]
trait Service {
    async fn add(&self, a: u64, b: u64) -> u64;
    async fn echo32(&self, bytes: [u8; 32]) -> [u8; 32];
    async fn sum(&self, bytes: Vec<u8>) -> u64;
}

struct Server;

impl Service for Server {
    async fn add(&self, a: u64, b: u64) -> u64 {
        a.wrapping_add(b)
    }

    async fn echo32(&self, bytes: [u8; 32]) -> [u8; 32] {
        bytes
    }

    async fn sum(&self, bytes: Vec<u8>) -> u64 {
        flow::sum(&bytes)
    }
}

/// A node, and its connection to the other side's.
struct Session {
    node: Node,
    _connection: Connection,
    control: Portal,
}

thread_local! {
    static SESSION: RefCell<Option<Session>> = const { RefCell::new(None) };
}

/// Has the other side begin, and gives a new portal to it, with the node that it belongs to.
fn begin(bench: &Bench, work: Work) -> (Node, Portal) {
    SESSION.with_borrow_mut(|session| {
        let name = std::env::temp_dir().join(format!("ipcz-peers-{}", std::process::id()));
        let listener = session.is_none().then(|| Listener::bind(&name).expect("a listener"));
        order(bench, Column::Ipcz, work, &name.to_string_lossy(), None);
        if let Some(listener) = listener {
            let connection = listener.accept().expect("a worker that connects");
            let control = connection.take_portal(0).expect("a portal");
            let node = listener.node().clone();
            *session = Some(Session { node, _connection: connection, control });
        }
        let Session { node, control, .. } = session.as_ref().expect("a session");
        let (near, far) = node.open_portals();
        let parcel = Parcel::with_handles("", vec![Handle::from(far)]);
        control.put(parcel).expect("a worker that listens");
        (node.clone(), near)
    })
}

pub(super) fn measure(bench: &Bench, work: Work) -> Sample {
    let (node, portal) = begin(bench, work);
    let sample = rows(bench, work, node, portal);
    bench.library(Column::Ipcz).done();
    sample
}

/// The other side is done when the portal is gone.
fn rows(bench: &Bench, work: Work, node: Node, portal: Portal) -> Sample {
    match work {
        Work::RoundTrip | Work::Asleep => round_trips(bench, work.mode(), &portal),
        Work::Stream { size } => {
            let message = vec![7; size];
            let mut outlet = Stream { portal, message };
            bench.rate(|time| flow::produce(&mut outlet, window(size), time))
        }
        Work::Endpoints => {
            let mut outlet = Transfers { node, portal, kept: VecDeque::new() };
            bench.rate(|time| flow::produce(&mut outlet, OUTSTANDING as u64, time))
        }
        _ => calls(bench, work, &ServiceProxy::from_portal(portal)),
    }
}

fn round_trips(bench: &Bench, mode: Mode, portal: &Portal) -> Sample {
    // It is moved, not copied, so that no side allocates one.
    let mut ball = Parcel::new([7; BALL]);
    bench.latency(mode, || {
        portal.put(std::mem::take(&mut ball)).expect("put");
        ball = portal.recv_blocking().expect("an answer");
    })
}

fn calls(bench: &Bench, work: Work, proxy: &ServiceProxy) -> Sample {
    match work {
        Work::Add => bench.latency(Mode::Hot, || {
            assert_eq!(proxy.add(3, 4).wait().expect("a sum"), 7);
        }),
        Work::Echo32 => bench.latency(Mode::Hot, || {
            assert_eq!(proxy.echo32([5; 32]).wait().expect("an echo"), [5; 32]);
        }),
        Work::Outstanding => outstanding(bench, proxy),
        _ => prepared(
            bench.plan.slice(Mode::Hot),
            || vec![1; LARGE],
            |bytes| {
                std::hint::black_box(proxy.sum(bytes).wait().expect("a sum"));
                Instant::now()
            },
        ),
    }
}

/// The oldest call is waited for, then the next one made.
fn outstanding(bench: &Bench, proxy: &ServiceProxy) -> Sample {
    let mut calls = VecDeque::with_capacity(OUTSTANDING);
    bench.rate(|time| {
        let (start, mut count) = (Instant::now(), 0);
        while start.elapsed() < time {
            for _ in 0..OUTSTANDING {
                if calls.len() == OUTSTANDING {
                    let call: ipcz::Call<u64> = calls.pop_front().expect("the oldest");
                    assert_eq!(call.wait().expect("a sum"), 7);
                }
                calls.push_back(proxy.add(3, 4));
            }
            count += OUTSTANDING as u64;
        }
        count
    })
}

struct Stream {
    portal: Portal,
    message: Vec<u8>,
}

fn returned(portal: &Portal) -> u64 {
    let parcel = portal.recv_blocking().expect("credits");
    u64::from_le_bytes(parcel.bytes().try_into().expect("a number"))
}

impl Outlet for Stream {
    fn put(&mut self, is_last: bool) {
        if is_last || self.message.len() < WRITTEN_IN_PLACE {
            let message = if is_last { &[] } else { self.message.as_slice() };
            return self.portal.put(message).expect("put");
        }
        let mut put = self.portal.begin_put(self.message.len()).expect("room");
        put.copy_from_slice(&self.message);
        put.commit().expect("put");
    }

    fn returned(&mut self) -> u64 {
        returned(&self.portal)
    }
}

struct Transfers {
    node: Node,
    portal: Portal,
    kept: VecDeque<Portal>,
}

impl Outlet for Transfers {
    fn put(&mut self, is_last: bool) {
        if is_last {
            return self.portal.put("").expect("put");
        }
        let (near, far) = self.node.open_portals();
        self.portal.put(Parcel::with_handles("portal", vec![Handle::from(far)])).expect("put");
        self.kept.push_back(near);
        if self.kept.len() > OUTSTANDING {
            self.kept.pop_front();
        }
    }

    fn returned(&mut self) -> u64 {
        returned(&self.portal)
    }
}

/// The receiving side of both. Portals are closed with the parcel that they came in.
struct Sink(Portal);

impl Inlet for Sink {
    fn take(&mut self) -> Option<Taken> {
        let parcel = self.0.recv_blocking().ok()?;
        Some(Taken::read(parcel.bytes()))
    }

    fn give_back(&mut self, credits: u64) {
        // Whoever gave it away has no need of it any more, if this fails.
        let _ = self.0.put(&credits.to_le_bytes());
    }
}

thread_local! {
    static SERVING: RefCell<Option<Session>> = const { RefCell::new(None) };
}

pub(super) fn serve(work: Work, name: &str) {
    let portal = SERVING.with_borrow_mut(|session| {
        let session = session.get_or_insert_with(|| {
            let (node, connection) = Node::connect(name).expect("a broker");
            let control = connection.take_portal(0).expect("a portal");
            Session { node, _connection: connection, control }
        });
        let (_, handles) = session.control.recv_blocking().expect("a portal").into_parts();
        match handles.into_iter().next() {
            Some(Handle::Portal(portal)) => portal,
            other => panic!("no portal: {other:?}"),
        }
    });
    match work {
        Work::RoundTrip | Work::Asleep => {
            while let Ok(parcel) = portal.recv_blocking() {
                if portal.put(parcel).is_err() {
                    break;
                }
            }
        }
        Work::Stream { size } => flow::consume(&mut Sink(portal), window(size)),
        Work::Endpoints => flow::consume(&mut Sink(portal), OUTSTANDING as u64),
        _ => ServiceReceiver::from_portal(portal).serve_blocking(Server).expect("a client"),
    }
}
