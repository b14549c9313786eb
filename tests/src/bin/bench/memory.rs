//! Bytes for each pair of portals: what the allocator has given out before and after.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ipcz::driver::Driver;
use ipcz::driver::inproc::InProcDriver;
use ipcz::{ConnectOptions, Handle, Node, Parcel, Relation};

use crate::rows::Rows;

const PAIRS: usize = 100_000;
const PORTALS_A_PARCEL: usize = 1000;

/// Counts what is allocated.
struct Counting;

static ALLOCATED: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: every call goes to the system's allocator as it came; counting changes nothing of it.
#[allow(unsafe_code, reason = "an allocator cannot be written without")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps `alloc`'s contract, which is this one's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        ALLOCATED.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: `memory` came from `alloc` above, with this layout.
        unsafe { System.dealloc(memory, layout) }
    }
}

/// Bytes that are allocated at this moment.
pub(crate) fn allocated() -> usize {
    ALLOCATED.load(Ordering::Relaxed)
}

pub(crate) fn measure(rows: &mut Rows) {
    // What a node frees, its background thread frees a little later: so the one without comes first.
    remote(rows);
    local(rows);
}

fn local(rows: &mut Rows) {
    let node = Node::broker().expect("a node");
    let mut pairs = Vec::with_capacity(PAIRS);
    let before = allocated();
    pairs.extend((0..PAIRS).map(|_| node.open_portals()));
    rows.note("memory.local", PAIRS, (allocated() - before) as f64 / PAIRS as f64, "B");
    // What portals have taken for parcels, they give back.
    for (near, far) in &pairs {
        for _ in 0..3 {
            near.put(&[7; 64]).expect("put");
        }
        while far.try_recv().is_ok() {}
    }
    rows.note("memory.used", PAIRS, (allocated() - before) as f64 / PAIRS as f64, "B");
}

/// Both nodes are in this process, so that both sides are counted; a side is half of it.
fn remote(rows: &mut Rows) {
    let driver: Arc<dyn Driver> = Arc::new(InProcDriver::new());
    let broker = Node::with_driver(driver.clone(), true).expect("a node");
    let client = Node::with_driver(driver.clone(), false).expect("a node");
    let (a, b) = driver.create_transports().expect("transports");
    let options = ConnectOptions::default();
    let down = broker.connect_transport(a, Relation::Client, &options).expect("connected");
    let up = client.connect_transport(b, Relation::Broker, &options).expect("connected");
    let (down, up) = (down.take_portal(0).expect("one"), up.take_portal(0).expect("one"));
    let mut kept = Vec::with_capacity(PAIRS);
    let mut arrived = Vec::with_capacity(PAIRS);
    let before = allocated();
    for _ in 0..PAIRS / PORTALS_A_PARCEL {
        let pairs = (0..PORTALS_A_PARCEL).map(|_| broker.open_portals());
        let (near, far): (Vec<_>, Vec<_>) = pairs.unzip();
        kept.extend(near);
        let handles = far.into_iter().map(Handle::from).collect();
        down.put(Parcel::with_handles("", handles)).expect("put");
        let (_, handles) = up.try_recv().expect("there at once").into_parts();
        arrived.extend(handles);
    }
    let each = (allocated() - before) as f64 / PAIRS as f64 / 2.0;
    rows.note("memory.remote", PAIRS, each, "B");
}
