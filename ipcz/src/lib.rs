//! Portals between processes, and typed calls over them.
//!
//! Applications make pairs of entangled [`Portal`]s, grouped in [`Node`]s, usually one in each
//! process. Whatever is put into a portal comes out of its peer, in order. Portals travel through
//! portals: if B sends one to A and A sends it on to C, then B and C end up linked directly,
//! although nobody connected them.
//!
//! # Typed calls
//!
//! [`#[ipcz::interface]`](macro@interface) on a trait `Greeter` gives a `GreeterProxy`, whose
//! methods are calls, and a `GreeterReceiver`, which a server of the trait serves. Either is a value
//! that can be an argument or a result of any interface, in any process.
//!
//! ```
//! #[ipcz::interface]
//! trait Greeter {
//!     async fn greet(&self, name: String) -> String;
//! }
//!
//! struct Polite;
//! impl Greeter for Polite {
//!     async fn greet(&self, name: String) -> String {
//!         format!("Hello {name}")
//!     }
//! }
//!
//! let node = ipcz::Node::broker()?;
//! let (greeter, receiver) = GreeterProxy::pair(&node);
//! std::thread::spawn(move || receiver.serve_blocking(Polite));
//! assert_eq!(greeter.greet("world".into()).wait()?, "Hello world"); // or `.await`
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! # Processes
//!
//! One process makes a [`Node::broker`]. It runs others by [`Node::spawn`], which say
//! [`Node::from_parent`], or takes those that come to a path ([`Node::listen`],
//! [`Node::connect`]), or joins another broker's network ([`Node::join`]). Each such [`Connection`] starts with a portal on both sides; everything else
//! travels through that one.
//!
//! # Threads and executors
//!
//! Every handle is `Send` and `Sync`. A node has one background thread, which sleeps while nothing
//! arrives, delivers what does, and runs the callbacks of traps; blocking calls block the thread
//! that makes them and nothing else. Futures need no runtime: they are woken through their wakers,
//! and work on any executor.
//!
//! # What peers can do
//!
//! Nothing but what they are sent portals for. What a peer sends is checked and bounded; a peer that
//! breaks the protocol loses its connection, and the portals that lead to it say so
//! ([`DisconnectKind::Violation`]). A broker is trusted by its nodes to introduce them to whom it says.

#![deny(unsafe_code)]

mod blocking;
mod child;
mod connection;
pub mod driver;
mod error;
mod listener;
mod memory;
mod merge;
mod node;
mod object;
mod options;
mod os_handle;
mod parcel;
mod partial;
mod portal;
mod ready;
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
    Disconnect, DisconnectKind, Error, ErrorKind, PutError, PutErrorKind, PutReadyError,
    RejectError, TryRecvError,
};
pub use ipcz_core::{NodeName, PeerInfo, Relation, Route, Topology};
/// ```
/// use ipcz::Message;
///
/// #[derive(Message)]
/// struct Counts {
///     lines: u64,
///     words: u64,
///     #[since(2)]
///     longest: Option<u64>,
/// }
///
/// #[derive(Message)]
/// enum Encoding {
///     Utf8,
///     Latin1,
///     #[unknown]
///     Other,
/// }
///
/// #[ipcz::interface]
/// trait WordCounter {
///     async fn count(&self, text: Vec<u8>, encoding: Encoding) -> Counts;
/// }
/// ```
///
pub use ipcz_macros::Message;
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
pub use memory::{Allocation, SharedMemory};
pub use merge::{MergeError, MergeErrorKind};
pub use node::Node;
pub use object::Object;
pub use options::{ConnectOptions, NodeOptions};
pub use os_handle::OsHandle;
pub use parcel::{Handle, Parcel};
pub use partial::{ParcelSize, Partial, RecvWithinError};
pub use portal::Portal;
pub use ready::PutReady;
pub use recv::Recv;
pub use rpc::{
    Associated, Call, CallError, Calling, CallingLocal, CodecError, Context, Endpoint, Load, Local,
    LocalExclusive, NotOffered, Piped, Proxy, Receiver, ReceiverSet, Sent, ServeError, Services,
    Stopper, Stream, StreamError, StreamSender, context,
};
pub use shell::ParcelReader;
pub use transaction::{GetTransaction, PutTransaction};
pub use trap::{Conditions, Satisfied, Status, TrapEvent, TrapFlags};

/// What emitted code names. No part of the public interface: it may change with any release.
#[doc(hidden)]
pub mod __private {
    pub use crate::rpc::private::*;
}

/// The README's program has to compile.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
