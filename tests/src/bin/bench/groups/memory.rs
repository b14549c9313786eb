//! Bytes for each pair of portals: what the allocator has given out before and after.

use std::sync::Arc;

use ipcz::driver::Driver;
use ipcz::driver::inproc::InProcDriver;
use ipcz::{ConnectOptions, Handle, Node, Parcel, Relation};

use crate::bench::Bench;
use crate::counting::Count;
use crate::rows::{Label, Row, Unit};

const PAIRS: usize = 100_000;
const PORTALS_A_PARCEL: usize = 1000;

pub(super) fn measure(bench: &Bench) -> Vec<Row> {
    bench.watchdog.expect("memory");
    // What a node frees, its background thread frees a little later: so the one without comes first.
    let mut rows = vec![remote()];
    rows.extend(local());
    rows
}

fn row(name: &'static str, count: &Count) -> Row {
    let label = Label::time(name, PAIRS, "pair").unit(Unit::Bytes);
    Row::exact(label, count.bytes() as f64 / PAIRS as f64)
}

fn local() -> [Row; 2] {
    let node = Node::broker().expect("a node");
    let mut pairs = Vec::with_capacity(PAIRS);
    let count = Count::start();
    pairs.extend((0..PAIRS).map(|_| node.open_portals()));
    let fresh = row("memory.local", &count);
    // What portals have taken for parcels, they give back.
    for (near, far) in &pairs {
        for _ in 0..3 {
            near.put(&[7; 64]).expect("put");
        }
        while far.try_recv().is_ok() {}
    }
    [fresh, row("memory.used", &count)]
}

/// Both nodes are in this process, so that both sides are counted; a side is half of it.
fn remote() -> Row {
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
    let count = Count::start();
    for _ in 0..PAIRS / PORTALS_A_PARCEL {
        let pairs = (0..PORTALS_A_PARCEL).map(|_| broker.open_portals());
        let (near, far): (Vec<_>, Vec<_>) = pairs.unzip();
        kept.extend(near);
        let handles = far.into_iter().map(Handle::from).collect();
        down.put(Parcel::with_handles("", handles)).expect("put");
        let (_, handles) = up.try_recv().expect("there at once").into_parts();
        arrived.extend(handles);
    }
    let mut row = row("memory.remote", &count);
    for figure in [&mut row.median, &mut row.low, &mut row.high, &mut row.p99] {
        *figure /= 2.0;
    }
    row
}
