//! All figures of a run. Rows are taken in turn, so that whatever else the machine does hits them
//! alike.

use crate::anchors::{Kind, Producer, Shape, Way};
use crate::bench::{Bench, Mode};
use crate::columns::Column;
use crate::flow::{self, Outlet};
use crate::libraries;
use crate::meter::{Sample, median, operations, percentile};
use crate::placement::Pin;
use crate::work::{BALL, KIB, LARGE, MIB, Unit, Work, window};

/// What the machine itself costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Anchor {
    /// There and back.
    Way(Way, Mode),
    /// One way, through bare shared memory.
    Ring { size: usize },
    /// 1 MiB copied once within a process.
    Copy,
}

impl Anchor {
    const ALL: [Self; 11] = [
        Self::Way(Way::Spin, Mode::Hot),
        Self::Way(Way::Futex, Mode::Hot),
        Self::Way(Way::Eventfd, Mode::Hot),
        Self::Way(Way::Socket(Kind::Stream), Mode::Hot),
        Self::Way(Way::Socket(Kind::SeqPacket), Mode::Hot),
        Self::Way(Way::Futex, Mode::Idle),
        Self::Way(Way::Socket(Kind::Stream), Mode::Idle),
        Self::Ring { size: BALL },
        Self::Ring { size: 64 * KIB },
        Self::Ring { size: MIB },
        Self::Copy,
    ];

    /// The least that this work could take.
    pub(crate) fn of(work: Work, pin: Pin) -> Option<Self> {
        Some(match work {
            // On one CPU nobody gains by spinning.
            Work::RoundTrip | Work::Add | Work::Echo32 if pin == Pin::Same => {
                Self::Way(Way::Futex, Mode::Hot)
            }
            Work::RoundTrip | Work::Add | Work::Echo32 => Self::Way(Way::Spin, Mode::Hot),
            Work::Asleep => Self::Way(Way::Futex, Mode::Idle),
            Work::Outstanding => Self::Ring { size: BALL },
            Work::Stream { size } => Self::Ring { size },
            Work::Vector | Work::Bytes => Self::Copy,
            Work::Endpoints => return None,
        })
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Way(way, Mode::Hot) => way.name(),
            Self::Way(Way::Futex, Mode::Idle) => "anchor.futex.asleep",
            Self::Way(_, Mode::Idle) => "anchor.stream.asleep",
            Self::Ring { size: BALL } => "anchor.ring.64",
            Self::Ring { size: MIB } => "anchor.blocks.1M",
            Self::Ring { .. } => "anchor.blocks.64K",
            Self::Copy => "anchor.copy",
        }
    }

    /// The same in words.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Way(Way::Spin, _) => "cache line there and back, both spin",
            Self::Way(Way::Futex, Mode::Hot) => "futex there and back",
            Self::Way(Way::Futex, Mode::Idle) => "futex, idle for 2 ms before",
            Self::Way(Way::Eventfd, _) => "eventfd there and back",
            Self::Way(Way::Socket(Kind::Stream), Mode::Hot) => "64 B over a stream socket pair",
            Self::Way(Way::Socket(Kind::Stream), Mode::Idle) => {
                "stream socket pair, idle for 2 ms before"
            }
            Self::Way(Way::Socket(Kind::SeqPacket), _) => "64 B over a seqpacket socket pair",
            Self::Ring { size: BALL } => "bare ring one way, 64 B",
            Self::Ring { size: MIB } => "bare ring one way, 1 MiB",
            Self::Ring { .. } => "bare ring one way, 64 KiB",
            Self::Copy => "1 MiB copied within a process",
        }
    }

    fn unit(self) -> Unit {
        match self {
            Self::Way(..) | Self::Copy => Unit::Nanoseconds,
            Self::Ring { size: BALL } => Unit::Operations,
            Self::Ring { .. } => Unit::BytesPerSecond,
        }
    }

    fn scale(self) -> f64 {
        match (self, self.unit()) {
            (Self::Ring { size }, Unit::BytesPerSecond) => size as f64,
            _ => 1.0,
        }
    }

    fn measure(self, bench: &Bench) -> Sample {
        match self {
            Self::Way(way, mode) => way.measure(bench, mode),
            Self::Ring { size } => ring(bench, size),
            Self::Copy => {
                let (from, mut to) = (vec![7_u8; LARGE], vec![0; LARGE]);
                operations(bench.plan.slice(Mode::Hot), || {
                    to.copy_from_slice(std::hint::black_box(&from));
                    std::hint::black_box(&mut to);
                })
            }
        }
    }
}

/// Copied in and copied out, but unlike those of the rows not read.
fn ring(bench: &Bench, size: usize) -> Sample {
    struct Ring {
        producer: Producer,
        message: Vec<u8>,
    }
    impl Outlet for Ring {
        fn put(&mut self, is_last: bool) {
            match is_last {
                true => self.producer.flush(),
                false => self.producer.put(&self.message),
            }
        }

        fn returned(&mut self) -> u64 {
            u64::MAX / 2
        }
    }
    let slots = if size > BALL { window(size) } else { 4096 };
    let producer = Producer::start(bench.peer(), Shape { size, slots });
    let mut ring = Ring { producer, message: vec![7; size] };
    let sample = bench.rate(|time| flow::produce(&mut ring, slots, time));
    ring.producer.stop();
    bench.peer().done();
    sample
}

/// What a figure is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    Anchor(Anchor),
    Library(Work, Column),
}

impl Subject {
    pub(crate) fn unit(self) -> Unit {
        match self {
            Self::Anchor(anchor) => anchor.unit(),
            Self::Library(work, _) => work.unit(),
        }
    }

    fn scale(self) -> f64 {
        match self {
            Self::Anchor(anchor) => anchor.scale(),
            Self::Library(work, _) => work.scale(),
        }
    }

    fn measure(self, bench: &Bench) -> Sample {
        match self {
            Self::Anchor(anchor) => anchor.measure(bench),
            Self::Library(work, column) => libraries::measure(column, work, bench),
        }
    }
}

/// A figure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figure {
    pub(crate) subject: Subject,
    pub(crate) median: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
    pub(crate) p99: f64,
}

/// Takes all figures.
pub(crate) fn run(bench: &Bench, columns: &[Column]) -> Vec<Figure> {
    let mut subjects: Vec<_> = Anchor::ALL.into_iter().map(Subject::Anchor).collect();
    for work in Work::ALL {
        let able = columns.iter().filter(|column| column.cannot(work).is_none());
        subjects.extend(able.map(|column| Subject::Library(work, *column)));
    }
    let mut samples: Vec<_> = subjects.iter().map(|_| Vec::new()).collect();
    for _ in 0..bench.plan.repetitions {
        for (subject, samples) in subjects.iter().zip(&mut samples) {
            bench.watchdog.expect(&format!("{subject:?}"));
            samples.push(subject.measure(bench));
        }
    }
    subjects.into_iter().zip(samples).map(|(subject, samples)| summary(subject, samples)).collect()
}

fn summary(subject: Subject, samples: Vec<Sample>) -> Figure {
    let scale = subject.scale();
    let mut typical: Vec<_> = samples.iter().map(|sample| sample.typical * scale).collect();
    let mut singles: Vec<_> = samples.into_iter().flat_map(|sample| sample.singles).collect();
    let median = median(&mut typical);
    let (low, high) = (typical[0], typical[typical.len() - 1]);
    let p99 = match (singles.is_empty(), subject.unit()) {
        (false, _) => percentile(&mut singles, 99),
        (true, Unit::Nanoseconds) => high,
        (true, Unit::Operations | Unit::BytesPerSecond) => low,
    };
    Figure { subject, median, low, high, p99 }
}
