//! The Rust code of an interface that was checked.
//!
//! One function for each emitted item. What is emitted names the user's types as the user wrote them,
//! `::core` by its full path, and otherwise only `__private` of the `ipcz` crate, whose path is a
//! parameter; so it does not matter what is in scope where it lands. Its local names are hygienic.

mod client;
mod dispatch;
mod endpoint;
mod handler;
mod message;
mod proxy;
mod receiver;
mod shape;

use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::{format_ident, quote};

use crate::ir::{Attrs, Interface, Method, Receiver, WireName};

pub use message::message;

/// Emits everything that `interface` stands for: its trait, proxy and receiver.
///
/// `ipcz` is the path of the `ipcz` crate where the code lands.
#[must_use]
pub fn interface(interface: &Interface, ipcz: &TokenStream) -> TokenStream {
    let emitter = Emitter {
        interface,
        proxy: suffixed(&interface.name, "Proxy"),
        receiver: suffixed(&interface.name, "Receiver"),
    };
    let handler = emitter.handler_trait();
    let client = emitter.client_trait(ipcz);
    let proxy =
        emitter.end_struct(&emitter.proxy, &emitter.proxy_doc(), &quote!(#ipcz::__private::Client));
    let receiver = emitter.end_struct(
        &emitter.receiver,
        &emitter.receiver_doc(),
        &quote!(#ipcz::__private::Incoming),
    );
    let impls: TokenStream = [
        emitter.proxy_methods(),
        emitter.endpoint(&emitter.proxy),
        emitter.values(&emitter.proxy),
        emitter.receiver_methods(),
        emitter.endpoint(&emitter.receiver),
        emitter.values(&emitter.receiver),
        emitter.roles(),
        emitter.client_impls(),
        emitter.dispatch(),
    ]
    .into_iter()
    .collect();
    let conditions = conditions(&interface.attrs);
    let end = &emitter.proxy;
    // Besides, a program may need one of the two ends only.
    let allow = allow_deprecated(&interface.attrs);
    quote! {
        #handler
        #client
        #proxy
        #receiver
        #conditions #allow
        #[allow(dead_code)]
        const _: () = {
            use #ipcz::__private as __ipcz;
            const __INTERFACE: ::core::primitive::u64 =
                __ipcz::interface_id(<#end as __ipcz::Endpoint>::INTERFACE);
            #impls
        };
    }
}

/// What every item needs to know.
struct Emitter<'a> {
    interface: &'a Interface,
    proxy: Ident,
    receiver: Ident,
}

impl Emitter<'_> {
    /// What errors call a method.
    fn title(&self, method: &Method) -> String {
        format!("{}::{}", self.interface.name, method.wire_name())
    }

    /// What else a server must be, so that calls of it can move between threads.
    fn server_bounds(&self) -> TokenStream {
        match (self.interface.is_local, self.interface.receiver()) {
            (true, _) => TokenStream::new(),
            (false, Receiver::Shared) => quote!(+ ::core::marker::Send + ::core::marker::Sync),
            (false, Receiver::Exclusive) if self.has_shared_body() => {
                quote!(+ ::core::marker::Send + ::core::marker::Sync)
            }
            (false, Receiver::Exclusive) => quote!(+ ::core::marker::Send),
        }
    }

    /// Whether a future of the trait's own shares the server.
    fn has_shared_body(&self) -> bool {
        self.interface.methods.iter().any(|method| {
            method.body.is_some() && method.is_async && method.receiver == Receiver::Shared
        })
    }

    /// What else a server's futures must be.
    fn future_bounds(&self) -> Option<TokenStream> {
        (!self.interface.is_local).then(|| quote!(+ ::core::marker::Send))
    }

    /// The expression of the interface's full name.
    fn wire_name(&self) -> TokenStream {
        match &self.interface.wire_name {
            WireName::Explicit(name) => quote!(#name),
            WireName::ModulePath => {
                let name = format!("::{}", syn::ext::IdentExt::unraw(&self.interface.name));
                quote!(::core::concat!(::core::module_path!(), #name))
            }
        }
    }
}

fn suffixed(name: &Ident, suffix: &str) -> Ident {
    format_ident!("{}{suffix}", name, span = name.span())
}

/// A name that cannot be mistaken for one of the user's.
fn local(name: &str) -> Ident {
    Ident::new(name, Span::mixed_site())
}

/// `tokens`, said to stand at `span`, so that the compiler underlines that.
fn at(span: Span, tokens: TokenStream) -> TokenStream {
    let respan = |mut token: TokenTree| {
        token.set_span(span);
        token
    };
    tokens.into_iter().map(respan).collect()
}

/// A number of 64 bits, readable.
fn hex(number: u64) -> proc_macro2::Literal {
    let [a, b, c, d, e, f, g, h] = number.to_be_bytes();
    let text = format!("0x{a:02x}{b:02x}_{c:02x}{d:02x}_{e:02x}{f:02x}_{g:02x}{h:02x}");
    text.parse().unwrap_or_else(|_| proc_macro2::Literal::u64_unsuffixed(number))
}

/// The conditions and the levels of lints that hold for all of `attrs`' item.
fn conditions(attrs: &Attrs) -> TokenStream {
    attrs.cfgs.iter().chain(&attrs.lints).cloned().collect()
}

/// The documentation, or `default` where there is none.
fn docs(attrs: &Attrs, default: &str) -> TokenStream {
    if attrs.docs.is_empty() {
        return quote!(#[doc = #default]);
    }
    attrs.docs.iter().cloned().collect()
}

/// Emitted code may name what the user deprecates.
fn allow_deprecated(attrs: &Attrs) -> Option<TokenStream> {
    attrs.deprecated.as_ref().map(|_| quote!(#[allow(deprecated)]))
}
