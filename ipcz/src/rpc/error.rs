//! How a call or a server fails.

use std::convert::Infallible;

use super::codec::CodecError;
use crate::{Disconnect, DisconnectKind};

/// Why a call gave no result.
///
/// `E` is the application's own error, [`Infallible`] where a method has none. It need not implement
/// `Error`: a call's error does if `E` can be displayed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallError<E = Infallible> {
    /// The server answered with its own error.
    #[error("{0}")]
    Application(E),
    /// The server can no longer be reached, so the result is unknown: it may have acted or not.
    /// Every later call on this proxy fails alike.
    #[error("the server is gone: {0}")]
    Disconnected(#[source] Disconnect),
    /// The server does not have this method. It speaks another version of the interface, or another
    /// interface.
    #[error(
        "the server does not know the method `{0}`: it serves another interface, or another version \
         of this one"
    )]
    UnknownMethod(&'static str),
    /// The method panicked. The server goes on with other calls.
    #[error("the method `{0}` panicked; the server goes on")]
    Panicked(&'static str),
    /// The server could not make sense of the call, and closed the connection. Both sides must have the
    /// same argument types.
    #[error("the server refused the call of `{0}`: {1}")]
    Malformed(&'static str, String),
    /// What the server answered is no answer to this call.
    #[error("the server's reply is malformed: {0}")]
    BadReply(#[source] CodecError),
    /// An argument could not be sent. Nothing was; the arguments are dropped.
    #[error("the call could not be encoded: {0}")]
    Encode(#[source] CodecError),
    /// The call's deadline, or the time given to [`wait_timeout`](super::Call::wait_timeout), passed. The
    /// server was told to stop; it may have acted.
    #[error("no reply arrived in time")]
    TimedOut,
    /// The server gave the call up before the method ended, for a reason of its own.
    #[error("the server gave up the call of `{0}`")]
    Cancelled(&'static str),
    /// The server was being stopped and begins no more calls. It did not act.
    #[error("the server takes no more calls: `{0}` was not run")]
    Refused(&'static str),
    /// Too much is on its way to this server already. Nothing was sent, and the arguments are dropped.
    #[error("the server is behind: the call would have to wait")]
    WouldBlock,
    /// The call that was to give this proxy failed, with this cause.
    #[error("the call that this proxy comes from failed: {0}")]
    Pipelined(String),
    /// This proxy was sent away in a message, so it cannot call any more.
    #[error("the proxy was moved into a message: whoever received it can call now")]
    Moved,
}

/// A [`CallError`] before it is known what the application's error would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Disconnected(Disconnect),
    UnknownMethod,
    Panicked,
    Malformed(String),
    BadReply(CodecError),
    Encode(CodecError),
    TimedOut,
    Cancelled,
    Refused,
    WouldBlock,
    Pipelined(String),
    Moved,
}

impl Fault {
    pub(super) fn of<E>(self, method: &'static str) -> CallError<E> {
        match self {
            Self::Disconnected(why) => CallError::Disconnected(why),
            Self::UnknownMethod => CallError::UnknownMethod(method),
            Self::Panicked => CallError::Panicked(method),
            Self::Malformed(text) => CallError::Malformed(method, text),
            Self::BadReply(error) => CallError::BadReply(error.at(method)),
            Self::Encode(error) => CallError::Encode(error.at(method)),
            Self::TimedOut => CallError::TimedOut,
            Self::Cancelled => CallError::Cancelled(method),
            Self::Refused => CallError::Refused(method),
            Self::WouldBlock => CallError::WouldBlock,
            Self::Pipelined(why) => CallError::Pipelined(why),
            Self::Moved => CallError::Moved,
        }
    }
}

impl Fault {
    /// Why nothing came of a call, for what was to come of its result.
    pub(super) fn cause(&self) -> String {
        match self {
            // Said once, however long the chain.
            Self::Pipelined(why) => why.clone(),
            fault => fault.clone().of::<Infallible>("the method").to_string(),
        }
    }

    /// What this says of the whole conversation.
    pub(super) fn disconnect(&self) -> Disconnect {
        match self {
            Self::Disconnected(why) => *why,
            Self::BadReply(_) => Disconnect::said(DisconnectKind::Violation),
            _ => Disconnect::said(DisconnectKind::PeerClosed),
        }
    }
}

/// Why a server stopped before its client closed the connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The client can no longer be reached, other than by having closed its proxy.
    #[error("the client is gone: {0}")]
    Disconnected(#[source] Disconnect),
    /// The client sent what is no request of this interface. The connection was closed.
    #[error("the client sent a malformed request: {0}")]
    BadRequest(#[from] CodecError),
    /// The server [rejected](super::Context::reject) what the client sent, and says why. The connection to the
    /// client's node was ended.
    #[error("the client was rejected: {0}")]
    Rejected(String),
}
