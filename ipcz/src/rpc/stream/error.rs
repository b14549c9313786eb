//! How a stream ends before its end.

use crate::rpc::codec::CodecError;
use crate::{Disconnect, DisconnectKind};

/// Why no item came, or none could be sent.
///
/// After any of these but [`StreamError::WouldBlock`], [`StreamError::TimedOut`] and [`StreamError::Encode`] the
/// stream is over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// The writer says that it cannot go on, and why.
    #[error("the writer failed: {0}")]
    Failed(String),
    /// The writer was dropped without saying that this was all.
    #[error("the writer was dropped before the end")]
    Dropped,
    /// The reader says that it does not want more, and why.
    #[error("the reader stopped: {0}")]
    Stopped(String),
    /// The reader was dropped.
    #[error("the reader was dropped")]
    Unread,
    /// The other end can no longer be reached.
    #[error("the other end is gone: {0}")]
    Disconnected(#[source] Disconnect),
    /// What the other end sent is no message of this stream. It is not listened to any more.
    #[error("the other end sent what makes no sense: {0}")]
    Malformed(#[source] CodecError),
    /// The item could not be sent; it is dropped. The next may be.
    #[error("the item could not be encoded: {0}")]
    Encode(#[source] CodecError),
    /// The reader is behind; the item is dropped.
    #[error("the reader is behind: the item would have to wait")]
    WouldBlock,
    /// The time was up.
    #[error("nothing happened in time")]
    TimedOut,
    /// This end was sent away in a message.
    #[error("the stream was moved into a message: whoever received it has it now")]
    Moved,
}

impl StreamError {
    /// What the end of the portal means, of which `gone` says what a plain close is.
    pub(super) fn ended(why: Disconnect, gone: Self) -> Self {
        match why.kind() {
            DisconnectKind::PeerClosed => gone,
            _ => Self::Disconnected(why),
        }
    }
}
