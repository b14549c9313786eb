//! From a request to the handler's method and back.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;

use super::{Emitter, allow_deprecated, at, conditions, hex, local};
use crate::ir::{Arg, Method, Receiver};

impl Emitter<'_> {
    /// What decodes a request, runs its method and encodes the result.
    pub(super) fn dispatch(&self) -> TokenStream {
        let (receiver, name) = (&self.receiver, &self.interface.name);
        let (role, server) = match self.interface.receiver() {
            Receiver::Shared => (quote!(ServeShared), quote!(&__Server)),
            Receiver::Exclusive => (quote!(ServeExclusive), quote!(&mut __Server)),
        };
        let bounds = self.server_bounds();
        let arms = self.interface.methods.iter().map(|method| self.dispatch_method(method));
        let (server_name, request) = (local("server"), local("request"));
        quote! {
            #[automatically_derived]
            impl<__Server: #name #bounds> __ipcz::#role<__Server> for #receiver {
                async fn dispatch(
                    #server_name: #server,
                    #request: __ipcz::Request,
                ) -> ::core::result::Result<
                    ::core::option::Option<__ipcz::Parcel>,
                    __ipcz::CodecError,
                > {
                    ::core::result::Result::Ok(match #request.method() ^ __INTERFACE {
                        #(#arms)*
                        _ => #request.other::<Self>(),
                    })
                }
            }
        }
    }

    fn dispatch_method(&self, method: &Method) -> TokenStream {
        let (interface, name) = (&self.interface.name, &method.name);
        let (title, id) = (self.title(method), hex(method.id()));
        let (conditions, allow) = (conditions(&method.attrs), allow_deprecated(&method.attrs));
        let (server, request, from) = (local("server"), local("request"), local("from"));
        let (answer, message, handles) = (local("answer"), local("message"), local("handles"));
        let takes = method.args.iter().map(|arg| self.take_argument(arg));
        let args = method.args.iter().map(|arg| &arg.name);
        let from_mut = (!method.args.is_empty()).then(|| quote!(mut));
        let wait = method.is_async.then(|| quote!(.await));
        let shape = self.reply(&method.returns).0;
        let end = format!("arguments of `{title}`");
        let call = quote!(<__Server as #interface>::#name(#server #(, #args)*) #wait);
        let result = local("result");
        quote! {
            #conditions #allow
            #id => {
                let (#answer, #message, #handles) = #request.split();
                let #from_mut #from = #message.decoder(#title, #handles);
                #(#takes)*
                #from.finish(#end)?;
                let #result = #call;
                #answer.reply::<#shape, _>(#title, #result)
            }
        }
    }

    fn take_argument(&self, Arg { name, ty }: &Arg) -> TokenStream {
        let from = local("from");
        let place = name.unraw().to_string();
        // In the user's place, so that a type that cannot be sent is underlined there.
        let span = ty.syntax.span();
        let take = at(span, quote!(take));
        let shape = at(span, self.shape(&ty.shape));
        let ty = &ty.syntax;
        quote_spanned!(span=> let #name = #from.#take::<#shape, #ty>(#place)?;)
    }
}
