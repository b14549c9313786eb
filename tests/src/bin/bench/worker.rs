//! The process at the other side.

use std::process::ExitCode;

use ipcz::Node;
use rustix::process::{Signal, set_parent_process_death_signal};

use crate::anchors;
use crate::groups::{call, endpoints, rtt, stream};
use crate::order::{Handles, Order};
use crate::placement::pin_to;

pub(crate) const ROLE: &str = "worker";
pub(crate) const DONE: &[u8] = b"done";

/// Sees to it that this process goes when the one that measures goes, for whatever reason.
pub(crate) fn die_with_parent() {
    set_parent_process_death_signal(Some(Signal::KILL)).expect("a signal that exists");
}

/// `bench worker [CPU]`: does what its parent asks, one order after another.
pub(crate) fn run(arguments: &[String]) -> ExitCode {
    die_with_parent();
    // First of all: threads are where the one is that starts them.
    pin_to(arguments.first().and_then(|cpu| cpu.parse().ok()));
    let (_node, parent) = match Node::from_parent() {
        Ok(parent) => parent,
        Err(error) => {
            eprintln!("bench: no worker of anybody: {error}");
            return ExitCode::FAILURE;
        }
    };
    let control = parent.take_portal(0).expect("a portal");
    while let Ok(parcel) = control.recv_blocking() {
        let (text, handles) = parcel.into_parts();
        let order = serde_json::from_slice(&text).expect("an order");
        obey(order, Handles::new(handles));
        if control.put(DONE).is_err() {
            break;
        }
    }
    ExitCode::SUCCESS
}

fn obey(order: Order, mut handles: Handles) {
    match order {
        Order::Anchor(service, pin) => anchors::serve(service, pin, &mut handles),
        Order::Echo(wait) => rtt::echo(wait, handles.portal()),
        Order::Serve => call::serve(handles.portal()),
        Order::Sink { read, window } => stream::sinks(read, window, handles.portals().collect()),
        Order::Keep { window } => endpoints::keep(window, &handles.portal()),
        Order::Answer => endpoints::answer(&handles.portal()),
    }
}
