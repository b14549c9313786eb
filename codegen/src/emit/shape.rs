//! The types that say how a value is encoded.

use proc_macro2::TokenStream;
use quote::quote;

use super::Emitter;
use crate::ir::{Returns, Shape};

impl Emitter<'_> {
    /// The shape of an argument, or of a part of a result.
    pub(super) fn shape(&self, shape: &Shape) -> TokenStream {
        match shape {
            Shape::Plain | Shape::Str => quote!(__ipcz::Plain),
            Shape::Slice | Shape::Bytes => quote!(__ipcz::Bytes),
            Shape::Array => quote!(__ipcz::Array),
            Shape::Optional(inner) => {
                let inner = self.shape(inner);
                quote!(__ipcz::Optional<#inner>)
            }
        }
    }

    /// The shape of a reply, the type of its value and that of the application's error.
    pub(super) fn reply(&self, returns: &Returns) -> (TokenStream, TokenStream, TokenStream) {
        let never = quote!(::core::convert::Infallible);
        match returns {
            Returns::Nothing => {
                let plain = quote!(__ipcz::Always<__ipcz::Plain>);
                (plain, quote!(()), never)
            }
            Returns::Value(ty) => {
                let (shape, ty) = (self.shape(&ty.shape), &ty.syntax);
                (quote!(__ipcz::Always<#shape>), quote!(#ty), never)
            }
            Returns::Fallible { ok, error, .. } => {
                let (shape, ok, error) = (self.shape(&ok.shape), &ok.syntax, &error.syntax);
                (quote!(__ipcz::Fallible<#shape>), quote!(#ok), quote!(#error))
            }
        }
    }
}
