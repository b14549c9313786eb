//! Portals and OS handles as serde values.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error as _, Visitor};
use serde::ser::{Error as _, Serialize, Serializer};

use super::{HANDLE, gate};
use crate::{Handle, OsHandle, Portal};

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
pub fn serialize_portal<S: Serializer>(
    what: &str,
    take: impl Fn() -> Result<Portal, String>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let take = || take().map(Handle::Portal);
    serializer.serialize_newtype_struct(HANDLE, &Outgoing { what, take })
}

/// Deserializes something that is one portal.
pub fn deserialize_portal<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Portal, D::Error> {
    Portal::deserialize(deserializer)
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
