//! iceoryx2: publish and subscribe for messages, request and response for calls; either with an
//! event for each message and sides that sleep, or with sides that poll.

mod calls;
mod messages;

use std::cell::OnceCell;
use std::time::Duration;

use iceoryx2::port::listener::Listener;
use iceoryx2::port::notifier::Notifier;
use iceoryx2::prelude::*;

use super::order;
use crate::bench::Bench;
use crate::columns::Column;
use crate::meter::Sample;
use crate::placement::Pin;
use crate::work::Work;

thread_local! {
    static NODE: OnceCell<Node<ipc::Service>> = const { OnceCell::new() };
}

/// This process's node.
fn with_node<R>(work: impl FnOnce(&Node<ipc::Service>) -> R) -> R {
    NODE.with(|node| {
        work(node.get_or_init(|| {
            set_log_level(LogLevel::Error);
            let builder = NodeBuilder::new().signal_handling_mode(SignalHandlingMode::Disabled);
            builder.create().expect("a node")
        }))
    })
}

fn service_name(base: &str, what: &str) -> ServiceName {
    ServiceName::new(&format!("{base}/{what}")).expect("a name")
}

/// Which side of a row this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Measures,
    Serves,
}

/// How a side waits for the other one, and wakes it.
struct Waiting {
    /// Unless both poll.
    event: Option<(Notifier<ipc::Service>, Listener<ipc::Service>)>,
    pin: Pin,
}

impl Waiting {
    /// Turns after which a thread that does not know who shares its CPU lets others run.
    const LIMIT: u32 = 1000;

    fn new(column: Column, side: Side, pin: Pin, base: &str) -> Self {
        let event = (column == Column::Iceoryx2Event).then(|| {
            let (mine, others) = match side {
                Side::Measures => ("wake-measures", "wake-serves"),
                Side::Serves => ("wake-serves", "wake-measures"),
            };
            with_node(|node| {
                let service = |what| {
                    let name = service_name(base, what);
                    node.service_builder(&name).event().open_or_create().expect("a service")
                };
                let listener = service(mine).listener_builder().create().expect("a listener");
                let notifier = service(others).notifier_builder().create().expect("a notifier");
                (notifier, listener)
            })
        });
        Self { event, pin }
    }

    /// Something was sent.
    fn wake(&self) {
        if let Some((notifier, _)) = &self.event {
            notifier.notify().expect("a listener");
        }
    }

    /// Waits until there is something.
    fn until<T>(&self, mut poll: impl FnMut() -> Option<T>) -> T {
        let mut turns = 0_u32;
        loop {
            if let Some(something) = poll() {
                return something;
            }
            turns += 1;
            let is_rare = turns.is_multiple_of(Self::LIMIT);
            match &self.event {
                Some((_, listener)) => {
                    listener.blocking_wait(|_| {}).expect("an event");
                }
                None if self.pin == Pin::Same || self.pin == Pin::None && is_rare => {
                    std::thread::yield_now();
                }
                None => std::hint::spin_loop(),
            }
        }
    }
}

/// Waits until the other side has come.
fn meet(mut has_come: impl FnMut() -> bool) {
    while !has_come() {
        std::thread::sleep(Duration::from_micros(100));
    }
}

pub(super) fn measure(bench: &Bench, column: Column, work: Work) -> Sample {
    // Services of earlier rows may not be gone yet.
    let base = format!("ipcz-peers/{}/{}", std::process::id(), next_number());
    let wait = Waiting::new(column, Side::Measures, bench.plan.placement.pin, &base);
    match work {
        Work::RoundTrip | Work::Asleep | Work::Stream { .. } => {
            messages::measure(bench, column, work, &base, &wait)
        }
        _ => calls::measure(bench, column, work, &base, &wait),
    }
}

fn next_number() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    NUMBER.fetch_add(1, Ordering::Relaxed)
}

fn begin(bench: &Bench, column: Column, work: Work, base: &str) {
    order(bench, column, work, base, None);
}

pub(super) fn serve(column: Column, work: Work, pin: Pin, base: &str) {
    let wait = Waiting::new(column, Side::Serves, pin, base);
    match work {
        Work::RoundTrip | Work::Asleep => messages::echo(base, &wait),
        Work::Stream { size } => messages::sink(size, base, &wait),
        _ => calls::serve(work, base, &wait),
    }
}
