//! Rows that are taken in turn, so that whatever else the machine does hits them alike.

use crate::bench::Bench;
use crate::meter::{Sample, median, percentile};
use crate::rows::{Label, Row, Unit, compare};

struct Entry<'a> {
    label: Label,
    work: Box<dyn FnMut() -> Sample + 'a>,
    samples: Vec<Sample>,
    /// A second row of the same samples, in bytes.
    bytes: Option<Label>,
}

/// The rows of a group.
#[derive(Default)]
pub(crate) struct Contest<'a> {
    entries: Vec<Entry<'a>>,
}

impl<'a> Contest<'a> {
    /// Adds a row. `work` is one repetition of it.
    pub(crate) fn row(&mut self, label: Label, work: impl FnMut() -> Sample + 'a) {
        let work = Box::new(work);
        self.entries.push(Entry { label, work, samples: Vec::new(), bytes: None });
    }

    /// Makes a second row of the last one's rates, in bytes a second.
    pub(crate) fn also_bytes(&mut self, label: Label) {
        let last = self.entries.last_mut().expect("a row was added before");
        last.bytes = Some(label.unit(Unit::BytesPerSecond));
    }

    /// Takes all figures.
    pub(crate) fn run(mut self, bench: &Bench) -> Vec<Row> {
        for _ in 0..bench.plan.repetitions {
            for entry in &mut self.entries {
                bench.watchdog.expect(&format!("{} {}", entry.label.name, entry.label.mode));
                entry.samples.push((entry.work)());
            }
        }
        let mut rows = Vec::new();
        for entry in self.entries {
            let row = summary(entry.label, entry.samples);
            let bytes = entry.bytes.map(|label| in_bytes(&row, label));
            rows.push(row);
            rows.extend(bytes);
        }
        compare(&mut rows);
        rows
    }
}

fn summary(label: Label, samples: Vec<Sample>) -> Row {
    let mut typical: Vec<_> = samples.iter().map(|sample| sample.typical).collect();
    let mut singles: Vec<_> = samples.into_iter().flat_map(|sample| sample.singles).collect();
    let median = median(&mut typical);
    let (low, high) = (typical[0], typical[typical.len() - 1]);
    let p99 = match (singles.is_empty(), label.unit.is_rate()) {
        (false, _) => percentile(&mut singles, 99),
        (true, true) => low,
        (true, false) => high,
    };
    Row { label, median, low, high, p99, ratio: None }
}

fn in_bytes(row: &Row, label: Label) -> Row {
    let size = row.label.size as f64;
    Row {
        label,
        median: row.median * size,
        low: row.low * size,
        high: row.high * size,
        p99: row.p99 * size,
        ratio: None,
    }
}
