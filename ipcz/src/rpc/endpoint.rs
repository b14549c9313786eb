//! What proxies and receivers have in common.

use std::any::Any;
use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::associated::Associated;
use super::call::Call;
use super::client::{Client, Load, Method};
use super::codec::{Always, Plain};
use super::context::Served;
use super::message::version_method;
use super::stop::Stopper;
use crate::{Disconnect, Portal};

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

    /// The version of the interface that this program was built with: the highest `#[since(n)]` of its methods,
    /// or 1.
    const VERSION: u32;

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

/// A calling end: what every proxy can do, whatever its interface.
pub trait Proxy: Endpoint + Serialize + DeserializeOwned {
    /// The serving end.
    type Receiver: Receiver<Proxy = Self>;

    /// What it is made of.
    #[doc(hidden)]
    fn client(&self) -> &Client;

    /// The proxy that is made of `client`.
    #[doc(hidden)]
    fn from_client(client: Client) -> Self;

    /// A proxy of another interface on the same portal, whose receiver is [associated](Receiver::associate) with
    /// that interface: calls of both arrive in the order in which they were made. As long as there are several, none
    /// can be sent. Calls of an interface that is not there fail with
    /// [`CallError::UnknownMethod`](crate::CallError::UnknownMethod).
    #[must_use]
    fn associate<P: Proxy>(&self) -> P {
        P::from_client(self.client().share())
    }

    /// Asks the server for the version of the interface that it was built with.
    ///
    /// ```
    /// use ipcz::{Endpoint, Proxy};
    /// #[ipcz::interface]
    /// trait Lamp {
    ///     fn switch(&self);
    ///     #[since(2)]
    ///     fn dim(&self);
    /// }
    /// # struct Bulb;
    /// # impl Lamp for Bulb { fn switch(&self) {} fn dim(&self) {} }
    /// # let (lamp, receiver) = LampProxy::pair(&ipcz::Node::broker()?);
    /// # std::thread::spawn(move || receiver.serve_blocking(Bulb));
    /// assert_eq!(LampProxy::VERSION, 2);
    /// assert_eq!(lamp.version().wait()?, 2);
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    fn version(&self) -> Call<u32> {
        let method = Method { id: version_method(Self::INTERFACE), name: "version" };
        self.client().call::<Always<Plain>, u32, Infallible>(method, |_| Ok(()))
    }

    /// What is under way on this proxy at this moment.
    fn load(&self) -> Load {
        self.client().load()
    }

    /// Waits until no call can be made any more, on any executor, and gives the reason. Any number of tasks may
    /// wait.
    fn closed(&self) -> impl Future<Output = Disconnect> + Send {
        self.client().closed()
    }

    /// Has `callback` run once no call can be made any more, which may be now. It runs on whichever thread brings
    /// the news, under no lock, and must not block. If the proxy is dropped before, it is dropped with it.
    fn on_disconnect(&self, callback: impl FnOnce(Disconnect) + Send + 'static) {
        self.client().on_disconnect(callback);
    }
}

/// A serving end that is not served yet: what every receiver can do, whatever its interface.
pub trait Receiver: Endpoint {
    /// The calling end.
    type Proxy: Proxy<Receiver = Self>;

    /// What it is made of.
    #[doc(hidden)]
    fn incoming(&mut self) -> &mut Incoming;

    /// Has this endpoint take the calls of another interface too, which come from proxies that are made by
    /// [`Proxy::associate`].
    #[must_use]
    fn associate<R: Receiver>(mut self) -> Associated<Self, R> {
        Associated::new(self.incoming().take())
    }

    /// What ends the serving of this endpoint in good order, from anywhere. To be asked for before it is served.
    ///
    /// ```
    /// use ipcz::Receiver;
    /// # #[ipcz::interface]
    /// # trait Lamp { fn switch(&self); }
    /// # struct Bulb;
    /// # impl Lamp for Bulb { fn switch(&self) {} }
    /// # let (lamp, mut receiver) = LampProxy::pair(&ipcz::Node::broker()?);
    /// let stopper = receiver.stopper();
    /// let server = std::thread::spawn(move || receiver.serve_blocking(Bulb));
    /// lamp.switch().wait()?;
    /// stopper.stop();
    /// server.join().unwrap()?;
    /// let ipcz::CallError::Disconnected(why) = lamp.switch().wait().unwrap_err() else { panic!() };
    /// assert_eq!(why.kind(), ipcz::DisconnectKind::Stopped);
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    fn stopper(&mut self) -> Stopper {
        self.incoming().stopper.get_or_insert_default().clone()
    }

    /// Gives the endpoint something that its calls can ask for ([`Context::data`](super::Context::data)), for servers
    /// of many endpoints. Only the last is kept.
    #[must_use]
    fn with_data<T: Send + Sync + 'static>(mut self, data: Arc<T>) -> Self {
        self.incoming().data = Some(data);
        self
    }
}

/// What a receiver is made of: a portal that nobody reads yet.
pub struct Incoming {
    portal: Portal,
    stopper: Option<Stopper>,
    data: Option<Arc<dyn Any + Send + Sync>>,
}

impl Incoming {
    /// The portal, to look at.
    #[must_use]
    pub fn portal(&self) -> &Portal {
        &self.portal
    }

    /// All of this, out of its receiver.
    fn take(&mut self) -> Self {
        // A receiver that was sent before has a portal that is closed.
        let portal = self.portal.take().unwrap_or_else(|| self.portal.node().open_portals().0);
        Self { portal, stopper: self.stopper.take(), data: self.data.take() }
    }

    pub(super) fn served(&self) -> Served {
        Served { node: self.portal.node(), data: self.data.clone() }
    }

    pub(super) fn existing_stopper(&self) -> Option<Stopper> {
        self.stopper.clone()
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
        Self { portal, stopper: None, data: None }
    }
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming").finish_non_exhaustive()
    }
}
