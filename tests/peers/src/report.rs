//! The figures as people, programs and documents want them.

use serde::Serialize;

use crate::bench::Bench;
use crate::columns::Column;
use crate::contest::{Anchor, Figure, Subject};
use crate::machine;
use crate::options::Format;
use crate::placement::Pin;
use crate::work::{Unit, Work};

pub(crate) fn print(bench: &Bench, figures: &[Figure], format: Format) {
    let pin = bench.plan.placement.pin;
    match format {
        Format::Text => text(bench, figures, pin),
        Format::Json => {
            figures.iter().for_each(|figure| println!("{}", json(figure, figures, pin)))
        }
        Format::Markdown => markdown(bench, figures, pin),
    }
}

/// The anchor of a figure, and how it compares to it.
fn ratio(figure: &Figure, figures: &[Figure], pin: Pin) -> Option<(Anchor, f64)> {
    let Subject::Library(work, _) = figure.subject else { return None };
    let anchor = Anchor::of(work, pin)?;
    let found = figures.iter().find(|other| other.subject == Subject::Anchor(anchor))?;
    Some((anchor, figure.median / found.median))
}

fn names(figure: &Figure) -> (&'static str, &'static str) {
    match figure.subject {
        Subject::Anchor(anchor) => (anchor.name(), ""),
        Subject::Library(work, column) => (work.name(), column.name()),
    }
}

fn conditions(bench: &Bench) -> String {
    format!("{}; load {} before, {} after", bench.plan, bench.load, machine::load())
}

fn text(bench: &Bench, figures: &[Figure], pin: Pin) {
    println!("{}\n{}", machine::description(), conditions(bench));
    println!(
        "{:<20} {:<18} {:>9} {:>21} {:>9}  ratio to anchor",
        "row", "library", "median", "range", "p99"
    );
    for figure in figures {
        let (row, library) = names(figure);
        let number = |value| number(value, figure.subject.unit());
        let range = format!("{} .. {}", number(figure.low), number(figure.high));
        let ratio = ratio(figure, figures, pin)
            .map_or(String::new(), |(anchor, ratio)| format!("{ratio:.2} x {}", anchor.name()));
        let (median, p99) = (number(figure.median), number(figure.p99));
        let line = format!("{row:<20} {library:<18} {median:>9} {range:>21} {p99:>9}  {ratio}");
        println!("{}", line.trim_end());
    }
}

/// What other programs read.
#[derive(Serialize)]
struct Json {
    name: &'static str,
    library: &'static str,
    version: Option<&'static str>,
    median: f64,
    low: f64,
    high: f64,
    p99: f64,
    unit: &'static str,
    anchor: Option<&'static str>,
    ratio: Option<f64>,
}

fn json(figure: &Figure, figures: &[Figure], pin: Pin) -> String {
    let (name, library) = names(figure);
    let version = match figure.subject {
        Subject::Anchor(_) => None,
        Subject::Library(_, column) => Some(column.version()),
    };
    let unit = match figure.subject.unit() {
        Unit::Nanoseconds => "ns",
        Unit::Operations => "ops/s",
        Unit::BytesPerSecond => "B/s",
    };
    let (anchor, ratio) = ratio(figure, figures, pin).unzip();
    let anchor = anchor.map(Anchor::name);
    let Figure { median, low, high, p99, .. } = *figure;
    let json = Json { name, library, version, median, low, high, p99, unit, anchor, ratio };
    serde_json::to_string(&json).expect("numbers and names")
}

/// Footnotes, each with the number by which cells refer to it.
#[derive(Default)]
struct Notes(Vec<&'static str>);

impl Notes {
    fn refer(&mut self, note: &'static str) -> String {
        let known = self.0.iter().position(|other| *other == note);
        let index = known.unwrap_or_else(|| {
            self.0.push(note);
            self.0.len() - 1
        });
        format!("<sup>{}</sup>", index + 1)
    }
}

fn markdown(bench: &Bench, figures: &[Figure], pin: Pin) {
    let mut columns: Vec<_> = figures
        .iter()
        .filter_map(|figure| match figure.subject {
            Subject::Library(_, column) => Some(column),
            Subject::Anchor(_) => None,
        })
        .collect();
    columns.sort_unstable();
    columns.dedup();
    println!("{}; {}.", machine::description(), conditions(bench));
    println!("{}.\n", Column::versions(&columns));
    let names: Vec<_> = columns.iter().map(|column| column.name()).collect();
    println!("| work | {} | machine |", names.join(" | "));
    println!("| --- |{}", " --- |".repeat(columns.len() + 1));
    let mut notes = Notes::default();
    for work in Work::ALL {
        let cells: Vec<_> =
            columns.iter().map(|column| cell(work, *column, figures, &mut notes)).collect();
        let anchor = Anchor::of(work, pin)
            .map_or("–".to_owned(), |anchor| median_and_range(Subject::Anchor(anchor), figures));
        println!("| {} | {} | {anchor} |", work.title(), cells.join(" | "));
    }
    println!();
    for (index, note) in notes.0.iter().enumerate() {
        println!("{}. {note}", index + 1);
    }
    println!("\n| machine | median, range |\n| --- | --- |");
    for figure in figures {
        if let Subject::Anchor(anchor) = figure.subject {
            println!("| {} | {} |", anchor.title(), median_and_range(figure.subject, figures));
        }
    }
}

fn cell(work: Work, column: Column, figures: &[Figure], notes: &mut Notes) -> String {
    if let Some(why) = column.cannot(work) {
        return format!("–{}", notes.refer(why));
    }
    let figure = median_and_range(Subject::Library(work, column), figures);
    match column.remark(work) {
        Some(remark) => format!("{figure}{}", notes.refer(remark)),
        None => figure,
    }
}

fn median_and_range(subject: Subject, figures: &[Figure]) -> String {
    let Some(figure) = figures.iter().find(|figure| figure.subject == subject) else {
        return String::new();
    };
    let number = |value| number(value, subject.unit());
    format!("{} ({} .. {})", number(figure.median), number(figure.low), number(figure.high))
}

/// Three digits, and the unit that suits them.
fn number(value: f64, unit: Unit) -> String {
    let names: &[&str] = match unit {
        Unit::Nanoseconds => &["ns", "us", "ms", "s"],
        Unit::Operations => &["/s", "k/s", "M/s", "G/s"],
        Unit::BytesPerSecond => &["B/s", "kB/s", "MB/s", "GB/s"],
    };
    let mut value = value;
    let mut name = names[0];
    for next in &names[1..] {
        if value < 1000.0 {
            break;
        }
        (value, name) = (value / 1000.0, next);
    }
    let digits = match value {
        value if value < 10.0 => 2,
        value if value < 100.0 => 1,
        _ => 0,
    };
    format!("{value:.digits$} {name}")
}
