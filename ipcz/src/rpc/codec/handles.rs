//! Portals and OS handles as serde values.

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error as _, Visitor};
use serde::ser::{Error as _, Serialize, SerializeTuple, Serializer};

use super::{HANDLE, gate};
use crate::rpc::client::Client;
use crate::rpc::endpoint::Incoming as Receiving;
use crate::rpc::flow::Amount;
use crate::{Handle, OsHandle, Portal, SharedMemory};

const OUTSIDE: &str = "is not data: it can only be part of a message of an ipcz interface";
const GONE: &str = "was sent or closed before";

/// A handle type, as far as this module has to know it.
trait Value: Sized {
    const WHAT: &'static str;
    fn from_handle(handle: Handle) -> Option<Self>;
}

impl Value for Portal {
    const WHAT: &'static str = "a portal";
    fn from_handle(handle: Handle) -> Option<Self> {
        match handle {
            Handle::Portal(portal) => Some(portal),
            _ => None,
        }
    }
}

impl Value for OsHandle {
    const WHAT: &'static str = "an OS handle";
    fn from_handle(handle: Handle) -> Option<Self> {
        match handle {
            Handle::Os(handle) => Some(handle),
            _ => None,
        }
    }
}

impl Value for SharedMemory {
    const WHAT: &'static str = "shared memory";
    fn from_handle(handle: Handle) -> Option<Self> {
        match handle {
            Handle::Memory(memory) => Some(memory),
            _ => None,
        }
    }
}

/// What is serialized under the name [`HANDLE`]: it takes its handle only at an open gate.
struct Outgoing<'a, F> {
    what: &'a str,
    take: F,
}

impl<F: Fn() -> Result<Handle, String>> Serialize for Outgoing<'_, F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !gate::is_collecting() {
            return Err(S::Error::custom(format_args!("{} {OUTSIDE}", self.what)));
        }
        let handle =
            (self.take)().map_err(|why| S::Error::custom(format_args!("{} {why}", self.what)))?;
        gate::deposit(handle)
            .map_err(|_| S::Error::custom(format_args!("{} {OUTSIDE}", self.what)))?;
        serializer.serialize_unit()
    }
}

/// Serializes something that is one portal. `take` moves the portal out, or says why it may not.
fn serialize_portal<S: Serializer>(
    what: &str,
    take: impl Fn() -> Result<Portal, String>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let take = || take().map(Handle::Portal);
    serializer.serialize_newtype_struct(HANDLE, &Outgoing { what, take })
}

/// Serializes a receiver.
pub fn serialize_incoming<S: Serializer>(
    what: &'static str,
    incoming: &Receiving,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serialize_portal(what, || incoming.take_portal(), serializer)
}

/// Deserializes a receiver.
pub fn deserialize_incoming<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Receiving, D::Error> {
    Portal::deserialize(deserializer).map(From::from)
}

/// A portal, and what the end that stands on it has counted.
pub(in crate::rpc) struct Counted {
    pub(in crate::rpc) portal: Portal,
    pub(in crate::rpc) amount: Amount,
}

impl Counted {
    /// Serializes what `take` moves out, or says why it may not.
    pub(in crate::rpc) fn serialize<S: Serializer>(
        what: &str,
        take: impl Fn() -> Result<(Portal, Amount), String>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let counted = Cell::new(Amount::default());
        let take = || {
            let (portal, amount) = take()?;
            counted.set(amount);
            Ok(Handle::Portal(portal))
        };
        let mut fields = serializer.serialize_tuple(3)?;
        fields.serialize_element(&Named(&Outgoing { what, take }))?;
        let Amount { messages, bytes } = counted.get();
        fields.serialize_element(&messages)?;
        fields.serialize_element(&bytes)?;
        fields.end()
    }
}

impl<'de> Deserialize<'de> for Counted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (portal, messages, bytes) = Deserialize::deserialize(deserializer)?;
        Ok(Self { portal, amount: Amount { messages, bytes } })
    }
}

/// Serializes a proxy.
pub fn serialize_client<S: Serializer>(
    what: &'static str,
    client: &Client,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    Counted::serialize(what, || client.take_portal(), serializer)
}

/// Deserializes a proxy.
pub fn deserialize_client<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Client, D::Error> {
    let Counted { portal, amount } = Counted::deserialize(deserializer)?;
    Ok(Client::from_taken(portal, amount))
}

/// Says that it is a handle.
struct Named<'a, T>(&'a T);

impl<T: Serialize> Serialize for Named<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_newtype_struct(HANDLE, self.0)
    }
}

struct Incoming<T>(PhantomData<T>);

impl<'de, T: Value> Visitor<'de> for Incoming<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in a message of an ipcz interface", T::WHAT)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, _: D) -> Result<T, D::Error> {
        let handle = gate::withdraw()
            .ok_or_else(|| D::Error::custom(format_args!("{} {OUTSIDE}", T::WHAT)))?;
        T::from_handle(handle).ok_or_else(|| {
            D::Error::custom(format_args!(
                "a handle of another kind stands where {} should",
                T::WHAT
            ))
        })
    }
}

/// Moves the portal into the message. The one that is left behaves as closed.
impl Serialize for Portal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let take = || self.take().ok_or_else(|| GONE.to_string());
        serialize_portal(Self::WHAT, take, serializer)
    }
}

impl<'de> Deserialize<'de> for Portal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(HANDLE, Incoming(PhantomData))
    }
}

/// Moves the handle into the message.
impl Serialize for OsHandle {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let take = || {
            let handle = self.take().ok_or_else(|| GONE.to_string())?;
            Ok(Handle::Os(handle.into()))
        };
        let what = Self::WHAT;
        serializer.serialize_newtype_struct(HANDLE, &Outgoing { what, take })
    }
}

impl<'de> Deserialize<'de> for OsHandle {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(HANDLE, Incoming(PhantomData))
    }
}

/// Sends a second handle of the memory: this one stays as it is.
impl Serialize for SharedMemory {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let take = || {
            let memory = self.try_clone().map_err(|why| format!("cannot be duplicated: {why}"))?;
            Ok(Handle::Memory(memory))
        };
        let what = Self::WHAT;
        serializer.serialize_newtype_struct(HANDLE, &Outgoing { what, take })
    }
}

impl<'de> Deserialize<'de> for SharedMemory {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(HANDLE, Incoming(PhantomData))
    }
}
