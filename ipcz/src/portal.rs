//! Portals: one end each of a route.
//!
//! | what | system calls | copies | allocations | locks | wake-ups |
//! | --- | --- | --- | --- | --- | --- |
//! | a put within the node | - | - | - | the node's, once | of who waits there |
//! | a put to another node, of less than 4 KiB | - | 1 | - | the node's, once; the outbox's, once | of the peer, if it sleeps |
//! | a put to another node, of 4 KiB or more | - | 1, under no lock (`stage`) | 1; 2 where it waits for another that is leaving, or blocks go back with it | the node's, 2 times; the arena's; the outbox's | the same |
//! | a put while some link is full | - | - | - | the node's, once more | - |
//! | a get of what is there | - | - | - | the node's, once | - |
//!
//! Shared memory is taken for granted here; the table in `shell` has the transports, too. A put looks at each handle of
//! its parcel before it takes the node's lock, and hands the engine the bytes as they are; handles cost
//! their lists. What links do is said in `shell/link`: `outbox`, `outlet`, `inlet`. `tests/tests/allocations.rs` counts.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ipcz_core::{GetRefused, PortalId, PutRefused, TrapRefused};

use crate::error::{Disconnect, PutError, PutErrorKind, TryRecvError};
use crate::parcel::Apart;
use crate::recv::{Recv, wait_conditions};
use crate::shell::{Contents, Data, Guard, LEAST_STAGED, Notice, Shared, Watcher};
use crate::transaction::{GetTransaction, PutTransaction};
use crate::trap::{Conditions, GONE, Satisfied, Status, TrapEvent};
use crate::{Node, Parcel, Route, wire};

/// One of two entangled portals: what is put into it comes out of its peer, in order, wherever that
/// peer is or goes.
///
/// A portal may be used by many threads at once: each parcel goes to one of them, and a put is there
/// as a whole or not at all. Dropping it closes it: what was put before still arrives, and the peer
/// then sees the end. What had arrived and was not taken is dropped, with its handles. A portal that
/// is put into a parcel leaves with what it had not read; its traps fire with
/// [`TrapFlags::removed`](crate::TrapFlags::removed).
///
/// Once its node is shut down, a portal behaves as closed: puts and receives give
/// [`DisconnectKind::Shutdown`](crate::DisconnectKind::Shutdown) with that node's name.
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

    /// Puts a parcel. It is on its way when this returns; it never blocks, and is not refused for lack of
    /// room unless the node has a limit ([`NodeOptions::with_queue_limit`](crate::NodeOptions::with_queue_limit)).
    ///
    /// # Errors
    /// [`PutError`], which holds the parcel and its handles as they were:
    /// [`PutErrorKind::Disconnected`] if nobody would read it, [`PutErrorKind::QueueFull`] if more waits to
    /// leave than may ([`Portal::put_ready`] waits until it is less), else what is wrong with the parcel.
    /// A parcel that was put and is still on its way when the route ends is lost with its handles.
    ///
    /// ```
    /// # let node = ipcz::Node::broker()?;
    /// # let (near, far) = node.open_portals();
    /// use ipcz::{Handle, Parcel};
    /// let (kept, sent) = node.open_portals();
    /// near.put(Parcel::with_handles("a portal", vec![Handle::from(sent)]))?;
    ///
    /// let (_, mut handles) = far.recv_blocking()?.into_parts();
    /// let Some(Handle::Portal(received)) = handles.pop() else { panic!("it was put") };
    /// kept.put("hello")?;
    /// assert_eq!(received.recv_blocking()?.bytes(), b"hello");
    ///
    /// drop(far);
    /// let refused = near.put("anyone?").unwrap_err();
    /// assert_eq!(refused.into_parcel().bytes(), b"anyone?");
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn put(&self, parcel: impl Into<Parcel>) -> Result<(), PutError> {
        let parcel = parcel.into();
        if self.shared().room.is_scarce() && self.is_full() {
            return Err(PutError::new(PutErrorKind::QueueFull, parcel));
        }
        self.put_anyway(parcel)
    }

    /// Puts a parcel, whatever is queued.
    #[inline]
    pub(crate) fn put_anyway(&self, parcel: Parcel) -> Result<(), PutError> {
        match parcel.is_plain() {
            true => self.put_plain(parcel),
            false => self.put_with_handles(parcel),
        }
    }

    fn put_plain(&self, parcel: Parcel) -> Result<(), PutError> {
        if parcel.num_bytes() > wire::MAX_PAYLOAD {
            return Err(PutError::new(PutErrorKind::TooLarge, parcel));
        }
        let (mut data, origin) = parcel.into_plain();
        self.stage(&mut data);
        let parcel = ipcz_core::Parcel::new(Contents::plain(data), Vec::new());
        #[allow(clippy::result_large_err, reason = "the parcel comes back as it was, in place")]
        let put = self.shared().step(|state| state.engine.put(self.id(), parcel));
        put.map_err(|(refused, parcel)| {
            let contents = parcel.payload;
            self.put_error(refused, Apart { contents, portals: Vec::new(), origin })
        })
    }

    fn put_with_handles(&self, parcel: Parcel) -> Result<(), PutError> {
        let apart = Apart::take(parcel);
        let apart = apart.map_err(|(kind, parcel)| PutError::new(kind, parcel))?;
        if let Err(kind) = self.check(&apart) {
            return Err(PutError::new(kind, apart.put_together()));
        }
        let Apart { mut contents, portals, origin } = apart;
        self.stage(&mut contents.data);
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
                let contents = parcel.payload;
                Err(self.put_error(refused, Apart { contents, portals, origin }))
            }
        }
    }

    /// Copies many bytes to where they travel, under no lock.
    fn stage(&self, data: &mut Data) {
        if data.len() >= LEAST_STAGED
            && let Some(link) = self.shared().look(|state| state.link_towards(self.id()))
        {
            link.stage(data);
        }
    }

    #[cold]
    fn put_error(&self, refused: PutRefused, mut apart: Apart) -> PutError {
        apart.contents.data.unstage();
        let kind = self.put_error_kind(refused, &apart);
        PutError::new(kind, apart.put_together())
    }

    fn check(&self, apart: &Apart) -> Result<(), PutErrorKind> {
        if let Some(index) = apart.find_empty() {
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
    /// let mut put = near.begin_put(5)?;
    /// put.copy_from_slice(b"hello");
    /// put.commit()?;
    /// assert_eq!(far.recv_blocking()?.bytes(), b"hello");
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`PutErrorKind::TooLarge`], with an empty parcel. Everything else shows at the commit.
    pub fn begin_put(&self, num_bytes: usize) -> Result<PutTransaction<'_>, PutError> {
        PutTransaction::new(self, num_bytes)
    }

    /// Takes the next parcel if there is one.
    ///
    /// # Errors
    /// [`TryRecvError::Empty`] if nothing is there yet, [`TryRecvError::Disconnected`] if nothing
    /// will be. Either leaves the portal as it was.
    pub fn try_recv(&self) -> Result<Parcel, TryRecvError> {
        match self.shared().step(|state| state.engine.get(self.id())) {
            Ok(parcel) => Ok(self.receive(parcel)),
            Err(refused) => Err(self.try_recv_error(refused)),
        }
    }

    /// Waits for the next parcel, on any executor.
    ///
    /// Dropping the future loses no parcel. Several may wait at once; each parcel goes to one. The
    /// waker is used on whichever thread brings the news, under no lock.
    ///
    /// # Errors
    /// Why no parcel will come.
    pub fn recv(&self) -> Recv<'_> {
        Recv::new(self)
    }

    /// Looks at the next parcel where it is: its bytes can be read without taking it. Nobody else
    /// can take it meanwhile; more may arrive behind it.
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
            Err(refused) => Err(self.try_recv_error(refused.unwrap_or(GetRefused::Empty))),
        }
    }

    /// What can be known of the portal now, without waiting.
    #[must_use]
    pub fn status(&self) -> Status {
        self.shared().look(|state| state.engine.status(self.id())).unwrap_or(GONE)
    }

    /// Where the portal's route leads at this moment, as far as this node knows.
    #[must_use]
    pub fn route(&self) -> Route {
        self.shared().look(|state| state.engine.route(self.id())).unwrap_or(Route::Closed)
    }

    /// Sets a trap: `callback` runs once, when one of `conditions` is met, or else when the portal
    /// is closed or moved or its node shut down. Without a condition it waits for that alone.
    ///
    /// It runs on the node's background thread, under no lock, one callback at a time, in the order
    /// in which the conditions were met. It may use any portal, set the next trap, shut its node
    /// down and drop the last handle of it. It must not block: nothing is delivered meanwhile. If it
    /// panics, the panic hook says so and nothing else happens. With a driver that has no background
    /// thread it runs at the end of whatever call met the condition.
    ///
    /// A callback that owns a portal of its own node keeps that node alive until it has run.
    ///
    /// ```
    /// use ipcz::Conditions;
    /// let (near, far) = ipcz::Node::broker()?.open_portals();
    /// let (tell, told) = std::sync::mpsc::channel();
    /// // `dead` besides, or the trap would never hear that nothing more will come.
    /// let conditions = Conditions { new_parcel: true, dead: true, ..Conditions::default() };
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
        self.shared().wait_in_background();
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
        let armed =
            self.shared().step(|state| state.set_trap(id, wait_conditions(), notice)).is_ok();
        self.shared().wait_in_background();
        armed
    }

    #[cold]
    fn is_full(&self) -> bool {
        self.shared().look(|state| state.is_full(self.id()))
    }

    /// Why nothing can be put, if it is for no reason that lies in the parcel.
    pub(crate) fn put_disconnect(&self, refused: PutRefused) -> Disconnect {
        match refused {
            PutRefused::Disconnected(cause) => cause.into(),
            PutRefused::PeerClosed => Disconnect::PEER_CLOSED,
            _ => self.gone(),
        }
    }

    fn put_error_kind(&self, refused: PutRefused, apart: &Apart) -> PutErrorKind {
        match refused {
            PutRefused::UnknownPortal | PutRefused::PeerClosed | PutRefused::Disconnected(_) => {
                PutErrorKind::Disconnected(self.put_disconnect(refused))
            }
            PutRefused::BadPortal { index } => {
                PutErrorKind::BadPortal { index: apart.place_of(index) }
            }
            PutRefused::OwnRoute { index } => {
                PutErrorKind::OwnRoute { index: apart.place_of(index) }
            }
            PutRefused::TooManyPortals => PutErrorKind::TooManyHandles,
            PutRefused::NoRelay => PutErrorKind::NoRelay,
            PutRefused::TooLarge => PutErrorKind::TooLarge,
            PutRefused::CannotLeave => {
                PutErrorKind::CannotLeave { index: apart.contents.find_fixed().unwrap_or_default() }
            }
        }
    }

    #[cold]
    pub(crate) fn try_recv_error(&self, refused: GetRefused) -> TryRecvError {
        match refused {
            GetRefused::Empty => TryRecvError::Empty,
            GetRefused::UnknownPortal => TryRecvError::Disconnected(self.gone()),
            GetRefused::PeerClosed => TryRecvError::Disconnected(Disconnect::PEER_CLOSED),
            GetRefused::Disconnected(cause) => TryRecvError::Disconnected(cause.into()),
        }
    }

    /// Why the engine does not know this portal any more: its node was shut down, or it was moved
    /// out from behind a shared reference.
    fn gone(&self) -> Disconnect {
        match self.shared().look(|state| state.stopped) {
            true => Disconnect::shut_down(self.shared().name),
            false => Disconnect::PEER_CLOSED,
        }
    }

    /// Makes handles of what the engine gave.
    #[inline]
    pub(crate) fn receive(&self, parcel: ipcz_core::Parcel<Contents>) -> Parcel {
        match parcel.portals.is_empty() && parcel.payload.slots.is_empty() {
            true => Parcel::plain(parcel.payload.data, parcel.payload.origin),
            false => self.receive_handles(parcel),
        }
    }

    #[cold]
    fn receive_handles(&self, parcel: ipcz_core::Parcel<Contents>) -> Parcel {
        let ids = parcel.portals.into_iter();
        let portals = ids.map(|id| Self::new(Arc::clone(&self.guard), id)).collect();
        let mut contents = parcel.payload;
        let origin = contents.origin.take();
        Apart { contents, portals, origin }.put_together()
    }
}
