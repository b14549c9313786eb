//! What a node knows of the network, for people to look at.

use crate::end::Side;
use crate::engine::Engine;
use crate::ids::{NodeName, PeerId, PortalId};
use crate::message::{Cause, Payload};

/// A node's view of the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topology {
    /// The node itself.
    pub name: NodeName,
    /// Whether it introduces nodes to each other.
    pub is_broker: bool,
    /// The nodes it is connected to.
    pub peers: Vec<PeerInfo>,
    /// Portals on this node, those included that are closed and have yet to tell their peer.
    pub terminals: usize,
    /// Routers that pass on what comes to portals which went elsewhere.
    pub proxies: usize,
}

/// A peer, and how many routes pass over the connection to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerInfo {
    /// Who is at the other end.
    pub name: NodeName,
    /// Whether it introduces nodes to each other.
    pub is_broker: bool,
    /// Routes that pass over this connection at this moment.
    pub links: usize,
}

/// Where a portal's route leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// To a router of this node.
    Local,
    /// To a router of another node.
    Remote(NodeName),
    /// Nowhere: the peer is closed.
    Closed,
    /// Nowhere: it was cut.
    Cut(Cause),
}

impl<P: Payload> Engine<P> {
    /// What this node knows of the network.
    #[must_use]
    pub fn topology(&self) -> Topology {
        let peers = self.peers.values().filter(|peer| peer.is_connected());
        let peers = peers.filter_map(|peer| {
            let links = peer.links.len();
            Some(PeerInfo { name: peer.name?, is_broker: peer.is_broker, links })
        });
        let proxies = self.routers.iter().filter(|(_, router)| router.is_proxy()).count();
        Topology {
            name: self.config.name,
            is_broker: self.config.is_broker,
            peers: peers.collect(),
            terminals: self.routers.len() - proxies,
            proxies,
        }
    }

    /// Where a portal's route leads, as far as this node knows.
    #[must_use]
    pub fn route(&self, portal: PortalId) -> Option<Route> {
        let router = self.open_terminal(portal)?;
        Some(match (router.broken(), router.side(Side::Outer).primary) {
            (Some(cause), _) => Route::Cut(cause),
            (None, None) => Route::Closed,
            (None, Some(end)) => match self.ends[end.0].peer {
                PeerId::LOOPBACK => Route::Local,
                peer => self.peer_name(peer).map_or(Route::Closed, Route::Remote),
            },
        })
    }

    /// All routers of this node and the ends of their links, for people to look at.
    #[must_use]
    pub fn stations(&self) -> Vec<Station> {
        let station = |(key, router): (_, &crate::router::Router<P>)| {
            let ends = router.ends().map(|id| {
                let end = &self.ends[id.0];
                let decays = !router.is_primary(id);
                let far = end.twin().map(|twin| RouterLink::Here(twin.0.to_bits()));
                let far = far.unwrap_or_else(|| RouterLink::There {
                    peer: end.peer,
                    node: self.peer_name(end.peer),
                    link: end.link,
                });
                StationEnd { id: id.0.to_bits(), far, decays, owner: end.owner }
            });
            let router_id = crate::ids::RouterId(key);
            Station { router: router_id, is_proxy: router.is_proxy(), ends: ends.collect() }
        };
        self.routers.iter().map(station).collect()
    }

    /// How many routers, ends of links and peers there are: all zero once everything is closed.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts { routers: self.routers.len(), ends: self.ends.len(), peers: self.peers.len() }
    }
}

/// A router, and the ends of links that it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Station {
    /// Which one. A terminal's is its portal's.
    pub router: PortalId,
    /// Whether its portal went elsewhere.
    pub is_proxy: bool,
    /// The ends of its links.
    pub ends: Vec<StationEnd>,
}

/// One end of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StationEnd {
    /// Tells it from the other ends of this node.
    pub id: u64,
    /// Where the other end is.
    pub far: RouterLink,
    /// Whether it was replaced and only receives.
    pub decays: bool,
    /// Whether it owns the link.
    pub owner: bool,
}

/// Where a link leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouterLink {
    /// To this end on the same node.
    Here(u64),
    /// To another node.
    There {
        /// The connection that it uses.
        peer: PeerId,
        /// Who is at its other end.
        node: Option<NodeName>,
        /// What both nodes call the link.
        link: crate::ids::LinkId,
    },
}

/// See [`Engine::counts`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Terminals and proxies.
    pub routers: usize,
    /// Ends of links.
    pub ends: usize,
    /// Connections.
    pub peers: usize,
}
