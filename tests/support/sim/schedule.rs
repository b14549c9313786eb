//! What happens next, from a seed.

use ipcz_core::TrapConditions;

use super::conn::{ConnId, Side};
use super::hostile;
use super::model::Ep;
use super::objects::Verdict;
use super::rng::Rng;
use super::step::Step;
use super::world::World;

/// What a run is like. Most of it follows from the seed, so that runs differ in kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// How many nodes there are.
    pub nodes: u8,
    /// How many steps the scheduler makes before it lets things come to rest.
    pub steps: u32,
    /// How many of them are brokers.
    pub brokers: u8,
    /// Whether there is more to the network than one broker and its clients.
    pub federal: bool,
    /// Whether everybody is connected, and at rest, before anything else happens.
    pub settled: bool,
    /// Whether brokers take clients that their clients bring.
    pub takes_referrals: bool,
    /// Whether the last node says anything at any time.
    pub hostile: bool,
    /// Of a hundred steps, how many are made by applications and not deliveries.
    pub busy: u32,
    /// How many portals keep applications from opening more.
    pub max_live: usize,
    /// How likely each kind of step is, against the others.
    pub weights: Weights,
    /// Whether nodes have others make their memory.
    pub delegating: bool,
    /// Whether some nodes have brokers pass on their handles.
    pub relaying: bool,
    /// Of a hundred introductions, how many are refused.
    pub refuse: u32,
    /// Whether the connections that are dropped are those of nodes that are about to meet.
    pub drops_meetings: bool,
}

/// How likely each kind of step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "they are named as the steps are")]
pub struct Weights {
    pub open: u32,
    pub put: u32,
    pub moves: u32,
    pub get: u32,
    pub close: u32,
    pub merge: u32,
    pub trap: u32,
    pub connect: u32,
    pub crash: u32,
    pub drop: u32,
    pub disconnect: u32,
    pub shut_down: u32,
    pub answer: u32,
    pub forge: u32,
    pub clear_trap: u32,
    pub garble: u32,
    pub allocate: u32,
    pub provide: u32,
    pub object: u32,
    pub serialize: u32,
}

/// What the caller fixes; the rest follows from the seed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted {
    /// How many nodes.
    pub nodes: Option<u8>,
    /// How many steps.
    pub steps: Option<u32>,
    /// Whether one of them is hostile.
    pub hostile: bool,
}

impl Profile {
    /// The run of this seed.
    #[must_use]
    pub fn of_seed(seed: u64, wanted: Wanted) -> Self {
        let mut rng = Rng::new(seed ^ 0x9d39_247e_3377_6d41);
        let mut upto = |bound: usize| rng.below(bound + 1) as u32;
        let calm = Weights {
            open: 3,
            put: upto(20),
            moves: 5 + upto(40),
            get: 20 + upto(40),
            close: upto(8),
            merge: 0,
            trap: upto(6),
            connect: 10,
            crash: 0,
            drop: 0,
            disconnect: 0,
            shut_down: 0,
            answer: 5 + upto(10),
            // In some seeds only, so that the others stay what they were.
            clear_trap: if seed % 8 == 3 { 3 } else { 0 },
            garble: if wanted.hostile && seed % 8 == 7 { 1 } else { 0 },
            allocate: if seed % 8 == 6 { 8 } else { 0 },
            provide: if seed % 8 == 6 { 8 } else { 0 },
            object: if seed % 4 == if wanted.hostile { 1 } else { 2 } { 20 } else { 0 },
            serialize: if seed % 4 == if wanted.hostile { 1 } else { 2 } { 10 } else { 0 },
            forge: if wanted.hostile { 5 + upto(30) } else { 0 },
        };
        let merges = Weights { merge: 1 + upto(10), ..calm };
        let (weights, refuse) = match seed % 5 {
            0 => (calm, 0),
            1 => (merges, 0),
            2 if !wanted.hostile => (Weights { crash: 1, shut_down: upto(1), ..calm }, 0),
            3 if !wanted.hostile => {
                (Weights { crash: upto(1), drop: 1, disconnect: 1, ..merges }, upto(20))
            }
            _ => (merges, upto(50)),
        };
        let drops_meetings = seed % 25 == 13 && !wanted.hostile;
        let weights = if drops_meetings { Weights { drop: 20, ..calm } } else { weights };
        let joins = if wanted.hostile { seed % 3 == 2 } else { seed.is_multiple_of(3) };
        let federal = joins && wanted.nodes != Some(1);
        let plain = Self {
            brokers: 1,
            federal: false,
            delegating: seed % 8 == 6,
            relaying: matches!(seed % 8, 1 | 5),
            settled: false,
            takes_referrals: true,
            nodes: wanted.nodes.unwrap_or(2 + upto(3) as u8),
            steps: wanted.steps.unwrap_or(60 + upto(200)),
            hostile: wanted.hostile,
            busy: 10 + upto(50),
            max_live: 6 + upto(20) as usize,
            weights,
            refuse: if drops_meetings { 0 } else { refuse },
            drops_meetings,
        };
        if federal { plain.into_federal(wanted, upto) } else { plain }
    }

    /// The same run in a network of more than one broker and its clients.
    fn into_federal(self, wanted: Wanted, mut upto: impl FnMut(usize) -> u32) -> Self {
        let nodes = wanted.nodes.unwrap_or(3 + upto(4) as u8);
        Self {
            nodes,
            brokers: 1 + upto(2).min(u32::from(nodes) - 1) as u8,
            federal: true,
            settled: upto(1) == 0,
            takes_referrals: upto(4) > 0,
            ..self
        }
    }

    /// The world that a run starts with.
    #[must_use]
    pub fn world(&self, seed: u64) -> World {
        let mut world = match self.federal {
            false => World::new(self.nodes, self.hostile, seed),
            true => {
                World::network(self.nodes, self.brokers, self.takes_referrals, self.hostile, seed)
            }
        };
        if self.delegating {
            world.delegate_allocation();
        }
        if self.relaying {
            let kind = seed / 8 % 3;
            world.relay_handles(|index| kind == 2 || index as u64 % 2 == kind);
        }
        world
    }
}

/// Picks steps.
#[derive(Clone, Debug)]
pub struct Scheduler {
    pub(super) rng: Rng,
    profile: Profile,
}

impl Scheduler {
    /// The scheduler of this seed.
    #[must_use]
    pub fn new(seed: u64, profile: Profile) -> Self {
        Self { rng: Rng::new(seed), profile }
    }

    /// The next step while applications are busy.
    pub fn next(&mut self, world: &World) -> Option<Step> {
        let busy = self.rng.chance(self.profile.busy);
        if !busy && let Some(step) = self.delivery(world) {
            return Some(step);
        }
        // What was picked may be impossible at this moment; something else is not.
        (0..8).find_map(|_| self.activity(world)).or_else(|| self.delivery(world))
    }

    /// The next step while things come to rest.
    pub fn rest(&mut self, world: &World) -> Option<Step> {
        if world.nodes.iter().any(|node| !node.serializing.is_empty()) && self.rng.chance(30) {
            return self.serialize_one(world, Verdict::Ready);
        }
        let step = if self.rng.chance(20) {
            let taken = self.any_get(world).or_else(|| self.answer(world));
            taken.or_else(|| self.delivery(world))
        } else {
            let delivery = self.delivery(world).or_else(|| self.answer(world));
            delivery.or_else(|| self.any_get(world))
        };
        let step = step.or_else(|| self.provide(world));
        step.or_else(|| self.serialize_one(world, Verdict::Ready))
    }

    fn delivery(&mut self, world: &World) -> Option<Step> {
        let all: Vec<(ConnId, Side)> = world.deliverable().collect();
        let (conn, side) = self.rng.pick(&all)?;
        Some(Step::Deliver { conn, side })
    }

    fn activity(&mut self, world: &World) -> Option<Step> {
        let w = self.profile.weights;
        type Make = fn(&mut Scheduler, &World) -> Option<Step>;
        let kinds: [(u32, Make); 20] = [
            (w.open, Self::open),
            (w.put, Self::put),
            (w.moves, Self::moves),
            (w.get, Self::any_get),
            (w.close, Self::close),
            (w.merge, Self::merge),
            (w.trap, Self::trap),
            (w.connect, Self::connect),
            (w.crash, Self::crash),
            (w.drop, Self::drop_conn),
            (w.disconnect, Self::disconnect),
            (w.shut_down, Self::shut_down),
            (w.answer, Self::answer),
            (w.forge, Self::forge),
            (w.clear_trap, Self::clear_trap),
            (w.garble, Self::garble),
            (w.allocate, Self::allocate),
            (w.provide, Self::provide),
            (w.object, Self::object),
            (w.serialize, Self::serialize),
        ];
        let total: u32 = kinds.iter().map(|(weight, _)| weight).sum();
        let mut at = self.rng.below(total as usize) as u32;
        for (weight, make) in kinds {
            if at < weight {
                return make(self, world);
            }
            at -= weight;
        }
        None
    }

    fn node(&mut self, world: &World) -> Option<u8> {
        let alive = |&index: &u8| world.node(index).alive;
        let nodes: Vec<u8> = (0..self.profile.nodes).filter(alive).collect();
        self.rng.pick(&nodes)
    }

    /// A connection that a network still lacks, if it is to be whole before anything else happens.
    pub fn founding(&mut self, world: &World) -> Option<Step> {
        if !self.profile.settled {
            return None;
        }
        let missing = |index: &u8| world.is_alone(*index);
        let node = (1..self.profile.nodes).find(missing)?;
        (0..64).find_map(|_| {
            let step = self.connect(world)?;
            matches!(step, Step::Connect { to, node: found, .. } if found == node && to < node)
                .then_some(step)
        })
    }

    fn portal(&mut self, world: &World) -> Option<Ep> {
        let open: Vec<Ep> = world.model.open().map(|(ep, ..)| ep).collect();
        self.rng.pick(&open)
    }

    fn open(&mut self, world: &World) -> Option<Step> {
        if world.model.num_live() >= self.profile.max_live {
            return None;
        }
        Some(Step::Open { node: self.node(world)?, first: world.model.next_ep() })
    }

    fn put(&mut self, world: &World) -> Option<Step> {
        let via = self.portal(world)?;
        Some(Step::Put { via, size: self.rng.below(8) as u8, moved: Vec::new() })
    }

    fn moves(&mut self, world: &World) -> Option<Step> {
        let via = self.portal(world)?;
        let (node, _) = world.model.held(via)?;
        let here = world.model.open().filter(|&(ep, at, _)| at == node && ep != via);
        let mut here: Vec<Ep> = here.map(|(ep, ..)| ep).collect();
        let many = if self.rng.chance(70) { 1 } else { 2 + self.rng.below(3) };
        let mut moved = Vec::new();
        while moved.len() < many && !here.is_empty() {
            let ep = here.swap_remove(self.rng.below(here.len()));
            if world.model.may_carry(via, ep) {
                moved.push(ep);
            }
        }
        let size = if self.profile.relaying { self.rng.below(2) as u8 } else { 0 };
        if moved.is_empty() { None } else { Some(Step::Put { via, size, moved }) }
    }

    fn object(&mut self, world: &World) -> Option<Step> {
        let fixed = self.rng.chance(10);
        let with_portals = self.rng.chance(50);
        match if with_portals { self.moves(world)? } else { self.put(world)? } {
            Step::Put { via, moved, .. } => Some(Step::PutObject { via, moved, fixed }),
            _ => None,
        }
    }

    fn serialize(&mut self, world: &World) -> Option<Step> {
        let verdict = match self.rng.below(10) {
            0 => Verdict::Refused,
            1..4 => Verdict::WithPortal(world.model.next_ep()),
            _ => Verdict::Ready,
        };
        self.serialize_one(world, verdict)
    }

    fn serialize_one(&mut self, world: &World, verdict: Verdict) -> Option<Step> {
        let asked = |&index: &u8| !world.node(index).serializing.is_empty();
        let nodes: Vec<u8> = (0..world.nodes.len() as u8).filter(asked).collect();
        let node = self.rng.pick(&nodes)?;
        let nth = self.rng.below(world.node(node).serializing.len()) as u8;
        Some(Step::Serialize { node, nth, verdict })
    }

    /// Takes a parcel where there is one.
    fn any_get(&mut self, world: &World) -> Option<Step> {
        let full = world.model.open().filter(|&(_, node, portal)| {
            let status = world.node(node).engine.status(portal);
            status.is_some_and(|status| status.num_parcels > 0)
        });
        let full: Vec<Ep> = full.map(|(ep, ..)| ep).collect();
        Some(Step::Get { at: self.rng.pick(&full)? })
    }

    fn close(&mut self, world: &World) -> Option<Step> {
        Some(Step::Close { ep: self.portal(world)? })
    }

    fn merge(&mut self, world: &World) -> Option<Step> {
        let a = self.portal(world)?;
        let (node, _) = world.model.held(a)?;
        let unused = |ep: Ep| {
            let endpoint = &world.model.eps[&ep];
            endpoint.sent.is_empty() && endpoint.taken == 0
        };
        let fits = |ep| ep != a && unused(ep);
        let here = world.model.open().filter(|&(ep, at, _)| at == node && fits(ep));
        let here: Vec<Ep> = here.map(|(ep, ..)| ep).collect();
        let b = self.rng.pick(&here).filter(|_| unused(a))?;
        Some(Step::Merge { a, b })
    }

    fn trap(&mut self, world: &World) -> Option<Step> {
        let ep = self.portal(world)?;
        let mut conditions = TrapConditions::default();
        match self.rng.below(5) {
            0 => conditions.peer_closed = true,
            1 => conditions.dead = true,
            2 => conditions.above_parcels = Some(self.rng.below(4)),
            3 => conditions.above_bytes = Some(self.rng.below(16)),
            _ => conditions.new_parcel = true,
        }
        Some(Step::Trap { ep, conditions })
    }

    fn connect(&mut self, world: &World) -> Option<Step> {
        let nodes: Vec<u8> =
            (1..self.profile.nodes).filter(|&index| world.is_alone(index)).collect();
        let node = self.rng.pick(&nodes)?;
        let to = self.broker_for(world, node)?;
        let common = 1 + self.rng.below(3) as u8;
        let uneven = if self.rng.chance(20) { self.rng.below(3) as u8 } else { common };
        Some(Step::Connect { to, node, portals: [common, uneven], first: world.model.next_ep() })
    }

    /// Who a node that is alone connects to. Brokers join in the order of their numbers, so that no
    /// two that were introduced already are connected again.
    fn broker_for(&mut self, world: &World, node: u8) -> Option<u8> {
        let brokers = self.profile.brokers;
        if node < brokers {
            return Some(self.rng.below(node.into()) as u8);
        }
        if world.federal && self.rng.chance(40) {
            // Who takes its broker from a node trusts that node.
            return self.node(world).filter(|&to| !world.node(to).hostile);
        }
        Some(self.rng.below(brokers.into()) as u8)
    }

    fn crash(&mut self, world: &World) -> Option<Step> {
        // A world without its broker is soon a dull one.
        let node = self.node(world).filter(|&node| node != 0 || self.rng.chance(20))?;
        Some(Step::Crash { node, keep: self.rng.below(6) as u8 })
    }

    fn conn(&mut self, world: &World) -> Option<ConnId> {
        let aimed = |&id: &ConnId| !self.profile.drops_meetings || world.is_meeting(id);
        let all: Vec<ConnId> = world.conns.keys().copied().filter(aimed).collect();
        self.rng.pick(&all)
    }

    fn drop_conn(&mut self, world: &World) -> Option<Step> {
        let keep = [self.rng.below(6) as u8, self.rng.below(6) as u8];
        Some(Step::Drop { conn: self.conn(world)?, keep })
    }

    fn disconnect(&mut self, world: &World) -> Option<Step> {
        Some(Step::Disconnect { conn: self.conn(world)?, side: self.rng.below(2) })
    }

    fn shut_down(&mut self, world: &World) -> Option<Step> {
        let node = self.node(world).filter(|&node| node != 0 || self.rng.chance(20))?;
        Some(Step::ShutDown { node })
    }

    fn answer(&mut self, world: &World) -> Option<Step> {
        let grant = !self.rng.chance(self.profile.refuse);
        let asked = |&index: &u8| !world.node(index).asked.is_empty();
        let nodes: Vec<u8> = (0..self.profile.nodes).filter(asked).collect();
        Some(Step::Answer { node: self.rng.pick(&nodes)?, grant })
    }

    fn clear_trap(&mut self, world: &World) -> Option<Step> {
        let set: Vec<u64> = world.model.traps.keys().copied().collect();
        Some(Step::ClearTrap { trap: self.rng.pick(&set)? })
    }

    fn allocate(&mut self, world: &World) -> Option<Step> {
        let size = 1 + self.rng.below(100) as u64;
        Some(Step::Allocate { node: self.node(world)?, size })
    }

    fn provide(&mut self, world: &World) -> Option<Step> {
        let grant = !self.rng.chance(self.profile.refuse);
        let asked = |&index: &u8| !world.node(index).to_allocate.is_empty();
        let nodes: Vec<u8> = (0..self.profile.nodes).filter(asked).collect();
        Some(Step::Provide { node: self.rng.pick(&nodes)?, grant })
    }

    fn garble(&mut self, world: &World) -> Option<Step> {
        hostile::garble(world, &mut self.rng)
    }

    fn forge(&mut self, world: &World) -> Option<Step> {
        hostile::make(world, &mut self.rng)
    }
}
