//! The rows of the report.

use std::time::{Duration, Instant};

/// How often each figure is taken.
const REPETITIONS: usize = 9;

/// One figure.
struct Row {
    name: &'static str,
    size: usize,
    mode: &'static str,
    median: f64,
    p99: f64,
    unit: &'static str,
    anchor: Option<&'static str>,
}

/// All figures of a run.
#[derive(Default)]
pub(crate) struct Rows {
    rows: Vec<Row>,
}

impl Rows {
    /// Times `work`, which does something `count` times, and notes the nanoseconds for each. Gives the
    /// median.
    pub(crate) fn time(
        &mut self,
        name: &'static str,
        size: usize,
        mode: &'static str,
        anchor: Option<&'static str>,
        count: usize,
        mut work: impl FnMut(usize),
    ) -> f64 {
        work(count / 10 + 1);
        let mut samples: Vec<_> = (0..REPETITIONS)
            .map(|_| {
                let start = Instant::now();
                work(count);
                nanoseconds(start.elapsed()) / count as f64
            })
            .collect();
        samples.sort_unstable_by(f64::total_cmp);
        let (median, p99) = (samples[samples.len() / 2], samples[samples.len() - 1]);
        self.rows.push(Row { name, size, mode, median, p99, unit: "ns", anchor });
        median
    }

    /// Notes a figure that is exact.
    pub(crate) fn note(&mut self, name: &'static str, size: usize, value: f64, unit: &'static str) {
        self.rows.push(Row { name, size, mode: "", median: value, p99: value, unit, anchor: None });
    }

    fn ratio(&self, row: &Row) -> Option<f64> {
        let anchor = self.rows.iter().find(|other| Some(other.name) == row.anchor)?;
        Some(row.median / anchor.median)
    }

    pub(crate) fn print(&self, json: bool) {
        for row in &self.rows {
            let ratio = self.ratio(row);
            let Row { name, size, mode, median, p99, unit, anchor } = row;
            if json {
                let anchor = anchor.map_or("null".to_owned(), |anchor| format!("\"{anchor}\""));
                let ratio = ratio.map_or("null".to_owned(), |ratio| format!("{ratio:.3}"));
                println!(
                    "{{\"name\":\"{name}\",\"size\":{size},\"mode\":\"{mode}\",\
                     \"median\":{median:.2},\"p99\":{p99:.2},\"unit\":\"{unit}\",\
                     \"anchor\":{anchor},\"ratio\":{ratio}}}"
                );
            } else {
                let ratio = match (anchor, ratio) {
                    (Some(anchor), Some(ratio)) => format!("{ratio:.2} x {anchor}"),
                    _ => String::new(),
                };
                println!("{name:<16} {size:>9} {mode:<10} {median:>12.1} {unit:<4} {ratio}");
            }
        }
    }
}

fn nanoseconds(time: Duration) -> f64 {
    time.as_nanos() as f64
}
