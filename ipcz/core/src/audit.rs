//! What must hold of the state between any two steps, for tests to look at.
//!
//! Routers know their ends, ends their router, peers their links: each fact is stored where it is
//! needed, and so twice. Here the two are compared.

use crate::end::{End, Side};
use crate::engine::Engine;
use crate::ids::{EndId, PeerId, RouterId};
use crate::message::Payload;
use crate::router::Router;

/// See [`Engine::holdings`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holdings {
    /// Terminals and proxies.
    pub routers: usize,
    /// Ends of links.
    pub ends: usize,
    /// Connections.
    pub peers: usize,
    /// Introductions, searches for nodes and answers that are owed.
    pub introductions: usize,
    /// Bypasses that wait for a connection.
    pub waiting: usize,
    /// Parcels that nobody has taken, those behind a gap included.
    pub queued: usize,
}

impl<P: Payload> Engine<P> {
    /// Compares everything that the engine holds with everything else.
    ///
    /// # Errors
    /// The first thing that does not fit.
    pub fn audit(&self) -> Result<(), &'static str> {
        if !(self.loopback.is_empty() && self.unread.is_empty() && self.doomed.is_empty()) {
            return Err("a step ended before its work was done");
        }
        for (key, end) in self.ends.iter() {
            self.audit_end(EndId(key), end)?;
        }
        for (key, router) in self.routers.iter() {
            self.audit_router(RouterId(key), router)?;
        }
        self.audit_on_hold()?;
        self.audit_relays()?;
        for (&id, peer) in &self.peers {
            for (&link, end) in &peer.links {
                let end = self.ends.get(end.0).ok_or("a peer's link without an end")?;
                if (end.peer, end.link) != (id, link) {
                    return Err("a peer's link is another's");
                }
            }
        }
        Ok(())
    }

    fn audit_end(&self, id: EndId, end: &End) -> Result<(), &'static str> {
        let router = end.router.and_then(|router| self.routers.get(router.0));
        let router = router.ok_or("an end without a router")?;
        if !router.ends().any(|held| held == id) {
            return Err("an end that its router does not know");
        }
        if end.fin_sent && end.finished && !self.on_hold.is_for(id) {
            return Err("an end that outlives its link");
        }
        let Some(twin) = end.twin() else {
            let peer = self.peers.get(&end.peer).ok_or("an end of a link to a lost peer")?;
            let known = peer.links.get(&end.link) == Some(&id);
            return known.then_some(()).ok_or("an end that its peer does not know");
        };
        match self.ends.get(twin.0) {
            Some(other) if other.twin() == Some(id) && other.owner != end.owner => Ok(()),
            Some(other) if other.twin() == Some(id) => Err("a link with two owners, or none"),
            _ => Err("half of a link on the loopback"),
        }
    }

    fn audit_router(&self, id: RouterId, router: &Router<P>) -> Result<(), &'static str> {
        let mut seen = std::collections::BTreeSet::new();
        for held in router.ends() {
            let end = self.ends.get(held.0).ok_or("a router's end is gone")?;
            if end.router != Some(id) || !seen.insert(held) {
                return Err("a router's end is another's, or stands twice");
            }
        }
        for side in Side::BOTH {
            let primary = router.side(side).primary;
            if primary.is_some_and(|end| self.ends[end.0].side != side) {
                return Err("a primary end on the wrong side");
            }
        }
        if router.beside != self.find_beside(id) {
            return Err("a terminal that does not know who is beside it");
        }
        if router.beside.is_some() && (!router.is_open() || router.is_closing()) {
            return Err("a terminal beside another that may not be put into");
        }
        if seen.is_empty() {
            self.audit_unlinked(router)
        } else if router.broken().is_some() {
            Err("a cut route that has links")
        } else {
            Ok(())
        }
    }

    fn audit_unlinked(&self, router: &Router<P>) -> Result<(), &'static str> {
        let over = router.broken().is_some() || router.side(Side::Outer).closed.is_some();
        match () {
            () if !router.is_open() => Err("a router that nothing needs"),
            () if !over => Err("an open portal without a link"),
            () if !router.status().peer_closed => Err("a portal that waits for ever"),
            () => Ok(()),
        }
    }

    /// How many introductions are waited for, or are being made.
    #[must_use]
    pub fn pending_introductions(&self) -> usize {
        self.wanted.len() + self.under_way.len() + self.federation.len()
    }

    /// How much there is of everything that a peer could make this node keep.
    #[must_use]
    pub fn holdings(&self) -> Holdings {
        let waiting = self.wanted.num_ends();
        let queued = self.routers.iter().map(|(_, router)| router.queue.num_held()).sum();
        Holdings {
            routers: self.routers.len(),
            ends: self.ends.len(),
            peers: self.peers.len(),
            introductions: self.pending_introductions(),
            waiting,
            queued,
        }
    }

    /// Whether this is one of the connections that the engine has.
    #[must_use]
    pub fn has_peer(&self, peer: PeerId) -> bool {
        self.peers.contains_key(&peer)
    }
}
