//! A node that says anything.
//!
//! It runs an engine like every other, so it has routes to spoil; besides, it sends messages that
//! are made up of what it has seen: links, secrets, keys and names, put together in new ways. It
//! cannot know what it was never told.

use ipcz_core::{
    Accept, Cause, CauseKind, Descriptor, EndKey, Hello, LinkId, MemoryId, Message, NetworkMessage,
    NodeName, Probe, Provided, Relay, RelayKey, RouteMessage, Secret, TransportId,
};

use super::conn::{ConnId, Side};
use super::model::{Handle, Tag};
use super::rng::Rng;
use super::step::Step;
use super::world::World;

/// How many messages it remembers.
const MEMORY: usize = 96;

/// What stands for a transport until the message is sent.
const NOWHERE: TransportId = TransportId(u64::MAX);

/// What a hostile node has seen and sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Seen(Vec<Message<Tag>>);

impl Seen {
    pub(super) fn note(&mut self, message: &Message<Tag>) {
        if self.0.len() == MEMORY {
            self.0.remove(0);
        }
        self.0.push(message.clone());
    }
}

/// Something that nobody understands on one of the hostile node's connections.
pub(super) fn garble(world: &World, rng: &mut Rng) -> Option<Step> {
    let hostile = world.nodes.iter().filter(|node| node.hostile);
    let all: Vec<_> = hostile.flat_map(|node| node.links.values().copied()).collect();
    let (conn, side) = rng.pick(&all)?;
    Some(Step::Garble { conn, side })
}

/// Something hostile on one of the hostile node's connections.
pub(super) fn make(world: &World, rng: &mut Rng) -> Option<Step> {
    let all: Vec<(ConnId, Side)> = world
        .nodes
        .iter()
        .filter(|node| node.hostile)
        .flat_map(|node| node.links.values().copied())
        .collect();
    let (conn, side) = rng.pick(&all)?;
    if rng.chance(10) {
        return Some(Step::Withhold { conn, side });
    }
    let seen = &world.nodes.iter().find(|node| node.hostile)?.seen;
    let names: Vec<_> = world.nodes.iter().map(|node| node.engine.config().name).collect();
    let mut forger = Forger { seen: &seen.0, names, relaying: world.relaying, rng };
    let mut message = forger.message();
    if let Message::Network(message) = &mut message
        && let Some(transport) = message.transport_mut()
    {
        *transport = NOWHERE; // It can lie about what it sends, not copy it.
    }
    if let Message::Network(NetworkMessage::ProvideMemory { memory: Some(memory), .. }) =
        &mut message
    {
        memory.memory = MemoryId(u64::MAX);
    }
    let message = Box::new(message);
    Some(Step::Forge { conn, side, message })
}

struct Forger<'a> {
    seen: &'a [Message<Tag>],
    names: Vec<NodeName>,
    /// Whether there are relays.
    relaying: bool,
    rng: &'a mut Rng,
}

impl Forger<'_> {
    fn message(&mut self) -> Message<Tag> {
        match self.rng.below(20) {
            0..4 => self
                .known()
                .unwrap_or(Message::Network(NetworkMessage::Goodbye(CauseKind::Shutdown))),
            4..7 => {
                let known = self.known();
                self.changed(known)
            }
            7..14 => Message::Route(self.link(), self.route_message()),
            14..16 => {
                let accept = Accept { key: self.key(), link: self.link(), secret: self.secret() };
                Message::Accept(accept)
            }
            16..18 => self.parcel(),
            18 if self.relaying && self.rng.chance(40) => Message::Relay(self.relay()),
            18 => Message::Network(self.network_message()),
            _ if self.rng.chance(90) => Message::Route(self.link(), self.route_message()),
            _ => Message::Hello(self.hello()),
        }
    }

    /// A message that was seen before, as it was.
    fn known(&mut self) -> Option<Message<Tag>> {
        if self.seen.is_empty() {
            return None;
        }
        Some(self.seen[self.rng.below(self.seen.len())].clone())
    }

    /// A message that was seen before, on another link or with one thing changed.
    fn changed(&mut self, known: Option<Message<Tag>>) -> Message<Tag> {
        match known {
            Some(Message::Parcel { link, sequence, hops, relayed, payload, mut portals }) => {
                if let Some(last) = portals.last_mut() {
                    last.link = self.link();
                }
                let link = if self.rng.chance(50) { self.link() } else { link };
                let sequence = sequence.wrapping_add(self.rng.below(3) as u64);
                Message::Parcel { link, sequence, hops, relayed, payload, portals }
            }
            Some(Message::Route(_, message)) => Message::Route(self.link(), message),
            Some(Message::Accept(mut accept)) => {
                accept.link = self.link();
                Message::Accept(accept)
            }
            _ => Message::Route(self.link(), self.route_message()),
        }
    }

    fn route_message(&mut self) -> RouteMessage {
        let number = self.rng.below(4) as u64;
        match self.rng.below(14) {
            0 | 1 => RouteMessage::Closed(number),
            2 | 3 => RouteMessage::Fin(number),
            4 => RouteMessage::Yield,
            5 => RouteMessage::Grant,
            6..11 => RouteMessage::BypassMe(self.key()),
            11 => RouteMessage::Probe(Probe { token: self.secret(), hops: 1 }),
            12 => RouteMessage::Answer(Probe { token: self.secret(), hops: 1 }),
            _ => RouteMessage::Disconnected(Cause { kind: CauseKind::Violation, node: None }),
        }
    }

    fn network_message(&mut self) -> NetworkMessage {
        let node = self.name();
        let (seeker, transport) = (self.name(), NOWHERE);
        match self.rng.below(if self.relaying { 24 } else { 17 }) {
            0..4 => NetworkMessage::RequestIntroduction(node),
            4 => NetworkMessage::Introduced(node),
            5 => NetworkMessage::IntroductionRefused(node),
            6 => NetworkMessage::Introduce { node, transport },
            7 => NetworkMessage::Refer { node, transport },
            8 => NetworkMessage::Referred { broker: node, transport },
            9 => NetworkMessage::ReferralRefused(node),
            10 => NetworkMessage::Locate { node, seeker },
            11 => NetworkMessage::PassIntroduction { to: seeker, node, transport },
            12 => NetworkMessage::PassIntroduced { from: seeker, node },
            13 | 14 => {
                let size = self.rng.below(3) as u64;
                NetworkMessage::RequestMemory { id: self.rng.below(4) as u64, size, hops: 0 }
            }
            15 => {
                let (memory, size) = (MemoryId(u64::MAX), self.rng.below(200) as u64);
                let memory = self.rng.chance(50).then_some(Provided { memory, size });
                NetworkMessage::ProvideMemory { id: self.rng.below(4) as u64, memory }
            }
            17 => NetworkMessage::RelayRefused(RelayKey { from: seeker, to: node, id: 1 }),
            18 => NetworkMessage::RelayPassed(RelayKey { from: seeker, to: node, id: 1 }),
            19 => NetworkMessage::Unrelayed {
                first: self.rng.below(4) as u64,
                last: self.rng.below(8) as u64,
            },
            20 => NetworkMessage::RelaysLost,
            21 => NetworkMessage::RelaysLostHeard,
            22 => NetworkMessage::Seek { node, seeker },
            23 => NetworkMessage::Sought { node, seeker, found: true },
            _ => NetworkMessage::Goodbye(CauseKind::Violation),
        }
    }

    fn parcel(&mut self) -> Message<Tag> {
        let payload = Tag { from: u32::MAX, size: 3, ..Tag::default() };
        let portals = (0..self.rng.below(4)).map(|_| self.descriptor()).collect();
        let sequence = self.rng.below(5) as u64;
        let hops = if self.rng.chance(5) { u16::MAX } else { 1 };
        let relayed = self.rng.chance(20).then(|| self.rng.below(6) as u64);
        let handle = if relayed.is_some() { Handle::Away } else { Handle::None };
        let payload = Tag { handle, ..payload };
        Message::Parcel { link: self.link(), sequence, hops, relayed, payload, portals }
    }

    /// Handles of its own, or in somebody else's name.
    fn relay(&mut self) -> Relay<Tag> {
        let me = self.names[self.names.len() - 1];
        let from = if self.rng.chance(80) { me } else { self.name() };
        let handles = Tag { from: u32::MAX, handle: Handle::Here, ..Tag::default() };
        Relay { from, to: self.name(), id: self.rng.below(6) as u64, handles }
    }

    fn descriptor(&mut self) -> Descriptor {
        let (next_in, next_out) = (self.rng.below(3) as u64, self.rng.below(3) as u64);
        let owner = self.rng.chance(50);
        Descriptor { link: self.link(), secret: self.secret(), next_in, next_out, owner }
    }

    fn hello(&mut self) -> Hello {
        Hello {
            version: 1,
            features: 0,
            max_payload: 1 << 20,
            name: self.name(),
            is_broker: self.rng.chance(30),
            wants_broker: self.rng.chance(70),
            wants_memory: self.rng.chance(30),
            relays_from: self.rng.chance(30).then_some(0),
            num_portals: self.rng.below(4) as u32,
            secret: self.secret(),
        }
    }

    fn name(&mut self) -> NodeName {
        if self.rng.chance(10) { NodeName(1) } else { self.names[self.rng.below(self.names.len())] }
    }

    fn link(&mut self) -> LinkId {
        let seen: Vec<LinkId> = self.seen.iter().flat_map(links_in).collect();
        let known = self.rng.pick(&seen).filter(|_| self.rng.chance(80));
        // Or one that nobody uses yet, in either half.
        let half = if self.rng.chance(50) { 1 << 63 } else { 0 };
        known.unwrap_or(LinkId(half | (5000 + self.rng.below(1 << 20) as u64)))
    }

    fn secret(&mut self) -> Secret {
        let seen: Vec<Secret> = self.seen.iter().flat_map(secrets_in).collect();
        self.rng.pick(&seen).unwrap_or(Secret(7))
    }

    /// The key of an end that it was told of, or that is at its own links, or of none.
    fn key(&mut self) -> EndKey {
        let told: Vec<EndKey> = self.seen.iter().filter_map(key_in).collect();
        if let Some(key) = self.rng.pick(&told).filter(|_| self.rng.chance(40)) {
            return key;
        }
        let own: Vec<(LinkId, Secret)> = self.seen.iter().flat_map(ends_in).collect();
        let me = self.names[self.names.len() - 1];
        let (node, via) = if self.rng.chance(80) { (self.name(), me) } else { (me, self.name()) };
        match self.rng.pick(&own) {
            Some((link, secret)) => EndKey { node, via, link, secret },
            None => EndKey { node, via: self.name(), link: self.link(), secret: self.secret() },
        }
    }
}

fn key_in(message: &Message<Tag>) -> Option<EndKey> {
    match message {
        Message::Route(_, RouteMessage::BypassMe(key)) => Some(*key),
        Message::Accept(accept) => Some(accept.key),
        _ => None,
    }
}

fn ends_in(message: &Message<Tag>) -> Vec<(LinkId, Secret)> {
    match message {
        Message::Parcel { portals, .. } => portals.iter().map(|d| (d.link, d.secret)).collect(),
        Message::Accept(accept) => vec![(accept.link, accept.secret)],
        _ => Vec::new(),
    }
}

fn links_in(message: &Message<Tag>) -> Vec<LinkId> {
    let mut links: Vec<_> = ends_in(message).into_iter().map(|(link, _)| link).collect();
    match message {
        Message::Parcel { link, .. } | Message::Route(link, _) => links.push(*link),
        Message::Accept(_) | Message::Hello(_) | Message::Network(_) | Message::Relay(_) => {}
    }
    links.extend(key_in(message).map(|key| key.link));
    links
}

fn secrets_in(message: &Message<Tag>) -> Vec<Secret> {
    let mut secrets: Vec<_> = ends_in(message).into_iter().map(|(_, secret)| secret).collect();
    secrets.extend(key_in(message).map(|key| key.secret));
    if let Message::Route(_, RouteMessage::Probe(probe) | RouteMessage::Answer(probe)) = message {
        secrets.push(probe.token);
    }
    secrets
}
