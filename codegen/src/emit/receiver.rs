//! The serving end.

use proc_macro2::TokenStream;
use quote::quote;

use super::Emitter;
use crate::ir::Receiver;

impl Emitter<'_> {
    /// What the receiver's documentation says.
    pub(super) fn receiver_doc(&self) -> String {
        let (proxy, name) = (&self.proxy, &self.interface.name);
        format!(
            " The end that calls of [`{proxy}`] arrive at, until a [`{name}`] server takes them."
        )
    }

    /// The ways to serve.
    pub(super) fn receiver_methods(&self) -> TokenStream {
        let vis = &self.interface.vis;
        let (receiver, name) = (&self.receiver, &self.interface.name);
        let (bounds, send) = (self.server_bounds(), self.future_bounds());
        let (order, serve, block) = match self.interface.receiver() {
            Receiver::Shared => (
                " Calls start in order, and run at the same time, up to 1024 of them.",
                quote!(serve_shared),
                quote!(serve_shared_blocking),
            ),
            Receiver::Exclusive => (
                " Calls run in order, one at a time. A method that waits for a call back into this very \
                 endpoint waits forever.",
                quote!(serve_exclusive),
                quote!(serve_exclusive_blocking),
            ),
        };
        let result = quote!(::core::result::Result<(), __ipcz::ServeError>);
        quote! {
            impl #receiver {
                /// Has `server` take the calls, on any executor, until the client closes its end.
                ///
                #[doc = #order]
                ///
                /// # Errors
                /// The client was lost, or sent a malformed request; calls that still ran are dropped.
                #vis fn serve(
                    self,
                    server: impl #name #bounds,
                ) -> impl ::core::future::Future<Output = #result> #send {
                    __ipcz::#serve::<Self, _>(self.end, server)
                }

                /// Has `server` take the calls, on this thread, until the client closes its end.
                ///
                #[doc = #order]
                ///
                /// # Errors
                /// The client was lost, or sent a malformed request; calls that still ran are dropped.
                #vis fn serve_blocking(self, server: impl #name #bounds) -> #result {
                    __ipcz::#block::<Self, _>(self.end, server)
                }
            }
        }
    }
}
