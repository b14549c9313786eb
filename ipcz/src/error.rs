//! What can go wrong, and what state is left then.

use std::fmt;
use std::io;

use ipcz_core::{Cause, CauseKind, NodeName};

use crate::Parcel;

/// Why a portal's route, or a connection, is over.
///
/// The node is the one that was lost or did wrong, where it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Disconnect {
    kind: DisconnectKind,
    node: Option<NodeName>,
}

/// What ended a route or a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DisconnectKind {
    /// The peer portal was closed. Everything that was put into it before has been taken.
    PeerClosed,
    /// The connection to a node on the way ended without a farewell: its process was killed, or
    /// ended without dropping its node.
    NodeLost,
    /// A node on the way, or the portal's own, shut down or ended the connection on purpose.
    Shutdown,
    /// A node on the way broke the protocol and was cut off.
    Violation,
    /// The two ends of the route disagreed about what was sent on it, so it was given up.
    RouteBroken,
    /// The two nodes speak different versions of the protocol.
    WrongVersion,
    /// One of two nodes has to be the other's broker, and neither or both were meant to be.
    WrongRole,
    /// These two nodes are connected already, or are one and the same.
    AlreadyConnected,
    /// A parcel that was put on this route held an [`Object`](crate::Object) that cannot leave its
    /// node, and the route led to another one.
    Unsendable,
    /// The server of a typed portal was stopped on purpose, and has finished what it had begun.
    Stopped,
    /// The server of a typed portal panicked, outside of the calls that it was serving.
    Panicked,
    /// A node on the way sent a parcel that was [rejected](crate::Parcel::reject), and was cut off.
    Rejected,
    /// A parcel held handles that a broker had to pass on, and they could not be: the broker is gone,
    /// or knows one of the two nodes no more. The node is the one that sent the parcel.
    NotRelayed,
}

impl Disconnect {
    /// The peer portal was closed.
    pub(crate) const PEER_CLOSED: Self = Self { kind: DisconnectKind::PeerClosed, node: None };

    /// The other end said why it closes the portal.
    pub(crate) fn said(kind: DisconnectKind) -> Self {
        Self { kind, node: None }
    }

    /// The node of this name, which may be one's own, was shut down.
    pub(crate) fn shut_down(node: NodeName) -> Self {
        Self { kind: DisconnectKind::Shutdown, node: Some(node) }
    }

    /// What ended it.
    #[must_use]
    pub fn kind(&self) -> DisconnectKind {
        self.kind
    }

    /// The node that was lost or did wrong, where it is known.
    #[must_use]
    pub fn node(&self) -> Option<NodeName> {
        self.node
    }
}

impl From<Cause> for Disconnect {
    fn from(cause: Cause) -> Self {
        let kind = match cause.kind {
            CauseKind::NodeLost => DisconnectKind::NodeLost,
            CauseKind::Violation => DisconnectKind::Violation,
            CauseKind::RouteBroken => DisconnectKind::RouteBroken,
            CauseKind::Shutdown => DisconnectKind::Shutdown,
            CauseKind::WrongVersion => DisconnectKind::WrongVersion,
            CauseKind::WrongRole => DisconnectKind::WrongRole,
            CauseKind::AlreadyConnected => DisconnectKind::AlreadyConnected,
            CauseKind::Unsendable => DisconnectKind::Unsendable,
            CauseKind::Rejected => DisconnectKind::Rejected,
            CauseKind::NotRelayed => DisconnectKind::NotRelayed,
        };
        Self { kind, node: cause.node }
    }
}

impl fmt::Display for Disconnect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.kind, self.node) {
            (DisconnectKind::PeerClosed, _) => return f.write_str("the peer portal was closed"),
            (DisconnectKind::Stopped, _) => return f.write_str("the server was stopped"),
            (DisconnectKind::Panicked, _) => return f.write_str("the server panicked"),
            (_, Some(node)) => write!(f, "node {node}: ")?,
            (DisconnectKind::NodeLost, None) => {
                return f.write_str(
                    "the other process went before it said who it is: did it make an ipcz node?",
                );
            }
            (_, None) => f.write_str("the node at the other end of the connection: ")?,
        }
        f.write_str(match self.kind {
            DisconnectKind::PeerClosed
            | DisconnectKind::NodeLost
            | DisconnectKind::Stopped
            | DisconnectKind::Panicked => "its process is gone",
            DisconnectKind::Shutdown => "it shut down or ended the connection",
            DisconnectKind::Violation => "it broke the protocol and was cut off",
            DisconnectKind::RouteBroken => "it found the route's ends at odds and gave it up",
            DisconnectKind::WrongVersion => "it speaks another version of the protocol",
            DisconnectKind::WrongRole => "neither node is the other's broker, or both are",
            DisconnectKind::AlreadyConnected => "these two nodes are connected already",
            DisconnectKind::Unsendable => "a parcel held an object that cannot leave it",
            DisconnectKind::Rejected => "it sent a parcel that was rejected, and was cut off",
            DisconnectKind::NotRelayed => "handles that it sent could not be passed on by a broker",
        })
    }
}

impl std::error::Error for Disconnect {}

/// A parcel was not put. It is here, with its handles, as it was.
#[derive(Debug)]
pub struct PutError {
    kind: PutErrorKind,
    parcel: Parcel,
}

/// Why a parcel was not put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PutErrorKind {
    /// The route is over: nobody would read the parcel.
    Disconnected(Disconnect),
    /// Handle number `index` is a portal that was closed, moved away, or named twice.
    BadPortal {
        /// Its place in the parcel's list of handles.
        index: usize,
    },
    /// Handle number `index` is a portal of another node. A portal travels only through its own.
    ForeignPortal {
        /// Its place in the parcel's list of handles.
        index: usize,
    },
    /// Handle number `index` is an [`OsHandle`](crate::OsHandle) that is empty.
    EmptyHandle {
        /// Its place in the parcel's list of handles.
        index: usize,
    },
    /// Handle number `index` is this portal's own peer, which cannot travel along its own route.
    OwnRoute {
        /// Its place in the parcel's list of handles.
        index: usize,
    },
    /// Handle number `index` is, or holds, an [`Object`](crate::Object) without a serializer, and the
    /// portal's peer is on another node.
    CannotLeave {
        /// Its place in the parcel's list of handles.
        index: usize,
    },
    /// Parcels and objects in the parcel are more than 16 deep.
    TooDeep,
    /// The parcel has more handles than the 4096 that one may have, with those of the parcels in it.
    TooManyHandles,
    /// The parcel holds OS handles or shared memory, which this node sends by way of its broker
    /// alone ([`NodeOptions::with_relayed_handles`](crate::NodeOptions::with_relayed_handles)), and it
    /// has none.
    NoRelay,
    /// More is queued for the connection that the parcel would leave by than the node's limit
    /// ([`NodeOptions::with_queue_limit`](crate::NodeOptions::with_queue_limit)). It may be put again once
    /// [`Portal::put_ready`](crate::Portal::put_ready) says so.
    QueueFull,
    /// The parcel has more data than the 256 MiB that one may have, or than the node at the other end
    /// of the portal's link takes.
    TooLarge,
}

impl PutError {
    pub(crate) fn new(kind: PutErrorKind, parcel: Parcel) -> Self {
        Self { kind, parcel }
    }

    /// Why.
    #[must_use]
    pub fn kind(&self) -> PutErrorKind {
        self.kind
    }

    /// Gives the parcel back, with its handles.
    #[must_use]
    pub fn into_parcel(self) -> Parcel {
        self.parcel
    }
}

impl fmt::Display for PutErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disconnected(why) => write!(f, "nobody would read it: {why}"),
            Self::BadPortal { index } => {
                write!(f, "handle {index} is a portal that is closed, gone, or named twice")
            }
            Self::ForeignPortal { index } => write!(
                f,
                "handle {index} is a portal of another node; send it through a portal of its own"
            ),
            Self::NoRelay => {
                f.write_str("it holds handles, and there is no broker to pass them on")
            }
            Self::EmptyHandle { index } => write!(f, "handle {index} is empty: it was taken out"),
            Self::OwnRoute { index } => {
                write!(f, "handle {index} is an end of the route that it would travel along")
            }
            Self::CannotLeave { index } => write!(
                f,
                "handle {index} is an object without a serializer; it cannot leave this node"
            ),
            Self::QueueFull => f.write_str(
                "more is queued for that connection than the node's limit; wait with `put_ready`",
            ),
            Self::TooDeep => f.write_str("more than 16 levels of parcels in parcels"),
            Self::TooManyHandles => f.write_str("more than 4096 handles; send several parcels"),
            Self::TooLarge => f.write_str("more than 256 MiB of data; send several parcels"),
        }
    }
}

impl fmt::Display for PutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the parcel was not put: {}", self.kind)
    }
}

impl std::error::Error for PutError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.kind {
            PutErrorKind::Disconnected(why) => Some(why),
            _ => None,
        }
    }
}

/// A parcel was not rejected, because it came from no other node. It is here as it was.
#[derive(Debug, thiserror::Error)]
#[error("the parcel came from this node: there is nobody else to reject it from")]
pub struct RejectError {
    parcel: Parcel,
}

impl RejectError {
    pub(crate) fn new(parcel: Parcel) -> Self {
        Self { parcel }
    }

    /// Gives the parcel back, with its handles.
    #[must_use]
    pub fn into_parcel(self) -> Parcel {
        self.parcel
    }
}

/// No parcel was there to be taken, and the call was not to wait longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TryRecvError {
    /// Nothing has arrived yet.
    #[error("no parcel has arrived yet")]
    Empty,
    /// Nothing will arrive any more.
    #[error("no parcel will arrive: {0}")]
    Disconnected(#[source] Disconnect),
}

/// A portal was not ready for a put within the time given: see [`Portal::put_ready_timeout`](crate::Portal::put_ready_timeout).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PutReadyError {
    /// Too much is queued still.
    #[error("more is queued for that connection than the node's limit")]
    Full,
    /// The route is over: nobody would read what is put.
    #[error("nobody would read it: {0}")]
    Disconnected(#[source] Disconnect),
}

/// A node, a connection or a child process could not be made.
///
/// Its debug form is what it says, so that a `main` that returns it prints something to act on.
pub struct Error {
    kind: ErrorKind,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// What an [`Error`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The operating system refused something; the source says what.
    Os,
    /// More initial portals were asked for than a connection may have.
    TooManyPortals,
    /// The node is no broker, and has none that it could share with the nodes that it accepts or
    /// spawns.
    NoBroker,
    /// Only brokers can do that, and the node is none.
    NotBroker,
    /// The node has a broker and can take no other, or it is a broker where none was expected.
    HasBroker,
    /// The node was shut down and begins nothing new.
    ShutDown,
    /// This process was not handed a connection by a parent, or has used it already.
    NoParent,
    /// The connection ended before it worked; the source says why.
    NotConnected,
    /// The connection has no initial portal of that number, or it was taken before.
    NoSuchPortal,
    /// The node has an allocation delegate and can take no other.
    HasDelegate,
    /// Shared memory has at least one byte and at most 4 GiB.
    BadSize,
    /// The node may not make shared memory, and has no delegate that does so for it.
    NoDelegate,
    /// The delegate, or the one that it asked in turn, could not make the shared memory.
    DelegateRefused,
    /// The connection to the delegate ended; the source says why.
    DelegateLost,
    /// The time was up.
    TimedOut,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind) -> Self {
        Self { kind, source: None }
    }

    pub(crate) fn with(
        kind: ErrorKind,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self { kind, source: Some(source.into()) }
    }

    /// What it is about.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.kind, &self.source) {
            // What the source says is all there is to say.
            (ErrorKind::Os, Some(source)) => return write!(f, "{source}"),
            (kind, _) => kind.text(),
        })?;
        match &self.source {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl ErrorKind {
    fn text(self) -> &'static str {
        match self {
            ErrorKind::Os => "the operating system refused",
            ErrorKind::TooManyPortals => "a connection starts with 1024 portals at most",
            ErrorKind::NoBroker => "this node is no broker and has none to share",
            ErrorKind::NotBroker => "this node is no broker",
            ErrorKind::HasBroker => "this node has a broker and can take no other",
            ErrorKind::ShutDown => "this node was shut down",
            ErrorKind::NoParent => "this process has no connection from its parent",
            ErrorKind::NotConnected => "the connection ended before it worked",
            ErrorKind::HasDelegate => "this node has an allocation delegate and can take no other",
            ErrorKind::BadSize => "shared memory has at least one byte and at most 4 GiB",
            ErrorKind::NoDelegate => {
                "this node may not make shared memory and has no delegate that does"
            }
            ErrorKind::DelegateRefused => "the allocation delegate could not make the memory",
            ErrorKind::DelegateLost => "the connection to the allocation delegate ended",
            ErrorKind::TimedOut => "the time was up",
            ErrorKind::NoSuchPortal => {
                "the connection has no initial portal of that number, or it was taken before"
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::with(ErrorKind::Os, error)
    }
}
