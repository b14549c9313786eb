//! The groups of rows.

pub(crate) mod call;
pub(crate) mod endpoints;
mod local;
mod memory;
mod nodes;
mod outstanding;
pub(crate) mod rtt;
mod scale;
pub(crate) mod stream;
mod threads;
mod wake;

use crate::bench::Bench;
use crate::rows::Row;

type Group = (&'static str, fn(&Bench) -> Vec<Row>);

/// All groups, in the order of the report. Memory comes before there is a worker: what a node with
/// connections frees, it frees in its own time.
pub(crate) const GROUPS: &[Group] = &[
    ("memory", memory::measure),
    ("local", local::measure),
    ("rtt", rtt::measure),
    ("wake", wake::measure),
    ("call", call::measure),
    ("outstanding", outstanding::measure),
    ("stream", stream::measure),
    ("threads", threads::measure),
    ("endpoints", endpoints::measure),
    ("scale", scale::measure),
];
