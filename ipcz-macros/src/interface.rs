//! From a trait to the model of an interface.

use ipcz_codegen::check::{self, Errors, Rule};
use ipcz_codegen::emit;
use ipcz_codegen::ir::{Arg, Interface, Method, Receiver, Returns, Type};
use proc_macro2::{Span, TokenStream};
use quote::ToTokens;
use syn::{
    FnArg, ItemTrait, Pat, PatType, ReceiverKind, Safety, Signature, TraitItem, TraitItemFn,
};

use crate::attrs::{self, MethodAttrs, Options};

/// The code for the attribute on `item`, or errors for all that is wrong with it.
pub(crate) fn expand(options: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let options = Options::parse(options, &mut errors);
    let definition = match syn::parse2::<ItemTrait>(item.clone()) {
        Ok(definition) => definition,
        Err(error) => return not_a_trait(&item, &error, errors),
    };
    let ipcz = options.ipcz.clone();
    let interface = lower(&definition, options, &mut errors);
    check::interface(&interface, &mut errors);
    if errors.is_empty() { emit::interface(&interface, &ipcz) } else { errors.to_compile_errors() }
}

/// Another item, or a trait that does not parse.
fn not_a_trait(item: &TokenStream, error: &syn::Error, mut errors: Errors) -> TokenStream {
    let mut reported = TokenStream::new();
    match syn::parse2::<syn::Item>(item.clone()) {
        Ok(_) => errors.push(Rule::NotATrait, item.clone(), ""),
        Err(_) => reported = error.to_compile_error(),
    }
    reported.extend(errors.to_compile_errors());
    reported
}

fn lower(definition: &ItemTrait, options: Options, errors: &mut Errors) -> Interface {
    let generics = &definition.generics;
    if !generics.params.is_empty() {
        errors.push(Rule::GenericTrait, &generics.params, "");
    }
    if let Some(clause) = &generics.where_clause {
        errors.push(Rule::GenericTrait, clause, "");
    }
    if !definition.supertraits.is_empty() {
        errors.push(Rule::Supertraits, &definition.supertraits, "");
    }
    if let Some(token) = &definition.unsafety {
        errors.push(Rule::SpecialTrait, token, "unsafe");
    }
    if let Some(token) = &definition.modifiers.auto_token {
        errors.push(Rule::SpecialTrait, token, "auto");
    }
    let methods = definition.items.iter().filter_map(|item| lower_item(item, errors));
    Interface {
        attrs: attrs::sort(&definition.attrs),
        vis: definition.vis.clone(),
        name: definition.ident.clone(),
        wire_name: options.wire_name,
        is_local: options.is_local,
        methods: methods.collect(),
    }
}

fn lower_item(item: &TraitItem, errors: &mut Errors) -> Option<Method> {
    let what = match item {
        TraitItem::Fn(function) => return Some(lower_method(function, errors)),
        TraitItem::Const(_) => "the constant",
        TraitItem::Type(_) => "the type",
        _ => "this",
    };
    errors.push(Rule::AssociatedItem, item, what);
    None
}

fn lower_method(function: &TraitItemFn, errors: &mut Errors) -> Method {
    let signature = &function.sig;
    let name = signature.ident.to_string();
    special(signature, errors);
    if !signature.generics.params.is_empty() {
        errors.push(Rule::GenericMethod, &signature.generics.params, &name);
    }
    if let Some(clause) = &signature.generics.where_clause {
        errors.push(Rule::GenericMethod, clause, &name);
    }
    let MethodAttrs { attrs, oneway, id, since } = MethodAttrs::parse(&function.attrs, errors);
    Method {
        attrs,
        name: signature.ident.clone(),
        explicit_id: id,
        oneway,
        is_async: signature.asyncness.is_some(),
        receiver: receiver(signature, errors),
        self_span: self_span(signature),
        args: lower_args(signature, errors),
        returns: Returns::new(&signature.output),
        since,
        body: function.default.as_ref().map(ToTokens::to_token_stream),
    }
}

/// Reports what makes a function more than a method.
fn special(signature: &Signature, errors: &mut Errors) {
    if let Some(token) = &signature.constness {
        errors.push(Rule::SpecialMethod, token, "`const`");
    }
    match &signature.safety {
        Safety::Default => {}
        safety => errors.push(Rule::SpecialMethod, safety, "`unsafe` or `safe`"),
    }
    if let Some(abi) = &signature.abi {
        errors.push(Rule::SpecialMethod, abi, "`extern`");
    }
    if let Some(variadic) = &signature.variadic {
        errors.push(Rule::SpecialMethod, variadic, "variadic");
    }
}

/// Where `self` stands, so that a default body knows it by the same name.
fn self_span(signature: &Signature) -> Span {
    signature.receiver().map_or_else(Span::call_site, |receiver| receiver.self_token.span)
}

fn receiver(signature: &Signature, errors: &mut Errors) -> Receiver {
    let Some(receiver) = signature.receiver() else {
        errors.push(Rule::MissingReceiver, &signature.ident, &signature.ident.to_string());
        return Receiver::Shared;
    };
    if let Some(attribute) = receiver.attrs.first() {
        errors.push(Rule::ArgumentAttribute, attribute, "");
    }
    match &receiver.kind {
        ReceiverKind::Reference(_, lifetime, mutability) => {
            if let Some(lifetime) = lifetime {
                errors.push(Rule::Lifetime, lifetime, "");
            }
            match mutability {
                Some(_) => Receiver::Exclusive,
                None => Receiver::Shared,
            }
        }
        _ => {
            errors.push(Rule::OwnedReceiver, receiver, "");
            Receiver::Shared
        }
    }
}

fn lower_args(signature: &Signature, errors: &mut Errors) -> Vec<Arg> {
    let lower = |input: &FnArg| match input {
        FnArg::Receiver(_) => None,
        FnArg::Typed(argument) => lower_arg(argument, errors),
    };
    signature.inputs.iter().filter_map(lower).collect()
}

fn lower_arg(argument: &PatType, errors: &mut Errors) -> Option<Arg> {
    if let Some(attribute) = argument.attrs.first() {
        errors.push(Rule::ArgumentAttribute, attribute.to_token_stream(), "");
    }
    match &*argument.pat {
        Pat::Ident(name)
            if name.by_ref.is_none() && name.mutability.is_none() && name.subpat.is_none() =>
        {
            Some(Arg { name: name.ident.clone(), ty: Type::new((*argument.ty).clone()) })
        }
        pattern => {
            errors.push(Rule::ArgumentPattern, pattern, "");
            None
        }
    }
}
