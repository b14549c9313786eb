//! A node: the engine under its lock, and what belongs to it.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::task::Waker;
use std::time::Instant;

use ipcz_core::{
    AllocationId, Cause, Config, Engine, MemoryId, NodeName, PeerId, PortalId, TransportId,
};

use super::allocation::Asker;
use super::callbacks::Callbacks;
use super::carry::Work;
use super::lead::Lead;
use super::link::{Link, Source};
use super::notices::Notices;
use super::payload::Contents;
use super::pump::guarded;
use super::room::{Room, wake_all};
use super::shrink::Shrinking;
use crate::driver::unix::UnixDriver;
use crate::driver::{Driver, Transport};
use crate::shm::Region;
use crate::sync::lock;
use crate::wire;

/// What all handles of a node share. The pump and the transports hold it too.
pub(crate) struct Shared {
    pub(crate) driver: Arc<dyn Driver>,
    /// The driver once more, if it is the system's: it spawns, listens and connects.
    pub(crate) system: Option<Arc<UnixDriver>>,
    pub(crate) name: NodeName,
    pub(crate) is_broker: bool,
    state: Mutex<State>,
    pub(super) callbacks: Callbacks,
    pub(super) lead: Lead,
    /// Whether waiting threads may stay awake for a little while.
    pub(super) spins: bool,
    /// What may be queued for links.
    pub(crate) room: Arc<Room>,
    /// Where memory for links comes from.
    pub(super) source: Source,
    pub(super) shrinking: Shrinking,
    /// Signalled when the last link is gone.
    idle: Condvar,
}

/// What the node's lock guards.
pub(crate) struct State {
    pub(crate) engine: Engine<Contents>,
    pub(crate) links: BTreeMap<PeerId, Arc<Link>>,
    /// Transports that arrived or were made, and that the engine knows by number.
    pub(crate) transports: BTreeMap<TransportId, Box<dyn Transport>>,
    pub(crate) last_transport: u64,
    /// Memory that arrived or was made, and that the engine knows by number.
    pub(crate) memory: BTreeMap<MemoryId, Region>,
    pub(crate) last_memory: u64,
    /// Who waits for memory.
    pub(super) allocations: BTreeMap<AllocationId, Asker>,
    pub(crate) notices: Notices,
    /// What the leader sleeps for.
    claim: Option<Claim>,
    pub(super) room: Arc<Room>,
    /// Portals may lead elsewhere since somebody was told that a link is full.
    pub(super) rerouted: bool,
    pub(crate) connections: BTreeMap<PeerId, Arc<ConnectionState>>,
    /// Links whose transports have yet to report that they are closed.
    pub(crate) open_transports: usize,
    /// The node was shut down: nothing new begins.
    pub(crate) stopped: bool,
    /// A link was closed before its peer had taken everything.
    pub(super) cut_short: bool,
}

/// A portal whose next parcel the leader waits for. There is one leader at most, and it sleeps before each
/// parcel that it gets: so it has no trap, which would cost several allocations each time.
struct Claim {
    portal: PortalId,
    waker: Waker,
}

/// What is known of one connection, shared with the handles to it.
#[derive(Debug, Default)]
pub(crate) struct ConnectionState {
    pub(crate) progress: Mutex<Progress>,
    pub(crate) changed: Condvar,
}

/// How far a connection is.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// The peer's name, once it has said hello.
    pub(crate) name: Option<NodeName>,
    /// Why the connection is over, once it is.
    pub(crate) ended: Option<Cause>,
    /// Who waits for the end, by a number of its own.
    pub(crate) wakers: BTreeMap<u64, Waker>,
    pub(crate) last_waiter: u64,
}

impl ConnectionState {
    /// Wakes whoever waits for a change.
    pub(crate) fn announce(&self) {
        let wakers = std::mem::take(&mut lock(&self.progress).wakers);
        self.changed.notify_all();
        for (_, waker) in wakers {
            guarded(|| waker.wake());
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Shared {
    pub(crate) fn new(
        driver: Arc<dyn Driver>,
        system: Option<Arc<UnixDriver>>,
        config: Config,
        spins: bool,
        queue_limit: Option<usize>,
    ) -> io::Result<Arc<Self>> {
        let source = match config.features & wire::feature::OFFERS_MEMORY != 0 {
            true => Source::Driver,
            false if config.relays_handles && !config.is_broker => Source::Nobody,
            false => Source::Delegate,
        };
        let notices = Notices::default();
        let lead = Lead::new(notices.others());
        let room = Arc::new(Room::new(queue_limit));
        let shared = Arc::new(Self {
            driver,
            system,
            name: config.name,
            is_broker: config.is_broker,
            state: Mutex::new(State {
                engine: Engine::new(config),
                links: BTreeMap::new(),
                transports: BTreeMap::new(),
                last_transport: 0,
                memory: BTreeMap::new(),
                last_memory: 0,
                allocations: BTreeMap::new(),
                notices,
                claim: None,
                room: Arc::clone(&room),
                rerouted: false,
                connections: BTreeMap::new(),
                open_transports: 0,
                stopped: false,
                cut_short: false,
            }),
            callbacks: Callbacks::default(),
            lead,
            spins,
            room,
            source,
            shrinking: Shrinking::default(),
            idle: Condvar::new(),
        });
        shared.start_pump()?;
        Ok(shared)
    }

    /// Looks at the node's state without changing what the engine knows.
    pub(crate) fn look<R>(&self, look: impl FnOnce(&mut State) -> R) -> R {
        look(&mut lock(&self.state))
    }

    /// Runs one step: `input` under the lock, and what follows from it outside.
    #[inline]
    pub(crate) fn step<R>(self: &Arc<Self>, input: impl FnOnce(&mut State) -> R) -> R {
        let mut state = lock(&self.state);
        let result = input(&mut state);
        if state.engine.has_effects() || state.claim.is_some() || state.rerouted {
            self.follow_up(state);
        }
        result
    }

    /// Does what follows from a step.
    fn follow_up(self: &Arc<Self>, mut state: MutexGuard<'_, State>) {
        let leader = state.take_claim();
        if let Some((peer, message)) = state.engine.poll_only_message() {
            let sent = state.send_only(peer, message);
            let rerouted = state.take_rerouted();
            drop(state);
            sent.finish();
            wake_all(rerouted);
        } else if state.engine.has_effects() || state.rerouted {
            let work = self.collect(state);
            self.perform(work);
        } else {
            drop(state);
        }
        leader.into_iter().for_each(Waker::wake);
    }

    /// The part of a step that happens under the lock. Gives what follows from it, if anything does.
    pub(super) fn begin_step<R>(&self, input: impl FnOnce(&mut State) -> R) -> (R, Option<Work>) {
        let mut state = lock(&self.state);
        let result = input(&mut state);
        let leader = state.take_claim();
        let has_work = state.engine.has_effects() || state.rerouted;
        let work = has_work.then(|| self.collect(state));
        leader.into_iter().for_each(Waker::wake);
        (result, work)
    }

    fn collect(&self, mut state: MutexGuard<'_, State>) -> Work {
        let mut work = Work::default();
        let callbacks = self.driver.pump().map(|_| &self.callbacks);
        state.collect(&mut work, callbacks);
        work
    }

    /// A transport that was activated, or was to be, is closed.
    pub(super) fn transport_gone(&self, link: &Link) {
        if !link.set_gone() {
            return;
        }
        let is_over = self.look(|state| {
            state.open_transports -= 1;
            state.open_transports == 0
        });
        if is_over {
            self.idle.notify_all();
            self.wake_pump();
        }
    }

    /// Has the pump's thread look at what changed, unless it is this one, which will.
    pub(super) fn wake_pump(&self) {
        if let Some(pump) = self.driver.pump().filter(|_| !self.callbacks.is_pumping()) {
            pump.interrupt();
        }
    }

    /// Closes everything. What was put before still leaves, as long as the peers take it, until
    /// `until` or a little longer.
    pub(crate) fn shut_down(self: &Arc<Self>, until: Instant) {
        self.step(|state| {
            state.stopped = true;
            state.engine.shut_down();
        });
        self.callbacks.linger_all(until);
        self.wake_pump();
    }

    /// Waits as [`Shared::wait_idle`] does, while another thread pumps.
    pub(super) fn sleep_idle(&self, deadline: Instant) -> bool {
        let mut state = lock(&self.state);
        while state.open_transports > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = match self.idle.wait_timeout(state, left) {
                Ok((state, _)) => state,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
        !state.cut_short
    }

    /// Whether every transport is closed, and everything had left.
    pub(super) fn has_left(&self) -> bool {
        self.look(|state| state.open_transports == 0 && !state.cut_short)
    }
}

impl State {
    /// The leader is to be woken when there is something in `portal`, or nothing will be.
    pub(crate) fn set_claim(&mut self, portal: PortalId, waker: &Waker) {
        self.claim = Some(Claim { portal, waker: waker.clone() });
    }

    /// The leader waits for nothing any more. To be called by the leader.
    pub(crate) fn clear_claim(&mut self) {
        self.claim = None;
    }

    /// Whom to wake, if the leader's portal has something.
    fn take_claim(&mut self) -> Option<Waker> {
        let claim = self.claim.as_ref()?;
        let status = self.engine.status(claim.portal);
        let is_due = status.is_none_or(|status| status.num_parcels > 0 || status.peer_closed);
        if is_due { self.claim.take().map(|claim| claim.waker) } else { None }
    }

    /// Puts a transport where the engine can speak of it.
    pub(crate) fn park_transport(&mut self, transport: Box<dyn Transport>) -> TransportId {
        self.last_transport += 1;
        let id = TransportId(self.last_transport);
        self.transports.insert(id, transport);
        id
    }

    /// Puts memory where the engine can speak of it.
    pub(crate) fn park_memory(&mut self, region: Region) -> MemoryId {
        self.last_memory += 1;
        let id = MemoryId(self.last_memory);
        self.memory.insert(id, region);
        id
    }
}

/// The handles' share of a node: when the last one goes, the node shuts down.
#[derive(Debug)]
pub(crate) struct Guard(pub(crate) Arc<Shared>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.shut_down(Instant::now());
    }
}
