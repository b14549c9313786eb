//! How a proxy gets out of the way.
//!
//! ```text
//!            1 Yield / Grant          2 BypassMe(key of target's end)
//!  target ◀───────────────── proxy ─────────────────▶ executor
//!     ▲                                                   │
//!     └───────────────────── 3 Accept(key) ───────────────┘
//!
//!  4 target: Fin on its old link    5 proxy: Fin onwards    6 executor, proxy: Fin back
//! ```
//!
//! Each link is owned by one of its ends. A proxy that owns both its links may tell its inner
//! neighbour, the executor, to connect to its outer one, the target. Terminals give their links away
//! when asked; proxies do not, so of two neighbouring proxies only one can go at a time, and some
//! proxy always can. Both old links keep delivering what is on its way until their Fins have met.

use crate::effect::Effect;
use crate::end::Side;
use crate::engine::{Engine, Looped};
use crate::ids::{EndId, PeerId, RouterId};
use crate::message::{
    Accept, Cause, CauseKind, EndKey, Message, Payload, ProtocolViolation, RouteMessage,
};

/// What became of an offer to replace a link.
enum Offer {
    /// The end is known, and this is its router.
    Taken(EndId),
    /// No such end: it has ended meanwhile.
    Gone,
    /// The end is known and must not be replaced.
    Bad(RouterId),
}

impl<P: Payload> Engine<P> {
    /// Starts the bypass of a proxy if it may start now, or asks for what it lacks.
    pub(crate) fn evaluate(&mut self, id: RouterId) {
        let Some(router) = self.routers.get(id.0) else { return };
        let held = router.committed
            || router.is_closing()
            || Side::BOTH.iter().any(|&side| router.is_over(side));
        if !router.is_proxy() || held || !router.decaying().is_empty() {
            return;
        }
        let [outer, inner] = Side::BOTH.map(|side| router.side(side).primary);
        let (Some(outer), Some(inner)) = (outer, inner) else { return };
        if self.ends[outer.0].twin() == Some(inner) {
            return self.break_here(id); // All that is left of a ring.
        }
        if self.ends[outer.0].owner && self.ends[inner.0].owner {
            if router.probe().is_some() || self.is_too_early(outer, inner) {
                return;
            }
            self.routers[id.0].committed = true;
            let target = self.key_beyond(outer);
            self.send(inner, RouteMessage::BypassMe(target));
            return;
        }
        for id in [outer, inner] {
            let end = &mut self.ends[id.0];
            if !end.owner && !end.asked && !end.peer_is_proxy {
                end.asked = true;
                self.send(id, RouteMessage::Yield);
            }
        }
    }

    /// Whether the inner neighbour cannot connect to the outer one before the broker knows that.
    fn is_too_early(&self, outer: EndId, inner: EndId) -> bool {
        let [target, executor] = [outer, inner].map(|id| self.ends[id.0].peer);
        executor != PeerId::LOOPBACK && executor != target && self.awaits_broker(target)
    }

    /// The key of the other end of a link.
    fn key_beyond(&self, id: EndId) -> EndKey {
        let end = &self.ends[id.0];
        let via = self.config.name;
        match end.twin() {
            Some(_) => {
                let secret = self.secrets.of_loopback(end.link.0);
                EndKey { node: via, via, link: end.link, secret }
            }
            None => {
                let node = self.peer_name(end.peer).unwrap_or(via);
                EndKey { node, via, link: end.link, secret: end.secret() }
            }
        }
    }

    /// A proxy asks for the link.
    pub(crate) fn receive_yield(&mut self, id: EndId) -> Result<(), ProtocolViolation> {
        let (router, _) = self.place(id);
        let router = &self.routers[router.0];
        let end = &mut self.ends[id.0];
        if !end.owner {
            return Err(ProtocolViolation("asked for a link that it owns"));
        }
        let terminal = !router.is_proxy() && !router.is_closing();
        if terminal && !end.fin_sent && router.is_primary(id) {
            end.owner = false;
            self.send(id, RouteMessage::Grant);
        }
        Ok(())
    }

    /// The terminal at the other end gives the link away.
    pub(crate) fn receive_grant(&mut self, id: EndId) -> Result<(), ProtocolViolation> {
        let end = &mut self.ends[id.0];
        if end.owner || !end.asked {
            return Err(ProtocolViolation("gave a link that was not asked for"));
        }
        end.owner = true;
        let (router, _) = self.place(id);
        self.evaluate(router);
        Ok(())
    }

    /// A proxy asks to be bypassed.
    pub(crate) fn receive_bypass_me(
        &mut self,
        id: EndId,
        key: EndKey,
    ) -> Result<(), ProtocolViolation> {
        let (router, _) = self.place(id);
        let end = &mut self.ends[id.0];
        if end.owner || end.pending.is_some() {
            return Err(ProtocolViolation("a bypass of a link that may not be replaced"));
        }
        if !self.routers[router.0].is_primary(id) {
            return Err(ProtocolViolation("a bypass of a link that was replaced before"));
        }
        end.pending = Some(Box::new(key));
        self.try_bypass(id);
        Ok(())
    }

    /// Executes a bypass that was asked for, if it is still wanted and its target can be reached.
    pub(crate) fn try_bypass(&mut self, id: EndId) {
        let Some(end) = self.ends.get(id.0) else { return };
        let (Some(router_id), Some(key)) = (end.router, end.pending.as_deref().copied()) else {
            return;
        };
        let router = &self.routers[router_id.0];
        if router.is_closing() || end.is_ending() || !router.is_primary(id) {
            return self.forget_pending(id);
        }
        if key.node == self.config.name {
            self.bypass_to_self(id, router_id, key);
        } else if let Some(peer) = self.connected_peer(key.node) {
            self.bypass_to_peer(id, router_id, key, peer);
        } else if !self.want_introduction(key.node, id) {
            // The proxy stays, and works.
            self.forget_pending(id);
        }
    }

    fn bypass_to_peer(&mut self, old: EndId, router: RouterId, key: EndKey, peer: PeerId) {
        let (link, secret) = self.new_link(peer);
        let end = self.new_remote_end(self.ends[old.0].side, peer, link, secret);
        self.ends[end.0].owner = true;
        self.attach(end, router);
        let message = Message::Accept(Accept { key, link, secret });
        self.effects.push_back(Effect::Send { peer, message });
    }

    fn bypass_to_self(&mut self, old: EndId, router: RouterId, key: EndKey) {
        // The far end has no router until the offer has come round the loopback: what was sent
        // to this node before must be dealt with first.
        let side = self.ends[old.0].side;
        let (end, offered) = self.new_local_link(side, Side::Outer);
        self.attach(end, router);
        self.loopback.push_back(Looped::Accept { key, link: offered });
    }

    /// Another node offers to replace a link of this one.
    pub(crate) fn handle_accept(
        &mut self,
        peer: PeerId,
        accept: Accept,
    ) -> Result<(), ProtocolViolation> {
        self.check_new_link(peer, accept.link)?;
        let answer = match self.look_up_offer(&accept.key) {
            Offer::Taken(old) => {
                let side = self.ends[old.0].side;
                let end = self.new_remote_end(side, peer, accept.link, accept.secret);
                self.replace_link(old, end);
                return Ok(());
            }
            Offer::Gone => self.answer_too_late(&accept.key),
            Offer::Bad(router) => self.refuse_offer(router),
        };
        let message = Message::Route(accept.link, answer);
        self.effects.push_back(Effect::Send { peer, message });
        Ok(())
    }

    /// This node offers itself to replace a link.
    pub(crate) fn receive_looped_accept(&mut self, key: EndKey, offered: EndId) {
        let answer = match self.look_up_offer(&key) {
            Offer::Taken(old) if self.ends.get(offered.0).is_some() => {
                self.ends[offered.0].side = self.ends[old.0].side;
                self.replace_link(old, offered);
                return;
            }
            Offer::Taken(_) => return,
            Offer::Gone => self.answer_too_late(&key),
            Offer::Bad(router) => self.refuse_offer(router),
        };
        if self.ends.get(offered.0).is_some() {
            self.send(offered, answer);
            self.remove_end(offered);
        }
    }

    /// What is said to an offer for a link that is gone. Usually because its route ended in the meantime, of
    /// which whoever offers hears on the old way. If that is gone too, it is the reason.
    fn answer_too_late(&self, key: &EndKey) -> RouteMessage {
        if key.via == self.config.name || self.connected_peer(key.via).is_some() {
            return RouteMessage::Fin(0);
        }
        RouteMessage::Disconnected(Cause { kind: CauseKind::NodeLost, node: Some(key.via) })
    }

    fn look_up_offer(&self, key: &EndKey) -> Offer {
        let known = (key.node == self.config.name)
            .then(|| self.peer_by_name(key.via))
            .flatten()
            .and_then(|peer| self.find_end(peer, key.link));
        let Some(id) = known else { return Offer::Gone };
        let end = &self.ends[id.0];
        let secret = match end.twin() {
            Some(_) => self.secrets.of_loopback(id.0.to_bits()),
            None => end.secret(),
        };
        let Some(router_id) = end.router.filter(|_| secret == key.secret) else {
            return Offer::Gone;
        };
        let router = &self.routers[router_id.0];
        let replaceable =
            !end.owner && router.is_primary(id) && !router.is_over(end.side) && !router.committed;
        if replaceable { Offer::Taken(id) } else { Offer::Bad(router_id) }
    }

    fn refuse_offer(&mut self, router: RouterId) -> RouteMessage {
        let cause = Cause { kind: CauseKind::RouteBroken, node: Some(self.config.name) };
        self.break_route(router, cause);
        RouteMessage::Disconnected(cause)
    }

    /// Makes a new link the primary one, and ends the old one in this direction.
    fn replace_link(&mut self, old: EndId, new: EndId) {
        let (router_id, side) = self.place(old);
        self.attach(new, router_id);
        if let Some(length) = self.routers[router_id.0].side(side.other()).closed {
            self.send(new, RouteMessage::Closed(length.get()));
        }
        self.send_fin(old);
        self.remove_if_done(old);
        self.check_fins(router_id);
    }
}
