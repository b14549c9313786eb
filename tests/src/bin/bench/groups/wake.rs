//! A message after two idle milliseconds, and its answer: what it takes to wake everybody up.

use crate::anchors::Way;
use crate::bench::{Bench, Mode};
use crate::contest::Contest;
use crate::groups::rtt::{add_anchor, round_trips};
use crate::order::Wait;
use crate::rows::{Label, Row};

pub(super) fn measure(bench: &Bench) -> Vec<Row> {
    let mode = Mode::Idle;
    let mut contest = Contest::default();
    for (name, wait) in
        [("wake.blocking", Wait::Blocking), ("wake.async", Wait::Async), ("wake.trap", Wait::Trap)]
    {
        let label = Label::time(name, 64, mode.name()).against(Way::Futex.name());
        contest.row(label, move || round_trips(bench, wait, mode));
    }
    add_anchor(&mut contest, bench, Way::Futex, mode);
    add_anchor(&mut contest, bench, Way::Eventfd, mode);
    contest.run(bench)
}
