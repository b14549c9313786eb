//! The nodes of a network, and what they are told.

mod meet;

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ipcz::driver::unix::UnixDriver;
use ipcz::driver::{Driver, Transport};

use super::agent::Agent;
use super::order::{Answer, Ended, Leads, Name, Order, Seen};
use super::remote::{Office, Remote};

/// Longer than anything here takes.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// What a network is made of. A further one needs its arm in `start` and, if its nodes
/// live in this process, in `transports`, both in `network/meet.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Configuration {
    /// Nodes of one process, and everything happens in the call that asks for it.
    Synchronous,
    /// Nodes of one process, each with a pump of its own, connected by sockets.
    Threaded,
    /// A process each.
    Processes,
    /// A process each, and only brokers may make shared memory: the others have whom they connect to
    /// do it.
    Delegated,
    /// A process each, and only brokers may send handles to anybody: the others' go through them.
    Relayed,
}

/// A node, by its number in the network.
pub type Place = usize;

/// A node that can be told what to do.
enum Member {
    Here { agent: Box<Agent>, driver: Arc<dyn Driver>, unix: Option<Arc<UnixDriver>> },
    There(Box<Remote>),
    Gone,
}

/// A network under the direction of a test.
pub struct Network {
    configuration: Configuration,
    program: PathBuf,
    members: Vec<Member>,
    names: Vec<u128>,
    /// What called a node that has yet to answer: only for nodes of this process.
    calls: BTreeMap<Place, VecDeque<Box<dyn Transport>>>,
    /// Who called a node that has yet to answer.
    callers: BTreeMap<Place, VecDeque<(Place, Name)>>,
    listening: Vec<Place>,
    /// The portal at the first place whose peer is at the second: what portals travel over.
    roads: BTreeMap<(Place, Place), Name>,
    next: Name,
    /// Behind the members: they end first.
    office: Office,
}

impl Network {
    /// An empty network. `program` is what a process of it runs.
    #[must_use]
    pub fn new(configuration: Configuration, program: &Path) -> Self {
        Self {
            configuration,
            program: program.to_path_buf(),
            members: Vec::new(),
            names: Vec::new(),
            calls: BTreeMap::new(),
            callers: BTreeMap::new(),
            listening: Vec::new(),
            roads: BTreeMap::new(),
            next: 1,
            office: Office::open().unwrap(),
        }
    }

    /// Whether each node has a process of its own, which can be killed and whose descriptors are its.
    #[must_use]
    pub fn has_processes(&self) -> bool {
        match self.configuration {
            Configuration::Synchronous | Configuration::Threaded => false,
            Configuration::Processes | Configuration::Delegated | Configuration::Relayed => true,
        }
    }

    fn name(&mut self) -> Name {
        self.names_for(1)
    }

    fn names_for(&mut self, count: u64) -> Name {
        self.next += count;
        self.next - count
    }

    /// Ends a node, with its process if it has one.
    pub fn kill(&mut self, place: Place) {
        match std::mem::replace(&mut self.members[place], Member::Gone) {
            Member::Here { mut agent, .. } => drop(agent.obey(Order::Die)),
            Member::There(mut remote) => remote.kill().unwrap(),
            Member::Gone => panic!("it was killed before"),
        }
        self.roads.retain(|&(a, b), _| a != place && b != place);
    }

    /// Whether this is what ends a route to the node at `place` when that is killed. A node without
    /// a process closes its portals first.
    #[must_use]
    pub fn is_death_of(&self, why: &Ended, place: Place) -> bool {
        let named = why.node == Some(self.names[place]);
        match self.has_processes() {
            true => why.kind == "NodeLost" && named,
            false => why.kind == "PeerClosed" || named,
        }
    }

    /// The places of the nodes that live.
    #[must_use]
    pub fn living(&self) -> Vec<Place> {
        let lives = |&place: &Place| !matches!(self.members[place], Member::Gone);
        (0..self.members.len()).filter(lives).collect()
    }

    // Orders.

    pub(super) fn tell(&mut self, place: Place, order: Order) {
        match &mut self.members[place] {
            Member::Here { agent, .. } => expect_done(place, agent.obey(order)),
            Member::There(remote) => remote.tell(&order).unwrap_or_else(|why| fail(place, &why)),
            Member::Gone => panic!("node {place} was killed"),
        }
    }

    fn do_now(&mut self, place: Place, order: Order) {
        let answer = self.ask(place, order);
        expect_done(place, answer);
    }

    pub(super) fn ask(&mut self, place: Place, order: Order) -> Answer {
        match &mut self.members[place] {
            Member::Here { agent, .. } => agent.obey(order),
            Member::There(remote) => remote.ask(&order).unwrap_or_else(|why| fail(place, &why)),
            Member::Gone => panic!("node {place} was killed"),
        }
    }

    /// Waits until all nodes have done what they were told.
    pub fn settle(&mut self) {
        for (place, member) in self.members.iter_mut().enumerate() {
            if let Member::There(remote) = member {
                remote.settle().unwrap_or_else(|why| fail(place, &why));
            }
        }
    }

    /// What a node knows of the network.
    pub fn look(&mut self, place: Place) -> Seen {
        match self.ask(place, Order::Look) {
            Answer::Seen(seen) => seen,
            other => fail(place, &other),
        }
    }

    /// Where a portal leads.
    pub fn leads(&mut self, place: Place, portal: Name) -> Leads {
        match self.ask(place, Order::Route(portal)) {
            Answer::Leads(leads) => leads,
            other => fail(place, &other),
        }
    }

    /// Whether portal `a` leads straight to the node at `place`.
    pub fn leads_to(&mut self, from: (Place, Name), to: Place) -> bool {
        match self.leads(from.0, from.1) {
            Leads::Here => from.0 == to,
            Leads::To(name) => name == self.names[to],
            Leads::Nowhere => false,
        }
    }

    /// Waits until `condition` holds of every living node.
    pub fn until(&mut self, what: &str, mut condition: impl FnMut(Place, &Seen) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        for place in self.living() {
            loop {
                let seen = self.look(place);
                if condition(place, &seen) {
                    break;
                }
                assert!(Instant::now() < deadline, "never: {what} at {place}: {seen:?}");
                std::thread::yield_now();
            }
        }
    }

    /// Waits until no node has a proxy any more.
    pub fn until_no_proxies(&mut self) {
        self.until("no proxies", |_, seen| seen.proxies == 0);
    }

    // Portals.

    /// Opens pairs of portals at a place. Gives the names of the first near and the first far one.
    pub fn open(&mut self, place: Place, count: u64) -> (Name, Name) {
        let first = self.names_for(2 * count);
        self.tell(place, Order::Open { first, count });
        (first, first + count)
    }

    fn add_road(&mut self, a: (Place, Name), b: (Place, Name)) {
        self.roads.insert((a.0, b.0), a.1);
        self.roads.insert((b.0, a.0), b.1);
    }

    /// The portal that leads from one place to another, if a road was built.
    #[must_use]
    pub fn road(&self, from: Place, to: Place) -> Name {
        self.roads[&(from, to)]
    }

    /// Builds a road between two places, along others that have roads.
    pub fn build_road(&mut self, from: Place, along: &[Place]) {
        let (near, far) = self.open(from, 1);
        let mut at = from;
        for &next in along {
            self.pass(far, 1, at, next);
            at = next;
        }
        self.add_road((from, near), (at, far));
    }

    /// Moves portals from one place to another, which have a road.
    pub fn pass(&mut self, first: Name, count: u64, from: Place, to: Place) {
        self.send(first, count, from, to);
        self.take(first, count, from, to);
    }

    /// The first half of [`Network::pass`].
    pub fn send(&mut self, first: Name, count: u64, from: Place, to: Place) {
        let road = self.road(from, to);
        self.tell(from, Order::Send { road, first, count });
    }

    /// The second half of [`Network::pass`].
    pub fn take(&mut self, first: Name, count: u64, from: Place, to: Place) {
        let road = self.road(to, from);
        self.tell(to, Order::Take { road, first, count });
    }

    /// Puts a number into each of many portals.
    pub fn put(&mut self, place: Place, first: Name, portals: u64, number: u64) {
        self.tell(place, Order::Put { first, portals, number, count: 1 });
    }

    /// Takes that number from each of many portals.
    pub fn get(&mut self, place: Place, first: Name, portals: u64, number: u64) {
        self.tell(place, Order::Get { first, portals, number, count: 1 });
    }

    /// Takes that number from a portal, or says why its route ended.
    pub fn get_or_end(&mut self, place: Place, portal: Name, number: u64) -> Result<(), Ended> {
        let answer = self.ask(place, Order::GetOrEnd { portal, number });
        done_or_ended(place, answer)
    }

    /// Puts a number into a portal, or says why its route ended.
    pub fn try_put(&mut self, place: Place, portal: Name, number: u64) -> Result<(), Ended> {
        let answer = self.ask(place, Order::TryPut { portal, number });
        done_or_ended(place, answer)
    }

    /// Waits until a portal's route ends, and says why.
    pub fn end_of(&mut self, place: Place, portal: Name) -> Ended {
        match self.ask(place, Order::End(portal)) {
            Answer::Ended(why) => why,
            other => fail(place, &other),
        }
    }

    /// Has a node end the connections that it began or accepted.
    pub fn disconnect(&mut self, place: Place) {
        self.do_now(place, Order::Disconnect);
    }

    /// Takes a parcel from a portal and rejects it, which ends the connection that it came over.
    pub fn reject(&mut self, place: Place, portal: Name) {
        self.do_now(place, Order::Reject(portal));
    }

    /// Merges two portals.
    pub fn merge(&mut self, place: Place, a: Name, b: Name) {
        self.tell(place, Order::Merge(a, b));
    }

    /// Closes portals.
    pub fn close(&mut self, place: Place, first: Name, count: u64) {
        self.tell(place, Order::Close { first, count });
    }
}

fn done_or_ended(place: Place, answer: Answer) -> Result<(), Ended> {
    match answer {
        Answer::Ended(why) => Err(why),
        other => {
            expect_done(place, other);
            Ok(())
        }
    }
}

fn expect_done(place: Place, answer: Answer) {
    if !matches!(answer, Answer::Done) {
        fail(place, &answer)
    }
}

fn fail(place: Place, what: &dyn std::fmt::Debug) -> ! {
    panic!("node {place}: {what:?}")
}

impl Drop for Network {
    /// Ends the youngest first: a parent outlives its child.
    fn drop(&mut self) {
        for member in self.members.iter_mut().rev() {
            match member {
                Member::There(remote) if std::thread::panicking() => drop(remote.kill()),
                Member::There(remote) => remote.dismiss().unwrap(),
                _ => {}
            }
        }
    }
}
