//! Portals of one node.

use std::hint::black_box;

use ipcz::Node;

use crate::bench::Bench;
use crate::contest::Contest;
use crate::meter::operations;
use crate::rows::{Label, Row};

const SIZE: usize = 64;

pub(super) fn measure(bench: &Bench) -> Vec<Row> {
    let slice = bench.plan.slice;
    let node = Node::broker().expect("a node");
    let (near, far) = node.open_portals();
    let mut contest = Contest::default();
    contest.row(Label::time("local.putget", SIZE, "hot").against("anchor.malloc"), || {
        operations(slice, || {
            near.put(vec![7; SIZE]).expect("put");
            black_box(far.try_recv().expect("got"));
        })
    });
    contest.row(Label::time("local.pair", 0, "hot").against("anchor.malloc"), || {
        operations(slice, || {
            black_box(node.open_portals());
        })
    });
    contest.row(Label::time("anchor.malloc", SIZE, "hot"), || {
        operations(slice, || {
            black_box(vec![7_u8; SIZE]);
        })
    });
    contest.run(bench)
}
