//! What follows from a step: sorted under the lock, done outside it.

use std::sync::Arc;
use std::time::Instant;

use ipcz_core::{Cause, CauseKind, Effect, Message, Pairing, TrapEvent};

use super::link::Link;
use super::notices::Notice;
use super::pump::{LINGER, LinkHandler};
use super::state::{ConnectionState, Shared, State};
use crate::driver::Transport;

/// Work that needs the node's lock released. Most steps have none or one piece of it, and an empty
/// list costs no allocation.
#[derive(Default)]
pub(crate) struct Work {
    activate: Vec<Arc<Link>>,
    flush: Vec<Arc<Link>>,
    close: Vec<(Arc<Link>, Cause)>,
    notices: Vec<(Notice, TrapEvent)>,
    pairings: Vec<Pairing>,
    unwanted: Vec<Box<dyn Transport>>,
    connected: Vec<(Arc<ConnectionState>, ipcz_core::NodeName)>,
    ended: Vec<(Arc<ConnectionState>, Cause)>,
}

impl State {
    /// Sorts what the engine asks for.
    pub(super) fn collect(&mut self, work: &mut Work) {
        while let Some(effect) = self.engine.poll_effect() {
            match effect {
                Effect::Send { peer, message } => {
                    let Some(link) = self.links.get(&peer).cloned() else { continue };
                    let transport = self.transport_in(&message);
                    link.push((message, transport));
                    if !work.flush.iter().any(|known| Arc::ptr_eq(known, &link)) {
                        work.flush.push(link);
                    }
                }
                Effect::Fire { trap, event } => {
                    work.notices.extend(self.notices.remove(trap).map(|notice| (notice, event)));
                }
                Effect::CreateTransports(pairing) => work.pairings.push(pairing),
                Effect::Activate { peer, transport } => {
                    let Some(transport) = self.transports.remove(&transport) else { continue };
                    work.activate.push(self.add_link(peer, transport));
                }
                Effect::DropTransport(id) => work.unwanted.extend(self.transports.remove(&id)),
                Effect::Connected(peer) => {
                    let state = self.connections.get(&peer).cloned();
                    work.connected.extend(state.zip(self.engine.peer_name(peer)));
                }
                Effect::Disconnect { peer, cause } => {
                    if let Some(link) = self.links.remove(&peer) {
                        link.close_after_flush();
                        work.close.push((link, cause));
                    }
                    let state = self.connections.remove(&peer);
                    work.ended.extend(state.map(|state| (state, cause)));
                }
            }
        }
    }

    /// Makes the way out to a peer. Its transport is to be activated after the step.
    pub(crate) fn add_link(
        &mut self,
        peer: ipcz_core::PeerId,
        transport: Box<dyn Transport>,
    ) -> Arc<Link> {
        let link = Arc::new(Link::new(peer, transport));
        self.links.insert(peer, Arc::clone(&link));
        self.open_transports += 1;
        link
    }

    fn transport_in<P>(&mut self, message: &Message<P>) -> Option<Box<dyn Transport>> {
        match message {
            Message::Network(message) => {
                message.transport().and_then(|transport| self.transports.remove(&transport))
            }
            _ => None,
        }
    }
}

impl Shared {
    /// Does what a step left to do. Called under no lock.
    pub(super) fn perform(self: &Arc<Self>, work: Work) {
        for (state, name) in work.connected {
            state.update(|progress| progress.name = Some(name));
        }
        for link in work.activate {
            self.activate(&link);
        }
        for link in work.flush {
            link.flush();
        }
        for (link, cause) in work.close {
            self.close_link(link, cause);
        }
        drop(work.unwanted);
        for pairing in work.pairings {
            self.pair(pairing);
        }
        for (state, cause) in work.ended {
            state.update(|progress| progress.ended = Some(cause));
        }
        for (notice, event) in work.notices {
            self.give(notice, event);
        }
    }

    /// Starts delivery from a peer.
    pub(crate) fn activate(self: &Arc<Self>, link: &Arc<Link>) {
        let handler = Arc::new(LinkHandler::new(Arc::clone(self), Arc::clone(link)));
        if link.transport.activate(handler).is_err() {
            self.transport_gone();
            self.step(|state| state.engine.handle_lost(link.peer));
        }
    }

    fn pair(self: &Arc<Self>, pairing: Pairing) {
        let made = self.driver.create_transports().ok();
        self.step(|state| {
            let ids = made.map(|(a, b)| (state.park_transport(a), state.park_transport(b)));
            state.engine.handle_transports(pairing, ids);
        });
    }

    /// Closes a link once what was queued has left, or when it has had its time.
    fn close_link(&self, link: Arc<Link>, cause: Cause) {
        link.flush();
        match self.driver.pump() {
            // Who broke the rules, or is gone, gets no more of this node's time.
            Some(pump) if cause.kind == CauseKind::Shutdown => {
                self.callbacks.linger(link, Instant::now() + LINGER);
                pump.interrupt();
            }
            _ => link.close_now(),
        }
    }

    fn give(&self, notice: Notice, event: TrapEvent) {
        match notice {
            Notice::Wake(waker) => waker.wake(),
            Notice::Watch(watcher) => watcher.on_ready(),
            Notice::Call(callback) => match self.driver.pump() {
                Some(pump) => {
                    self.callbacks.push(callback, event);
                    pump.interrupt();
                }
                None => callback(event),
            },
        }
    }
}
