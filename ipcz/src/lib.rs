//! Portals between processes: typed RPC and raw messages over shared memory.

mod rpc;
mod standin;

pub use ipcz_macros::interface;
pub use rpc::{Call, CallError, CodecError, Endpoint, Sent, ServeError};
pub use standin::*;

/// What emitted code names. No part of the public interface: it may change with any release.
#[doc(hidden)]
pub mod __private {
    pub use crate::rpc::private::*;
}
