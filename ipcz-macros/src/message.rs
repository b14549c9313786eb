//! From a struct or an enum to the model of a message.

use ipcz_codegen::check::{self, Errors, Rule};
use ipcz_codegen::emit;
use ipcz_codegen::ir::{Body, Field, Fields, Message, Style, Variant};
use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{Attribute, Data, DeriveInput, LitStr, Path};

use crate::attrs::parse_since;

/// The code for the derive on `item`, or errors for all that is wrong with it.
pub(crate) fn expand(item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let definition = match syn::parse2::<DeriveInput>(item) {
        Ok(definition) => definition,
        Err(error) => return error.to_compile_error(),
    };
    let ipcz = crate_path(&definition.attrs, &mut errors);
    let body = match &definition.data {
        Data::Struct(data) => Body::Struct(lower_fields(&data.fields, &mut errors)),
        Data::Enum(data) => {
            let lower = |variant: &syn::Variant| lower_variant(variant, &mut errors);
            Body::Enum(data.variants.iter().map(lower).collect())
        }
        Data::Union(data) => {
            errors.push(Rule::Union, data.union_token, "");
            return errors.to_compile_errors();
        }
    };
    let message = Message { name: definition.ident, generics: definition.generics, body };
    check::message(&message, &mut errors);
    if errors.is_empty() { emit::message(&message, &ipcz) } else { errors.to_compile_errors() }
}

/// Where the `ipcz` crate is: `#[ipcz(crate = "path")]`, if not at `::ipcz`.
fn crate_path(attributes: &[Attribute], errors: &mut Errors) -> TokenStream {
    let mut path = quote!(::ipcz);
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("ipcz")) {
        let parsed = attribute.parse_nested_meta(|meta| {
            if !meta.path.is_ident("crate") {
                return Err(meta.error("there is no such option"));
            }
            let value: LitStr = meta.value()?.parse()?;
            path = value.parse_with(Path::parse_mod_style)?.into_token_stream();
            Ok(())
        });
        if let Err(error) = parsed {
            errors.push(Rule::Options, attribute, &error.to_string());
        }
    }
    path
}

fn lower_fields(fields: &syn::Fields, errors: &mut Errors) -> Fields {
    let style = match fields {
        syn::Fields::Named(_) => Style::Named,
        syn::Fields::Unnamed(_) => Style::Tuple,
        syn::Fields::Unit => Style::Unit,
    };
    let fields = fields.iter().map(|field| {
        let of = |name| field.attrs.iter().filter(move |attribute| attribute.path().is_ident(name));
        Field {
            name: field.ident.clone(),
            ty: field.ty.clone(),
            since: of("since").next_back().and_then(|attribute| parse_since(attribute, errors)),
            cfgs: of("cfg").map(ToTokens::to_token_stream).collect(),
            serde: of("serde").map(ToTokens::to_token_stream).collect(),
        }
    });
    Fields { style, fields: fields.collect() }
}

fn lower_variant(variant: &syn::Variant, errors: &mut Errors) -> Variant {
    let find = |name| variant.attrs.iter().find(|attribute| attribute.path().is_ident(name));
    Variant {
        name: variant.ident.clone(),
        fields: lower_fields(&variant.fields, errors),
        since: find("since").and_then(|attribute| parse_since(attribute, errors)),
        unknown: find("unknown").map(ToTokens::to_token_stream),
    }
}
