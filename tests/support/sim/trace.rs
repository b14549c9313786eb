//! Traces as text: the world that it begins with, then a step a line. What follows a `#` is for people.

use std::fmt;
use std::str::FromStr;

use super::run::{Outcome, replay};
use super::step::Step;
use super::text::{Text, parse};
use super::world::World;

/// What a world is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// How many nodes there are.
    pub nodes: u8,
    /// How many of them, the first ones, are brokers.
    pub brokers: u8,
    /// Whether there is more to the network than one broker and its clients.
    pub federal: bool,
    /// Whether brokers take clients that their clients bring.
    pub takes_referrals: bool,
    /// Whether the last node says anything at any time.
    pub hostile: bool,
    /// What the nodes' names follow from.
    pub salt: u64,
    /// Whether nodes have others make their memory.
    pub delegating: bool,
    /// The nodes that have brokers pass on their handles, where some may.
    pub relaying: Option<Vec<u8>>,
}

impl Start {
    /// One broker and its clients.
    #[must_use]
    pub fn plain(nodes: u8, hostile: bool, salt: u64) -> Self {
        Self {
            nodes,
            brokers: 1,
            federal: false,
            takes_referrals: true,
            hostile,
            salt,
            delegating: false,
            relaying: None,
        }
    }

    /// The world.
    #[must_use]
    pub fn world(&self) -> World {
        let Self { nodes, brokers, takes_referrals, hostile, salt, .. } = *self;
        let mut world = match self.federal {
            false => World::new(nodes, hostile, salt),
            true => World::network(nodes, brokers, takes_referrals, hostile, salt),
        };
        if self.delegating {
            world.delegate_allocation();
        }
        if let Some(relaying) = &self.relaying {
            world.relay_handles(|index| relaying.iter().any(|&node| usize::from(node) == index));
        }
        world
    }
}

/// What happened to a world, as a text that can be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// What it began with.
    pub start: Start,
    /// What happened, in order.
    pub steps: Vec<Step>,
}

impl Trace {
    /// Lets it happen again, and then lets things come to rest in an order that follows from `seed`.
    #[must_use]
    pub fn replay(&self, seed: u64) -> Outcome {
        replay(&self.start.world(), &self.steps, seed)
    }
}

impl fmt::Display for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        self.write(&mut text);
        f.write_str(&text)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        self.write(&mut text);
        f.write_str(&text)
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.start)?;
        self.steps.iter().try_for_each(|step| writeln!(f, "{step}"))
    }
}

impl FromStr for Step {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parse(text).ok_or_else(|| format!("no step: {text}"))
    }
}

impl FromStr for Trace {
    type Err = String;

    /// # Errors
    /// The first line that is neither a world nor a step.
    fn from_str(text: &str) -> Result<Self, String> {
        // A `#` within a word names a connection.
        let said = |line: &'_ str| line.split(" #").next().unwrap_or_default().trim().to_string();
        let lines = text.lines().map(said);
        let mut lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        let first = lines.next().ok_or("no world")?;
        let start = parse(&first).ok_or_else(|| format!("no world: {first}"))?;
        let steps = lines.map(|line| line.parse()).collect::<Result<_, _>>()?;
        Ok(Self { start, steps })
    }
}
