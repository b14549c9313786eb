//! Typed calls over portals: what the code that `#[ipcz::interface]` emits runs on.
//!
//! | module | what it is |
//! | --- | --- |
//! | [`message`] | the messages of a typed portal, byte by byte |
//! | [`codec`] | values: postcard with limits and the parcel's handle table |
//! | [`limits`], [`flow`] | what may be on its way, counted at both ends |
//! | [`client`] | the calling end: encodes calls |
//! | [`local`] | servers that are called without a portal |
//! | [`outbox`] | how calls leave: at once, or when there is room |
//! | [`replies`] | calls that wait, and who fetches their replies (`replies/fetch.rs`) |
//! | [`call`] | what a proxy's method gives: [`Call`] and [`Sent`] |
//! | [`error`] | how a call or a server fails |
//! | [`inbox`] | what a server has read from its client and owes it: requests, deadlines, credit |
//! | [`server`] | the serving end: runs handlers, at the same time or one by one |
//! | [`request`] | requests and answers, as emitted code sees them |
//! | [`associated`] | several interfaces on one portal |
//! | [`context`] | what a method knows of the call that it serves |
//! | [`services`] | what is offered over a connection, by name |
//! | [`set`] | many endpoints in one task |
//! | [`stop`] | stopping a server in good order |
//! | [`stream`] | items from one end to the other, at the reader's pace |
//! | [`timer`] | waking at a time |
//! | [`endpoint`] | what every proxy and receiver has in common |

mod associated;
mod call;
mod client;
mod codec;
mod context;
mod endpoint;
mod error;
mod flow;
mod inbox;
mod limits;
mod local;
mod message;
mod outbox;
mod replies;
mod request;
mod server;
mod services;
mod set;
mod stop;
mod stream;
mod timer;

pub use associated::Associated;
pub use call::{Call, Piped, Sent};
pub use client::Load;
pub use codec::CodecError;
pub use context::{Context, context};
pub use endpoint::{Endpoint, Proxy, Receiver};
pub use error::{CallError, ServeError};
pub use local::{Calling, CallingLocal, Local, LocalExclusive};
pub(crate) use services::DirectoryProxy;
pub use services::{NotOffered, Services};
pub use set::ReceiverSet;
pub use stop::Stopper;
pub use stream::{Stream, StreamError, StreamSender};

/// What emitted code names.
pub(crate) mod private {
    pub use super::call::{Call, Sent};
    pub use super::client::{Client, Method};
    pub use super::codec::{
        Always, Array, Bytes, CodecError, DecodeAs, DecodeReply, Decoder, EncodeAs, Encoder,
        Fallible, Optional, Plain,
    };
    pub use super::codec::{
        deserialize_client, deserialize_incoming, deserialize_message, serialize_client,
        serialize_incoming, serialize_message,
    };
    pub use super::endpoint::{Endpoint, Incoming, Proxy, Receiver};
    pub use super::error::{CallError, ServeError};
    pub use super::local::{Calling, CallingLocal, Local, LocalExclusive};
    pub use super::message::interface_id;
    pub use super::request::{Answer, Message, Request};
    pub use super::server::{
        ServeExclusive, ServeShared, serve_exclusive, serve_exclusive_blocking, serve_shared,
        serve_shared_blocking,
    };
    pub use crate::{Node, Parcel, Portal};
    pub use serde;
}
