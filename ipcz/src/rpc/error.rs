//! How a call or a server fails.

use std::convert::Infallible;

use super::codec::CodecError;
use crate::Disconnect;

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
    /// The time given to [`wait_timeout`](super::Call::wait_timeout) passed. The server may still act.
    #[error("no reply arrived in time")]
    TimedOut,
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
            Self::Moved => CallError::Moved,
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
}
