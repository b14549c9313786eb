//! The bench's output, which others read. What it measures is nobody's business here.

use std::collections::BTreeSet;
use std::process::{Command, Output};

use serde_json::{Map, Value};

type Row = Map<String, Value>;

const UNITS: &[&str] = &["ns", "ops/s", "B/s", "B"];

fn bench(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bench"));
    command.args(arguments).output().expect("the bench is there")
}

/// The rows of a group, each of which has to be a line of the shape that is promised.
fn rows(group: &str, pin: &str) -> Vec<Row> {
    let output = bench(&["--quick", "--json", "--only", group, "--pin", pin]);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {errors}", output.status);
    let text = String::from_utf8(output.stdout).expect("text");
    let rows: Vec<_> = text.lines().map(row).collect();
    let names: BTreeSet<_> = rows.iter().map(|row| row["name"].as_str().unwrap()).collect();
    for row in &rows {
        check_anchor(row, &names);
    }
    rows
}

fn row(line: &str) -> Row {
    let row: Row = serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    let fields: Vec<_> = row.keys().map(String::as_str).collect();
    assert_eq!(
        fields,
        ["anchor", "median", "mode", "name", "p99", "ratio", "size", "unit"],
        "{line}"
    );
    assert!(row["name"].is_string() && row["mode"].is_string(), "{line}");
    assert!(row["size"].is_u64(), "{line}");
    assert!(row["unit"].as_str().is_some_and(|unit| UNITS.contains(&unit)), "{line}");
    for figure in ["median", "p99"] {
        assert!(row[figure].as_f64().is_some_and(|figure| figure > 0.0), "{line}");
    }
    row
}

/// Whoever names an anchor has a row of that name in the same run, and a ratio to it.
fn check_anchor(row: &Row, names: &BTreeSet<&str>) {
    match row["anchor"].as_str() {
        Some(anchor) => {
            assert!(names.contains(anchor), "{row:?}");
            assert!(row["ratio"].as_f64().is_some_and(|ratio| ratio > 0.0), "{row:?}");
        }
        None => assert!(row["anchor"].is_null() && row["ratio"].is_null(), "{row:?}"),
    }
}

fn assert_has(rows: &[Row], name: &str, mode: &str, unit: &str) {
    let found = rows.iter().any(|row| {
        (row["name"].as_str(), row["mode"].as_str(), row["unit"].as_str())
            == (Some(name), Some(mode), Some(unit))
    });
    assert!(found, "no {name} {mode} in {unit} among {rows:?}");
}

#[test]
fn rows_of_one_process_are_json() {
    let rows = rows("local", "none");
    assert_has(&rows, "local.putget", "hot", "ns");
    assert_has(&rows, "local.pair", "hot", "ns");
    assert_has(&rows, "anchor.malloc", "hot", "ns");
}

#[test]
fn rows_of_two_processes_are_json() {
    // On one CPU, which every machine has.
    let rows = rows("rtt", "same");
    for mode in ["hot", "asleep"] {
        for name in ["rtt.blocking", "rtt.async", "rtt.trap"] {
            assert_has(&rows, name, mode, "ns");
        }
        for name in ["anchor.futex", "anchor.eventfd", "anchor.stream", "anchor.seqpacket"] {
            assert_has(&rows, name, mode, "ns");
        }
    }
    assert_has(&rows, "anchor.spin", "hot", "ns");
    assert_has(&rows, "rtt.blocking", "stranger", "ns");
}

#[test]
fn the_other_groups_name_what_others_rely_on() {
    assert_has(&rows("outstanding", "same"), "outstanding.64", "hot", "ops/s");
    assert_has(&rows("endpoints", "same"), "endpoints.transfer", "hot", "ops/s");
    let calls = rows("call", "same");
    for name in ["call.add", "call.echo32", "call.vec"] {
        assert_has(&calls, name, "hot", "ns");
    }
    let streams = rows("stream", "same");
    assert_has(&streams, "stream.oneway", "hot", "ops/s");
    assert_has(&streams, "stream.oneway", "paced", "ops/s");
    assert_has(&streams, "stream.bytes", "hot", "B/s");
    let memory = rows("memory", "none");
    assert_has(&memory, "memory.local", "pair", "B");
    assert_has(&memory, "memory.remote", "pair", "B");
}

#[test]
fn the_table_has_a_line_for_each_row_and_one_head() {
    let output = bench(&["--quick", "--only", "local"]);
    assert!(output.status.success(), "{}", output.status);
    let text = String::from_utf8(output.stdout).expect("text");
    let names: Vec<_> = text.lines().map(|line| line.split(' ').next().unwrap_or("")).collect();
    assert_eq!(names[1..], ["name", "local.putget", "local.pair", "anchor.malloc"], "{text}");
}

#[test]
fn what_is_asked_for_and_not_there_is_refused() {
    for wrong in [&["--only", "nothing"][..], &["--pin", "twice"], &["--fast"], &["--only"]] {
        let output = bench(wrong);
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("usage:"), "{wrong:?}");
        assert!(output.stdout.is_empty(), "{wrong:?}");
    }
}

#[test]
fn a_worker_of_nobody_says_so_and_ends() {
    let output = bench(&["worker"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no worker of anybody"));
}
