//! Publish and subscribe: small messages are of a fixed type, large ones are slices.

use iceoryx2::port::publisher::Publisher;
use iceoryx2::port::subscriber::Subscriber;
use iceoryx2::prelude::*;
use iceoryx2::service::port_factory::PortFactory as _;
use iceoryx2::service::port_factory::publish_subscribe::PortFactory;

use super::{Waiting, begin, meet, service_name, with_node};
use crate::bench::Bench;
use crate::columns::Column;
use crate::flow::{self, Inlet, Outlet, Taken};
use crate::meter::Sample;
use crate::work::{BALL, Work, window};

type Ball = [u8; BALL];
type Service<T> = PortFactory<ipc::Service, T, ()>;

/// The first byte of a small message, or the only one of a large one.
const MESSAGE: u8 = 7;
const LAST: u8 = 1;
const STOP: u8 = 0;

/// A service for values of a fixed size.
fn values<T: std::fmt::Debug + ZeroCopySend + 'static>(
    base: &str,
    what: &str,
    room: u64,
) -> Service<T> {
    with_node(|node| {
        node.service_builder(&service_name(base, what))
            .publish_subscribe::<T>()
            .enable_safe_overflow(false)
            .history_size(0)
            .max_publishers(1)
            .max_subscribers(1)
            .subscriber_max_buffer_size(room as usize)
            .open_or_create()
            .expect("a service")
    })
}

/// The same for slices.
fn slices(base: &str, room: u64) -> Service<[u8]> {
    with_node(|node| {
        node.service_builder(&service_name(base, "forth"))
            .publish_subscribe::<[u8]>()
            .enable_safe_overflow(false)
            .history_size(0)
            .max_publishers(1)
            .max_subscribers(1)
            .subscriber_max_buffer_size(room as usize)
            .open_or_create()
            .expect("a service")
    })
}

/// Room for what says that a stream is over, behind all messages.
fn room(size: usize) -> u64 {
    window(size) + 2
}

pub(super) fn measure(
    bench: &Bench,
    column: Column,
    work: Work,
    base: &str,
    wait: &Waiting,
) -> Sample {
    let Work::Stream { size } = work else { return round_trips(bench, column, work, base, wait) };
    let back = values::<u64>(base, "back", room(size));
    let credits = back.subscriber_builder().create().expect("a subscriber");
    let publisher = if size == BALL {
        let forth = values(base, "forth", room(size));
        let publisher = forth.publisher_builder().create().expect("a publisher");
        begin(bench, column, work, base);
        meet(|| forth.dynamic_config().number_of_subscribers() == 1);
        Stream::Small(publisher)
    } else {
        let forth = slices(base, room(size));
        let builder = forth.publisher_builder().initial_max_slice_len(size);
        let publisher = builder.create().expect("a publisher");
        begin(bench, column, work, base);
        meet(|| forth.dynamic_config().number_of_subscribers() == 1);
        Stream::Large(publisher, vec![MESSAGE; size])
    };
    meet(|| back.dynamic_config().number_of_publishers() == 1);
    let mut outlet = Source { publisher, credits, wait };
    let sample = bench.rate(|time| flow::produce(&mut outlet, window(size), time));
    outlet.publisher.send(STOP);
    wait.wake();
    bench.library(column).done();
    sample
}

fn round_trips(bench: &Bench, column: Column, work: Work, base: &str, wait: &Waiting) -> Sample {
    let (forth, back) = (values::<Ball>(base, "forth", 2), values::<Ball>(base, "back", 2));
    let publisher = forth.publisher_builder().create().expect("a publisher");
    let subscriber = back.subscriber_builder().create().expect("a subscriber");
    begin(bench, column, work, base);
    meet(|| forth.dynamic_config().number_of_subscribers() == 1);
    meet(|| back.dynamic_config().number_of_publishers() == 1);
    let send = |ball: Ball| {
        send_value(&publisher, ball);
        wait.wake();
    };
    let mut ball = [MESSAGE; BALL];
    let sample = bench.latency(work.mode(), || {
        send(ball);
        ball = *wait.until(|| subscriber.receive().expect("a publisher"));
    });
    send([STOP; BALL]);
    bench.library(column).done();
    sample
}

pub(super) fn echo(base: &str, wait: &Waiting) {
    let (forth, back) = (values::<Ball>(base, "forth", 2), values::<Ball>(base, "back", 2));
    let publisher = back.publisher_builder().create().expect("a publisher");
    let subscriber = forth.subscriber_builder().create().expect("a subscriber");
    loop {
        let ball = *wait.until(|| subscriber.receive().expect("a publisher"));
        if ball[0] == STOP {
            return;
        }
        send_value(&publisher, ball);
        wait.wake();
    }
}

/// Writes a value where the other side will read it.
fn send_value<T: std::fmt::Debug + ZeroCopySend + 'static>(
    publisher: &Publisher<ipc::Service, T, ()>,
    value: T,
) {
    let sample = publisher.loan_uninit().expect("room").write_payload(value);
    sample.send().expect("a subscriber");
}

enum Stream {
    Small(Publisher<ipc::Service, Ball, ()>),
    Large(Publisher<ipc::Service, [u8], ()>, Vec<u8>),
}

impl Stream {
    fn send(&self, what: u8) {
        match self {
            Self::Small(publisher) => send_value(publisher, [what; BALL]),
            Self::Large(publisher, message) => {
                let one = [what];
                let bytes = if what == MESSAGE { message.as_slice() } else { &one };
                let sample = publisher.loan_slice_uninit(bytes.len()).expect("room");
                sample.write_from_slice(bytes).send().expect("a subscriber");
            }
        }
    }
}

struct Source<'a> {
    publisher: Stream,
    credits: Subscriber<ipc::Service, u64, ()>,
    wait: &'a Waiting,
}

impl Outlet for Source<'_> {
    fn put(&mut self, is_last: bool) {
        self.publisher.send(if is_last { LAST } else { MESSAGE });
        self.wait.wake();
    }

    fn returned(&mut self) -> u64 {
        *self.wait.until(|| self.credits.receive().expect("a publisher"))
    }
}

enum Arrivals {
    Small(Subscriber<ipc::Service, Ball, ()>),
    Large(Subscriber<ipc::Service, [u8], ()>),
}

struct Sink<'a> {
    arrivals: Arrivals,
    credits: Publisher<ipc::Service, u64, ()>,
    wait: &'a Waiting,
}

/// Reads a message where it is.
fn read(bytes: &[u8]) -> Option<Taken> {
    std::hint::black_box(flow::sum(bytes));
    match bytes[0] {
        MESSAGE => Some(Taken::Message),
        LAST => Some(Taken::Last),
        _ => None,
    }
}

impl Inlet for Sink<'_> {
    fn take(&mut self) -> Option<Taken> {
        match &self.arrivals {
            Arrivals::Small(subscriber) => {
                read(&*self.wait.until(|| subscriber.receive().expect("a publisher")))
            }
            Arrivals::Large(subscriber) => {
                read(&self.wait.until(|| subscriber.receive().expect("a publisher")))
            }
        }
    }

    fn give_back(&mut self, credits: u64) {
        send_value(&self.credits, credits);
        self.wait.wake();
    }
}

pub(super) fn sink(size: usize, base: &str, wait: &Waiting) {
    let back = values::<u64>(base, "back", room(size));
    let credits = back.publisher_builder().create().expect("a publisher");
    let arrivals = match size {
        BALL => {
            let forth = values(base, "forth", room(size));
            Arrivals::Small(forth.subscriber_builder().create().expect("a subscriber"))
        }
        _ => {
            let forth = slices(base, room(size));
            Arrivals::Large(forth.subscriber_builder().create().expect("a subscriber"))
        }
    };
    flow::consume(&mut Sink { arrivals, credits, wait }, window(size));
}
