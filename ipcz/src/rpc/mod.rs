//! Typed calls over portals: what the code that `#[ipcz::interface]` emits runs on.
//!
//! | module | what it is |
//! | --- | --- |
//! | [`message`] | the messages of a typed portal, byte by byte |
//! | [`codec`] | values: postcard with limits and the parcel's handle table |
//! | [`client`] | the calling end: encodes calls and puts them |
//! | [`replies`] | calls that wait, and who fetches their replies |
//! | [`call`] | what a proxy's method gives: [`Call`] and [`Sent`] |
//! | [`error`] | how a call or a server fails |
//! | [`server`] | the serving end: takes requests, runs handlers, puts replies |
//! | [`endpoint`] | what every proxy and receiver has in common |

mod call;
mod client;
mod codec;
mod endpoint;
mod error;
mod message;
mod replies;
mod server;

pub use call::{Call, Sent};
pub use codec::CodecError;
pub use endpoint::Endpoint;
pub use error::{CallError, ServeError};

/// What emitted code names.
pub(crate) mod private {
    pub use super::call::{Call, Sent};
    pub use super::client::{Client, Method};
    pub use super::codec::{
        Always, Array, Bytes, CodecError, DecodeAs, DecodeReply, Decoder, EncodeAs, Encoder,
        Fallible, Optional, Plain,
    };
    pub use super::codec::{deserialize_portal, serialize_portal};
    pub use super::endpoint::{Endpoint, Incoming};
    pub use super::error::ServeError;
    pub use super::message::interface_id;
    pub use super::server::{
        Answer, Message, Request, ServeExclusive, ServeShared, serve_exclusive,
        serve_exclusive_blocking, serve_shared, serve_shared_blocking,
    };
    pub use crate::{Node, Parcel, Portal};
    pub use serde;
}
