//! Types, and what their spelling says about their encoding.

use syn::{GenericArgument, PathArguments, PathSegment, ReturnType, Type as Syntax};

/// A type, as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Type {
    /// The type itself.
    pub syntax: Box<Syntax>,
    /// How its values are encoded.
    pub shape: Shape,
}

/// How values of a type are encoded.
///
/// Read off the spelling: an alias of `Vec<u8>` is encoded as any other vector, to the same bytes,
/// only slower.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shape {
    /// By serde.
    Plain,
    /// `&str`.
    Str,
    /// `&[u8]`.
    Slice,
    /// `Vec<u8>`.
    Bytes,
    /// `[u8; N]`.
    Array,
    /// `Option<T>` of a `T` that is not plain.
    Optional(Box<Shape>),
}

/// What a method gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Returns {
    /// `()`, unwritten.
    Nothing,
    /// A value.
    Value(Type),
    /// `Result<T, E>`.
    Fallible {
        /// All of it.
        whole: Box<Syntax>,
        /// `T`.
        ok: Type,
        /// `E`.
        error: Type,
    },
}

impl Type {
    /// Reads `syntax` as an argument or a result.
    #[must_use]
    pub fn new(syntax: Syntax) -> Self {
        let shape = Shape::of(&syntax);
        Self { syntax: Box::new(syntax), shape }
    }
}

impl Shape {
    fn of(ty: &Syntax) -> Self {
        match bare(ty) {
            Syntax::Reference(reference) if reference.mutability.is_none() => {
                match bare(&reference.elem) {
                    Syntax::Slice(slice) if is_named(&slice.elem, "u8") => Self::Slice,
                    target if is_named(target, "str") => Self::Str,
                    _ => Self::Plain,
                }
            }
            Syntax::Array(array) if is_named(&array.elem, "u8") => Self::Array,
            ty => {
                if let Some([element]) = generic(ty, "Vec")
                    && is_named(element, "u8")
                {
                    Self::Bytes
                } else if let Some([value]) = generic(ty, "Option") {
                    Self::optional(value)
                } else {
                    Self::Plain
                }
            }
        }
    }

    fn optional(value: &Syntax) -> Self {
        match Self::of(value) {
            Self::Plain | Self::Str | Self::Slice => Self::Plain,
            shape => Self::Optional(Box::new(shape)),
        }
    }
}

impl Returns {
    /// Reads what stands behind a method's arguments.
    #[must_use]
    pub fn new(output: &ReturnType) -> Self {
        let ReturnType::Type(_, ty) = output else {
            return Self::Nothing;
        };
        match generic(ty, "Result") {
            Some([ok, error]) => Self::Fallible {
                whole: ty.clone(),
                ok: Type::new(ok.clone()),
                error: Type::new(error.clone()),
            },
            None => Self::Value(Type::new((**ty).clone())),
        }
    }
}

/// `ty` without the invisible group that a `macro_rules` variable wraps it in.
pub(crate) fn bare(ty: &Syntax) -> &Syntax {
    match ty {
        Syntax::Group(group) => bare(&group.elem),
        Syntax::Paren(paren) => bare(&paren.elem),
        ty => ty,
    }
}

/// The last part of a path.
pub(crate) fn last_segment(ty: &Syntax) -> Option<&PathSegment> {
    match bare(ty) {
        Syntax::Path(path) if path.qself.is_none() => path.path.segments.last(),
        _ => None,
    }
}

fn is_named(ty: &Syntax, name: &str) -> bool {
    last_segment(ty).is_some_and(|last| last.ident == name && last.arguments.is_empty())
}

/// The `N` types in the angle brackets of `name`.
fn generic<'a, const N: usize>(ty: &'a Syntax, name: &str) -> Option<[&'a Syntax; N]> {
    let last = last_segment(ty).filter(|last| last.ident == name)?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else {
        return None;
    };
    let types = arguments.args.iter().map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    });
    types.collect::<Option<Vec<_>>>()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(ty: &str) -> Shape {
        Type::new(syn::parse_str(ty).expect("a type")).shape
    }

    #[test]
    fn shapes_are_read_off_the_spelling() {
        let optional = |shape| Shape::Optional(Box::new(shape));
        for (ty, expected) in [
            ("&str", Shape::Str),
            ("&'a [u8]", Shape::Slice),
            ("Vec<u8>", Shape::Bytes),
            ("::std::vec::Vec<u8>", Shape::Bytes),
            ("[u8; N + 1]", Shape::Array),
            ("(Vec<u8>)", Shape::Bytes),
            ("Option<Vec<u8>>", optional(Shape::Bytes)),
            ("Option<Option<[u8; 4]>>", optional(optional(Shape::Array))),
            ("&mut str", Shape::Plain),
            ("&[u16]", Shape::Plain),
            ("Vec<u16>", Shape::Plain),
            ("Vec<Vec<u8>>", Shape::Plain),
            ("Option<u8>", Shape::Plain),
            ("Option<&str>", Shape::Plain),
            ("Vec<u8, A>", Shape::Plain),
            ("(Vec<u8>, u8)", Shape::Plain),
        ] {
            assert_eq!(shape(ty), expected, "{ty}");
        }
    }

    #[test]
    fn results_are_told_from_values() {
        let returns = |output| Returns::new(&syn::parse_str(output).expect("a return type"));
        assert_eq!(returns(""), Returns::Nothing);
        assert!(matches!(returns("-> io::Result<u8>"), Returns::Value(_)));
        let Returns::Fallible { ok, .. } = returns("-> std::result::Result<Vec<u8>, E>") else {
            panic!("a Result");
        };
        assert_eq!(ok.shape, Shape::Bytes);
    }
}
