//! Where a parcel came from.

use std::fmt;
use std::sync::{Arc, Weak};

use ipcz_core::NodeName;

use super::link::Link;
use super::state::Shared;

/// The connection to another node that a parcel came over. It keeps neither the connection nor its
/// own node alive.
pub(crate) struct Origin {
    shared: Weak<Shared>,
    link: Weak<Link>,
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Origin")
    }
}

impl Origin {
    pub(super) fn new(shared: &Arc<Shared>, link: &Arc<Link>) -> Self {
        Self { shared: Arc::downgrade(shared), link: Arc::downgrade(link) }
    }

    /// Tells the driver what is wrong with a parcel that came over this connection. Nothing follows
    /// from it here.
    pub(crate) fn report(&self, why: &str) {
        if let Some(link) = self.link.upgrade() {
            link.transport.report_bad_activity(why);
        }
    }

    /// The node at the other end, if its connection still is.
    pub(crate) fn node(&self) -> Option<NodeName> {
        let (shared, link) = (self.shared.upgrade()?, self.link.upgrade()?);
        shared.look(|state| state.engine.peer_name(link.peer))
    }

    /// Ends the connection because of such a parcel, if it is not over already.
    pub(crate) fn reject(&self) {
        if let (Some(shared), Some(link)) = (self.shared.upgrade(), self.link.upgrade()) {
            shared.step(|state| state.engine.reject(link.peer));
        }
    }
}
