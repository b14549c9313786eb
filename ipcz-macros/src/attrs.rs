//! The attribute's options, and the attributes inside of an interface.

use ipcz_codegen::check::{Errors, Rule};
use ipcz_codegen::ir::{Attrs, Since, WireName};
use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::{Attribute, Ident, LitInt, LitStr, Meta, Path, Token};

/// What stands in the parentheses of `#[ipcz::interface(...)]`.
pub(crate) struct Options {
    pub(crate) wire_name: WireName,
    pub(crate) is_local: bool,
    /// The path of the `ipcz` crate.
    pub(crate) ipcz: TokenStream,
}

struct Setting {
    key: Ident,
    value: Option<LitStr>,
}

impl Parse for Setting {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let key = input.call(Ident::parse_any)?;
        let equals = input.parse::<Option<Token![=]>>()?;
        let value = equals.map(|_| input.parse()).transpose()?;
        Ok(Self { key, value })
    }
}

impl Options {
    pub(crate) fn parse(tokens: TokenStream, errors: &mut Errors) -> Self {
        let mut options =
            Self { wire_name: WireName::ModulePath, is_local: false, ipcz: quote!(::ipcz) };
        let parser = Punctuated::<Setting, Token![,]>::parse_terminated;
        let settings = match parser.parse2(tokens) {
            Ok(settings) => settings,
            Err(error) => {
                errors.push(Rule::Options, Place(error.span()), &error.to_string());
                return options;
            }
        };
        let mut seen = Vec::new();
        for Setting { key, value } in settings {
            if seen.contains(&key) {
                errors.push(Rule::Options, &key, &format!("`{key}` is given twice"));
            }
            match (key.to_string().as_str(), value) {
                ("local", None) => options.is_local = true,
                ("name", Some(value)) => options.wire_name = WireName::Explicit(value),
                ("crate", Some(value)) => match value.parse_with(Path::parse_mod_style) {
                    Ok(path) => options.ipcz = path.into_token_stream(),
                    Err(_) => errors.push(Rule::Options, &value, "this is no path"),
                },
                ("local", _) => errors.push(Rule::Options, &key, "`local` takes no value"),
                ("name" | "crate", _) => {
                    errors.push(Rule::Options, &key, &format!("`{key}` takes a value"));
                }
                (other, _) => {
                    errors.push(Rule::Options, &key, &format!("there is no option `{other}`"));
                }
            }
            seen.push(key);
        }
        options
    }
}

/// Nothing, at a place: what a parser's error is shown at.
struct Place(Span);

impl ToTokens for Place {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        tokens.extend([Ident::new("_place", self.0)]);
    }
}

/// The attributes of a method.
pub(crate) struct MethodAttrs {
    pub(crate) attrs: Attrs,
    pub(crate) oneway: Option<Span>,
    pub(crate) id: Option<(u64, TokenStream)>,
    pub(crate) since: Option<Since>,
}

impl MethodAttrs {
    pub(crate) fn parse(attributes: &[Attribute], errors: &mut Errors) -> Self {
        let mut oneway = None;
        let mut id = None;
        let mut since = None;
        let mut rest = Vec::new();
        for attribute in attributes {
            let path = attribute.path();
            if path.is_ident("oneway") {
                if !matches!(attribute.meta, Meta::Path(_)) {
                    errors.push(Rule::Attribute, attribute, "`oneway` takes nothing");
                }
                if oneway.is_some() {
                    errors.push(Rule::Attribute, attribute, "`oneway` is given twice");
                }
                oneway = path.get_ident().map(Ident::span);
            } else if path.is_ident("id") {
                if id.is_some() {
                    errors.push(Rule::Attribute, attribute, "`id` is given twice");
                }
                id = parse_id(attribute, errors);
            } else if path.is_ident("since") {
                if since.is_some() {
                    errors.push(Rule::Attribute, attribute, "`since` is given twice");
                }
                since = parse_since(attribute, errors);
            } else {
                rest.push(attribute.clone());
            }
        }
        Self { attrs: sort(&rest), oneway, id, since }
    }
}

fn parse_id(attribute: &Attribute, errors: &mut Errors) -> Option<(u64, TokenStream)> {
    let number = attribute.parse_args::<LitInt>().ok();
    let id =
        number.and_then(|number| Some((number.base10_parse().ok()?, number.into_token_stream())));
    if id.is_none() {
        errors.push(Rule::Attribute, attribute, "this is no id");
    }
    id
}

/// The version in `#[since(...)]`.
pub(crate) fn parse_since(attribute: &Attribute, errors: &mut Errors) -> Option<Since> {
    let number = attribute.parse_args::<LitInt>().ok();
    let version = number.and_then(|number| number.base10_parse().ok());
    match version.filter(|version| *version >= 2) {
        Some(version) => Some(Since { version, at: attribute.to_token_stream() }),
        None => {
            errors.push(Rule::Attribute, attribute, "this is no version");
            None
        }
    }
}

/// Sorts attributes that have nothing to do with ipcz by where they belong.
pub(crate) fn sort(attributes: &[Attribute]) -> Attrs {
    const LINTS: [&str; 4] = ["allow", "warn", "deny", "forbid"];
    let mut sorted = Attrs::default();
    for attribute in attributes {
        let tokens = attribute.to_token_stream();
        let path = attribute.path();
        if path.is_ident("doc") {
            sorted.docs.push(tokens);
        } else if path.is_ident("cfg") {
            sorted.cfgs.push(tokens);
        } else if path.is_ident("deprecated") {
            sorted.deprecated = Some(tokens);
        } else if LINTS.iter().any(|lint| path.is_ident(lint)) {
            sorted.lints.push(tokens);
        } else {
            sorted.others.push(tokens);
        }
    }
    sorted
}
