//! The types that say how a value is encoded.

use proc_macro2::TokenStream;
use quote::quote;

use super::Emitter;
use crate::ir::{Returns, Shape};

impl Emitter<'_> {
    /// The shape of an argument, or of a part of a result.
    pub(super) fn shape(&self, shape: &Shape) -> TokenStream {
        let private = &self.private;
        match shape {
            Shape::Plain | Shape::Str => quote!(#private::Plain),
            Shape::Slice | Shape::Bytes => quote!(#private::Bytes),
            Shape::Array => quote!(#private::Array),
            Shape::Optional(inner) => {
                let inner = self.shape(inner);
                quote!(#private::Optional<#inner>)
            }
        }
    }

    /// The shape of a reply, the type of its value and that of the application's error.
    pub(super) fn reply(&self, returns: &Returns) -> (TokenStream, TokenStream, TokenStream) {
        let private = &self.private;
        let never = quote!(::core::convert::Infallible);
        match returns {
            Returns::Nothing => {
                let plain = quote!(#private::Always<#private::Plain>);
                (plain, quote!(()), never)
            }
            Returns::Value(ty) => {
                let (shape, ty) = (self.shape(&ty.shape), &ty.syntax);
                (quote!(#private::Always<#shape>), quote!(#ty), never)
            }
            Returns::Fallible { ok, error, .. } => {
                let (shape, ok, error) = (self.shape(&ok.shape), &ok.syntax, &error.syntax);
                (quote!(#private::Fallible<#shape>), quote!(#ok), quote!(#error))
            }
        }
    }
}
