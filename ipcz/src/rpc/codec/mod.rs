//! Values in a message: postcard's encoding, with limits, and a table of handles beside the bytes.
//!
//! The bytes are postcard's own. What this layer adds, in both directions:
//!
//! * nesting is bounded by [`limits::MAX_DEPTH`], so that no value can exhaust a stack;
//! * counts are held against the bytes that are there, so that none makes the reader allocate or
//!   loop for what was never sent;
//! * portals, proxies, receivers and OS handles are an index into the parcel's handle table. They
//!   serialize and deserialize here only; anywhere else they refuse, and are not lost;
//! * `Vec<u8>`, `&[u8]` and `[u8; N]` as an argument or a result are one copy, with the bytes that
//!   postcard gives a sequence or a tuple of `u8`;
//! * every error says what it is about. A reader's input is hostile: it fails, it never panics.

mod decoder;
mod encoder;
mod error;
mod gate;
mod handles;
mod limits;
mod message;
mod shape;
#[cfg(test)]
mod tests;

pub use decoder::Decoder;
pub use encoder::Encoder;
pub use error::CodecError;
pub(super) use handles::Counted;
pub use handles::{deserialize_client, deserialize_incoming, serialize_client, serialize_incoming};
pub use message::{deserialize_message, serialize_message};
pub use shape::{Always, Array, Bytes, DecodeAs, DecodeReply, EncodeAs, Fallible, Optional, Plain};

/// The name of the newtype struct that a handle claims to be. Only this layer knows better.
const HANDLE: &str = "ipcz::Handle";

/// The name of the newtype struct that a message which may grow claims to be: see [`message`].
const MESSAGE: &str = "ipcz::Message";
