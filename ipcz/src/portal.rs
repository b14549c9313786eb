//! Portals: one end each of a route.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ipcz_core::{GetRefused, PortalId, PutRefused, TrapConditions, TrapRefused};

use crate::error::{Disconnect, PutError, PutErrorKind, TryRecvError};
use crate::parcel::Apart;
use crate::recv::{Recv, wait_conditions};
use crate::shell::{Contents, Guard, Notice, Parker, Shared, Slot, State, Watcher};
use crate::transaction::{GetTransaction, PutTransaction};
use crate::trap::{Conditions, Satisfied, Status, TrapEvent};
use crate::{Node, Parcel, Route, wire};

/// One of two entangled portals: what is put into it comes out of its peer, in order, wherever that
/// peer is or goes.
///
/// A portal may be used by many threads at once. Dropping it closes it: what was put before still
/// arrives, and the peer then sees the end. A portal that is put into a parcel leaves; its traps
/// fire with [`TrapFlags::removed`](crate::TrapFlags::removed).
///
/// ```
/// let node = ipcz::Node::broker()?;
/// let (near, far) = node.open_portals();
/// near.put("hello")?;
/// assert_eq!(far.recv_blocking()?.bytes(), b"hello");
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub struct Portal {
    guard: Arc<Guard>,
    /// The engine's name for it, or 0 once it was taken out.
    id: AtomicU64,
}

impl fmt::Debug for Portal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Portal")
            .field("node", &self.guard.0.name)
            .field("id", &format_args!("{:x}", self.id.load(Ordering::Relaxed)))
            .finish()
    }
}

impl Drop for Portal {
    fn drop(&mut self) {
        let id = *self.id.get_mut();
        if id != 0 {
            self.guard.0.step(|state| state.engine.close(PortalId::from_bits(id)));
        }
    }
}

impl Portal {
    pub(crate) fn new(guard: Arc<Guard>, id: PortalId) -> Self {
        Self { guard, id: AtomicU64::new(id.to_bits()) }
    }

    pub(crate) fn id(&self) -> PortalId {
        PortalId::from_bits(self.id.load(Ordering::Relaxed))
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.guard.0
    }

    /// Moves the portal out from behind a shared reference. What is left behaves as closed. Gives
    /// nothing the second time.
    pub(crate) fn take(&self) -> Option<Self> {
        let id = self.id.swap(0, Ordering::Relaxed);
        (id != 0).then(|| Self { guard: Arc::clone(&self.guard), id: AtomicU64::new(id) })
    }

    /// Forgets the portal without closing it: the engine has it now.
    pub(crate) fn forget(self) {
        self.id.store(0, Ordering::Relaxed);
    }

    /// The node that this portal belongs to.
    #[must_use]
    pub fn node(&self) -> Node {
        Node::from_guard(Arc::clone(&self.guard))
    }

    /// Puts a parcel. It is on its way when this returns; it never blocks and is never refused for
    /// lack of room.
    ///
    /// # Errors
    /// [`PutError`], which holds the parcel and its handles as they were:
    /// [`PutErrorKind::Disconnected`] if nobody would read it, else what is wrong with the parcel.
    /// A parcel that was put and is still on its way when the route ends is lost with its handles.
    pub fn put(&self, parcel: impl Into<Parcel>) -> Result<(), PutError> {
        let apart = Apart::take(parcel.into());
        if let Err(kind) = self.check(&apart) {
            return Err(PutError::new(kind, apart.put_together()));
        }
        let Apart { contents, portals } = apart;
        let ids = portals.iter().map(Self::id).collect();
        let parcel = ipcz_core::Parcel::new(contents, ids);
        #[allow(clippy::result_large_err, reason = "the parcel comes back as it was, in place")]
        let put = self.shared().step(|state| state.engine.put(self.id(), parcel));
        match put {
            Ok(()) => {
                portals.into_iter().for_each(Self::forget);
                Ok(())
            }
            Err((refused, parcel)) => {
                let apart = Apart { contents: parcel.payload, portals };
                let kind = put_error_kind(refused, &apart);
                Err(PutError::new(kind, apart.put_together()))
            }
        }
    }

    fn check(&self, apart: &Apart) -> Result<(), PutErrorKind> {
        if apart.contents.data.len() > wire::MAX_PAYLOAD {
            return Err(PutErrorKind::TooLarge);
        }
        if apart.contents.slots.len() > wire::MAX_HANDLES {
            return Err(PutErrorKind::TooManyHandles);
        }
        let is_empty = |slot: &Slot| matches!(slot, Slot::Os(handle) if handle.is_empty());
        if let Some(index) = apart.contents.slots.iter().position(is_empty) {
            return Err(PutErrorKind::EmptyHandle { index });
        }
        let foreign =
            apart.portals.iter().position(|portal| !Arc::ptr_eq(&portal.guard, &self.guard));
        match foreign {
            Some(portal) => Err(PutErrorKind::ForeignPortal { index: apart.place_of(portal) }),
            None => Ok(()),
        }
    }

    /// Begins a put whose `num_bytes` bytes are written in place, then committed. Several may be
    /// open at once; they are sent in the order of their commits.
    ///
    /// ```
    /// # let (near, far) = ipcz::Node::broker()?.open_portals();
    /// let mut put = near.begin_put(5);
    /// put.copy_from_slice(b"hello");
    /// put.commit()?;
    /// assert_eq!(far.recv_blocking()?.bytes(), b"hello");
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn begin_put(&self, num_bytes: usize) -> PutTransaction<'_> {
        PutTransaction::new(self, num_bytes)
    }

    /// Takes the next parcel if there is one.
    ///
    /// # Errors
    /// [`TryRecvError::Empty`] if nothing is there yet, [`TryRecvError::Disconnected`] if nothing
    /// will be. Either leaves the portal as it was.
    pub fn try_recv(&self) -> Result<Parcel, TryRecvError> {
        let taken = self.shared().step(|state| state.engine.get(self.id()));
        taken.map(|parcel| self.receive(parcel)).map_err(try_recv_error)
    }

    /// Waits for the next parcel, on any executor.
    ///
    /// Dropping the future loses no parcel. Several may wait at once; each parcel goes to one.
    ///
    /// # Errors
    /// Why no parcel will come.
    pub fn recv(&self) -> Recv<'_> {
        Recv::new(self)
    }

    /// Waits for the next parcel, with this thread.
    ///
    /// # Errors
    /// Why no parcel will come.
    pub fn recv_blocking(&self) -> Result<Parcel, Disconnect> {
        match self.recv_until(None) {
            Ok(parcel) => Ok(parcel),
            Err(TryRecvError::Disconnected(why)) => Err(why),
            Err(TryRecvError::Empty) => unreachable!("there is no deadline to pass"),
        }
    }

    /// Waits for the next parcel, with this thread, for at most `timeout`.
    ///
    /// # Errors
    /// [`TryRecvError::Empty`] once `timeout` has passed, [`TryRecvError::Disconnected`] if no
    /// parcel will come.
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Parcel, TryRecvError> {
        // A timeout beyond the clock's range is none.
        self.recv_until(Instant::now().checked_add(timeout))
    }

    fn recv_until(&self, deadline: Option<Instant>) -> Result<Parcel, TryRecvError> {
        Parker::with(|parker| {
            let mut armed = None;
            loop {
                let notice = || Notice::Wake(parker.waker().clone());
                let taken = self.shared().step(|state| {
                    let taken = state.engine.get(self.id());
                    match taken {
                        Err(GetRefused::Empty) => {
                            let set = armed.is_some_and(|trap| state.notices.contains(trap));
                            if !set {
                                armed = state.arm(self.id(), wait_conditions(), notice());
                            }
                        }
                        _ => drop(armed.take().and_then(|trap| state.disarm(self.id(), trap))),
                    }
                    taken
                });
                match taken {
                    Ok(parcel) => return Ok(self.receive(parcel)),
                    Err(GetRefused::Empty) => {}
                    Err(refused) => return Err(try_recv_error(refused)),
                }
                if parker.park(deadline) {
                    let trap = armed.take();
                    self.shared().step(|state| {
                        trap.and_then(|trap| state.disarm(self.id(), trap));
                    });
                    return self.try_recv();
                }
            }
        })
    }

    /// Looks at the next parcel where it is: its bytes can be read without taking it.
    ///
    /// ```
    /// # let (near, mut far) = ipcz::Node::broker()?.open_portals();
    /// near.put("hello")?;
    /// let get = far.begin_get()?;
    /// assert_eq!(&get[..], b"hello");
    /// drop(get); // leaves it there; `get.commit()` would take it
    /// assert_eq!(far.try_recv()?.bytes(), b"hello");
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Portal::try_recv`].
    pub fn begin_get(&mut self) -> Result<GetTransaction<'_>, TryRecvError> {
        let lent = self.shared().step(|state| {
            let lent = state.engine.peek_mut(self.id());
            let lent = lent.map(|contents| std::mem::take(&mut contents.data));
            lent.ok_or_else(|| state.engine.get(self.id()).err())
        });
        match lent {
            Ok(data) => Ok(GetTransaction::new(self, data)),
            Err(refused) => Err(try_recv_error(refused.unwrap_or(GetRefused::Empty))),
        }
    }

    /// What can be known of the portal now, without waiting.
    #[must_use]
    pub fn status(&self) -> Status {
        self.shared().look(|state| state.engine.status(self.id())).unwrap_or_default()
    }

    /// Where the portal's route leads at this moment, as far as this node knows.
    #[must_use]
    pub fn route(&self) -> Route {
        self.shared().look(|state| state.engine.route(self.id())).unwrap_or(Route::Closed)
    }

    /// Sets a trap: `callback` runs once, when one of `conditions` is met or the portal is closed
    /// or moved.
    ///
    /// It runs on the node's background thread, under no lock, one callback at a time; it may use
    /// any portal, set the next trap, and must not block. With a driver that has no background
    /// thread it runs at the end of whatever call met the condition.
    ///
    /// ```
    /// use ipcz::Conditions;
    /// let (near, far) = ipcz::Node::broker()?.open_portals();
    /// let (tell, told) = std::sync::mpsc::channel();
    /// let conditions = Conditions { new_parcel: true, ..Conditions::default() };
    /// far.trap(conditions, move |event| tell.send(event).unwrap())?;
    /// near.put("hello")?;
    /// assert!(told.recv()?.flags.new_parcel);
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Satisfied`] if a condition is met already (never that of `new_parcel`, which waits for
    /// the next one) or the portal is closed. No trap was set, and `callback` was dropped.
    pub fn trap(
        &self,
        conditions: Conditions,
        callback: impl FnOnce(TrapEvent) + Send + 'static,
    ) -> Result<(), Satisfied> {
        let notice = Notice::Call(Box::new(callback));
        let refused = self.shared().step(|state| state.set_trap(self.id(), conditions, notice));
        refused.map(drop).map_err(|(refused, _callback)| match refused {
            TrapRefused::Satisfied(event) => Satisfied(event),
            TrapRefused::UnknownPortal => Satisfied::removed(),
        })
    }

    /// Has `watcher` told once, when a parcel is there or the route is over. Gives false if that is
    /// so already.
    pub(crate) fn arm(&self, watcher: &Arc<dyn Watcher>) -> bool {
        let notice = Notice::Watch(Arc::clone(watcher));
        let id = self.id();
        self.shared().step(|state| state.set_trap(id, wait_conditions(), notice)).is_ok()
    }

    /// Makes handles of what the engine gave.
    pub(crate) fn receive(&self, parcel: ipcz_core::Parcel<Contents>) -> Parcel {
        let ids = parcel.portals.into_iter();
        let portals = ids.map(|id| Self::new(Arc::clone(&self.guard), id)).collect();
        Apart { contents: parcel.payload, portals }.put_together()
    }
}

impl State {
    /// Sets a trap that gives `notice`, or gives it back.
    fn set_trap(
        &mut self,
        portal: PortalId,
        conditions: TrapConditions,
        notice: Notice,
    ) -> Result<ipcz_core::TrapId, (TrapRefused, Option<Notice>)> {
        let trap = self.notices.add(notice);
        match self.engine.set_trap(portal, conditions, trap) {
            Ok(()) => Ok(trap),
            Err(refused) => Err((refused, self.notices.remove(trap))),
        }
    }

    /// Sets a trap for somebody who has just seen that its conditions are not met.
    pub(crate) fn arm(
        &mut self,
        portal: PortalId,
        conditions: TrapConditions,
        notice: Notice,
    ) -> Option<ipcz_core::TrapId> {
        self.set_trap(portal, conditions, notice).ok()
    }

    /// Takes a trap back. What it would have done is to be dropped outside the lock.
    pub(crate) fn disarm(&mut self, portal: PortalId, trap: ipcz_core::TrapId) -> Option<Notice> {
        self.engine.clear_trap(portal, trap);
        self.notices.remove(trap)
    }
}

fn put_error_kind(refused: PutRefused, apart: &Apart) -> PutErrorKind {
    match refused {
        PutRefused::UnknownPortal | PutRefused::PeerClosed => {
            PutErrorKind::Disconnected(Disconnect::PEER_CLOSED)
        }
        PutRefused::Disconnected(cause) => PutErrorKind::Disconnected(cause.into()),
        PutRefused::BadPortal { index } => PutErrorKind::BadPortal { index: apart.place_of(index) },
        PutRefused::OwnRoute { index } => PutErrorKind::OwnRoute { index: apart.place_of(index) },
        PutRefused::TooManyPortals => PutErrorKind::TooManyHandles,
    }
}

pub(crate) fn try_recv_error(refused: GetRefused) -> TryRecvError {
    match refused {
        GetRefused::Empty => TryRecvError::Empty,
        GetRefused::UnknownPortal | GetRefused::PeerClosed => {
            TryRecvError::Disconnected(Disconnect::PEER_CLOSED)
        }
        GetRefused::Disconnected(cause) => TryRecvError::Disconnected(cause.into()),
    }
}
