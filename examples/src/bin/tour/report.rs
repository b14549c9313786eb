//! What A prints: the scenes as they happen, or one JSON object at the end.

use std::path::Path;

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
}

impl Scene {
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    /// Prints a scene. Who reads it may have gone away, which is no reason to stop.
    fn say(&self, text: &str) {
        use std::io::Write;
        if !self.json {
            let _ = writeln!(std::io::stdout(), "{text}");
        }
    }

    pub(crate) fn cast(&self, path: &Path, b: &Worker, c: &Worker) {
        self.say(&format!(
            "Three processes: A (this one, {}) is a broker. It spawned B ({}), which counts {},\n\
             and C ({}), which draws B's progress. A is linked to both; B and C know nothing of each \
             other.",
            std::process::id(),
            b.pid,
            path.display(),
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
            let peers = position.peers.iter();
            let peers: Vec<_> =
                peers.map(|(name, routes)| format!("{} ({routes} routes)", letter(name))).collect();
            self.say(&format!(
                "  {own} = node {}: linked to {}; {} proxies",
                position.name,
                if peers.is_empty() { "nobody".to_owned() } else { peers.join(", ") },
                position.proxies,
            ));
        }
        if let Some(target) = &b.progress_leads_to {
            self.say(&format!("  B's progress goes straight to {}", letter(target)));
        }
    }

    pub(crate) fn on_the_way(&self, a: &Position) {
        self.say(&format!(
            "\nA passes B the open file and the endpoint that C serves. A's routers that now pass \
             on\nwhat B says to C, until B and C are linked: {}",
            a.proxies
        ));
    }

    pub(crate) fn counts(&self, counts: &Counts) {
        let Counts { lines, words, bytes, sha256 } = counts;
        let sha256 = hex(sha256);
        self.say(&format!("\ncounts lines={lines} words={words} bytes={bytes} sha256={sha256}"));
    }

    pub(crate) fn round_trips(&self, times: RoundTrips) {
        let RoundTrips { typed_ns, socketpair_ns } = times;
        self.say(&format!(
            "\nThere and back between B and C, medians of blocking calls:\n  \
             typed call        {:>8.1} us\n  \
             raw socketpair    {:>8.1} us   (the typed call takes {:.2} times as long)",
            typed_ns as f64 / 1e3,
            socketpair_ns as f64 / 1e3,
            typed_ns as f64 / socketpair_ns.max(1) as f64,
        ));
    }

    pub(crate) fn losses(&self, losses: &Losses) {
        self.say("\nA kills B. Who learns of it:");
        for (who, (ms, reason)) in [("A", &losses.a), ("C", &losses.c)] {
            self.say(&format!("  {who} after {ms:.2} ms: {reason}"));
        }
    }

    pub(crate) fn end(&self, report: &Report) {
        if self.json {
            let Report { counts, round_trips, .. } = report;
            println!(
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
            );
        }
        let link = if report.direct_link { "direct" } else { "NOT direct" };
        self.say(&format!(
            "\nThe link of B and C was {link}; proxies left: {}. Both workers end with this.",
            report.proxies_left
        ));
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
