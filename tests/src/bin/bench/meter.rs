//! Clocks: what one repetition of one row has found.

use std::time::{Duration, Instant};

/// Rounds between two looks at the clock, which itself costs a tenth of the fastest of them.
const BATCH: u32 = 16;
/// Rounds that take longer are always timed one by one: that costs them nothing that shows.
const SLOW: Duration = Duration::from_micros(5);
/// However slow rounds are, a repetition has so many.
const FEWEST: usize = 9;
/// Of a slice, what is not measured at its start.
const WARM_UP: u32 = 10;

/// One repetition of one row.
#[derive(Debug, Default)]
pub(crate) struct Sample {
    /// The figure: a median of latencies, or a rate.
    pub(crate) typical: f64,
    /// Single latencies, for the percentiles of all repetitions together.
    pub(crate) singles: Vec<f64>,
}

impl Sample {
    /// So many operations within so much time, for each second.
    pub(crate) fn rate(count: u64, time: Duration) -> Self {
        Self { typical: count as f64 / time.as_secs_f64(), singles: Vec::new() }
    }
}

/// The middle one. Of none: not a number.
pub(crate) fn median(values: &mut [f64]) -> f64 {
    percentile(values, 50)
}

/// The value that so many of a hundred do not exceed.
pub(crate) fn percentile(values: &mut [f64], percent: usize) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let index = (values.len() * percent / 100).min(values.len().saturating_sub(1));
    values.get(index).copied().unwrap_or(f64::NAN)
}

fn nanoseconds(time: Duration) -> f64 {
    time.as_nanos() as f64
}

#[derive(Debug, PartialEq)]
enum Phase {
    WarmUp,
    /// Rounds are timed by the batch: their median is the figure.
    Batches,
    /// Rounds are timed one by one, for the percentiles; if they are slow, for the figure too.
    Singles,
    Over,
}

/// Times rounds that follow each other without a pause.
#[derive(Debug)]
pub(crate) struct Meter {
    phase: Phase,
    start: Instant,
    slice: Duration,
    laps: u32,
    last: Instant,
    batches: Vec<f64>,
    singles: Vec<f64>,
}

impl Meter {
    pub(crate) fn start(slice: Duration) -> Self {
        let start = Instant::now();
        let (batches, singles) = (Vec::with_capacity(1 << 15), Vec::with_capacity(1 << 18));
        Self { phase: Phase::WarmUp, start, slice, laps: 0, last: start, batches, singles }
    }

    /// A round is over. Gives whether another one shall follow.
    #[inline]
    pub(crate) fn lap(&mut self) -> bool {
        self.laps = self.laps.wrapping_add(1);
        if self.phase != Phase::Batches || self.laps.is_multiple_of(BATCH) {
            self.look();
        }
        self.phase != Phase::Over
    }

    fn look(&mut self) {
        let now = Instant::now();
        let (spent, time) = (now - self.start, nanoseconds(now - self.last));
        match self.phase {
            Phase::WarmUp if spent > self.slice / WARM_UP => {
                let is_slow = spent / self.laps > SLOW;
                self.phase = if is_slow { Phase::Singles } else { Phase::Batches };
                self.laps = 0;
            }
            Phase::WarmUp | Phase::Over => {}
            Phase::Batches => {
                self.batches.push(time / f64::from(BATCH));
                if spent > self.slice / 2 {
                    self.phase = Phase::Singles;
                }
            }
            Phase::Singles => {
                self.singles.push(time);
                if spent > self.slice && self.singles.len() >= FEWEST {
                    self.phase = Phase::Over;
                }
            }
        }
        // What noting it down took belongs to no round.
        self.last = Instant::now();
    }

    pub(crate) fn finish(mut self) -> Sample {
        let figures = if self.batches.is_empty() { &mut self.singles } else { &mut self.batches };
        Sample { typical: median(figures), singles: self.singles }
    }
}

/// Times rounds one by one, each after something that is not timed. A round gives the time at which it
/// was over.
pub(crate) fn prepared<T>(
    slice: Duration,
    mut prepare: impl FnMut() -> T,
    mut round: impl FnMut(T) -> Instant,
) -> Sample {
    let start = Instant::now();
    let mut singles = Vec::new();
    while start.elapsed() < slice || singles.len() < FEWEST {
        let what = prepare();
        let begun = Instant::now();
        singles.push(nanoseconds(round(what).saturating_duration_since(begun)));
    }
    Sample { typical: median(&mut singles), singles }
}

/// Times an operation of this process alone.
pub(crate) fn operations(slice: Duration, mut operation: impl FnMut()) -> Sample {
    let mut meter = Meter::start(slice);
    loop {
        operation();
        if !meter.lap() {
            return meter.finish();
        }
    }
}
