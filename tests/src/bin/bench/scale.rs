//! Whether an operation costs the same among a thousand portals and among a million.

use ipcz::Node;

use crate::rows::Rows;

const PUTS: usize = 100_000;
const STEP: usize = 7919;

pub(crate) fn measure(rows: &mut Rows) {
    for (size, anchor) in [
        (1_000, None),
        (10_000, Some("scale.putget")),
        (100_000, Some("scale.putget")),
        (1_000_000, Some("scale.putget")),
    ] {
        let node = Node::broker().expect("a node");
        let pairs: Vec<_> = (0..size / 2).map(|_| node.open_portals()).collect();
        let mut next = 0;
        rows.time("scale.putget", size, "portals", anchor, PUTS, |count| {
            for _ in 0..count {
                next = (next + STEP) % pairs.len();
                let (near, far) = &pairs[next];
                near.put(vec![7; 64]).expect("put");
                std::hint::black_box(far.try_recv().expect("got"));
            }
        });
    }
}
