//! The catalogue of messages. Each says what is wrong and what to write instead.

/// A rule that an interface can break.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    /// The attribute stands on something else than a trait.
    NotATrait,
    /// The attribute's arguments are not understood.
    Options,
    /// An attribute in the interface is malformed.
    Attribute,
    /// The trait is generic.
    GenericTrait,
    /// The trait has supertraits.
    Supertraits,
    /// The trait is `unsafe` or `auto`.
    SpecialTrait,
    /// The trait has something else than methods.
    AssociatedItem,
    /// A version stands behind a later one.
    SinceBackwards,
    /// The derive stands on a union.
    Union,
    /// A variant that stands for unknown ones has fields, or is not the only one.
    UnknownVariant,
    /// The method is generic.
    GenericMethod,
    /// The method is `unsafe`, `const`, `extern` or variadic.
    SpecialMethod,
    /// The method does not take its server.
    MissingReceiver,
    /// The method takes its server by value or through a pointer type.
    OwnedReceiver,
    /// The argument is a pattern.
    ArgumentPattern,
    /// The argument has attributes.
    ArgumentAttribute,
    /// The interface's full name is none.
    WireName,
    /// Two methods have one name.
    DuplicateMethod,
    /// Two methods have one id.
    MethodId,
    /// The method has the name of a function of the proxy.
    ReservedName,
    /// Two arguments have one name.
    DuplicateArgument,
    /// A one-way method has a result.
    OnewayResult,
    /// A `Result` without its error type.
    ResultWithoutError,
    /// A reference that cannot be sent.
    Reference,
    /// A result that borrows.
    BorrowedResult,
    /// A lifetime.
    Lifetime,
    /// `impl Trait` or `dyn Trait`.
    TraitType,
    /// `Self`.
    SelfType,
    /// `_`.
    Inferred,
    /// A raw pointer or a function pointer.
    Pointer,
}

impl Rule {
    /// Every rule, each of which has a case in the tests.
    pub const ALL: &[Self] = &[
        Self::NotATrait,
        Self::Options,
        Self::Attribute,
        Self::GenericTrait,
        Self::Supertraits,
        Self::SpecialTrait,
        Self::AssociatedItem,
        Self::SinceBackwards,
        Self::Union,
        Self::UnknownVariant,
        Self::GenericMethod,
        Self::SpecialMethod,
        Self::MissingReceiver,
        Self::OwnedReceiver,
        Self::ArgumentPattern,
        Self::ArgumentAttribute,
        Self::WireName,
        Self::DuplicateMethod,
        Self::MethodId,
        Self::ReservedName,
        Self::DuplicateArgument,
        Self::OnewayResult,
        Self::ResultWithoutError,
        Self::Reference,
        Self::BorrowedResult,
        Self::Lifetime,
        Self::TraitType,
        Self::SelfType,
        Self::Inferred,
        Self::Pointer,
    ];

    /// What to tell the user. `it` is what the rule is broken by.
    #[must_use]
    pub fn text(self, it: &str) -> String {
        match self {
            Self::NotATrait => "an interface is a trait: put `#[ipcz::interface]` on a `trait`".into(),
            Self::Options => format!(
                "{it}: `interface` takes `name = \"full.name.of.Interface\"`, `crate = \"path::to::ipcz\"` and `local`"
            ),
            Self::Attribute => format!("{it}: write `#[oneway]`, `#[id(7)]` with a number of 64 bits, or `#[since(2)]` with a version from 2 on"),
            Self::GenericTrait => "an interface cannot be generic, because its peer has one set of types: \
                 put the types that it is used with into its methods".into(),
            Self::Supertraits => "an interface cannot have supertraits, because its peer knows its methods only: \
                 leave them out, and ask for the bounds where the server is used".into(),
            Self::SpecialTrait => format!("an interface cannot be `{it}`: leave that out"),
            Self::AssociatedItem => format!("an interface has methods only: move {it} out of it"),
            Self::SinceBackwards => format!(
                "`{it}` came earlier than what stands before it: put it further up, or correct its `#[since(...)]`"
            ),
            Self::Union => "a message is a `struct` or an `enum`: nobody can tell what a union holds".into(),
            Self::UnknownVariant => format!(
                "one variant without fields stands for all that are unknown: leave `#[unknown]` out at `{it}`, or its fields"
            ),
            Self::GenericMethod => format!(
                "a method of an interface cannot be generic, because its peer has one set of types: \
                 write the types that `{it}` is called with, or one method for each"
            ),
            Self::SpecialMethod => format!("a method of an interface cannot be {it}: leave that out"),
            Self::MissingReceiver => format!("a method of an interface is called on a server: write `fn {it}(&self, ...)`"),
            Self::OwnedReceiver => "a server outlives its calls: write `&self`, or `&mut self` to run one call at a time".into(),
            Self::ArgumentPattern => "an argument of an interface is a name, not a pattern: write `name: Type`".into(),
            Self::ArgumentAttribute => "an argument of an interface has no attributes: leave this out".into(),
            Self::WireName => format!(
                "`{it}` is no full name: write identifiers with dots between them, such as \"demo.words.WordCounter\""
            ),
            Self::DuplicateMethod => format!("the method `{it}` is declared twice: give one of them another name"),
            Self::MethodId => format!(
                "the method has the same id as `{it}`: give one of them another with `#[id(...)]`, or another name"
            ),
            Self::ReservedName => format!("`{it}` is a function of every proxy: give the method another name"),
            Self::DuplicateArgument => format!("the argument `{it}` is declared twice: give one of them another name"),
            Self::OnewayResult => format!(
                "nothing comes back from a one-way method: leave the result of `{it}` out, or leave `#[oneway]` out"
            ),
            Self::ResultWithoutError => "the error's type must be written here: `Result<T, E>`".into(),
            Self::Reference => "an argument can borrow as `&str` or `&[u8]` only: take the value itself, such as a `String` or a `Vec`".into(),
            Self::BorrowedResult => "a result travels, so it cannot borrow: give the value itself, such as a `String` or a `Vec`".into(),
            Self::Lifetime => "values of an interface have no lifetimes: leave this out, or take the value itself".into(),
            Self::TraitType => "a peer must know the type: write a type instead of a trait, or pass a proxy".into(),
            Self::SelfType => "`Self` is a different type in every process: write the type's name, or pass a proxy".into(),
            Self::Inferred => "nothing says what type this is: write it".into(),
            Self::Pointer => "a pointer means nothing in another process: take the value itself, or pass a proxy".into(),
        }
    }
}
