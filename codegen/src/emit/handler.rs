//! The trait that servers implement.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};

use super::{Emitter, at, conditions};
use crate::ir::{Method, Receiver, Returns};

impl Emitter<'_> {
    /// The trait, with futures written out so that they are `Send`, unless it is local. Servers
    /// still write `async fn`.
    pub(super) fn handler_trait(&self) -> TokenStream {
        let interface = self.interface;
        let attrs = &interface.attrs;
        let (conditions, docs) = (conditions(attrs), &attrs.docs);
        let (deprecated, others) = (&attrs.deprecated, &attrs.others);
        let (vis, name) = (&interface.vis, &interface.name);
        let methods = interface.methods.iter().map(|method| self.handler_method(method));
        quote! {
            #conditions #(#docs)* #deprecated #(#others)*
            #vis trait #name {
                #(#methods)*
            }
        }
    }

    fn handler_method(&self, method: &Method) -> TokenStream {
        // In the user's place, so that a handler that is not `Send` points there.
        let span = method.name.span();
        let send = self.future_bounds().map(|bounds| at(span, bounds));
        let attrs = &method.attrs;
        let (conditions, docs) = (conditions(attrs), &attrs.docs);
        let (deprecated, others) = (&attrs.deprecated, &attrs.others);
        let name = &method.name;
        let receiver = match method.receiver {
            Receiver::Shared => quote_spanned!(method.self_span=> &self),
            Receiver::Exclusive => quote_spanned!(method.self_span=> &mut self),
        };
        let args = method.args.iter().map(|arg| {
            let (name, ty) = (&arg.name, &arg.ty.syntax);
            quote!(#name: #ty)
        });
        let output = match &method.returns {
            Returns::Nothing => quote!(()),
            Returns::Value(ty) => {
                let ty = &ty.syntax;
                quote!(#ty)
            }
            Returns::Fallible { whole, .. } => quote!(#whole),
        };
        let output = match (method.is_async, &method.returns) {
            (true, _) => quote_spanned! {span=>
                -> impl ::core::future::Future<Output = #output> #send
            },
            (false, Returns::Nothing) => TokenStream::new(),
            (false, _) => quote!(-> #output),
        };
        let body = self.default_body(method);
        let allow = method.body.as_ref().map(|_| quote!(#[allow(clippy::manual_async_fn)]));
        quote! {
            #conditions #(#docs)* #deprecated #(#others)* #allow
            fn #name(#receiver #(, #args)*) #output #body
        }
    }

    /// What a server does that does not implement `method`, or just the end of its declaration.
    fn default_body(&self, method: &Method) -> TokenStream {
        let Some(body) = &method.body else {
            return quote!(;);
        };
        if !method.is_async {
            return body.clone();
        }
        // The future holds the server: it can move between threads only if the server can.
        let bound = self.future_bounds().map(|_| match method.receiver {
            Receiver::Shared => quote!(where Self: ::core::marker::Sync),
            Receiver::Exclusive => quote!(where Self: ::core::marker::Send),
        });
        quote!(#bound { async move #body })
    }
}
