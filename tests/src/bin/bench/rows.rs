//! The rows of the report.

use serde::Serialize;

/// What a figure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) enum Unit {
    #[serde(rename = "ns")]
    Nanoseconds,
    #[serde(rename = "ops/s")]
    Operations,
    #[serde(rename = "B/s")]
    BytesPerSecond,
    #[serde(rename = "B")]
    Bytes,
    #[serde(rename = "loads")]
    Loads,
}

impl Unit {
    /// Whether more is better.
    pub(crate) fn is_rate(self) -> bool {
        matches!(self, Self::Operations | Self::BytesPerSecond)
    }
}

/// What a row is about.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Label {
    pub(crate) name: &'static str,
    pub(crate) size: usize,
    pub(crate) mode: &'static str,
    pub(crate) unit: Unit,
    pub(crate) anchor: Option<&'static str>,
}

impl Label {
    /// A latency, with nothing to compare it to.
    pub(crate) fn time(name: &'static str, size: usize, mode: &'static str) -> Self {
        Self { name, size, mode, unit: Unit::Nanoseconds, anchor: None }
    }

    /// So many a second.
    pub(crate) fn rate(name: &'static str, size: usize, mode: &'static str) -> Self {
        Self { name, size, mode, unit: Unit::Operations, anchor: None }
    }

    pub(crate) fn unit(mut self, unit: Unit) -> Self {
        self.unit = unit;
        self
    }

    /// Compared to the row of this name, of the same group, whose mode and size are nearest.
    pub(crate) fn against(mut self, anchor: &'static str) -> Self {
        self.anchor = Some(anchor);
        self
    }
}

/// A figure.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) label: Label,
    pub(crate) median: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
    pub(crate) p99: f64,
    pub(crate) ratio: Option<f64>,
}

/// What others read.
#[derive(Serialize)]
struct Json {
    name: &'static str,
    size: usize,
    mode: &'static str,
    median: f64,
    p99: f64,
    unit: Unit,
    anchor: Option<&'static str>,
    ratio: Option<f64>,
}

impl Row {
    /// A figure that was taken once.
    pub(crate) fn exact(label: Label, value: f64) -> Self {
        Self { label, median: value, low: value, high: value, p99: value, ratio: None }
    }

    /// One line.
    pub(crate) fn json(&self) -> String {
        let Label { name, size, mode, unit, anchor } = self.label;
        let round = |value: f64| (value * 1000.0).round() / 1000.0;
        let (median, p99) = (round(self.median), round(self.p99));
        // Small ones keep their digits: some rows are a thousandth of what they are compared to.
        let ratio = self.ratio.map(|ratio| (ratio * 1e6).round() / 1e6);
        let json = Json { name, size, mode, median, p99, unit, anchor, ratio };
        serde_json::to_string(&json).expect("numbers and names")
    }
}

/// Fills in the ratios of a group's rows.
pub(crate) fn compare(rows: &mut [Row]) {
    let known = rows.to_vec();
    for (index, row) in rows.iter_mut().enumerate() {
        let Some(name) = row.label.anchor else { continue };
        let nearness = |other: &Label| {
            (
                other.mode == row.label.mode,
                other.size == row.label.size,
                other.unit == row.label.unit,
            )
        };
        // Of equally near ones the first; a row is no anchor of its own.
        let others = known.iter().enumerate().rev().filter(|(other, _)| *other != index);
        let named = others.map(|(_, other)| other).filter(|other| other.label.name == name);
        let anchor = named.max_by_key(|other| nearness(&other.label));
        row.ratio = anchor.map(|anchor| row.median / anchor.median);
    }
}
