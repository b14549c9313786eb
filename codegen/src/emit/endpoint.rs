//! What proxies and receivers have in common: they stand on a portal, and are values.

use proc_macro2::{Ident, TokenStream};
use quote::quote;

use super::{Emitter, conditions};

impl Emitter<'_> {
    /// The type of the end `end`, around `inner`.
    pub(super) fn end_struct(&self, end: &Ident, doc: &str, inner: &TokenStream) -> TokenStream {
        let vis = &self.interface.vis;
        let conditions = conditions(&self.interface.attrs);
        quote! {
            #conditions
            #[doc = #doc]
            #[allow(dead_code)]
            #vis struct #end {
                end: #inner,
            }
        }
    }

    /// `Endpoint` and `Debug`.
    pub(super) fn endpoint(&self, end: &Ident) -> TokenStream {
        let (wire_name, shown) = (self.wire_name(), end.to_string());
        let version = self.interface.version();
        quote! {
            #[automatically_derived]
            impl __ipcz::Endpoint for #end {
                const INTERFACE: &'static str = #wire_name;
                const VERSION: ::core::primitive::u32 = #version;

                fn from_portal(portal: __ipcz::Portal) -> Self {
                    Self { end: ::core::convert::From::from(portal) }
                }

                fn portal(&self) -> &__ipcz::Portal {
                    self.end.portal()
                }

                fn into_portal(self) -> ::core::result::Result<__ipcz::Portal, Self> {
                    self.end.into_portal().map_err(|end| Self { end })
                }
            }

            #[automatically_derived]
            impl ::core::fmt::Debug for #end {
                fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                    f.debug_tuple(#shown).field(&self.end).finish()
                }
            }
        }
    }

    /// `Proxy` and `Receiver`.
    pub(super) fn roles(&self) -> TokenStream {
        let (proxy, receiver) = (&self.proxy, &self.receiver);
        quote! {
            #[automatically_derived]
            impl __ipcz::Proxy for #proxy {
                type Receiver = #receiver;

                fn client(&self) -> &__ipcz::Client {
                    &self.end
                }

                fn from_client(end: __ipcz::Client) -> Self {
                    Self { end }
                }
            }

            #[automatically_derived]
            impl __ipcz::Receiver for #receiver {
                type Proxy = #proxy;

                fn incoming(&mut self) -> &mut __ipcz::Incoming {
                    &mut self.end
                }
            }
        }
    }

    /// `Serialize` and `Deserialize`, which work in a message only.
    pub(super) fn values(&self, end: &Ident) -> TokenStream {
        let serde = quote!(__ipcz::serde);
        let shown = format!("a `{end}`");
        let (serialize, deserialize) = match *end == self.proxy {
            true => (quote!(serialize_client), quote!(deserialize_client)),
            false => (quote!(serialize_incoming), quote!(deserialize_incoming)),
        };
        quote! {
            #[automatically_derived]
            impl #serde::Serialize for #end {
                fn serialize<__S: #serde::Serializer>(
                    &self,
                    serializer: __S,
                ) -> ::core::result::Result<__S::Ok, __S::Error> {
                    __ipcz::#serialize(#shown, &self.end, serializer)
                }
            }

            #[automatically_derived]
            impl<'de> #serde::Deserialize<'de> for #end {
                fn deserialize<__D: #serde::Deserializer<'de>>(
                    deserializer: __D,
                ) -> ::core::result::Result<Self, __D::Error> {
                    __ipcz::#deserialize(deserializer).map(|end| Self { end })
                }
            }
        }
    }
}
