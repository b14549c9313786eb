//! What A prints: the scenes as they happen, or one JSON object at the end.

use std::cell::RefCell;
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::process::ExitStatus;

use crate::counter;
use crate::failure::{Failure, Outcome};
use crate::services::{Counts, Position, RoundTrips};
use crate::story::Losses;
use crate::workers::Worker;

/// What the whole tour has shown.
pub(crate) struct Report {
    pub(crate) counts: Counts,
    pub(crate) direct_link: bool,
    pub(crate) proxies_left: u64,
    pub(crate) round_trips: RoundTrips,
    pub(crate) peer_loss_ms: f64,
}

/// Prints each scene, unless the report is to be all.
pub(crate) struct Scene {
    json: bool,
    /// Why something could not be printed, where that was no reason to stop at once.
    failure: RefCell<Outcome<()>>,
}

impl Scene {
    pub(crate) fn new(json: bool) -> Self {
        Self { json, failure: RefCell::new(Ok(())) }
    }

    fn say(&self, text: &str) {
        let mut failure = self.failure.borrow_mut();
        if !self.json && failure.is_ok() {
            *failure = print(text);
        }
    }

    pub(crate) fn cast(&self, path: &Path, b: &Worker, c: &Worker) {
        self.say(&format!(
            "Three processes. A (process {}, this one) is a broker and has spawned two workers:
  B (process {}) is to count what is in {}
  C (process {}) is to draw how far B is
A is linked to both. B and C know nothing of each other.",
            std::process::id(),
            b.pid,
            one_line(path.display()),
            c.pid,
        ));
    }

    pub(crate) fn topology(&self, when: &str, a: &Position, (b, c): &(Position, Position)) {
        let names = [("A", a), ("B", b), ("C", c)];
        let letter = |name: &str| {
            names.iter().find(|(_, known)| known.name == name).map_or("?", |(letter, _)| letter)
        };
        self.say(&format!("\nTopology {when}:"));
        for (own, position) in names {
            let links = position.peers.iter().map(|(name, routes)| {
                format!("{} ({})", letter(name), count(*routes, "route", "routes"))
            });
            let mut links: Vec<_> = links.collect();
            links.sort();
            let links = if links.is_empty() { "nobody".to_owned() } else { links.join(", ") };
            let proxies = count(position.proxies, "proxy", "proxies");
            self.say(&format!("  {own} = node {}  {proxies}, linked to {links}", position.name));
        }
        if let Some(target) = &b.progress_leads_to {
            self.say(&format!("  B's reports of progress go straight to {}", letter(target)));
        }
    }

    pub(crate) fn passing(&self) {
        self.say("\nA passes B the open file, and an endpoint that C serves.");
    }

    pub(crate) fn counts(&self, on_the_way: u64, counts: &Counts) {
        let routers = count(on_the_way, "router", "routers");
        self.say(&format!("At first, {routers} of A passed on what B had to say to C."));
        let Counts { lines, words, bytes, sha256 } = counts;
        let sha256 = hex(sha256);
        self.say(&format!("\ncounts lines={lines} words={words} bytes={bytes} sha256={sha256}"));
    }

    pub(crate) fn link(&self, is_direct: bool, proxies_left: u64) {
        let proxies = count(proxies_left, "proxy is", "proxies are");
        self.say(&if is_direct {
            format!("B and C are linked directly, although nobody connected them. {proxies} left.")
        } else {
            format!("B and C are NOT linked directly. {proxies} left.")
        });
    }

    pub(crate) fn round_trips(&self, times: RoundTrips) {
        let RoundTrips { typed_ns, socketpair_ns } = times;
        self.say(&format!(
            "
There and back between B and C, the median of the quietest {} rounds of {}:
  typed call      {:>8.1} us (blocking)
  raw socketpair  {:>8.1} us (a typed call takes {:.1} times as long)",
            counter::ROUNDS_PER_BATCH,
            counter::ROUNDS,
            typed_ns as f64 / 1e3,
            socketpair_ns as f64 / 1e3,
            typed_ns as f64 / socketpair_ns.max(1) as f64,
        ));
    }

    pub(crate) fn losses(&self, losses: &Losses) {
        self.say("\nA kills B. Who learns of it, when and why:");
        for (who, (ms, reason)) in [("A", &losses.a), ("C", &losses.c)] {
            self.say(&format!("  {who} after {ms:.2} ms: {reason}"));
        }
    }

    /// Prints how the last worker ended, or the report. Gives the first failure of all.
    pub(crate) fn end(self, report: &Report, last: Option<ExitStatus>) -> Outcome<()> {
        if self.json {
            return print(&json(report));
        }
        self.say(&match last {
            Some(status) if status.success() => {
                "\nC has ended by itself. No process is left.".to_owned()
            }
            Some(status) => format!("\nC has ended ({status}). No process is left."),
            None => "\nC did not end by itself and was killed. No process is left.".to_owned(),
        });
        self.failure.into_inner()
    }
}

fn json(report: &Report) -> String {
    let Report { counts, round_trips, .. } = report;
    format!(
        "{{\"lines\":{},\"words\":{},\"bytes\":{},\"sha256\":\"{}\",\"direct_link\":{},\
         \"proxies_left\":{},\"typed_rtt_ns\":{},\"socketpair_rtt_ns\":{},\
         \"peer_loss_ms\":{:.3}}}",
        counts.lines,
        counts.words,
        counts.bytes,
        hex(&counts.sha256),
        report.direct_link,
        report.proxies_left,
        round_trips.typed_ns,
        round_trips.socketpair_ns,
        report.peer_loss_ms,
    )
}

/// Prints lines. That whoever reads them has left is no failure.
pub(crate) fn print(text: &str) -> Outcome<()> {
    match std::io::stdout().write_all(format!("{text}\n").as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::new(format_args!("cannot write the output: {error}")))
        }
        _ => Ok(()),
    }
}

/// A text on one line, whatever is in it.
pub(crate) fn one_line(text: impl std::fmt::Display) -> String {
    let mut line = String::new();
    for letter in text.to_string().chars() {
        if letter.is_control() { line.extend(letter.escape_default()) } else { line.push(letter) }
    }
    line
}

fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
