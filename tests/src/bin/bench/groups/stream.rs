//! Messages in one direction, as fast as they are taken.
//!
//! So that memory is bounded, the producer has credits, of which the consumer returns a quarter at a
//! time; an empty message asks for all that are left.

use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use ipcz::{Conditions, Disconnect, Portal, TryRecvError};

use crate::anchors::{Producer, Shape};
use crate::bench::{Bench, Mode};
use crate::contest::Contest;
use crate::meter::{Sample, operations};
use crate::order::{Order, Read};
use crate::rows::{Label, Row, Unit};

/// Sizes, and how many messages may be under way.
const STREAMS: [(usize, u64); 4] = [(64, 1024), (4 << 10, 256), (64 << 10, 8), (1 << 20, 4)];
/// From here on, messages are written in place: one copy instead of two.
const WRITTEN_IN_PLACE: usize = 4 << 10;
/// From here on, there is a row that reads in place.
const READ_IN_PLACE: usize = 64 << 10;
/// What a producer does between two messages that are paced.
const PACE: Duration = Duration::from_nanos(60);
/// The bare ring's slots of 64 bytes.
const RING: Shape = Shape { size: 64, slots: 4096 };

pub(crate) fn measure(bench: &Bench) -> Vec<Row> {
    let mut contest = Contest::default();
    for (size, window) in STREAMS {
        let shape = if size == RING.size { RING } else { Shape { size, slots: window } };
        let anchor = if size == RING.size { "anchor.ring" } else { "anchor.blocks" };
        let mut rows = |mode, read, pacer: Pacer| {
            contest.row(Label::rate("stream.oneway", size, mode).against(anchor), move || {
                stream(bench, Flow { size, window, pacer }, read)
            });
            contest.also_bytes(Label::rate("stream.bytes", size, mode).against("anchor.memcpy"));
        };
        rows(Mode::Hot.name(), Read::Copied, Pacer::NONE);
        if size >= READ_IN_PLACE {
            rows("inplace", Read::InPlace, Pacer::NONE);
        }
        add_ring(&mut contest, bench, anchor, Mode::Hot.name(), shape, Pacer::NONE);
        if size == RING.size {
            let pacer = Pacer::new(PACE);
            rows_paced(&mut contest, bench, Flow { size, window, pacer });
        }
        let label = Label::rate("anchor.memcpy", size, Mode::Hot.name());
        contest.row(label.unit(Unit::BytesPerSecond), move || memcpy(bench, size));
    }
    contest.run(bench)
}

/// A producer that has something else to do, and is the slower side.
fn rows_paced<'a>(contest: &mut Contest<'a>, bench: &'a Bench, flow: Flow) {
    let label = Label::rate("stream.oneway", flow.size, "paced").against("anchor.ring");
    contest.row(label, move || stream(bench, flow, Read::Copied));
    add_ring(contest, bench, "anchor.ring", "paced", RING, flow.pacer);
}

fn add_ring<'a>(
    contest: &mut Contest<'a>,
    bench: &'a Bench,
    name: &'static str,
    mode: &'static str,
    shape: Shape,
    pacer: Pacer,
) {
    contest.row(Label::rate(name, shape.size, mode), move || ring(bench, shape, pacer));
}

/// What a producer does.
#[derive(Clone, Copy)]
pub(super) struct Flow {
    pub(super) size: usize,
    pub(super) window: u64,
    pub(super) pacer: Pacer,
}

/// Work that takes so long, without a look at a clock, which takes about as long itself.
#[derive(Clone, Copy)]
pub(super) struct Pacer {
    turns: u32,
}

impl Pacer {
    pub(super) const NONE: Self = Self { turns: 0 };
    const SAMPLE: u32 = 1 << 16;

    fn new(pace: Duration) -> Self {
        // The fastest of some: whatever else the machine does makes turns longer, never shorter.
        let fastest = (0..32).map(|_| {
            let start = Instant::now();
            Self { turns: Self::SAMPLE }.pause();
            start.elapsed()
        });
        let fastest = fastest.min().unwrap_or(pace);
        let turn = fastest.as_nanos() as f64 / f64::from(Self::SAMPLE);
        Self { turns: (pace.as_nanos() as f64 / turn) as u32 }
    }

    #[inline]
    fn pause(self) {
        for turn in 0..self.turns {
            std::hint::black_box(turn);
        }
    }
}

fn stream(bench: &Bench, flow: Flow, read: Read) -> Sample {
    let peer = bench.peer();
    let portal = peer.portal(Order::Sink { read, window: flow.window });
    produce(&portal, flow, bench.plan.slice / 10);
    let start = Instant::now();
    let count = produce(&portal, flow, bench.plan.slice);
    let sample = Sample::rate(count, start.elapsed());
    drop(portal);
    peer.done();
    sample
}

/// Streams for so long, and until all has been taken. Gives how much it was.
pub(super) fn produce(portal: &Portal, flow: Flow, time: Duration) -> u64 {
    let message = vec![7; flow.size];
    let (start, mut sent, mut credits) = (Instant::now(), 0_u64, flow.window);
    let returned = |credits: &mut u64| {
        let parcel = portal.recv_blocking().expect("credits");
        *credits += u64::from_le_bytes(parcel.bytes().try_into().expect("a number"));
    };
    // A look at the clock costs about as much as a small message.
    while !(sent.is_multiple_of(64) || flow.size > 4096) || start.elapsed() < time {
        while credits == 0 {
            returned(&mut credits);
        }
        write(portal, &message);
        credits -= 1;
        sent += 1;
        flow.pacer.pause();
    }
    portal.put("").expect("put");
    while credits < flow.window {
        returned(&mut credits);
    }
    sent
}

fn write(portal: &Portal, message: &[u8]) {
    if message.len() < WRITTEN_IN_PLACE {
        return portal.put(message).expect("put");
    }
    let mut put = portal.begin_put(message.len()).expect("room");
    put.copy_from_slice(message);
    put.commit().expect("put");
}

/// The other side: takes streams until their portals are closed.
pub(crate) fn sinks(read: Read, window: u64, portals: Vec<Portal>) {
    std::thread::scope(|scope| {
        let mut portals = portals.into_iter();
        let mine = portals.next();
        for portal in portals {
            scope.spawn(move || sink(read, window, portal));
        }
        mine.into_iter().for_each(|portal| sink(read, window, portal));
    });
}

fn sink(read: Read, window: u64, mut portal: Portal) {
    let mut taken = 0_u64;
    loop {
        let next = match read {
            Read::Copied => portal.recv_blocking().map(|parcel| {
                let bytes = std::hint::black_box(parcel.bytes());
                bytes.len()
            }),
            Read::InPlace => read_in_place(&mut portal),
        };
        let Ok(num_bytes) = next else { return };
        let is_end = num_bytes == 0;
        taken += u64::from(!is_end);
        if is_end || taken >= (window / 4).max(1) {
            if portal.put(&taken.to_le_bytes()).is_err() {
                return;
            }
            taken = 0;
        }
    }
}

/// Waits for a parcel and adds up its words where it is.
fn read_in_place(portal: &mut Portal) -> Result<usize, Disconnect> {
    loop {
        let refused = match portal.begin_get() {
            Ok(get) => {
                let words = get.as_chunks().0.iter().map(|word| u64::from_le_bytes(*word));
                std::hint::black_box(words.fold(0, u64::wrapping_add));
                let num_bytes = get.len();
                drop(get.commit());
                return Ok(num_bytes);
            }
            Err(refused) => refused,
        };
        match refused {
            TryRecvError::Empty => wait_until_there_is_one(portal),
            TryRecvError::Disconnected(why) => return Err(why),
        }
    }
}

fn wait_until_there_is_one(portal: &Portal) {
    let conditions = Conditions { above_parcels: Some(0), dead: true, ..Conditions::default() };
    let (tell, told) = channel::<()>();
    if portal.trap(conditions, move |_| drop(tell)).is_ok() {
        let _ = told.recv();
    }
}

fn ring(bench: &Bench, shape: Shape, pacer: Pacer) -> Sample {
    let message = vec![7; shape.size];
    let mut producer = Producer::start(bench.peer(), shape);
    let mut run = |time: Duration| {
        let (start, mut sent) = (Instant::now(), 0_u64);
        while !(sent.is_multiple_of(64) || shape.size > 4096) || start.elapsed() < time {
            producer.put(&message);
            sent += 1;
            pacer.pause();
        }
        producer.flush();
        Sample::rate(sent, start.elapsed())
    };
    run(bench.plan.slice / 10);
    let sample = run(bench.plan.slice);
    producer.stop();
    bench.peer().done();
    sample
}

/// One private buffer to another, in bytes a second.
fn memcpy(bench: &Bench, size: usize) -> Sample {
    let (from, mut to) = (vec![7_u8; size], vec![0; size]);
    let copies = operations(bench.plan.slice, || {
        to.copy_from_slice(std::hint::black_box(&from));
        std::hint::black_box(&mut to);
    });
    Sample { typical: size as f64 * 1e9 / copies.typical, singles: Vec::new() }
}
