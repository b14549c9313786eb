//! Portals of one node.

use ipcz::Node;

use crate::rows::Rows;

const PUTS: usize = 200_000;
const PAIRS: usize = 100_000;

pub(crate) fn measure(rows: &mut Rows) {
    let node = Node::broker().expect("a node");
    let (near, far) = node.open_portals();
    rows.time("local.alloc", 64, "malloc", None, PUTS, |count| {
        for _ in 0..count {
            std::hint::black_box(vec![7_u8; 64]);
        }
    });
    rows.time("local.putget", 64, "one pair", Some("local.alloc"), PUTS, |count| {
        for _ in 0..count {
            near.put(vec![7; 64]).expect("put");
            std::hint::black_box(far.try_recv().expect("got"));
        }
    });
    rows.time("local.pair", 0, "open+close", None, PAIRS, |count| {
        for _ in 0..count {
            std::hint::black_box(node.open_portals());
        }
    });
}
