//! The calling end.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;

use super::{Emitter, at, conditions, docs, hex, local};
use crate::ir::{Arg, Method, Returns};

impl Emitter<'_> {
    /// What the proxy's documentation says.
    pub(super) fn proxy_doc(&self) -> String {
        let name = &self.interface.name;
        format!(" Calls a [`{name}`] server, whichever node it is on. Its methods are the trait's.")
    }

    /// The proxy's own functions, and a method for each of the interface's.
    pub(super) fn proxy_methods(&self) -> TokenStream {
        let vis = &self.interface.vis;
        let (proxy, receiver) = (&self.proxy, &self.receiver);
        let methods = self.interface.methods.iter().map(|method| self.proxy_method(method));
        let node = local("node");
        quote! {
            impl #proxy {
                /// A proxy and the receiver that its calls reach. Keep one, send the other.
                #[must_use]
                #vis fn pair(#node: &__ipcz::Node) -> (Self, #receiver) {
                    let (proxy, receiver) = __ipcz::Node::open_portals(#node);
                    (
                        __ipcz::Endpoint::from_portal(proxy),
                        __ipcz::Endpoint::from_portal(receiver),
                    )
                }
                #(#methods)*
            }
        }
    }

    fn proxy_method(&self, method: &Method) -> TokenStream {
        let (vis, name) = (&self.interface.vis, &method.name);
        let title = self.title(method);
        let docs = docs(&method.attrs, &format!(" Calls `{title}`."));
        let (conditions, deprecated) = (conditions(&method.attrs), &method.attrs.deprecated);
        let args = method.args.iter().map(|Arg { name, ty }| {
            let ty = &ty.syntax;
            quote!(#name: #ty)
        });
        let (result, call) = if method.oneway.is_some() {
            (quote!(__ipcz::Sent), quote!(notify))
        } else {
            let (shape, ok, error) = self.reply(&method.returns);
            let call = quote!(call::<#shape, _, _>);
            match method.returns {
                Returns::Fallible { .. } => (quote!(__ipcz::Call<#ok, #error>), call),
                _ => (quote!(__ipcz::Call<#ok>), call),
            }
        };
        let id = hex(method.id());
        let encode = self.encode_arguments(method);
        quote! {
            #conditions #docs #deprecated
            #vis fn #name(&self #(, #args)*) -> #result {
                self.end.#call(__ipcz::Method::new(#id ^ __INTERFACE, #title), #encode)
            }
        }
    }

    /// The closure that writes the arguments.
    fn encode_arguments(&self, method: &Method) -> TokenStream {
        if method.args.is_empty() {
            return quote!(|_| ::core::result::Result::Ok(()));
        }
        let to = local("to");
        let puts = method.args.iter().map(|Arg { name, ty }| {
            let place = name.unraw().to_string();
            // In the user's place, so that a type that cannot be sent is underlined there.
            let span = ty.syntax.span();
            let put = at(span, quote!(put));
            let shape = at(span, self.shape(&ty.shape));
            let ty = &ty.syntax;
            quote_spanned!(span=> #to.#put::<#shape, #ty>(#place, #name)?;)
        });
        quote! {
            move |#to| {
                #(#puts)*
                ::core::result::Result::Ok(())
            }
        }
    }
}
