//! The model of an interface, as every front-end lowers to it.
//!
//! It owns what it holds, and keeps the tokens that it came from, so that an error can be shown where
//! it was written. Types are Rust's, in both front-ends.

mod message;
mod types;

use proc_macro2::{Ident, Span, TokenStream};
use syn::{LitStr, Visibility};

use crate::names;

pub use message::{Body, Field, Fields, Message, Style, Variant};
pub use types::{Returns, Shape, Type};
pub(crate) use types::{bare, last_segment};

/// An interface: a named set of methods.
#[derive(Clone, Debug)]
pub struct Interface {
    /// What stands before it.
    pub attrs: Attrs,
    /// Who may name it.
    pub vis: Visibility,
    /// Its name in Rust.
    pub name: Ident,
    /// Its name between processes.
    pub wire_name: WireName,
    /// Whether its servers stay on one thread: nothing of them need be `Send`.
    pub is_local: bool,
    /// Its methods, as declared.
    pub methods: Vec<Method>,
}

impl Interface {
    /// How its calls reach a server.
    #[must_use]
    pub fn receiver(&self) -> Receiver {
        let is_exclusive = |method: &Method| method.receiver == Receiver::Exclusive;
        if self.methods.iter().any(is_exclusive) { Receiver::Exclusive } else { Receiver::Shared }
    }

    /// Its version: that of its newest method.
    #[must_use]
    pub fn version(&self) -> u32 {
        let since = |method: &Method| method.since.as_ref().map_or(1, |since| since.version);
        self.methods.iter().map(since).max().unwrap_or(1)
    }
}

/// What an interface is called between processes.
#[derive(Clone, Debug)]
pub enum WireName {
    /// The name that was written down.
    Explicit(LitStr),
    /// The path of the module that it stands in, and its name.
    ModulePath,
}

/// Attributes, sorted by where they belong.
#[derive(Clone, Debug, Default)]
pub struct Attrs {
    /// Documentation: everywhere that a reader looks.
    pub docs: Vec<TokenStream>,
    /// Conditions: on everything that is emitted.
    pub cfgs: Vec<TokenStream>,
    /// `#[deprecated]`: on what is called.
    pub deprecated: Option<TokenStream>,
    /// The levels of lints: on every item of the same name.
    pub lints: Vec<TokenStream>,
    /// Anything else: on the trait only.
    pub others: Vec<TokenStream>,
}

/// One method.
#[derive(Clone, Debug)]
pub struct Method {
    /// What stands before it.
    pub attrs: Attrs,
    /// Its name, in Rust and between processes.
    pub name: Ident,
    /// The id that was given instead of the name's hash, and where.
    pub explicit_id: Option<(u64, TokenStream)>,
    /// Where it says that nothing comes back.
    pub oneway: Option<Span>,
    /// Whether the handler is a future.
    pub is_async: bool,
    /// How the handler takes its server.
    pub receiver: Receiver,
    /// Where its `self` was written.
    pub self_span: Span,
    /// Its arguments, in order.
    pub args: Vec<Arg>,
    /// Its result.
    pub returns: Returns,
    /// The version of the interface that it came with, and where that is said.
    pub since: Option<Since>,
    /// What a server does that says nothing else.
    pub body: Option<TokenStream>,
}

impl Method {
    /// Its name between processes.
    #[must_use]
    pub fn wire_name(&self) -> String {
        syn::ext::IdentExt::unraw(&self.name).to_string()
    }

    /// What identifies it in a message.
    #[must_use]
    pub fn id(&self) -> u64 {
        match &self.explicit_id {
            Some((id, _)) => *id,
            None => names::method_id(&self.wire_name()),
        }
    }
}

/// A version that something came with, as it was written.
#[derive(Clone, Debug)]
pub struct Since {
    /// The version: 2 or more.
    pub version: u32,
    /// Where it stands.
    pub at: TokenStream,
}

/// How a handler takes its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receiver {
    /// `&self`: calls run at the same time.
    Shared,
    /// `&mut self`: one call at a time.
    Exclusive,
}

/// One argument.
#[derive(Clone, Debug)]
pub struct Arg {
    /// Its name.
    pub name: Ident,
    /// Its type.
    pub ty: Type,
}
