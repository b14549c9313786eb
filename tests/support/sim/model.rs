//! What applications know: which portals they hold, what they put, who has closed what.

use std::collections::{BTreeMap, BTreeSet};

use ipcz_core::{Payload, PortalId, TrapConditions};

/// A portal, for all its life, wherever it is.
pub type Ep = u32;

/// What a parcel of the simulator contains: who it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Tag {
    /// The portal that it was put into.
    pub from: Ep,
    /// How many were put into it before.
    pub number: u32,
    /// How large it says it is.
    pub size: u8,
    /// What else is in it.
    pub load: Load,
    /// Whether a handle is in it, which not every connection carries.
    pub handle: Handle,
}

/// What has become of the handle in a parcel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Handle {
    /// There is none.
    #[default]
    None,
    /// It is here.
    Here,
    /// It was split off.
    Away,
}

impl Handle {
    /// Parcels of odd sizes have a handle.
    pub fn of(size: u8) -> Self {
        if size % 2 == 1 { Self::Here } else { Self::None }
    }
}

/// What a parcel contains besides bytes and portals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Load {
    /// Nothing.
    #[default]
    Plain,
    /// An object that must be serialized before it leaves its node.
    Object,
    /// An object that cannot leave its node.
    Fixed,
    /// What an object became.
    Serialized,
}

impl Payload for Tag {
    fn num_bytes(&self) -> usize {
        usize::from(self.size)
    }

    fn is_ready(&self) -> bool {
        matches!(self.load, Load::Plain | Load::Serialized)
    }

    fn can_leave(&self) -> bool {
        self.load != Load::Fixed
    }

    fn has_handles(&self) -> bool {
        self.handle == Handle::Here
    }

    fn take_handles(&mut self) -> Option<Self> {
        let whole = *self;
        self.has_handles().then(|| {
            self.handle = Handle::Away;
            whole
        })
    }

    fn join(&mut self, handles: Self) -> bool {
        let expected = Self { handle: Handle::Here, ..*self };
        let fits = self.handle == Handle::Away && handles == expected;
        *self = handles;
        fits
    }
}

/// Where a portal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Place {
    /// An application on this node holds it.
    Held(u8, PortalId),
    /// It is in a parcel that was put into this portal.
    Travelling(Ep),
    /// It was closed, merged, or lost with its node.
    Gone,
}

/// A portal.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Endpoint {
    /// What is put there comes out here.
    pub(super) peer: Ep,
    pub(super) place: Place,
    /// The portals in each parcel that was put here.
    pub(super) sent: Vec<Vec<Ep>>,
    /// How many bytes were put here, up to each parcel.
    pub(super) bytes: Vec<usize>,
    /// How many of the peer's parcels were taken here.
    pub(super) taken: u32,
    /// Whether a hostile node could ever touch the route.
    pub(super) tainted: bool,
    /// Whether its peer was put into it: sooner or later the route is cut.
    pub(super) own: bool,
    /// Whether an object that was put on its route may have had to leave its node and could not.
    pub(super) unsent: bool,
    /// Whether a loss may have cut its route: something was under way on it, or moved it later.
    pub(super) at_risk: bool,
}

/// A trap that has not fired.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Armed {
    pub(super) ep: Ep,
    pub(super) node: u8,
    pub(super) conditions: TrapConditions,
    /// How many parcels were there when it was set, or after the last was taken.
    pub(super) parcels: usize,
}

/// All portals and traps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Model {
    pub(super) eps: BTreeMap<Ep, Endpoint>,
    /// Those that are not gone: long runs leave many behind.
    live: BTreeSet<Ep>,
    pub(super) traps: BTreeMap<u64, Armed>,
    pub(super) next_trap: u64,
    /// What is lent of the next parcel of a portal, while it is got in two phases.
    pub(super) lent: BTreeMap<Ep, Tag>,
}

impl Model {
    /// A pair of portals whose places are known.
    pub(super) fn add_pair(&mut self, first: Ep, places: [Place; 2]) {
        for (index, place) in places.into_iter().enumerate() {
            let ep = first + index as Ep;
            let peer = first + (1 - index as Ep);
            let endpoint = Endpoint {
                peer,
                place,
                sent: Vec::new(),
                bytes: Vec::new(),
                taken: 0,
                tainted: false,
                own: false,
                unsent: false,
                at_risk: false,
            };
            self.eps.insert(ep, endpoint);
            self.set_place(ep, place);
        }
    }

    pub(super) fn held(&self, ep: Ep) -> Option<(u8, PortalId)> {
        match self.eps.get(&ep)?.place {
            Place::Held(node, portal) => Some((node, portal)),
            _ => None,
        }
    }

    /// A portal that nobody else has a hold on.
    pub(super) fn free(&self, ep: Ep) -> Option<(u8, PortalId)> {
        self.held(ep).filter(|_| !self.lent.contains_key(&ep))
    }

    /// How many portals are somewhere.
    pub(super) fn num_live(&self) -> usize {
        self.live.len()
    }

    /// How many portals are in parcels, and so move with the portals that these wait in.
    pub(super) fn num_travelling(&self) -> usize {
        let travels = |ep: &&Ep| matches!(self.eps[*ep].place, Place::Travelling(_));
        self.live.iter().filter(travels).count()
    }

    pub(super) fn is_gone(&self, ep: Ep) -> bool {
        self.eps[&ep].place == Place::Gone
    }

    pub(super) fn peer(&self, ep: Ep) -> Ep {
        self.eps[&ep].peer
    }

    pub(super) fn set_place(&mut self, ep: Ep, place: Place) {
        if let Some(endpoint) = self.eps.get_mut(&ep) {
            endpoint.place = place;
            match place {
                Place::Gone => {
                    self.lent.remove(&ep);
                    self.live.remove(&ep)
                }
                Place::Held(..) | Place::Travelling(_) => self.live.insert(ep),
            };
        }
    }

    /// Notes that a portal is gone, and those in parcels that only it could take.
    pub(super) fn forget(&mut self, ep: Ep) {
        let mut todo = vec![ep];
        while let Some(ep) = todo.pop() {
            self.set_place(ep, Place::Gone);
            let endpoint = &self.eps[&ep];
            let unread = self.eps[&endpoint.peer].sent.iter().skip(endpoint.taken as usize);
            // A portal may be in a parcel on its own way.
            todo.extend(unread.flatten().filter(|ep| !self.is_gone(**ep)));
        }
    }

    /// A number that no portal has.
    pub(super) fn next_ep(&self) -> Ep {
        self.eps.last_key_value().map_or(0, |(last, _)| last + 1)
    }

    /// Whether `moved`, if it were put into `via`, would wait in a parcel that only it can take.
    ///
    /// Applications can do that, as they can with sockets, and leak it.
    pub(super) fn would_swallow_itself(&self, via: Ep, moved: Ep) -> bool {
        let mut taker = self.peer(via);
        // Chains of parcels in parcels are as long as there are portals.
        for _ in 0..=self.eps.len() {
            if taker == moved {
                return true;
            }
            match self.eps[&taker].place {
                Place::Travelling(by) => taker = self.peer(by),
                Place::Held(..) | Place::Gone => return false,
            }
        }
        true
    }

    /// Whether `moved` may be put into `via`. Its own peer may: the route is cut once that shows.
    pub(super) fn may_carry(&self, via: Ep, moved: Ep) -> bool {
        self.peer(via) == moved || !self.would_swallow_itself(via, moved)
    }

    /// Makes the peers of two portals each other's peers.
    pub(super) fn join(&mut self, a: Ep, b: Ep) {
        let (x, y) = (self.peer(a), self.peer(b));
        self.set_peers([(x, y), (y, x)]);
        if self.eps[&a].unsent || self.eps[&b].unsent {
            self.may_be_cut(x);
        }
        if self.eps[&a].at_risk || self.eps[&b].at_risk {
            self.may_be_lost(x);
        }
        self.set_place(a, Place::Gone);
        self.set_place(b, Place::Gone);
    }

    /// Notes that a route may be cut, because of an object that was put there.
    pub(super) fn may_be_cut(&mut self, ep: Ep) {
        let Some(peer) = self.eps.get(&ep).map(|endpoint| endpoint.peer) else { return };
        for ep in [ep, peer] {
            if let Some(endpoint) = self.eps.get_mut(&ep) {
                endpoint.unsent = true;
            }
        }
    }

    /// Notes that a route may be cut, because of a loss.
    pub(super) fn may_be_lost(&mut self, ep: Ep) {
        let Some(peer) = self.eps.get(&ep).map(|endpoint| endpoint.peer) else { return };
        for ep in [ep, peer] {
            if let Some(endpoint) = self.eps.get_mut(&ep) {
                endpoint.at_risk = true;
            }
        }
    }

    fn set_peers(&mut self, pairs: [(Ep, Ep); 2]) {
        for (ep, peer) in pairs {
            if let Some(endpoint) = self.eps.get_mut(&ep) {
                endpoint.peer = peer;
            }
        }
    }

    /// Whether joining these two would leave portals in parcels that only they can take.
    pub(super) fn join_would_swallow(&mut self, a: Ep, b: Ep) -> bool {
        let (x, y) = (self.peer(a), self.peer(b));
        self.set_peers([(x, y), (y, x)]);
        let cycle = self.has_cycle();
        self.set_peers([(x, a), (y, b)]);
        cycle
    }

    /// Whether some travelling portal can only be taken by itself.
    fn has_cycle(&self) -> bool {
        self.live.iter().any(|&ep| match self.eps[&ep].place {
            Place::Travelling(by) => self.would_swallow_itself(by, ep),
            _ => false,
        })
    }

    /// Notes that a hostile node may touch a route, and what is under way on it.
    pub(super) fn taint(&mut self, ep: Ep) {
        let mut todo = vec![ep];
        while let Some(ep) = todo.pop() {
            let Some(endpoint) = self.eps.get_mut(&ep) else { continue };
            if std::mem::replace(&mut endpoint.tainted, true) {
                continue;
            }
            todo.push(endpoint.peer);
            let inside = |inside: &&Ep| self.eps[*inside].place == Place::Travelling(ep);
            todo.extend(self.live.iter().filter(inside));
        }
    }

    /// The open portals of these nodes.
    pub(super) fn open(&self) -> impl Iterator<Item = (Ep, u8, PortalId)> + '_ {
        self.live.iter().filter_map(|&ep| match self.eps[&ep].place {
            Place::Held(node, portal) => Some((ep, node, portal)),
            _ => None,
        })
    }
}
