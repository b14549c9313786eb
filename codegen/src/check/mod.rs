//! What must hold of an interface, whichever front-end it came from.
//!
//! Every broken rule is reported, not just the first. Front-ends report what only their own syntax can
//! get wrong with the same [`Errors`] and the same catalogue of [`Rule`]s.

mod message;
mod rules;
mod types;

use std::collections::HashMap;

use proc_macro2::{Ident, TokenStream};
use quote::ToTokens;

use crate::ir::{Interface, Method, Returns, Since, WireName};
use crate::names;

pub use message::message;
pub use rules::Rule;

/// Something wrong, and where.
#[derive(Clone, Debug)]
pub struct Diagnostic {
    /// Which rule is broken.
    pub rule: Rule,
    /// The tokens to underline.
    pub at: TokenStream,
    /// What is wrong, and what to write instead.
    pub text: String,
}

/// Everything that is wrong.
#[derive(Clone, Debug, Default)]
pub struct Errors(Vec<Diagnostic>);

impl Errors {
    /// Reports that `rule` is broken at `at`. `subject` is what the message names.
    pub fn push(&mut self, rule: Rule, at: impl ToTokens, subject: &str) {
        self.0.push(Diagnostic { rule, at: at.into_token_stream(), text: rule.text(subject) });
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What was reported, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.0.iter()
    }

    /// Code that makes the compiler report all of it.
    #[must_use]
    pub fn to_compile_errors(&self) -> TokenStream {
        let error =
            |one: &Diagnostic| syn::Error::new_spanned(&one.at, &one.text).to_compile_error();
        self.0.iter().map(error).collect()
    }
}

/// Checks `interface`.
pub fn interface(interface: &Interface, errors: &mut Errors) {
    if let WireName::Explicit(name) = &interface.wire_name
        && !names::is_interface_name(&name.value())
    {
        errors.push(Rule::WireName, name, &name.value());
    }
    duplicates(interface, errors);
    let versions = interface.methods.iter().map(|method| (&method.name, method.since.as_ref()));
    since(versions, errors);
    for method in &interface.methods {
        self::method(method, errors);
    }
}

/// Versions that go backwards in the order of declaration.
fn since<'a>(versions: impl Iterator<Item = (&'a Ident, Option<&'a Since>)>, errors: &mut Errors) {
    let mut newest = 1;
    for (name, since) in versions {
        let version = since.map_or(1, |since| since.version);
        if version < newest {
            let at = since.map_or_else(|| name.to_token_stream(), |since| since.at.clone());
            errors.push(Rule::SinceBackwards, at, &name.to_string());
        }
        newest = newest.max(version);
    }
}

/// Names and ids that two methods share.
fn duplicates(interface: &Interface, errors: &mut Errors) {
    let mut by_id: HashMap<u64, &Method> = HashMap::new();
    for method in &interface.methods {
        let Some(other) = by_id.insert(method.id(), method) else {
            continue;
        };
        // Under conditions, at most one of the two may exist: if both do, the compiler says so.
        if !method.attrs.cfgs.is_empty() && !other.attrs.cfgs.is_empty() {
            continue;
        }
        if method.name == other.name {
            errors.push(Rule::DuplicateMethod, &method.name, &method.wire_name());
        } else {
            let at = match &method.explicit_id {
                Some((_, at)) => at.clone(),
                None => method.name.to_token_stream(),
            };
            errors.push(Rule::MethodId, at, &other.wire_name());
        }
    }
}

fn method(method: &Method, errors: &mut Errors) {
    let name = method.wire_name();
    if RESERVED.contains(&name.as_str()) {
        errors.push(Rule::ReservedName, &method.name, &name);
    }
    for (index, arg) in method.args.iter().enumerate() {
        if method.args[..index].iter().any(|other| other.name == arg.name) {
            errors.push(Rule::DuplicateArgument, &arg.name, &arg.name.to_string());
        }
        types::argument(&arg.ty, errors);
    }
    if method.oneway.is_some() {
        match &method.returns {
            Returns::Nothing => {}
            Returns::Value(ty) => errors.push(Rule::OnewayResult, &ty.syntax, &name),
            Returns::Fallible { whole, .. } => errors.push(Rule::OnewayResult, whole, &name),
        }
        return;
    }
    match &method.returns {
        Returns::Nothing => {}
        Returns::Value(ty) => types::result(ty, errors),
        Returns::Fallible { ok, error, .. } => {
            types::result(ok, errors);
            types::result(error, errors);
        }
    }
}

/// The proxy's own functions.
const RESERVED: &[&str] = &["pair"];
