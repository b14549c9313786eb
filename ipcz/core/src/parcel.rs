//! A parcel: what travels through portals, as the engine sees it.

use crate::ids::PortalId;
use crate::thin_vec::ThinVec;

/// What is put into one portal and comes out of its peer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Parcel<P> {
    /// What the application put.
    pub payload: P,
    /// The portals that travel with it. While the parcel waits, it owns them.
    pub portals: ThinVec<PortalId>,
    /// How many links it has travelled. [`Engine::put`](crate::Engine::put) begins anew.
    pub hops: u16,
}

impl<P> Parcel<P> {
    /// A parcel that has yet to be put.
    #[must_use]
    #[inline]
    pub fn new(payload: P, portals: Vec<PortalId>) -> Self {
        Self { payload, portals: portals.into(), hops: 0 }
    }
}
