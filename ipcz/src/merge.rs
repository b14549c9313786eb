//! Two routes made one.

use std::fmt;
use std::sync::Arc;

use ipcz_core::MergeRefused;

use crate::Portal;

/// Two portals were not merged. They are here, as they were.
#[derive(Debug)]
pub struct MergeError {
    kind: MergeErrorKind,
    portals: (Portal, Portal),
}

/// Why two portals were not merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MergeErrorKind {
    /// One of them is closed, or their node was shut down.
    Closed,
    /// They are the two ends of one route.
    SameRoute,
    /// Something was put into one of them, or taken from it, before.
    Used,
    /// They are portals of two nodes. Send one of them first.
    ForeignPortal,
}

impl MergeError {
    /// Why.
    #[must_use]
    pub fn kind(&self) -> MergeErrorKind {
        self.kind
    }

    /// Gives the portals back, in the order in which they were named.
    #[must_use]
    pub fn into_portals(self) -> (Portal, Portal) {
        self.portals
    }
}

impl fmt::Display for MergeErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "one of them is closed",
            Self::SameRoute => "they are the two ends of one route",
            Self::Used => "one of them was put into or taken from before",
            Self::ForeignPortal => "they are portals of different nodes",
        })
    }
}

impl fmt::Display for MergeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the portals were not merged: {}", self.kind)
    }
}

impl std::error::Error for MergeError {}

impl Portal {
    /// Makes one route of two: both portals go, and their peers become each other's. What the peers
    /// have put, and put from now on, arrives there, in order. Neither portal may have been put into
    /// or taken from. If one of the peers is closed, the other one sees that.
    ///
    /// ```
    /// let node = ipcz::Node::broker()?;
    /// let (near, left) = node.open_portals();
    /// let (right, far) = node.open_portals();
    /// near.put("hello")?;
    /// left.merge(right)?;
    /// assert_eq!(far.recv_blocking()?.bytes(), b"hello");
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`MergeError`], which holds both portals as they were.
    pub fn merge(self, other: Self) -> Result<(), MergeError> {
        let kind = match Arc::ptr_eq(self.shared(), other.shared()) {
            false => MergeErrorKind::ForeignPortal,
            true => {
                let (a, b) = (self.id(), other.id());
                match self.shared().step(|state| state.engine.merge(a, b)) {
                    Ok(()) => {
                        self.forget();
                        other.forget();
                        return Ok(());
                    }
                    Err(MergeRefused::UnknownPortal) => MergeErrorKind::Closed,
                    Err(MergeRefused::SameRoute) => MergeErrorKind::SameRoute,
                    Err(MergeRefused::Used) => MergeErrorKind::Used,
                }
            }
        };
        Err(MergeError { kind, portals: (self, other) })
    }
}
