//! What proxies and receivers have in common.

use std::fmt;

use crate::Portal;

/// One end of a typed connection: a proxy, which calls, or a receiver, which is served.
///
/// `#[ipcz::interface]` implements it for the proxy and the receiver of each trait. An endpoint is
/// also a value: it may be an argument or a result of any interface, by itself or inside of other
/// types, and keeps its connection wherever it goes. It is one end of one connection: threads share it
/// in an `Arc`, sending it gives it up, and a server of many clients serves a receiver for each.
///
/// ```
/// use ipcz::Endpoint;
///
/// #[ipcz::interface(name = "demo.Counter")]
/// trait Counter {
///     async fn next(&self) -> u64;
/// }
///
/// // Two programs that agreed what a portal is for, such as the first of a new connection.
/// let (mine, yours) = ipcz::Node::broker()?.open_portals();
/// let counter = CounterProxy::from_portal(mine);
/// let receiver = CounterReceiver::from_portal(yours);
/// assert_eq!(CounterProxy::INTERFACE, "demo.Counter");
/// # drop((counter, receiver));
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub trait Endpoint: Sized + Send {
    /// The full name of the interface, which both ends know it by: it is part of what names a method
    /// in a message, so a call that reaches a server of another interface fails with
    /// [`CallError::UnknownMethod`](crate::CallError::UnknownMethod).
    const INTERFACE: &'static str;

    /// The endpoint on `portal`, whose peer must be the other end of the same interface. Nothing is
    /// checked now: a server of another interface shows with the first call. Of two proxies or two
    /// receivers on one pair, each waits for the other.
    fn from_portal(portal: Portal) -> Self;

    /// The portal below, to look at. What is put on it, or taken from it, is missing in the
    /// conversation, which then ends in an error.
    fn portal(&self) -> &Portal;

    /// The portal below, with what is queued in it.
    ///
    /// # Errors
    /// Gives the endpoint back: it is a proxy that waits for replies, or it was moved into a message.
    fn into_portal(self) -> Result<Portal, Self>;
}

/// What a receiver is made of: a portal that nobody reads yet.
pub struct Incoming {
    portal: Portal,
}

impl Incoming {
    /// The portal, to look at.
    #[must_use]
    pub fn portal(&self) -> &Portal {
        &self.portal
    }

    /// Moves the portal out, so that it can be sent.
    ///
    /// # Errors
    /// What to tell the user: the portal has left before.
    pub fn take_portal(&self) -> Result<Portal, String> {
        self.portal.take().ok_or_else(|| "was moved into a message before".into())
    }

    /// The portal.
    ///
    /// # Errors
    /// This again: the portal has left before.
    pub fn into_portal(self) -> Result<Portal, Self> {
        self.portal.take().ok_or(self)
    }
}

impl From<Portal> for Incoming {
    fn from(portal: Portal) -> Self {
        Self { portal }
    }
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming").finish_non_exhaustive()
    }
}
