//! The serde code of a type that may grow.
//!
//! The work is serde's own, on two hidden twins of the type: one that borrows its fields to be written, and one that is
//! read, in which what came later has a default. The runtime puts a length around them.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};
use syn::Generics;

use crate::ir::{Body, Field, Fields, Message, Style, Variant};

/// What the variant that stands for unknown ones is called where its own name does not matter.
const UNKNOWN: &str = "$unknown";

/// Emits `Serialize` and `Deserialize` of `message`.
///
/// `ipcz` is the path of the `ipcz` crate where the code lands.
#[must_use]
pub fn message(message: &Message, ipcz: &TokenStream) -> TokenStream {
    let name = &message.name;
    let private = quote!(#ipcz::__private);
    let serde = format!("{private}::serde").replace(' ', "");
    let (lent, owned) = (twin(message, true), twin(message, false));
    let shown = name.to_string();
    let (_, parameters, _) = message.generics.split_for_impl();
    let lent_generics = lent_generics(message, "'_");
    let (_, lent_parameters, _) = lent_generics.split_for_impl();
    let (lend, own) = (lend(message, &private), own(message));
    let writes = bounded(&message.generics, &quote!(#private::serde::Serialize));
    let reads = bounded(&message.generics, &quote!(#private::serde::de::DeserializeOwned));
    let (write_impl, _, write_where) = writes.split_for_impl();
    let read = with_lifetime(&reads, "'de");
    let (read_impl, _, read_where) = read.split_for_impl();
    quote! {
        #[allow(deprecated, clippy::all, clippy::pedantic)]
        const _: () = {
            #[derive(#private::serde::Serialize)]
            #[serde(crate = #serde, rename = #shown)]
            #lent

            #[derive(#private::serde::Deserialize)]
            #[serde(crate = #serde, rename = #shown)]
            #owned

            #[automatically_derived]
            impl #write_impl #private::serde::Serialize for #name #parameters #write_where {
                fn serialize<__S: #private::serde::Serializer>(
                    &self,
                    serializer: __S,
                ) -> ::core::result::Result<__S::Ok, __S::Error> {
                    let __lent: __Lent #lent_parameters = #lend;
                    #private::serialize_message(&__lent, serializer)
                }
            }

            #[automatically_derived]
            impl #read_impl #private::serde::Deserialize<'de> for #name #parameters #read_where {
                fn deserialize<__D: #private::serde::Deserializer<'de>>(
                    deserializer: __D,
                ) -> ::core::result::Result<Self, __D::Error> {
                    let __own: __Owned #parameters = #private::deserialize_message(deserializer)?;
                    ::core::result::Result::Ok({ #own })
                }
            }
        };
    }
}

/// The type to write, which borrows, or the type to read.
fn twin(message: &Message, lends: bool) -> TokenStream {
    let name = if lends { format_ident!("__Lent") } else { format_ident!("__Owned") };
    let generics = match lends {
        true => lent_generics(message, "'__a"),
        false => message.generics.clone(),
    };
    // Bounds of parameters stand in both; a parameter that is lent must live as long.
    let where_clause = &generics.where_clause;
    match &message.body {
        Body::Struct(fields) => {
            let (body, end) =
                (twin_fields(fields, lends), (fields.style != Style::Named).then(|| quote!(;)));
            match fields.style {
                Style::Named => quote!(struct #name #generics #where_clause #body),
                _ => quote!(struct #name #generics #body #where_clause #end),
            }
        }
        Body::Enum(variants) => {
            // The one for unknown variants stands last, where its number is nobody else's.
            let known = variants.iter().filter(|variant| variant.unknown.is_none());
            let known = known.map(|Variant { name, fields, .. }| {
                let body = twin_fields(fields, lends);
                quote!(#name #body)
            });
            let unknown = variants.iter().find(|variant| variant.unknown.is_some());
            let unknown = unknown
                .filter(|_| !lends)
                .map(|Variant { name, .. }| quote!(#[serde(rename = #UNKNOWN)] #name));
            quote!(enum #name #generics #where_clause { #(#known,)* #unknown })
        }
    }
}

/// The parameters of the type to write: with a lifetime, if there is anything to borrow.
fn lent_generics(message: &Message, lifetime: &str) -> Generics {
    let has_fields = match &message.body {
        Body::Struct(fields) => !fields.fields.is_empty(),
        Body::Enum(variants) => variants.iter().any(|variant| !variant.fields.fields.is_empty()),
    };
    match has_fields {
        true => with_lifetime(&message.generics, lifetime),
        false => message.generics.clone(),
    }
}

fn twin_fields(Fields { style, fields }: &Fields, lends: bool) -> TokenStream {
    let fields = fields.iter().map(|Field { name, ty, since, cfgs, serde }| {
        let default = (since.is_some() && !lends).then(|| quote!(#[serde(default)]));
        let lent = lends.then(|| quote!(&'__a));
        let colon = name.as_ref().map(|name| quote!(#name:));
        quote!(#(#cfgs)* #(#serde)* #default #colon #lent #ty)
    });
    match style {
        Style::Named => quote!({ #(#fields,)* }),
        Style::Tuple => quote!(( #(#fields,)* )),
        Style::Unit => TokenStream::new(),
    }
}

/// The expression of the twin to write.
fn lend(message: &Message, private: &TokenStream) -> TokenStream {
    match &message.body {
        Body::Struct(fields) => {
            let names = members(fields);
            let values = names.iter().map(|name| quote!(&self.#name)).collect::<Vec<_>>();
            construct(&quote!(__Lent), fields, &values)
        }
        Body::Enum(variants) => {
            let arms = variants.iter().map(|Variant { name, fields, unknown, .. }| {
                let bound = bindings(fields);
                let bound = bound.iter().map(|name| quote!(#name)).collect::<Vec<_>>();
                let pattern = construct(&quote!(Self::#name), fields, &bound);
                let value = match unknown {
                    Some(_) => {
                        let text = format!(
                            "`{name}` stands for what this version does not know: it cannot be sent"
                        );
                        quote! {
                            return ::core::result::Result::Err(
                                <__S::Error as #private::serde::ser::Error>::custom(#text)
                            )
                        }
                    }
                    None => construct(&quote!(__Lent::#name), fields, &bound),
                };
                quote!(#pattern => #value,)
            });
            quote!(match self { #(#arms)* })
        }
    }
}

/// The expression of the type itself, from the twin that was read.
fn own(message: &Message) -> TokenStream {
    match &message.body {
        Body::Struct(fields) => {
            let names = members(fields);
            let values = names.iter().map(|name| quote!(__own.#name)).collect::<Vec<_>>();
            construct(&quote!(Self), fields, &values)
        }
        Body::Enum(variants) => {
            let arms = variants.iter().map(|Variant { name, fields, .. }| {
                let bound = bindings(fields);
                let bound = bound.iter().map(|name| quote!(#name)).collect::<Vec<_>>();
                let pattern = construct(&quote!(__Owned::#name), fields, &bound);
                let value = construct(&quote!(Self::#name), fields, &bound);
                quote!(#pattern => #value,)
            });
            quote!(match __own { #(#arms)* })
        }
    }
}

/// The names, or places, of fields.
fn members(fields: &Fields) -> Vec<syn::Member> {
    let member = |(at, field): (usize, &Field)| match &field.name {
        Some(name) => syn::Member::Named(name.clone()),
        None => syn::Member::Unnamed(at.into()),
    };
    fields.fields.iter().enumerate().map(member).collect()
}

/// A variable for each field.
fn bindings(fields: &Fields) -> Vec<Ident> {
    (0..fields.fields.len()).map(|at| format_ident!("__field{at}")).collect()
}

/// `path { name: value, ... }`, as an expression or a pattern.
fn construct(path: &TokenStream, fields: &Fields, values: &[TokenStream]) -> TokenStream {
    let members = members(fields);
    let conditions =
        fields.fields.iter().map(|field| field.cfgs.iter().cloned().collect::<TokenStream>());
    quote!(#path { #(#conditions #members: #values,)* })
}

/// `generics` with a bound for each type.
fn bounded(generics: &Generics, bound: &TokenStream) -> Generics {
    let mut generics = generics.clone();
    let names: Vec<_> = generics.type_params().map(|parameter| parameter.ident.clone()).collect();
    let clause = generics.make_where_clause();
    for name in names {
        clause.predicates.push(syn::parse_quote!(#name: #bound));
    }
    generics
}

/// `generics` with a lifetime before everything else.
fn with_lifetime(generics: &Generics, lifetime: &str) -> Generics {
    let mut generics = generics.clone();
    let lifetime = syn::Lifetime::new(lifetime, proc_macro2::Span::call_site());
    let parameter = syn::GenericParam::Lifetime(syn::LifetimeParam::new(lifetime));
    generics.params.insert(0, parameter);
    generics
}
