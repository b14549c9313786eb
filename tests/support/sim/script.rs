//! Worlds that are written down: a short trace, then anything.
//!
//! The notation is that of the design notes. There are three nodes, 0 to 2, all connected to each
//! other, and a route with endpoint 0 at node 0 and endpoint 1 at node 1. `M(e,n)` moves endpoint e
//! to node n, `Dab` delivers one packet from a to b, `Pe` puts a parcel into endpoint e, `Oe` one with an
//! object, `Ne` one with an object that cannot leave its node, `C(e)` closes it, `X(n)` crashes a
//! node, `XB` the broker, `J` joins two routes that are one from then on, `R` the two ends of one. `F`
//! refuses an introduction, which is needed where two nodes are not connected. `Ge` begins to get the next
//! parcel at an endpoint in two phases, `Te` then takes it and `Le` leaves it. `Kab` rejects, at node
//! a, what came from b.

use super::conn::ConnId;
use super::model::Ep;
use super::run::{Outcome, replay};
use super::step::Step;
use super::world::{Violation, World};

/// The nodes of a script, after the broker.
const NODES: u8 = 3;

/// A world with a route and connected nodes, in which a script runs.
#[derive(Clone, Debug)]
pub struct Stage {
    /// The world.
    pub world: World,
    ends: [Ep; 2],
    /// Two portals at node 2 that make one route of two once they are merged.
    seam: Option<[Ep; 2]>,
    /// A portal at each node that leads to each other node.
    carriers: Vec<(u8, u8, Ep)>,
}

impl Stage {
    /// The stage, with the route opened at the node of one endpoint or at that of the other.
    ///
    /// # Errors
    /// What did not hold on the way.
    pub fn new(opened_at: usize, salt: u64) -> Result<Self, Violation> {
        Self::with_connections(opened_at, &[(1, 2), (1, 3), (2, 3)], salt)
    }

    /// The stage, with nodes 0 and 2 yet to be introduced.
    ///
    /// # Errors
    /// What did not hold on the way.
    pub fn parted(opened_at: usize, salt: u64) -> Result<Self, Violation> {
        Self::with_connections(opened_at, &[(1, 2), (2, 3)], salt)
    }

    fn with_connections(
        opened_at: usize,
        connections: &[(u8, u8)],
        salt: u64,
    ) -> Result<Self, Violation> {
        let world = World::new(NODES + 1, false, salt);
        let mut stage = Self { world, ends: [0, 0], seam: None, carriers: Vec::new() };
        for node in 1..=NODES {
            let first = stage.world.model.next_ep();
            stage.world.apply(&Step::Connect { to: 0, node, portals: [1, 1], first })?;
            stage.carriers.push((0, node, first));
            stage.carriers.push((node, 0, first + 1));
        }
        stage.rest()?;
        for &(a, b) in connections {
            let pair = stage.pair(a, b)?;
            stage.carriers.push((a, b, pair[0]));
            stage.carriers.push((b, a, pair[1]));
        }
        if !connections.contains(&(1, 2)) {
            return Ok(stage);
        }
        stage.ends = stage.pair(1, 2)?;
        if opened_at == 1 {
            let [b, a] = stage.pair(2, 1)?;
            stage.ends = [a, b];
        }
        Ok(stage)
    }

    /// The stage, with endpoint 0 and endpoint 1 on two routes that lead to node 2, where `J` joins
    /// them.
    ///
    /// # Errors
    /// What did not hold on the way.
    pub fn seamed(salt: u64) -> Result<Self, Violation> {
        Self::new(0, salt)?.into_seamed()
    }

    /// The same, with nodes 0 and 1 yet to be introduced.
    ///
    /// # Errors
    /// What did not hold on the way.
    pub fn seamed_and_parted(salt: u64) -> Result<Self, Violation> {
        Self::with_connections(0, &[(1, 3), (2, 3)], salt)?.into_seamed()
    }

    fn into_seamed(self) -> Result<Self, Violation> {
        let mut stage = self;
        for end in stage.ends.into_iter().filter(|&end| end != 0) {
            stage.world.apply(&Step::Close { ep: end })?;
        }
        stage.rest()?;
        let [a, left] = stage.pair(1, 3)?;
        let [right, b] = stage.pair(3, 2)?;
        stage.ends = [a, b];
        stage.seam = Some([left, right]);
        Ok(stage)
    }

    /// A route from one node to another.
    fn pair(&mut self, a: u8, b: u8) -> Result<[Ep; 2], Violation> {
        let first = self.world.model.next_ep();
        self.world.apply(&Step::Open { node: a, first })?;
        self.carry(first + 1, b)?;
        self.rest()?;
        Ok([first, first + 1])
    }

    /// Sends a portal to a node, by way of the broker if there is none other yet.
    fn carry(&mut self, ep: Ep, to: u8) -> Result<(), Violation> {
        let Some((at, _)) = self.world.model.held(ep) else { return Ok(()) };
        let direct = self.carrier(at, to).is_some();
        let via = if direct { to } else { 0 };
        if let Some(via) = self.carrier(at, via) {
            self.world.apply(&Step::Put { via, size: 0, moved: vec![ep] })?;
        }
        if !direct {
            self.rest()?;
            self.carry(ep, to)?;
        }
        Ok(())
    }

    fn carrier(&self, from: u8, to: u8) -> Option<Ep> {
        let known = |&&(a, b, _): &&(u8, u8, Ep)| (a, b) == (from, to);
        self.carriers.iter().find(known).map(|&(_, _, ep)| ep)
    }

    fn rest(&mut self) -> Result<(), Violation> {
        loop {
            self.take()?;
            let next = self.world.deliverable().next();
            if let Some((conn, side)) = next {
                self.world.apply(&Step::Deliver { conn, side })?;
            } else if !self.world.apply(&Step::Answer { node: 0, grant: true })? {
                return Ok(());
            }
        }
    }

    /// Takes what the carriers brought.
    pub(super) fn take(&mut self) -> Result<(), Violation> {
        for index in 0..self.carriers.len() {
            let at = self.carriers[index].2;
            self.world.apply(&Step::Get { at })?;
        }
        Ok(())
    }

    /// Carries out a script. What is impossible when its turn comes is left out.
    ///
    /// # Errors
    /// What did not hold.
    pub fn play(&mut self, script: &str) -> Result<(), Violation> {
        for word in script.split_whitespace() {
            let numbers = word.chars().filter_map(|c| c.to_digit(10));
            let numbers: Vec<u8> = numbers.map(|digit| digit as u8).collect();
            match (&word[..1], &numbers[..]) {
                ("M", &[end, node]) => self.carry(self.ends[usize::from(end)], node + 1)?,
                ("D", &[from, to]) => self.deliver(from + 1, to + 1)?,
                ("P", &[end]) => {
                    let via = self.ends[usize::from(end)];
                    self.world.apply(&Step::Put { via, size: 1, moved: Vec::new() })?;
                }
                ("O" | "N", &[end]) => {
                    let (via, fixed) = (self.ends[usize::from(end)], word.starts_with('N'));
                    self.world.apply(&Step::PutObject { via, moved: Vec::new(), fixed })?;
                }
                ("G", &[end]) => {
                    self.world.apply(&Step::BeginGet { at: self.ends[usize::from(end)] })?;
                }
                ("T" | "L", &[end]) => {
                    let (at, commit) = (self.ends[usize::from(end)], word.starts_with('T'));
                    self.world.apply(&Step::EndGet { at, commit })?;
                }
                ("K", &[node, from]) => {
                    let (conn, side) = Self::way(from + 1, node + 1);
                    self.world.apply(&Step::Reject { conn, side })?;
                }
                ("C", &[end]) => {
                    self.world.apply(&Step::Close { ep: self.ends[usize::from(end)] })?;
                }
                ("J", &[]) => {
                    let [a, b] = self.seam.unwrap_or_default();
                    self.world.apply(&Step::Merge { a, b })?;
                }
                ("R", &[]) => {
                    let [a, b] = self.ends;
                    self.world.apply(&Step::Merge { a, b })?;
                }
                ("F", &[]) => {
                    self.world.apply(&Step::Answer { node: 0, grant: false })?;
                }
                ("X", &[node]) => {
                    self.world.apply(&Step::Crash { node: node + 1, keep: 0 })?;
                }
                ("X", &[]) => {
                    self.world.apply(&Step::Crash { node: 0, keep: 0 })?;
                }
                _ => return Err(Violation::new("scripts are understood", word)),
            }
        }
        Ok(())
    }

    fn deliver(&mut self, from: u8, to: u8) -> Result<(), Violation> {
        let (conn, side) = Self::way(from, to);
        self.world.apply(&Step::Deliver { conn, side })?;
        self.take()
    }

    /// The connection from one node to another, and the side of it where that is.
    fn way(from: u8, to: u8) -> (ConnId, usize) {
        let nodes = [from.min(to), from.max(to)];
        (ConnId { nodes, nth: 0 }, usize::from(to > from))
    }

    /// Lets things come to rest in an order that follows from `seed`, and closes everything.
    #[must_use]
    pub fn finish(&self, seed: u64) -> Outcome {
        replay(&self.world, &[], seed)
    }
}
