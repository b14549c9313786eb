//! What may stand in the type of an argument or a result.

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};
use quote::ToTokens;
use syn::{PathArguments, Type as Syntax};

use super::{Errors, Rule};
use crate::ir::{Shape, Type, bare, last_segment};

/// Checks the type of an argument.
pub(super) fn argument(ty: &Type, errors: &mut Errors) {
    match (&ty.shape, bare(&ty.syntax)) {
        (Shape::Str | Shape::Slice, Syntax::Reference(reference)) => {
            if let Some(lifetime) = &reference.lifetime {
                errors.push(Rule::Lifetime, lifetime, "");
            }
        }
        _ => inside(&ty.syntax, Rule::Reference, errors),
    }
}

/// Checks the type of a result or of an application's error.
pub(super) fn result(ty: &Type, errors: &mut Errors) {
    if let Some(last) = last_segment(&ty.syntax)
        && last.ident == "Result"
    {
        match &last.arguments {
            PathArguments::AngleBracketed(arguments) if arguments.args.len() == 2 => {}
            _ => return errors.push(Rule::ResultWithoutError, &ty.syntax, ""),
        }
    }
    inside(&ty.syntax, Rule::BorrowedResult, errors);
}

/// Checks everything that a type consists of. References break `reference`.
fn inside(ty: &Syntax, reference: Rule, errors: &mut Errors) {
    match bare(ty) {
        // The whole of it is wrong, whatever it consists of.
        whole @ Syntax::Reference(_) => errors.push(reference, whole, ""),
        whole @ (Syntax::ImplTrait(_) | Syntax::TraitObject(_)) => {
            errors.push(Rule::TraitType, whole, "")
        }
        whole @ Syntax::Infer(_) => errors.push(Rule::Inferred, whole, ""),
        whole @ (Syntax::Ptr(_) | Syntax::FnPtr(_)) => errors.push(Rule::Pointer, whole, ""),
        // What the length of an array says is no type.
        Syntax::Array(array) => inside(&array.elem, reference, errors),
        ty => tokens(ty.to_token_stream(), reference, errors),
    }
}

/// Checks the tokens of a type that has other types inside, however deep.
fn tokens(stream: TokenStream, reference: Rule, errors: &mut Errors) {
    let mut stream = stream.into_iter();
    while let Some(token) = stream.next() {
        match &token {
            // `{ N + 1 }` is a value, and so is the length of an array.
            TokenTree::Group(group) if group.delimiter() != Delimiter::Brace => {
                match syn::parse2::<Syntax>(token.to_token_stream()) {
                    Ok(ty @ Syntax::Array(_)) => inside(&ty, reference, errors),
                    _ => tokens(group.stream(), reference, errors),
                }
            }
            TokenTree::Ident(name) => match name.to_string().as_str() {
                "Self" => errors.push(Rule::SelfType, &token, ""),
                "impl" | "dyn" => errors.push(Rule::TraitType, &token, ""),
                "_" => errors.push(Rule::Inferred, &token, ""),
                "fn" => errors.push(Rule::Pointer, &token, ""),
                _ => {}
            },
            TokenTree::Punct(punct) => match punct.as_char() {
                '&' => errors.push(reference, &token, ""),
                '*' => errors.push(Rule::Pointer, &token, ""),
                '\'' if punct.spacing() == Spacing::Joint => {
                    let lifetime = [Some(token.clone()), stream.next()];
                    let lifetime: TokenStream = lifetime.into_iter().flatten().collect();
                    errors.push(Rule::Lifetime, lifetime, "");
                }
                _ => {}
            },
            _ => {}
        }
    }
}
