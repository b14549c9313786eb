//! The process at the other side, seen from the one that measures.

use std::process::Command;
use std::time::Duration;

use ipcz::{Child, Handle, Node, OsHandle, Parcel, Portal};

use crate::order::Order;
use crate::placement::Placement;
use crate::worker;

/// Longer than a worker takes to start, or to be done with what has ended.
const PATIENCE: Duration = Duration::from_secs(30);

/// A worker. It does one thing at a time.
pub(crate) struct Peer {
    node: Node,
    control: Portal,
    pub(crate) placement: Placement,
    _child: Child,
}

impl Peer {
    /// Runs a worker on the CPU that is meant for it.
    pub(crate) fn spawn(node: &Node, placement: Placement) -> Self {
        let program = std::env::current_exe().expect("this program has a path");
        let mut command = Command::new(program);
        command.arg(worker::ROLE).args(placement.there.map(|cpu| cpu.to_string()));
        let mut child = node.spawn(command).expect("a worker");
        child.kill_on_drop(true);
        let said = child.wait_connected(PATIENCE).expect("a worker that connects");
        assert!(said.is_some(), "the worker has said nothing for {PATIENCE:?}");
        let control = child.take_portal(0).expect("a portal");
        Self { node: node.clone(), control, placement, _child: child }
    }

    /// Has the worker begin something.
    pub(crate) fn order(&self, order: Order, handles: Vec<Handle>) {
        let text = serde_json::to_vec(&order).expect("an order in words");
        self.control.put(Parcel::with_handles(text, handles)).expect("a worker that listens");
    }

    /// The same, with a new pair of portals of which it gets one.
    pub(crate) fn portal(&self, order: Order) -> Portal {
        self.portals(order, 1).remove(0)
    }

    /// The same with several.
    pub(crate) fn portals(&self, order: Order, count: usize) -> Vec<Portal> {
        let (near, far): (Vec<_>, Vec<_>) = (0..count).map(|_| self.node.open_portals()).unzip();
        self.order(order, far.into_iter().map(Handle::from).collect());
        near
    }

    /// The same with descriptors.
    pub(crate) fn descriptors(&self, order: Order, handles: Vec<OsHandle>) {
        self.order(order, handles.into_iter().map(Handle::from).collect());
    }

    pub(crate) fn node(&self) -> &Node {
        &self.node
    }

    /// Waits until the worker is done with its order.
    pub(crate) fn done(&self) {
        let said = self.control.recv_timeout(PATIENCE).expect("a worker that gets done in time");
        assert_eq!(said.bytes(), worker::DONE);
    }
}
