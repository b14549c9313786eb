//! What proxies and receivers have in common.

use crate::Portal;

/// One end of a typed connection: a proxy, which calls, or a receiver, which is served.
///
/// `#[ipcz::interface]` implements it for the proxy and the receiver of each trait. An endpoint is
/// also a value: it may be an argument or a result of any interface, by itself or inside of other
/// types, and keeps its connection wherever it goes.
pub trait Endpoint: Sized + Send {
    /// The full name of the interface, which both ends know it by.
    const INTERFACE: &'static str;

    /// The endpoint on `portal`, whose peer must be the other end of the same interface. Nothing is
    /// checked now: a peer that speaks something else shows with the first message.
    fn from_portal(portal: Portal) -> Self;

    /// The portal below, with what is queued in it.
    ///
    /// # Errors
    /// Gives the endpoint back: it is a proxy that waits for replies, or it was moved into a message.
    fn into_portal(self) -> Result<Portal, Self>;
}
