//! Portals between processes.
//!
//! Applications make pairs of entangled [`Portal`]s, grouped in [`Node`]s, usually one in each
//! process. Whatever is put into a portal comes out of its peer, in order. Portals travel through
//! portals: if B sends one to A and A sends it on to C, B and C end up linked directly, although
//! nobody connected them.

#![deny(unsafe_code)]

mod child;
mod connection;
pub mod driver;
mod error;
mod listener;
mod node;
mod os_handle;
mod parcel;
mod portal;
mod recv;
mod rpc;
mod shell;
pub mod shm;
mod sync;
mod transaction;
mod trap;
mod wire;

pub use child::Child;
pub use connection::Connection;
pub use driver::unix::Credentials;
pub use error::{
    Disconnect, DisconnectKind, Error, ErrorKind, PutError, PutErrorKind, TryRecvError,
};
pub use ipcz_core::{NodeName, PeerInfo, Relation, Route, Topology};
/// ```
/// #[ipcz::interface(name = "demo.Greeter")]
/// trait Greeter {
///     /// Says something nice.
///     async fn greet(&self, name: &str) -> String;
/// }
///
/// struct Polite;
///
/// impl Greeter for Polite {
///     async fn greet(&self, name: &str) -> String {
///         format!("Good day, {name}")
///     }
/// }
///
/// let node = ipcz::Node::broker()?;
/// let (greeter, receiver) = GreeterProxy::pair(&node);
/// // The receiver could go to another process, inside of any message; here, a thread serves it.
/// let server = std::thread::spawn(move || receiver.serve_blocking(Polite));
/// assert_eq!(greeter.greet("Ada").wait()?, "Good day, Ada");
/// drop(greeter); // The server's work is done.
/// server.join().unwrap()?;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
///
pub use ipcz_macros::interface;
pub use listener::Listener;
pub use node::{ConnectOptions, Node};
pub use os_handle::OsHandle;
pub use parcel::{Handle, Parcel};
pub use portal::Portal;
pub use recv::Recv;
pub use rpc::{Call, CallError, CodecError, Endpoint, Sent, ServeError};
pub use transaction::{GetTransaction, PutTransaction};
pub use trap::{Conditions, Satisfied, Status, TrapEvent, TrapFlags};

/// What emitted code names. No part of the public interface: it may change with any release.
#[doc(hidden)]
pub mod __private {
    pub use crate::rpc::private::*;
}
