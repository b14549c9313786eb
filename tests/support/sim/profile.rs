//! What a run is like, from a seed.

use super::rng::Rng;
use super::trace::Start;

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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
    pub get_within: u32,
    pub begin_get: u32,
    pub end_get: u32,
    pub reject: u32,
}

impl Weights {
    /// Gets of every kind, in some seeds, and nothing else.
    fn of_gets(seed: u64) -> Self {
        match seed % 8 == 4 || seed % 16 == 13 {
            true => Self { get_within: 5, begin_get: 20, end_get: 15, ..Self::default() },
            false => Self::default(),
        }
    }
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
            ..Weights::of_gets(seed)
        };
        let merges = Weights { merge: 1 + upto(10), ..calm };
        let (weights, refuse) = match seed % 5 {
            0 => (calm, 0),
            1 => (merges, 0),
            2 if !wanted.hostile => (Weights { crash: 1, shut_down: upto(1), ..calm }, 0),
            3 if !wanted.hostile => {
                let reject = calm.begin_get.min(1);
                (Weights { crash: upto(1), drop: 1, disconnect: 1, reject, ..merges }, upto(20))
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
    pub fn start(&self, seed: u64) -> Start {
        let kind = seed / 8 % 3;
        let relays = |&node: &u8| kind == 2 || u64::from(node) % 2 == kind;
        Start {
            nodes: self.nodes,
            brokers: self.brokers,
            federal: self.federal,
            takes_referrals: self.takes_referrals,
            hostile: self.hostile,
            salt: seed,
            delegating: self.delegating,
            relaying: self.relaying.then(|| (0..self.nodes).filter(relays).collect()),
        }
    }
}
