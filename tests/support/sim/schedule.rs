//! What happens next, from a seed.

use ipcz_core::TrapConditions;

use super::conn::{ConnId, Side};
use super::hostile;
use super::model::Ep;
use super::objects::Verdict;
use super::profile::Profile;
use super::rng::Rng;
use super::step::Step;
use super::world::World;

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
        let step = step.or_else(|| self.serialize_one(world, Verdict::Ready));
        step.or_else(|| self.end_get(world))
    }

    fn delivery(&mut self, world: &World) -> Option<Step> {
        let all: Vec<(ConnId, Side)> = world.deliverable().collect();
        let (conn, side) = self.rng.pick(&all)?;
        Some(Step::Deliver { conn, side })
    }

    fn activity(&mut self, world: &World) -> Option<Step> {
        let w = self.profile.weights;
        type Make = fn(&mut Scheduler, &World) -> Option<Step>;
        let kinds: [(u32, Make); 24] = [
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
            (w.get_within, Self::get_within),
            (w.begin_get, Self::begin_get),
            (w.end_get, Self::end_get),
            (w.reject, Self::reject),
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
        let full = world.model.open().filter(|&(ep, node, portal)| {
            let status = world.node(node).engine.status(portal);
            status.is_some_and(|status| status.num_parcels > 0) && world.model.free(ep).is_some()
        });
        let full: Vec<Ep> = full.map(|(ep, ..)| ep).collect();
        Some(Step::Get { at: self.rng.pick(&full)? })
    }

    fn get_within(&mut self, world: &World) -> Option<Step> {
        match self.any_get(world)? {
            Step::Get { at } => Some(Step::GetWithin { at, most: self.rng.below(8) as u8 }),
            _ => None,
        }
    }

    fn begin_get(&mut self, world: &World) -> Option<Step> {
        match self.any_get(world)? {
            Step::Get { at } => Some(Step::BeginGet { at }),
            _ => None,
        }
    }

    fn end_get(&mut self, world: &World) -> Option<Step> {
        let begun: Vec<Ep> = world.model.lent.keys().copied().collect();
        let at = self.rng.pick(&begun)?;
        Some(Step::EndGet { at, commit: self.rng.chance(50) })
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
        self.add_condition(&mut conditions);
        if self.profile.weights.get_within > 0 && self.rng.chance(50) {
            self.add_condition(&mut conditions);
        }
        Some(Step::Trap { ep, conditions })
    }

    fn add_condition(&mut self, conditions: &mut TrapConditions) {
        match self.rng.below(5) {
            0 => conditions.peer_closed = true,
            1 => conditions.dead = true,
            2 => conditions.above_parcels = Some(self.rng.below(4)),
            3 => conditions.above_bytes = Some(self.rng.below(16)),
            _ => conditions.new_parcel = true,
        }
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

    fn reject(&mut self, world: &World) -> Option<Step> {
        Some(Step::Reject { conn: self.conn(world)?, side: self.rng.below(2) })
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
