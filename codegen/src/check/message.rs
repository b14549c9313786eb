//! What must hold of a type that may grow.

use proc_macro2::Ident;
use quote::ToTokens;

use super::{Errors, Rule, since};
use crate::ir::{Body, Field, Message, Style, Variant};

/// Checks `message`.
pub fn message(message: &Message, errors: &mut Errors) {
    for lifetime in message.generics.lifetimes() {
        errors.push(Rule::Lifetime, lifetime, "");
    }
    match &message.body {
        Body::Struct(fields) => self::fields(&fields.fields, &message.name, errors),
        Body::Enum(variants) => self::variants(variants, errors),
    }
}

fn fields(fields: &[Field], owner: &Ident, errors: &mut Errors) {
    let versions =
        fields.iter().map(|field| (field.name.as_ref().unwrap_or(owner), field.since.as_ref()));
    since(versions, errors);
}

fn variants(variants: &[Variant], errors: &mut Errors) {
    let known = variants.iter().filter(|variant| variant.unknown.is_none());
    since(known.map(|variant| (&variant.name, variant.since.as_ref())), errors);
    for variant in variants {
        fields(&variant.fields.fields, &variant.name, errors);
    }
    let mut unknown =
        variants.iter().filter_map(|variant| Some((variant, variant.unknown.as_ref()?)));
    if let Some((variant, at)) = unknown.next()
        && variant.fields.style != Style::Unit
    {
        errors.push(Rule::UnknownVariant, at, &variant.name.to_string());
    }
    for (variant, at) in unknown {
        errors.push(Rule::UnknownVariant, at.to_token_stream(), &variant.name.to_string());
    }
}
