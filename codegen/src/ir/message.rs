//! The model of a type that may grow: a struct or an enum, as every front-end lowers to it.

use proc_macro2::{Ident, TokenStream};
use syn::{Generics, Type};

use super::Since;

/// A type whose values are written with their length, so that peers of other versions can skip what they do not
/// know.
#[derive(Clone, Debug)]
pub struct Message {
    /// Its name.
    pub name: Ident,
    /// Its parameters.
    pub generics: Generics,
    /// What it consists of.
    pub body: Body,
}

/// What a message consists of.
#[derive(Clone, Debug)]
pub enum Body {
    /// Fields.
    Struct(Fields),
    /// One of several variants.
    Enum(Vec<Variant>),
}

/// Fields, in the order of their declaration.
#[derive(Clone, Debug)]
pub struct Fields {
    /// How they are told apart.
    pub style: Style,
    /// The fields.
    pub fields: Vec<Field>,
}

/// How fields are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// By names.
    Named,
    /// By places.
    Tuple,
    /// There are none.
    Unit,
}

/// One field.
#[derive(Clone, Debug)]
pub struct Field {
    /// Its name, if it has one.
    pub name: Option<Ident>,
    /// Its type.
    pub ty: Type,
    /// The version of the type that it came with.
    pub since: Option<Since>,
    /// Conditions.
    pub cfgs: Vec<TokenStream>,
    /// What serde is told of it.
    pub serde: Vec<TokenStream>,
}

/// One variant.
#[derive(Clone, Debug)]
pub struct Variant {
    /// Its name.
    pub name: Ident,
    /// Its fields.
    pub fields: Fields,
    /// The version of the type that it came with.
    pub since: Option<Since>,
    /// Where it says that it stands for those that this version does not know.
    pub unknown: Option<TokenStream>,
}
