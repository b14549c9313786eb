//! What must hold: after every step of a node, once nothing is under way, and at the very end.

use ipcz_core::{Cause, CauseKind, Message, Payload, Route, TrapConditions};

use super::model::{Armed, Ep, Place, Tag};
use super::world::{Violation, World};

fn broken(invariant: &'static str, detail: String) -> Result<(), Violation> {
    Err(Violation::new(invariant, detail))
}

impl World {
    /// What holds after every step, of the node that made it.
    pub(super) fn check_node(&self, node: u8) -> Result<(), Violation> {
        let engine = &self.node(node).engine;
        if self.node(node).hostile {
            return Ok(());
        }
        if engine.has_effects() {
            return broken("effects are carried out", format!("node {node}"));
        }
        if let Err(what) = engine.audit() {
            return broken("the engine's state agrees with itself", format!("node {node}: {what}"));
        }
        self.check_growth(node)?;
        for (ep, at, _) in self.model.open() {
            if at == node {
                self.check_portal(ep)?;
            }
        }
        let armed = self.model.traps.iter().filter(|(_, armed)| armed.node == node);
        for (id, armed) in armed {
            if self.is_overdue(armed) {
                return broken("a trap fires when it should", format!("trap {id} {armed:?}"));
            }
        }
        Ok(())
    }

    /// What a portal says of itself at any time.
    fn check_portal(&self, ep: Ep) -> Result<(), Violation> {
        let Some((node, portal)) = self.model.held(ep) else { return Ok(()) };
        let engine = &self.node(node).engine;
        let Some(status) = engine.status(portal) else {
            return broken("a portal stays where it was put", format!("p{ep} at {node}"));
        };
        let endpoint = &self.model.eps[&ep];
        let peer = &self.model.eps[&endpoint.peer];
        if endpoint.tainted {
            return Ok(());
        }
        let cut = engine.cause(portal);
        // A bypass that meets a cut on its way sees a route whose ends disagree.
        let unsendable = |kind| matches!(kind, CauseKind::Unsendable | CauseKind::RouteBroken);
        let excused = |cause: &Cause| {
            let unrelayed = self.relaying && self.troubles.refused;
            let relay = matches!(cause.kind, CauseKind::NotRelayed | CauseKind::RouteBroken);
            endpoint.at_risk && cause.kind != CauseKind::RouteBroken
                || unrelayed && relay
                || endpoint.own
                || endpoint.unsent && unsendable(cause.kind)
        };
        if cut.is_some_and(|cause| cause.kind == CauseKind::Rejected && !self.troubles.rejected) {
            return broken("a rejection has a reason", format!("p{ep}: {cut:?}"));
        }
        if let Some(cause) = cut.filter(|cause| !excused(cause)) {
            return broken("routes are cut by losses only", format!("p{ep}: {cause:?}"));
        }
        let seen = endpoint.taken as usize + status.num_parcels;
        if seen > peer.sent.len() {
            return broken("nothing arrives that was not put", format!("p{ep}: {status:?}"));
        }
        let bytes = |parcels: usize| parcels.checked_sub(1).map_or(0, |last| peer.bytes[last]);
        if status.num_bytes != bytes(seen) - bytes(endpoint.taken as usize) {
            return broken(
                "a portal counts the bytes that are there",
                format!("p{ep}: {status:?}"),
            );
        }
        if status.num_parcels == 0 && self.model.lent.contains_key(&ep) {
            return broken("a parcel that is lent stays the next one", format!("p{ep}"));
        }
        if status.dead != (status.peer_closed && status.num_parcels == 0) {
            return broken("dead means closed and empty", format!("p{ep}: {status:?}"));
        }
        if !status.peer_closed || cut.is_some() {
            return Ok(());
        }
        if matches!(peer.place, Place::Held(..)) {
            return broken("an open peer is not called closed", format!("p{ep}: {status:?}"));
        }
        if seen < peer.sent.len() {
            return broken("closed means that everything is here", format!("p{ep}: {status:?}"));
        }
        Ok(())
    }

    /// Whether a trap that has not fired should have.
    fn is_overdue(&self, armed: &Armed) -> bool {
        let Some((node, portal)) = self.model.held(armed.ep).filter(|at| at.0 == armed.node) else {
            return false;
        };
        let Some(status) = self.node(node).engine.status(portal) else { return true };
        let TrapConditions { peer_closed, dead, above_parcels, above_bytes, new_parcel } =
            armed.conditions;
        peer_closed && status.peer_closed
            || dead && status.dead
            || above_parcels.is_some_and(|min| status.num_parcels > min)
            || above_bytes.is_some_and(|min| status.num_bytes > min)
            || new_parcel && status.num_parcels > armed.parcels
    }

    /// A portal that has gone has no traps left.
    pub(super) fn check_no_traps(&self, ep: Ep) -> Result<(), Violation> {
        match self.model.traps.iter().find(|(_, armed)| armed.ep == ep) {
            Some((id, _)) => broken("traps fire when their portal goes", format!("{id} on p{ep}")),
            None => Ok(()),
        }
    }

    /// What holds once nothing is under way and every parcel has been taken.
    ///
    /// # Errors
    /// What did not hold.
    pub fn check_quiet(&self) -> Result<(), Violation> {
        for (ep, ..) in self.model.open() {
            self.check_quiet_route(ep)?;
        }
        for (index, node) in self.nodes.iter().enumerate().filter(|(_, node)| node.alive) {
            let waits = node.engine.pending_introductions();
            if waits > 0 && !self.has_hostile() {
                return broken("introductions end", format!("node {index} waits for {waits}"));
            }
        }
        self.check_memory()?;
        self.check_relays(!self.has_hostile())?;
        match (self.troubles.refused, self.has_hostile()) {
            (true, _) => Ok(()),
            (false, false) => self.check_reduced(),
            (false, true) => {
                let mut untouched =
                    self.model.open().filter(|(ep, ..)| !self.model.eps[ep].tainted);
                untouched.try_for_each(|(ep, ..)| self.check_direct(ep))
            }
        }
    }

    /// No half of a parcel waits for the other once nothing is under way.
    fn check_relays(&self, all: bool) -> Result<(), Violation> {
        let alive = self.nodes.iter().enumerate().filter(|(_, node)| node.alive && !node.hostile);
        for (index, node) in alive.filter(|_| all) {
            let waits = node.engine.pending_relays();
            if waits > 0 {
                return broken("halves find each other", format!("node {index} keeps {waits}"));
            }
        }
        Ok(())
    }

    /// What a node that has brokers pass on its handles sends to others has none.
    pub(super) fn check_direct_send(
        &self,
        node: u8,
        far: Option<u8>,
        message: &Message<Tag>,
    ) -> Result<(), Violation> {
        let config = self.node(node).engine.config();
        let relays = config.relays_handles && !config.is_broker;
        let to_broker = far.is_none_or(|far| self.node(far).engine.config().is_broker);
        match message {
            Message::Parcel { payload, .. } if relays && !to_broker && payload.has_handles() => {
                broken("handles travel only where they may", format!("{node}: {message:?}"))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn has_hostile(&self) -> bool {
        self.nodes.iter().any(|node| node.hostile)
    }

    /// Each portal of a quiet world has all of its peer's parcels, or knows that it never will.
    fn check_quiet_route(&self, ep: Ep) -> Result<(), Violation> {
        let Some((node, portal)) = self.model.held(ep) else { return Ok(()) };
        let endpoint = &self.model.eps[&ep];
        let peer = &self.model.eps[&endpoint.peer];
        if endpoint.tainted {
            return Ok(());
        }
        let engine = &self.node(node).engine;
        let cut = engine.cause(portal).is_some();
        if !cut && endpoint.taken as usize != peer.sent.len() {
            let detail = format!("p{ep} has {} of {}", endpoint.taken, peer.sent.len());
            return broken("everything that was put arrives", detail);
        }
        let closed = engine.status(portal).is_some_and(|status| status.peer_closed);
        match self.model.held(endpoint.peer) {
            None if closed => Ok(()),
            None => broken("a portal hears that its peer has gone", format!("p{ep} at {node}")),
            Some((other, far)) if cut => match self.node(other).engine.cause(far) {
                Some(_) => Ok(()),
                None => broken("both ends know of a cut", format!("p{ep} at {node}")),
            },
            Some(_) => Ok(()),
        }
    }

    /// Where nothing stood in the way, routes are as short as can be.
    fn check_reduced(&self) -> Result<(), Violation> {
        let mut routers = 0;
        let mut ends = 0;
        for (index, node) in self.nodes.iter().enumerate().filter(|(_, node)| node.alive) {
            let topology = node.engine.topology();
            if topology.proxies > 0 {
                let detail = format!("node {index} has {} proxies", topology.proxies);
                return broken("no proxy stays", detail);
            }
            routers += node.engine.counts().routers;
            ends += node.engine.counts().ends;
        }
        let open = self.model.open().count();
        if routers != open {
            let detail = format!("{routers} routers for {open} portals");
            return broken("a router for each open portal", detail);
        }
        let linked = self.model.open().filter(|&(ep, ..)| self.is_linked(ep)).count();
        if ends != linked {
            return broken("one link for each route", format!("{ends} ends for {linked}"));
        }
        self.model.open().try_for_each(|(ep, ..)| self.check_direct(ep))
    }

    fn is_linked(&self, ep: Ep) -> bool {
        let open = self.model.held(ep).zip(self.model.held(self.model.peer(ep)));
        open.is_some_and(|((node, portal), _)| self.node(node).engine.cause(portal).is_none())
    }

    /// The portal's link leads to where its peer is.
    fn check_direct(&self, ep: Ep) -> Result<(), Violation> {
        let Some((node, portal)) = self.model.held(ep).filter(|_| self.is_linked(ep)) else {
            return Ok(());
        };
        let Some((far, _)) = self.model.held(self.model.peer(ep)) else { return Ok(()) };
        let expected = if far == node {
            Route::Local
        } else {
            Route::Remote(self.node(far).engine.config().name)
        };
        match self.node(node).engine.route(portal) {
            Some(route) if route == expected => Ok(()),
            route => broken("routes are direct", format!("p{ep}: {route:?}, not {expected:?}")),
        }
    }

    /// What holds once every portal has been closed and nothing is under way.
    ///
    /// # Errors
    /// What did not hold.
    pub fn check_empty(&self) -> Result<(), Violation> {
        self.check_relays(true)?;
        for (index, node) in self.nodes.iter().enumerate() {
            let counts = node.engine.counts();
            let left = (counts.routers, counts.ends);
            if node.alive && !node.hostile && left != (0, 0) {
                return broken("nothing leaks", format!("node {index}: {counts:?}"));
            }
            if node.alive && counts.peers != node.links.len() {
                let detail = format!("node {index}: {counts:?}, {} links", node.links.len());
                return broken("each peer has a connection", detail);
            }
        }
        match self.model.traps.iter().find(|(_, armed)| !self.node(armed.node).hostile) {
            Some((id, armed)) => broken("every trap fires", format!("{id}: {armed:?}")),
            None => Ok(()),
        }
    }
}
