//! Round trips to each of many nodes in turn.

use ipcz::{Node, Parcel, Portal};

use crate::bench::{Bench, Mode};
use crate::contest::Contest;
use crate::meter::Sample;
use crate::order::{Order, Wait};
use crate::peer::Peer;
use crate::rows::{Label, Row};

const NODES: [usize; 6] = [1, 2, 4, 8, 16, 32];

pub(super) fn measure(bench: &Bench) -> Vec<Row> {
    let node = Node::broker().expect("a node");
    let most = NODES.last().copied().unwrap_or_default();
    let spawn = |number| {
        bench.watchdog.expect(&format!("worker {number} of {most} to start"));
        Peer::spawn(&node, bench.plan.placement)
    };
    let peers: Vec<_> = (1..=most).map(spawn).collect();
    let mut contest = Contest::default();
    for count in NODES {
        let label = Label::time("scale.nodes", count, Mode::Hot.name());
        let label = if count == 1 { label } else { label.against("scale.nodes") };
        let peers = &peers[..count];
        contest.row(label, move || in_turn(bench, peers));
    }
    contest.run(bench)
}

fn in_turn(bench: &Bench, peers: &[Peer]) -> Sample {
    let order = |peer: &Peer| peer.portal(Order::Echo(Wait::Blocking));
    let portals: Vec<Portal> = peers.iter().map(order).collect();
    let (mut ball, mut next) = (Parcel::new([7; 64]), 0);
    let sample = bench.latency(Mode::Hot, || {
        next = (next + 1) % portals.len();
        portals[next].put(std::mem::take(&mut ball)).expect("put");
        ball = portals[next].recv_blocking().expect("an answer");
    });
    drop(portals);
    peers.iter().for_each(Peer::done);
    sample
}
