//! The attribute macros of ipcz. Use them through the `ipcz` crate, where they are documented.

#![forbid(unsafe_code)]

mod attrs;
#[cfg(test)]
mod golden;
mod interface;
mod message;

use proc_macro::TokenStream;

/// Makes a trait an interface: whoever implements it can be called from any process.
///
/// For a trait `Words`, the attribute emits
///
/// * the trait, in which `async fn` methods give futures that are `Send`, and are implemented by
///   `async fn` all the same;
/// * `WordsProxy`, which has methods of the same names. A method with a reply gives a `Call`, which can be
///   awaited on any executor or waited for; a `#[oneway]` method gives a `Sent`.
///   `WordsProxy::pair(&node)` makes a proxy and the receiver that its calls reach;
/// * `WordsReceiver`, which has a server take the calls: `serve(server).await` or
///   `serve_blocking(server)`;
/// * `WordsClient`, a trait with a method of the same name for each, which the proxy implements, and `ipcz::Local`
///   (or `ipcz::LocalExclusive`) around a server of this process: for code that works with either.
///
/// Both ends are values, as are portals, streams, shared memory and OS handles: they may be arguments and results of any
/// interface, by themselves or inside of other types.
///
/// # Options
/// `name = "demo.words.Words"` is the interface's full name, which does not change when the code
/// moves; without it, it is the path of the module and the trait's name.
/// `crate = "path::to::ipcz"` says where the `ipcz` crate is, if not at `::ipcz`.
/// `local` is for servers that stay on one thread: nothing in them, or in their futures, need be
/// `Send`, and neither is what `serve` gives.
///
/// # Methods
/// A method is `async fn` or, if it never waits, plain `fn`, which then runs between two calls. It
/// takes `&self`, or `&mut self`: calls of an interface with such a method run one at a time.
///
/// Arguments and results are types that implement serde's `Serialize` and `Deserialize`. An argument
/// may also be `&str` or `&[u8]`: the proxy's method borrows it from its caller, the server's from
/// the message. A `Result<T, E>`, written as such and not by an alias, is the application's own,
/// apart from what can befall a call. Bytes (`Vec<u8>`, `&[u8]`, `[u8; N]`, and the first and last
/// of these inside of an `Option` or `Result`) are moved as one copy.
///
/// `#[oneway]` says that nothing comes back. `#[id(7)]` gives a method an id, in place of its name's
/// hash: it can then be renamed. `#[since(2)]` says with which version of the interface a method came: newer ones
/// stand below older ones, and the newest gives the interface its version. A method may have a body, which is what
/// servers do that do not say otherwise. Documentation, `#[cfg]`, `#[deprecated]` and the levels of lints
/// hold for the proxy's methods as well.
///
/// A method that panics fails its call with `CallError::Panicked`; the panic hook says why, and the
/// server goes on with other calls, in whatever state the panic left it.
#[proc_macro_attribute]
pub fn interface(options: TokenStream, item: TokenStream) -> TokenStream {
    interface::expand(options.into(), item.into()).into()
}

/// Makes a type one that may grow: peers that were built with another version of it understand what they know.
///
/// It emits serde's `Serialize` and `Deserialize`, so do not derive those too. A value is
/// written with its length, wherever it stands: in an argument, in a `Vec`, in a map, in another type.
///
/// * Fields are added at the end, with `#[since(n)]`, where `n` is the version of the type. A peer that does not
///   know them skips them; where they are absent they have their type's `Default`.
/// * Variants of an enum are added at the end, with `#[since(n)]`. A peer that does not know one sees the
///   variant that is marked `#[unknown]`, which has no fields and cannot be sent; without one it refuses the
///   message. So mark one before there is a second version.
///
/// Parameters of the type are types that can be sent. `#[serde(...)]` on fields is passed on.
/// `#[ipcz(crate = "path::to::ipcz")]` says where the `ipcz` crate is, if not at `::ipcz`.
#[proc_macro_derive(Message, attributes(since, unknown, ipcz, serde))]
pub fn message(item: TokenStream) -> TokenStream {
    message::expand(item.into()).into()
}
