//! Services by name: what a program offers to those that are connected to it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::codec::{Counted, Encoder, Fallible, Plain};
use super::endpoint::{Endpoint, Proxy, Receiver};
use super::{Call, ServeError};
use crate::{Connection, Error, ErrorKind, Node, Portal};

/// The interface that a [`Services`] serves, one for each connection.
#[ipcz_macros::interface(crate = "crate", name = "ipcz.Services")]
pub(crate) trait Directory {
    async fn find(&self, name: &str, version: u32) -> Result<Found, NotOffered>;
}

/// The calling end of an interface that is known by name only.
pub(crate) struct Found(Portal);

impl Serialize for Found {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let take = || Ok((self.0.take().ok_or("was sent before")?, super::flow::Amount::default()));
        Counted::serialize("a proxy", take, serializer)
    }
}

impl<'de> Deserialize<'de> for Found {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Counted::deserialize(deserializer).map(|found| Self(found.portal))
    }
}

/// Why there is no such service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum NotOffered {
    /// Nobody offers an interface of this name.
    #[error("the other side does not offer `{0}`")]
    Unknown(String),
    /// The interface is offered, in an older version than was asked for.
    #[error("the other side offers `{name}` in version {offered}, not {wanted}")]
    TooOld {
        /// The interface.
        name: String,
        /// The version that is offered.
        offered: u32,
        /// The version that was asked for.
        wanted: u32,
    },
}

type Take = dyn Fn(Portal) + Send + Sync;

/// What a program offers over its connections: services, found by the names of their interfaces.
///
/// It is a handle: clones are the same set, and one set serves any number of connections, each with
/// [`serve`](Self::serve) or [`serve_blocking`](Self::serve_blocking). The other side says
/// [`Connection::find`], as often as it likes. Both use the first initial portal of the connection.
///
/// ```
/// # #[ipcz::interface]
/// # trait Greeter { async fn greet(&self, name: String) -> String; }
/// # struct Polite;
/// # impl Greeter for Polite { async fn greet(&self, name: String) -> String { format!("Hello {name}") } }
/// # #[ipcz::interface]
/// # trait Absent { fn nothing(&self); }
/// # let path = std::env::temp_dir().join(format!("ipcz-services-{}", std::process::id()));
/// let services = ipcz::Services::new();
/// services.offer(|receiver: GreeterReceiver| {
///     std::thread::spawn(move || receiver.serve_blocking(Polite)); // or a task of your executor
/// });
/// let listener = ipcz::Listener::bind(&path)?;
/// # let client = std::thread::spawn({ let path = path.clone(); move || ipcz::Node::connect(path) });
/// # let other = listener.accept()?;
/// # std::thread::spawn(move || services.serve_blocking(&other));
///
/// // In another program:
/// # let connected = client.join().unwrap();
/// # /*
/// let connected = ipcz::Node::connect(&path);
/// # */
/// let (_node, connection) = connected?;
/// let greeter: GreeterProxy = connection.find()?.wait()?;
/// assert_eq!(greeter.greet("world".into()).wait()?, "Hello world");
/// let absent = connection.find::<AbsentProxy>()?.wait().unwrap_err();
/// assert!(absent.to_string().contains("does not offer"));
/// # std::fs::remove_file(path)?;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default)]
pub struct Services(Arc<std::sync::RwLock<BTreeMap<&'static str, Offer>>>);

#[derive(Clone)]
struct Offer {
    version: u32,
    take: Arc<Take>,
}

impl Services {
    /// Nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Offers the interface of `R`: for each that asks, `take` is given a receiver, which it has served. It runs on
    /// the thread that serves the connection, and must not block. Whatever was offered by that name before is not
    /// any more.
    pub fn offer<R: Receiver>(&self, take: impl Fn(R) + Send + Sync + 'static) {
        let take = Arc::new(move |portal| take(R::from_portal(portal)));
        let replaced = self.write().insert(R::INTERFACE, Offer { version: R::VERSION, take });
        drop(replaced);
    }

    /// Offers the interface of `R` no more. Who has found it keeps it.
    pub fn withdraw<R: Receiver>(&self) {
        let removed = self.write().remove(R::INTERFACE);
        drop(removed);
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, BTreeMap<&'static str, Offer>> {
        self.0.write().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Answers the other side of `connection`, on any executor, until that asks no more.
    ///
    /// # Errors
    /// [`ServeError`], if the other side was lost, or if the connection's first portal was taken before: then it
    /// says that it was closed.
    pub async fn serve(&self, connection: &Connection) -> Result<(), ServeError> {
        match directory(connection) {
            Some(receiver) => receiver.serve(self.clone()).await,
            None => Err(taken()),
        }
    }

    /// Answers the other side of `connection` with this thread, until that asks no more.
    ///
    /// # Errors
    /// As [`serve`](Self::serve).
    pub fn serve_blocking(&self, connection: &Connection) -> Result<(), ServeError> {
        match directory(connection) {
            Some(receiver) => receiver.serve_blocking(self.clone()),
            None => Err(taken()),
        }
    }
}

fn directory(connection: &Connection) -> Option<DirectoryReceiver> {
    connection.take_portal(0).ok().map(DirectoryReceiver::from_portal)
}

fn taken() -> ServeError {
    ServeError::Disconnected(crate::Disconnect::said(crate::DisconnectKind::PeerClosed))
}

impl Directory for Services {
    async fn find(&self, name: &str, version: u32) -> Result<Found, NotOffered> {
        let offers = self.0.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        let offer = offers.get(name).cloned();
        drop(offers);
        let Some(offer) = offer else {
            return Err(NotOffered::Unknown(name.chars().take(200).collect()));
        };
        if offer.version < version {
            let (name, offered) = (name.to_string(), offer.version);
            return Err(NotOffered::TooOld { name, offered, wanted: version });
        }
        let Some(node) = super::context().node() else {
            return Err(NotOffered::Unknown(name.to_string()));
        };
        let (near, far) = Node::open_portals(&node);
        (offer.take)(far);
        Ok(Found(near))
    }
}

impl fmt::Debug for Services {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let offers = self.0.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        f.debug_set().entries(offers.keys()).finish()
    }
}

impl Connection {
    /// Asks the other side for the service whose interface is that of `P`. The other side serves [`Services`] on
    /// this connection.
    ///
    /// The result is a [`Call`], to be awaited or waited for, with a deadline or without one; of
    /// [`Call::pipelined`] comes a proxy that can be used at once. A service that nobody offers fails at
    /// once, with [`NotOffered`]. If the other side serves no [`Services`], nothing answers until its end is closed:
    /// give the call a deadline where that may be.
    ///
    /// # Errors
    /// [`ErrorKind::NoSuchPortal`] if the connection's first portal was taken for something else.
    pub fn find<P: Proxy>(&self) -> Result<Call<P, NotOffered>, Error> {
        self.find_version(1)
    }

    /// Asks as [`find`](Self::find) does, for an interface of at least this version.
    ///
    /// # Errors
    /// As [`find`](Self::find).
    pub fn find_version<P: Proxy>(&self, version: u32) -> Result<Call<P, NotOffered>, Error> {
        let directory = self.directory().get_or_init(|| {
            let portal = self.take_portal(0).ok()?;
            Some(DirectoryProxy::from_portal(portal))
        });
        let Some(directory) = directory else {
            return Err(Error::new(ErrorKind::NoSuchPortal));
        };
        let arguments = |to: &mut Encoder| {
            to.put::<Plain, &str>("name", P::INTERFACE)?;
            to.put::<Plain, u32>("version", version)
        };
        let find = directory.find_method();
        Ok(directory.client().call::<Fallible<Plain>, P, NotOffered>(find, arguments))
    }
}

impl DirectoryProxy {
    fn find_method(&self) -> super::client::Method {
        let id =
            super::message::interface_id("find") ^ super::message::interface_id(Self::INTERFACE);
        super::client::Method { id, name: "find" }
    }
}
