//! Rows as people read them.

use crate::rows::{Row, Unit};

pub(crate) const HEAD: &str = "\
name                    size mode         median                 range         p99  ratio to anchor";

/// One line below [`HEAD`].
pub(crate) fn line(row: &Row) -> String {
    let label = &row.label;
    let number = |value| number(value, label.unit);
    let (median, p99) = (number(row.median), number(row.p99));
    let range = match row.low == row.high {
        true => String::new(),
        false => format!("{} .. {}", number(row.low), number(row.high)),
    };
    let ratio = match (label.anchor, row.ratio) {
        (Some(anchor), Some(ratio)) => format!("{ratio:.2} x {anchor}"),
        _ => String::new(),
    };
    let line = format!(
        "{:<18} {:>9} {:<9} {median:>9} {range:>21} {p99:>11}  {ratio}",
        label.name, label.size, label.mode
    );
    line.trim_end().to_owned()
}

/// Three digits, and the unit that suits them.
fn number(value: f64, unit: Unit) -> String {
    let (scale, names): (f64, &[&str]) = match unit {
        Unit::Nanoseconds => (1000.0, &["ns", "us", "ms", "s"]),
        Unit::Operations => (1000.0, &["/s", "k/s", "M/s", "G/s"]),
        Unit::BytesPerSecond => (1000.0, &["B/s", "kB/s", "MB/s", "GB/s", "TB/s"]),
        Unit::Bytes => (f64::INFINITY, &["B"]),
        Unit::Loads => (f64::INFINITY, &[""]),
    };
    let mut value = value;
    let mut name = names[0];
    for next in &names[1..] {
        if value < scale {
            break;
        }
        (value, name) = (value / scale, next);
    }
    let digits = match value.abs() {
        value if value < 10.0 => 2,
        value if value < 100.0 => 1,
        _ => 0,
    };
    format!("{value:.digits$}{name}")
}
