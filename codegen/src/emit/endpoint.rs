//! What proxies and receivers have in common: they stand on a portal, and are values.

use proc_macro2::{Ident, TokenStream};
use quote::quote;

use super::{Emitter, conditions};

impl Emitter<'_> {
    /// `Endpoint` and `Debug`.
    pub(super) fn endpoint(&self, end: &Ident) -> TokenStream {
        let private = &self.private;
        let conditions = conditions(&self.interface.attrs);
        let (wire_name, shown) = (self.wire_name(), end.to_string());
        quote! {
            #conditions
            #[automatically_derived]
            impl #private::Endpoint for #end {
                const INTERFACE: &'static str = #wire_name;

                fn from_portal(portal: #private::Portal) -> Self {
                    Self { end: ::core::convert::From::from(portal) }
                }

                fn portal(&self) -> &#private::Portal {
                    self.end.portal()
                }

                fn into_portal(self) -> ::core::result::Result<#private::Portal, Self> {
                    self.end.into_portal().map_err(|end| Self { end })
                }
            }

            #conditions
            #[automatically_derived]
            impl ::core::fmt::Debug for #end {
                fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                    f.debug_tuple(#shown).field(&self.end).finish()
                }
            }
        }
    }

    /// `Serialize` and `Deserialize`, which work in a message only.
    pub(super) fn values(&self, end: &Ident) -> TokenStream {
        let private = &self.private;
        let serde = quote!(#private::serde);
        let conditions = conditions(&self.interface.attrs);
        let shown = format!("a `{end}`");
        quote! {
            #conditions
            #[automatically_derived]
            impl #serde::Serialize for #end {
                fn serialize<__S: #serde::Serializer>(
                    &self,
                    serializer: __S,
                ) -> ::core::result::Result<__S::Ok, __S::Error> {
                    #private::serialize_portal(#shown, || self.end.take_portal(), serializer)
                }
            }

            #conditions
            #[automatically_derived]
            impl<'de> #serde::Deserialize<'de> for #end {
                fn deserialize<__D: #serde::Deserializer<'de>>(
                    deserializer: __D,
                ) -> ::core::result::Result<Self, __D::Error> {
                    #private::deserialize_portal(deserializer)
                        .map(<Self as #private::Endpoint>::from_portal)
                }
            }
        }
    }
}
