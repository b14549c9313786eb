//! Every interleaving of a small world.
//!
//! Engines are pure values, so a world is one too: it is cloned for each thing that can happen next,
//! and recognised by its hash when another order of events leads to it. Deliveries at different
//! nodes commute, so most orders meet again soon. A search of our own needs no model beside the
//! engine, and its states are the engine's own.
//!
//! *Canonical.* A state is what is stored: engines, queues and the model, by value; `Eq` and `Hash` of the
//! engine leave nothing out. Two states that differ only in ids of links, slots or secrets count as two,
//! which costs time and hides nothing. Orders that give out ids in another order end apart: "one end moves
//! twice" has 14 ends of which most are alike, so renaming could save up to a factor of ten in the large
//! worlds. It would need every id in every message renamed by a walk from the portals, a second reading of
//! the protocol that could merge what differs; the worlds that CI runs take seconds without it.
//!
//! *Partial orders.* Deliveries at different nodes commute, so one order of each pair would do for the
//! states at rest, but the invariants are checked in each state between, at one node each, and hashing
//! already folds the orders together: what is saved is transitions, not states.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::objects::Verdict;
use super::run::{caught, replay};
use super::script::Stage;
use super::step::Step;
use super::world::Violation;

/// What happens in a world besides deliveries: what stands in one list happens in that order.
#[derive(Clone, Copy, Debug)]
pub struct Plot {
    /// What it is called.
    pub name: &'static str,
    /// The lists, in the notation of scripts.
    pub actors: &'static [&'static [&'static str]],
    /// Whether it is small enough for every change to be checked with it.
    pub quick: bool,
}

impl Plot {
    /// Whether two routes are joined in it. Then it does not matter where they were opened.
    #[must_use]
    pub fn joins(&self) -> bool {
        self.actors.concat().contains(&"J")
    }
}

const fn quick(name: &'static str, actors: &'static [&'static [&'static str]]) -> Plot {
    Plot { name, actors, quick: true }
}

const fn slow(name: &'static str, actors: &'static [&'static [&'static str]]) -> Plot {
    Plot { name, actors, quick: false }
}

/// The worlds that have names.
pub const PLOTS: &[Plot] = &[
    quick("one end moves", &[&["M(0,2)"]]),
    quick("one end moves to the other's node", &[&["M(0,1)"]]),
    quick("one end moves and a parcel follows", &[&["P1", "P1"], &["P0", "M(0,2)"]]),
    quick("one end moves and is closed", &[&["M(0,2)", "C(0)"]]),
    quick("one end moves, the other is closed", &[&["M(0,2)"], &["P1", "C(1)"]]),
    quick("one end moves twice", &[&["M(0,2)", "M(0,1)"]]),
    quick("one end moves there and back", &[&["M(0,2)", "M(0,0)"]]),
    quick("both ends move to each other's node", &[&["M(0,1)"], &["M(1,0)"]]),
    quick("both ends move to one node", &[&["M(0,2)"], &["M(1,2)"]]),
    quick("one end moves, its old node crashes", &[&["M(0,2)"], &["X(0)"]]),
    quick("one end moves, its new node crashes", &[&["M(0,2)"], &["X(2)"]]),
    quick("one end moves, its peer's node crashes", &[&["M(0,2)"], &["X(1)"]]),
    quick("two routes are joined", &[&["J"], &["P0"], &["P1"]]),
    quick("two routes are joined, one end moves", &[&["J"], &["M(0,1)"]]),
    quick("two routes are joined, one end is closed", &[&["J"], &["P0", "C(0)"], &["P1"]]),
    quick("the ends of a route are joined", &[&["M(0,1)", "R"]]),
    quick(
        "the ends of a route meet at a third node and are joined",
        &[&["M(0,2)", "R"], &["M(1,2)"]],
    ),
    quick("two routes are joined, then their ends", &[&["J"], &["M(0,1)", "R"]]),
    quick("an object is put, then a parcel", &[&["O0", "P0"]]),
    quick("an object is put, its end moves", &[&["O0", "M(0,2)"]]),
    quick("an object is put, its end is closed", &[&["O0", "C(0)"]]),
    quick("an object is put, the other end moves", &[&["O0", "P0"], &["M(1,2)"]]),
    quick("an object is put, the other end is closed", &[&["O0"], &["C(1)"]]),
    quick("an object is put, the other end's node crashes", &[&["O0", "P0"], &["X(1)"]]),
    quick("an object is put where its end is to go", &[&["M(0,1)"], &["O1"]]),
    quick("an object cannot leave", &[&["N0"], &["M(1,2)"]]),
    slow("an object is put, both ends move", &[&["O0", "M(0,2)"], &["M(1,0)"]]),
    slow(
        "an object is put, both ends move, a node crashes",
        &[&["O0", "M(0,2)"], &["M(1,2)"], &["X(2)"]],
    ),
    slow("two objects are put, one end moves and is closed", &[&["O0", "O0", "M(0,2)", "C(0)"]]),
    slow("two routes are joined, with an object", &[&["J"], &["O0"], &["M(1,0)"]]),
    slow(
        "the ends of a route are joined, a node crashes",
        &[&["M(0,2)", "M(0,1)", "R"], &["X(2)"]],
    ),
    slow(
        "two routes are joined, then their ends at a third node",
        &[&["J"], &["M(0,0)", "R"], &["M(1,0)"]],
    ),
    slow("two routes are joined, both ends move", &[&["J"], &["M(0,1)"], &["M(1,2)"]]),
    slow("two routes are joined, one moves, one is closed", &[&["J"], &["M(0,1)"], &["C(1)"]]),
    slow("two routes are joined, a node crashes", &[&["J"], &["M(0,1)"], &["X(2)"]]),
    slow("three proxies, closed behind", &[&["M(0,2)", "M(0,1)", "M(0,0)"], &["C(1)"]]),
    slow("both ends move and are closed", &[&["M(0,2)", "P0", "C(0)"], &["M(1,0)", "C(1)"]]),
    slow("one end moves four times", &[&["M(0,2)", "M(0,1)", "M(0,0)", "M(0,2)"], &["P1"]]),
    slow("three proxies", &[&["M(0,2)", "M(0,1)", "M(0,0)"]]),
    slow("both ends move, one is closed", &[&["M(0,2)", "C(0)"], &["M(1,0)"]]),
    slow("both ends move, one twice", &[&["M(0,2)", "M(0,1)"], &["M(1,0)"]]),
    slow("both ends move, a node crashes", &[&["M(0,2)"], &["M(1,2)"], &["X(2)"]]),
    quick("both ends move, one to a third node", &[&["M(0,2)"], &["M(1,0)"]]),
    quick("one end moves, its introduction is refused", &[&["M(1,2)"], &["F"]]),
    quick(
        "one end moves, its introduction is refused, a node crashes",
        &[&["M(1,2)"], &["F"], &["X(1)"]],
    ),
    quick("one end moves and back, its introduction is refused", &[&["M(1,2)", "M(1,1)"], &["F"]]),
    quick("two routes are joined, the other end moves", &[&["J"], &["M(1,0)"]]),
    slow("two routes are joined, one is closed, one moves", &[&["J"], &["C(0)"], &["M(1,0)"]]),
    slow("one end moves twice and is closed", &[&["M(0,2)", "M(0,1)", "C(0)"]]),
    slow("one end moves twice, the other is closed", &[&["M(0,2)", "M(0,1)"], &["C(1)"]]),
    slow("one end moves twice, the first node crashes", &[&["M(0,2)", "M(0,1)"], &["X(0)"]]),
    slow("one end moves twice, the second node crashes", &[&["M(0,2)", "M(0,0)"], &["X(2)"]]),
    slow("one end moves twice, its peer's node crashes", &[&["M(0,2)", "M(0,0)"], &["X(1)"]]),
    slow("both ends move to each other's node, one is closed", &[&["M(0,1)", "C(0)"], &["M(1,0)"]]),
    slow(
        "both ends move to each other's node, one crashes",
        &[&["M(0,1)"], &["M(1,0)"], &["X(1)"]],
    ),
    slow("both ends move to one node, one is closed", &[&["M(0,2)"], &["M(1,2)", "C(1)"]]),
    slow("both ends move to one node, an old one crashes", &[&["M(0,2)"], &["M(1,2)"], &["X(1)"]]),
    slow("both ends move to a third node, it crashes", &[&["M(0,2)"], &["M(1,0)"], &["X(2)"]]),
    slow(
        "both ends move to a third node, the old one crashes",
        &[&["M(0,2)"], &["M(1,0)"], &["X(0)"]],
    ),
    slow(
        "both ends move to a third node, the other crashes",
        &[&["M(0,2)"], &["M(1,0)"], &["X(1)"]],
    ),
    slow("three proxies, closed in front", &[&["M(0,2)", "M(0,1)", "M(0,0)", "C(0)"]]),
    slow("three proxies, the first node crashes", &[&["M(0,2)", "M(0,1)", "M(0,0)"], &["X(0)"]]),
    slow("three proxies, the second node crashes", &[&["M(0,2)", "M(0,1)", "M(0,0)"], &["X(2)"]]),
    slow("three proxies, the third node crashes", &[&["M(0,2)", "M(0,1)", "M(0,0)"], &["X(1)"]]),
    slow("two routes are joined, the node of an end crashes", &[&["J"], &["M(0,1)"], &["X(0)"]]),
    slow("two routes are joined, the other end's node crashes", &[&["J"], &["M(0,2)"], &["X(1)"]]),
    slow(
        "two routes are joined, the other end moves, the node between crashes",
        &[&["J"], &["M(1,0)"], &["X(2)"]],
    ),
    slow(
        "two routes are joined, the other end moves, its old node crashes",
        &[&["J"], &["M(1,0)"], &["X(1)"]],
    ),
    slow(
        "two routes are joined, the other end moves, its new node crashes",
        &[&["J"], &["M(1,0)"], &["X(0)"]],
    ),
    slow(
        "two routes are joined, both ends move, the node between crashes",
        &[&["J"], &["M(0,1)"], &["M(1,0)"], &["X(2)"]],
    ),
    slow(
        "two routes are joined, the other end is closed, a node crashes",
        &[&["J"], &["P0", "C(1)"], &["X(2)"]],
    ),
    slow(
        "both ends move to a third node, the other is closed",
        &[&["M(0,2)"], &["M(1,0)", "C(1)"]],
    ),
    slow(
        "both ends move to one node, the other old one crashes",
        &[&["M(0,2)"], &["M(1,2)"], &["X(0)"]],
    ),
    slow(
        "both ends move to each other's node, the other crashes",
        &[&["M(0,1)"], &["M(1,0)"], &["X(0)"]],
    ),
    slow(
        "one end moves and is closed, its introduction is refused",
        &[&["M(1,2)", "C(1)"], &["F"]],
    ),
    slow(
        "one end moves, the other is closed, its introduction is refused",
        &[&["M(1,2)"], &["C(0)"], &["F"]],
    ),
    slow("both ends move twice", &[&["M(0,2)", "M(0,1)"], &["M(1,0)", "M(1,2)"]]),
    quick("two routes are joined, the introduction is refused", &[&["J"], &["F"]]),
    quick(
        "two routes are joined with parcels, the introduction is refused",
        &[&["J"], &["P0"], &["P1"], &["F"]],
    ),
    quick(
        "two routes are joined, the introduction is refused, one end is closed",
        &[&["J"], &["P0", "C(0)"], &["F"]],
    ),
    quick(
        "two routes are joined, the introduction is refused, the node between crashes",
        &[&["J"], &["F"], &["X(2)"]],
    ),
    slow(
        "two routes are joined, the introduction is refused, the node of an end crashes",
        &[&["J"], &["F"], &["X(0)"]],
    ),
    slow(
        "two routes are joined, the introduction is refused, one end moves",
        &[&["J"], &["F"], &["M(0,2)"]],
    ),
    slow(
        "two routes are joined, the introduction is refused, both ends move",
        &[&["J"], &["F"], &["M(0,2)"], &["M(1,2)"]],
    ),
    slow(
        "two routes are joined, the introduction is refused, one end moves and is closed",
        &[&["J"], &["F"], &["M(0,2)", "C(0)"]],
    ),
    quick("two routes are joined, the broker crashes", &[&["J"], &["XB"]]),
    quick("one end moves, the broker crashes", &[&["M(1,2)"], &["XB"]]),
    slow("one end moves there and back, the broker crashes", &[&["M(1,2)", "M(1,1)"], &["XB"]]),
    slow("two routes are joined, one end moves twice", &[&["J"], &["M(0,1)", "M(0,2)"]]),
    slow("two routes are joined, one end moves there and back", &[&["J"], &["M(0,2)", "M(0,0)"]]),
    slow(
        "two routes are joined, one end moves twice and is closed",
        &[&["J"], &["M(0,1)", "M(0,2)", "C(0)"]],
    ),
    slow("one end moves on and on, the node between crashes", &[&["M(0,2)", "M(0,1)"], &["X(2)"]]),
    slow(
        "one end moves twice, to its peer, whose node crashes",
        &[&["M(0,2)", "M(0,1)"], &["X(1)"]],
    ),
    slow("one end moves there and back, its node crashes", &[&["M(0,2)", "M(0,0)"], &["X(0)"]]),
    slow("one end moves there and back and is closed", &[&["M(0,2)", "M(0,0)", "C(0)"]]),
    slow("one end moves there and back, the other is closed", &[&["M(0,2)", "M(0,0)"], &["C(1)"]]),
    quick("a parcel is got in two phases, its sender moves", &[&["P1", "M(1,2)"], &["G0", "T0"]]),
    quick(
        "a get is given up, more comes, the peer closes",
        &[&["P1", "P1", "C(1)"], &["G0", "L0"]],
    ),
    quick("a get is given up, its portal moves", &[&["P1", "P1"], &["G0", "L0", "M(0,2)"]]),
    quick(
        "a parcel is got in two phases, its sender's node crashes",
        &[&["P1", "P1"], &["G0", "T0"], &["X(1)"]],
    ),
    quick("an object is got in two phases", &[&["M(0,1)"], &["O1"], &["G0", "L0", "M(0,2)"]]),
    quick("a portal is closed while a get is open", &[&["P1", "P1"], &["G0", "C(0)"]]),
    quick("a parcel is rejected", &[&["P1", "P1"], &["P0"], &["K01"]]),
    quick("a parcel is rejected, the end moves", &[&["P1"], &["M(0,2)"], &["K01"]]),
    slow("a parcel is rejected, both ends move", &[&["M(0,2)"], &["M(1,2)"], &["K21"]]),
    slow("two routes are joined, one of them is rejected", &[&["J"], &["P0"], &["P1"], &["K21"]]),
];

/// What a search found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Different states.
    pub states: usize,
    /// How many of them nothing follows.
    pub ends: usize,
    /// The longest way to a new state.
    pub depth: usize,
    /// Whether it was given up before everything was seen.
    pub cut_short: bool,
    /// What did not hold, if something did not.
    pub violation: Option<Violation>,
}

#[derive(Clone)]
struct State {
    stage: Stage,
    /// How much of each actor's list has happened.
    progress: Vec<usize>,
    depth: usize,
}

impl State {
    fn hash(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.stage.world.hash(&mut hasher);
        self.progress.hash(&mut hasher);
        hasher.finish()
    }

    /// Everything that can happen next.
    fn followers(&self, plot: &Plot) -> Result<Vec<Self>, Violation> {
        let mut followers = Vec::new();
        for (conn, side) in self.stage.world.deliverable() {
            let mut next = self.clone();
            next.stage.world.apply(&Step::Deliver { conn, side })?;
            next.stage.take()?;
            followers.push(next);
        }
        let mut next = self.clone();
        if next.stage.world.apply(&Step::Answer { node: 0, grant: true })? {
            followers.push(next);
        }
        for (node, nth) in self.stage.world.serializing() {
            for verdict in [Verdict::Ready, Verdict::Refused] {
                let mut next = self.clone();
                next.stage.world.apply(&Step::Serialize { node, nth, verdict })?;
                followers.push(next);
            }
        }
        for (index, list) in plot.actors.iter().enumerate() {
            let Some(word) = list.get(self.progress[index]) else { continue };
            let mut next = self.clone();
            next.stage.play(word)?;
            if next.stage.world != self.stage.world {
                next.progress[index] += 1;
                followers.push(next);
            }
        }
        Ok(followers)
    }
}

/// Looks at every state that a plot can lead to, `limit` at most.
#[must_use]
pub fn explore(plot: &Plot, opened_at: usize, salt: u64, limit: usize) -> Found {
    let mut found = Found::default();
    found.violation = caught(|| search(plot, opened_at, salt, limit, &mut found));
    found
}

fn search(
    plot: &Plot,
    opened_at: usize,
    salt: u64,
    limit: usize,
    found: &mut Found,
) -> Result<(), Violation> {
    let words = plot.actors.concat();
    let parted = words.contains(&"F") || words.contains(&"XB");
    let stage = match (plot.joins(), parted) {
        (true, true) => Stage::seamed_and_parted(salt)?,
        (true, false) => Stage::seamed(salt)?,
        (false, true) => Stage::parted(opened_at, salt)?,
        (false, false) => Stage::new(opened_at, salt)?,
    };
    let start = State { stage, progress: vec![0; plot.actors.len()], depth: 0 };
    let mut seen = HashSet::from([start.hash()]);
    let mut todo = vec![start];
    while let Some(state) = todo.pop() {
        found.states += 1;
        found.depth = found.depth.max(state.depth);
        if found.states >= limit {
            found.cut_short = true;
            return Ok(());
        }
        let followers = state.followers(plot)?;
        if followers.is_empty() {
            found.ends += 1;
            if let Some(violation) = replay(&state.stage.world, &[], 0).violation {
                return Err(violation);
            }
        }
        for mut next in followers {
            if seen.insert(next.hash()) {
                next.depth += 1;
                todo.push(next);
            }
        }
    }
    Ok(())
}
