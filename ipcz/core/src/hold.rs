//! Parcels on hold: what the embedder has to make ready before it may leave the node.
//!
//! ```text
//!  transmit ─▶ [ 7 out │ 8 ready │ 9 out ] ─▶ link       7 is waited for, 8 and 9 wait behind it
//!                 │                  ▲
//!     Serialize(ticket, 7)    handle_serialized(ticket, 7')
//! ```
//!
//! An object of the application becomes bytes only when it really leaves its node, and how is the
//! application's own code, which runs under no lock. So a parcel that holds one is handed out when
//! its turn on a remote link comes, and whatever else that link is to carry waits behind it: parcels
//! keep their order, and the link's Fin comes after all that it counts. Portals in parcels on hold
//! stay terminals of this node, as they do in parcels that nobody has taken, and depart when the
//! parcel does.
//!
//! What concerns the route and not its parcels goes ahead: `Closed` carries a length, and a
//! replaced link delivers what is still to come on it. A link that ends otherwise takes what is on
//! hold for it along; what the embedder still has of it is of no use when it comes back.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::effect::Effect;
use crate::engine::Engine;
use crate::ids::{EndId, PortalId, Ticket};
use crate::limits;
use crate::message::{Cause, CauseKind, Payload, RouteMessage};
use crate::parcel::Parcel;
use crate::thin_vec::ThinVec;

/// The parcels that are on hold, by the end that they are to leave by, in their order there. Their
/// numbers grow.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct OnHold<P> {
    queues: BTreeMap<EndId, VecDeque<Held<P>>>,
    last_number: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Held<P> {
    number: u64,
    sequence: u64,
    state: State<P>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum State<P> {
    /// The embedder has it. The portals in it are remembered, for whoever has to close them.
    Out { portals: ThinVec<PortalId>, hops: u16 },
    /// It waits for those before it.
    Ready(Parcel<P>),
}

impl<P> Default for OnHold<P> {
    fn default() -> Self {
        Self { queues: BTreeMap::new(), last_number: 0 }
    }
}

impl<P> OnHold<P> {
    /// Whether something is on hold for this end.
    pub(crate) fn is_for(&self, end: EndId) -> bool {
        !self.queues.is_empty() && self.queues.contains_key(&end)
    }

    fn push(&mut self, end: EndId, sequence: u64, state: State<P>) -> Ticket {
        self.last_number += 1;
        let number = self.last_number;
        self.queues.entry(end).or_default().push_back(Held { number, sequence, state });
        Ticket { end, number }
    }

    fn find(&mut self, ticket: Ticket) -> Option<&mut State<P>> {
        let queue = self.queues.get_mut(&ticket.end)?;
        let index = queue.binary_search_by_key(&ticket.number, |held| held.number).ok()?;
        let state = &mut queue[index].state;
        matches!(state, State::Out { .. }).then_some(state)
    }

    /// Takes the first parcel for this end, if it is ready.
    fn pop_ready(&mut self, end: EndId) -> Option<(u64, Parcel<P>)> {
        let queue = self.queues.get_mut(&end)?;
        let held = queue.pop_front()?;
        match held.state {
            State::Ready(parcel) => Some((held.sequence, parcel)),
            State::Out { .. } => {
                queue.push_front(held);
                None
            }
        }
    }

    /// Forgets an end for which nothing is on hold any more. Gives whether that was so.
    fn forget_if_empty(&mut self, end: EndId) -> bool {
        let empty = self.queues.get(&end).is_some_and(VecDeque::is_empty);
        if empty {
            self.queues.remove(&end);
        }
        empty
    }

    /// Forgets what is on hold for an end that is gone. Gives the portals in it.
    pub(crate) fn remove(&mut self, end: EndId) -> Vec<PortalId> {
        if self.queues.is_empty() {
            return Vec::new();
        }
        let gone = self.queues.remove(&end).into_iter().flatten();
        let portals = gone.flat_map(|held| match held.state {
            State::Out { portals, .. } => portals,
            State::Ready(parcel) => parcel.portals,
        });
        portals.collect()
    }
}

impl<P: Payload> Engine<P> {
    /// Puts a parcel on hold: because it is not ready, or because others wait there.
    pub(crate) fn hold(&mut self, end: EndId, sequence: u64, parcel: Parcel<P>) {
        if parcel.payload.is_ready() {
            self.on_hold.push(end, sequence, State::Ready(parcel));
        } else if parcel.payload.can_leave() {
            let out = State::Out { portals: parcel.portals.clone(), hops: parcel.hops };
            let ticket = self.on_hold.push(end, sequence, out);
            self.effects.push_back(Effect::Serialize { ticket, parcel });
        } else {
            self.discard(parcel);
            self.refuse_to_leave(end);
        }
    }

    /// Takes back what [`Effect::Serialize`] handed out: the parcel made ready, perhaps with more
    /// portals in it, or the parcel as it was if it cannot leave the node, which cuts its route
    /// ([`CauseKind::Unsendable`]). So does a parcel that is still not ready, or that holds a portal
    /// that cannot travel here.
    ///
    /// Answers may come in any order and at any time. One that comes too late, because the route or
    /// the link is gone, only closes the portals in it.
    pub fn handle_serialized(&mut self, ticket: Ticket, answer: Result<Parcel<P>, Parcel<P>>) {
        let may_leave = answer.as_ref().is_ok_and(|parcel| self.may_leave(ticket.end, parcel));
        let (Ok(mut parcel) | Err(mut parcel)) = answer;
        match self.on_hold.find(ticket) {
            None => self.discard(parcel),
            Some(state) if may_leave => {
                if let State::Out { portals, hops } = state {
                    parcel.hops = *hops;
                    let kept: BTreeSet<_> = parcel.portals.iter().collect();
                    self.doomed.extend(portals.iter().filter(|portal| !kept.contains(portal)));
                }
                *state = State::Ready(parcel);
                self.release(ticket.end);
            }
            Some(_) => {
                self.discard(parcel);
                self.refuse_to_leave(ticket.end);
            }
        }
        self.settle();
    }

    /// Whether a parcel that comes back from the embedder may go out by this end.
    fn may_leave(&self, end: EndId, parcel: &Parcel<P>) -> bool {
        let Some(router) = self.ends.get(end.0).and_then(|end| end.router) else { return false };
        if !parcel.payload.is_ready() || parcel.portals.len() > limits::MAX_PORTALS_PER_PARCEL {
            return false;
        }
        let peer = self.local_peer(router);
        let mut seen = BTreeSet::new();
        parcel.portals.iter().all(|&portal| {
            let own = portal == router || Some(portal) == peer;
            !own && self.open_terminal(portal).is_some() && seen.insert(portal)
        })
    }

    /// Sends what is ready and has nothing before it, and the Fin behind all of it.
    fn release(&mut self, end: EndId) {
        while let Some((sequence, parcel)) = self.on_hold.pop_ready(end) {
            self.send_parcel(end, sequence, parcel);
        }
        if !self.on_hold.forget_if_empty(end) {
            return;
        }
        let Some(freed) = self.ends.get(end.0) else { return };
        if freed.fin_sent {
            self.send(end, RouteMessage::Fin(freed.sent));
            self.remove_if_done(end);
        }
    }

    /// Cuts the route of a parcel that cannot go where the route leads.
    fn refuse_to_leave(&mut self, end: EndId) {
        let (router, _) = self.place(end);
        let node = Some(self.config.name);
        self.break_route(router, Cause { kind: CauseKind::Unsendable, node });
    }

    /// Compares what is on hold with the rest of the state.
    pub(crate) fn audit_on_hold(&self) -> Result<(), &'static str> {
        for (&id, queue) in &self.on_hold.queues {
            let end = self.ends.get(id.0).ok_or("parcels on hold for an end that is gone")?;
            if end.twin().is_some() || end.sent < queue.len() as u64 {
                return Err("parcels on hold that no other node waits for");
            }
            if !queue.iter().is_sorted_by_key(|held| held.number) {
                return Err("parcels on hold out of order");
            }
            if !matches!(queue.front(), Some(Held { state: State::Out { .. }, .. })) {
                return Err("parcels on hold for nothing");
            }
            let portals = queue.iter().flat_map(|held| match &held.state {
                State::Out { portals, .. } => portals,
                State::Ready(parcel) => &parcel.portals,
            });
            for &portal in portals {
                self.open_terminal(portal).ok_or("a parcel on hold without its portals")?;
            }
        }
        Ok(())
    }
}
