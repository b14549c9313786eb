//! Waiting until a parcel may be put.
//!
//! Without a limit, or with room, a look costs the node's lock once. Whoever has to wait is listed by the node and
//! costs an allocation; it is woken when the link has half of its limit free, or when the portal's route leads
//! elsewhere or ends.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use ipcz_core::PutRefused;

use crate::Portal;
use crate::error::{Disconnect, PutReadyError};
use crate::shell::{Look, Place};

/// Whether a parcel may be put: see [`Portal::put_ready`].
///
/// It may be polled by different tasks, one after another: the last one is woken.
#[derive(Debug)]
#[must_use = "a future does nothing until it is awaited"]
pub struct PutReady<'a>(Waiting<'a>);

/// A place among those that wait, given up in the end.
#[derive(Debug)]
struct Waiting<'a> {
    portal: &'a Portal,
    place: Place,
}

impl Waiting<'_> {
    fn look(&mut self, waker: Option<Waker>) -> Result<bool, PutRefused> {
        let (id, place) = (self.portal.id(), &mut self.place);
        // A waker may own anything, so it is dropped here.
        let (ready, _unused) =
            self.portal.shared().look(|state| state.look_for_room(id, place, waker));
        ready
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        drop(self.portal.shared().room.leave(&mut self.place));
    }
}

impl Future for PutReady<'_> {
    type Output = Result<(), Disconnect>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut ready = self.0.look(None);
        if let Ok(false) = ready {
            ready = self.0.look(Some(cx.waker().clone()));
            self.0.portal.shared().wait_in_background();
        }
        match ready {
            Ok(true) => Poll::Ready(Ok(())),
            Ok(false) => Poll::Pending,
            Err(refused) => Poll::Ready(Err(self.0.portal.put_disconnect(refused))),
        }
    }
}

impl Portal {
    /// Waits until a parcel may be put, on any executor: until no more is queued for the connection that it
    /// would leave by than half of the node's limit
    /// ([`NodeOptions::with_queue_limit`](crate::NodeOptions::with_queue_limit)), or until the route leads another
    /// way. Ready at once if puts are not refused.
    ///
    /// It holds no place: of several that wait, all are woken, and whoever puts first may leave too little for the
    /// others, who then wait again.
    ///
    /// ```
    /// use ipcz::{NodeOptions, PutErrorKind};
    /// # let node = NodeOptions::default().with_queue_limit(1 << 20).broker()?;
    /// # let (portal, peer) = node.open_portals();
    /// # let finish = async {
    /// let mut next = ipcz::Parcel::from("as fast as they are read");
    /// while let Err(refused) = portal.put(next) {
    ///     if refused.kind() != PutErrorKind::QueueFull {
    ///         return Err(refused.into());
    ///     }
    ///     next = refused.into_parcel();
    ///     portal.put_ready().await?;
    /// }
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// # };
    /// # futures_util::FutureExt::now_or_never(finish).unwrap()?;
    /// # assert_eq!(peer.try_recv()?.bytes(), b"as fast as they are read");
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Why no parcel may be put any more.
    pub fn put_ready(&self) -> PutReady<'_> {
        PutReady(Waiting { portal: self, place: None })
    }

    /// Waits as [`Portal::put_ready`] does, with this thread, for as long as it takes. While it waits, the
    /// thread may do the node's reading, as in [`Portal::recv_blocking`].
    ///
    /// Must not be called in a trap's callback or in a waker.
    ///
    /// # Errors
    /// Why no parcel may be put any more.
    pub fn put_ready_blocking(&self) -> Result<(), Disconnect> {
        match self.put_ready_until(None) {
            Ok(()) => Ok(()),
            Err(PutReadyError::Disconnected(why)) => Err(why),
            Err(PutReadyError::Full) => unreachable!("there is no deadline to pass"),
        }
    }

    /// Waits as [`Portal::put_ready_blocking`] does, for at most `timeout`.
    ///
    /// # Errors
    /// [`PutReadyError::Full`] once `timeout` has passed, [`PutReadyError::Disconnected`] if no parcel may be
    /// put any more.
    pub fn put_ready_timeout(&self, timeout: Duration) -> Result<(), PutReadyError> {
        // A timeout beyond the clock's range is none.
        self.put_ready_until(Instant::now().checked_add(timeout))
    }

    fn put_ready_until(&self, deadline: Option<Instant>) -> Result<(), PutReadyError> {
        let mut waiting = Waiting { portal: self, place: None };
        let ready = self.shared().wait(deadline, |look| {
            let waker = match look {
                Look::Asleep(asleep) => Some(asleep.waker.clone()),
                Look::Awake | Look::Last => None,
            };
            Some(waiting.look(waker)).filter(|ready| !matches!(ready, Ok(false)))
        });
        match ready {
            None => Err(PutReadyError::Full),
            Some(Ok(_)) => Ok(()),
            Some(Err(refused)) => Err(PutReadyError::Disconnected(self.put_disconnect(refused))),
        }
    }
}
