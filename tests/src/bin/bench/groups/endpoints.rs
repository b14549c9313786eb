//! Portals that are made and sent away.

use std::time::{Duration, Instant};

use ipcz::{Handle, Node, Parcel, Portal};

use crate::bench::{Bench, Mode};
use crate::contest::Contest;
use crate::groups::rtt::round_trips;
use crate::groups::stream::{Flow, Pacer, produce};
use crate::meter::Sample;
use crate::order::{Order, Read, Wait};
use crate::rows::{Label, Row};

/// Parcels that may be under way.
const WINDOW: u64 = 256;
/// Portals of one repetition: more are not kept.
const MOST: usize = 200_000;
const MANY: usize = 64;

pub(crate) fn measure(bench: &Bench) -> Vec<Row> {
    let mut contest = Contest::default();
    let label = Label::rate("endpoints.transfer", 1, Mode::Hot.name()).against("endpoints.parcel");
    contest.row(label, || transfers(bench, 1));
    let label = Label::rate("endpoints.transfer", MANY, "batch").against("endpoints.parcel");
    contest.row(label, || transfers(bench, MANY));
    contest.row(Label::rate("endpoints.parcel", 0, Mode::Hot.name()), || parcels(bench));
    let label = Label::time("endpoints.first", 64, Mode::Hot.name()).against("endpoints.echo");
    contest.row(label, || first_uses(bench));
    contest.row(Label::time("endpoints.echo", 64, Mode::Hot.name()), || {
        round_trips(bench, Wait::Blocking, Mode::Hot)
    });
    contest.run(bench)
}

/// Pairs made, one portal of each sent away, so many in a parcel. Both are kept until the end, so that
/// closing them is not part of it.
fn transfers(bench: &Bench, together: usize) -> Sample {
    let peer = bench.peer();
    let portal = peer.portal(Order::Keep { window: WINDOW });
    let mut kept = Vec::with_capacity(MOST);
    send(peer.node(), &portal, together, bench.plan.slice / 10, &mut kept);
    let (start, before) = (Instant::now(), kept.len());
    send(peer.node(), &portal, together, bench.plan.slice, &mut kept);
    let sample = Sample::rate((kept.len() - before) as u64, start.elapsed());
    drop((portal, kept));
    peer.done();
    sample
}

fn send(node: &Node, portal: &Portal, together: usize, time: Duration, kept: &mut Vec<Portal>) {
    let (start, mut credits) = (Instant::now(), WINDOW);
    let returned = || {
        let parcel = portal.recv_blocking().expect("credits");
        u64::from_le_bytes(parcel.bytes().try_into().expect("a number"))
    };
    while start.elapsed() < time && kept.len() + together <= MOST {
        while credits == 0 {
            credits += returned();
        }
        let mut handles = Vec::with_capacity(together);
        for _ in 0..together {
            let (near, far) = node.open_portals();
            kept.push(near);
            handles.push(Handle::from(far));
        }
        portal.put(Parcel::with_handles("portals", handles)).expect("put");
        credits -= 1;
    }
    portal.put("").expect("put");
    while credits < WINDOW {
        credits += returned();
    }
}

/// The other side: keeps what comes until the portal is closed.
pub(crate) fn keep(window: u64, portal: &Portal) {
    let (mut kept, mut taken) = (Vec::with_capacity(MOST), 0_u64);
    while let Ok(parcel) = portal.recv_blocking() {
        let (bytes, handles) = parcel.into_parts();
        kept.extend(handles);
        taken += u64::from(!bytes.is_empty());
        if bytes.is_empty() || taken >= window / 4 {
            if portal.put(&taken.to_le_bytes()).is_err() {
                return;
            }
            taken = 0;
        }
    }
}

/// As many parcels without portals.
fn parcels(bench: &Bench) -> Sample {
    let peer = bench.peer();
    let portal = peer.portal(Order::Sink { read: Read::Copied, window: WINDOW });
    let flow = Flow { size: 7, window: WINDOW, pacer: Pacer::NONE };
    produce(&portal, flow, bench.plan.slice / 10);
    let start = Instant::now();
    let sample = Sample::rate(produce(&portal, flow, bench.plan.slice), start.elapsed());
    drop(portal);
    peer.done();
    sample
}

/// From the making of a pair to the answer over it.
fn first_uses(bench: &Bench) -> Sample {
    let peer = bench.peer();
    let portal = peer.portal(Order::Answer);
    let mut kept = Vec::new();
    let sample = bench.latency(Mode::Hot, || {
        let (near, far) = peer.node().open_portals();
        portal.put(Parcel::with_handles("a portal", vec![Handle::from(far)])).expect("put");
        near.put(&[7; 64]).expect("put");
        near.recv_blocking().expect("an answer");
        kept.push(near);
    });
    drop((portal, kept));
    peer.done();
    sample
}

/// The other side: answers what comes first over each portal that comes.
pub(crate) fn answer(portal: &Portal) {
    let mut kept = Vec::new();
    while let Ok(parcel) = portal.recv_blocking() {
        let (_, handles) = parcel.into_parts();
        for handle in handles {
            let Handle::Portal(moved) = handle else { continue };
            if let Ok(ball) = moved.recv_blocking() {
                let _ = moved.put(ball);
            }
            kept.push(moved);
        }
    }
}
