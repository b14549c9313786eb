//! What can be called, be it a proxy or an object of this process.

use proc_macro2::{Ident, TokenStream};
use quote::quote;

use super::{Emitter, allow_deprecated, conditions, docs, local, suffixed};
use crate::ir::{Arg, Method, Receiver, Returns};

impl Emitter<'_> {
    fn client(&self) -> Ident {
        suffixed(&self.interface.name, "Client")
    }

    /// The trait that proxies and local servers have in common.
    pub(super) fn client_trait(&self, ipcz: &TokenStream) -> TokenStream {
        let (vis, name, client) = (&self.interface.vis, &self.interface.name, self.client());
        let conditions = conditions(&self.interface.attrs);
        let deprecated = &self.interface.attrs.deprecated;
        let doc = format!(
            " What can be called as a [`{name}`]: a [`{}`], or a server of this process. For code that does not mind.",
            self.proxy,
        );
        let private = quote!(#ipcz::__private);
        let methods = self.interface.methods.iter().map(|method| {
            let docs = docs(&method.attrs, &format!(" Calls `{}`.", self.title(method)));
            let (deprecated, signature) =
                (&method.attrs.deprecated, self.signature(method, &private));
            quote!(#docs #deprecated #signature;)
        });
        quote! {
            #conditions
            #[doc = #doc]
            #deprecated
            #[allow(dead_code)]
            #vis trait #client {
                #(#methods)*
            }
        }
    }

    /// How proxies and local servers are called.
    pub(super) fn client_impls(&self) -> TokenStream {
        let (name, client, proxy) = (&self.interface.name, self.client(), &self.proxy);
        let private = quote!(__ipcz);
        let methods = |body: &dyn Fn(&Method) -> TokenStream| -> TokenStream {
            let method = |method: &Method| {
                let (signature, allow) =
                    (self.signature(method, &private), allow_deprecated(&method.attrs));
                let body = body(method);
                quote!(#allow #signature { #body })
            };
            self.interface.methods.iter().map(method).collect()
        };
        let on_proxy = methods(&|method| {
            let (name, args) = (&method.name, method.args.iter().map(|arg| &arg.name));
            quote!(<#proxy>::#name(self #(, #args)*))
        });
        let on_server = methods(&|method| self.call_server(method));
        let local = match self.interface.receiver() {
            Receiver::Shared => quote!(Local),
            Receiver::Exclusive => quote!(LocalExclusive),
        };
        let bounds = self.server_bounds();
        quote! {
            #[automatically_derived]
            impl #client for #proxy {
                #on_proxy
            }

            #[automatically_derived]
            impl<__Server: #name #bounds> #client for __ipcz::#local<__Server> {
                #on_server
            }
        }
    }

    fn signature(&self, method: &Method, private: &TokenStream) -> TokenStream {
        let (name, conditions) = (&method.name, conditions(&method.attrs));
        let args = method.args.iter().map(|Arg { name, ty }| {
            let ty = &ty.syntax;
            quote!(#name: #ty)
        });
        let result = match &method.returns {
            Returns::Nothing => quote!(()),
            Returns::Value(ty) => {
                let ty = &ty.syntax;
                quote!(#ty)
            }
            Returns::Fallible { ok, error, .. } => {
                let (ok, own) = (&ok.syntax, &error.syntax);
                quote!(#ok, #own)
            }
        };
        let calling = if self.interface.is_local { quote!(CallingLocal) } else { quote!(Calling) };
        quote! {
            #conditions
            fn #name(&self #(, #args)*) -> impl #private::#calling<#result>
        }
    }

    fn call_server(&self, method: &Method) -> TokenStream {
        let (interface, name) = (&self.interface.name, &method.name);
        let args = method.args.iter().map(|arg| &arg.name);
        let server = local("server");
        let (lock, server) = match self.interface.receiver() {
            Receiver::Shared => (None, quote!(self.server())),
            Receiver::Exclusive => {
                (Some(quote!(let mut #server = self.server().await;)), quote!(&mut #server))
            }
        };
        let wait = method.is_async.then(|| quote!(.await));
        let call = quote!(<__Server as #interface>::#name(#server #(, #args)*) #wait);
        let result = match &method.returns {
            Returns::Fallible { .. } => quote!(#call.map_err(__ipcz::CallError::Application)),
            _ => quote!(::core::result::Result::Ok(#call)),
        };
        quote!(async move { #lock #result })
    }
}
