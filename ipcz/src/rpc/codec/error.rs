//! Why a value could not be encoded or decoded.

use std::borrow::Cow;
use std::fmt;

use super::limits;

/// Why a value could not be written into a message, or read from one.
///
/// The text says which argument or result it was and what was wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodecError {
    place: Option<&'static str>,
    /// The method whose argument the place is.
    method: Option<&'static str>,
    text: Cow<'static, str>,
}

impl CodecError {
    pub(crate) fn new(text: impl Into<Cow<'static, str>>) -> Self {
        Self { place: None, method: None, text: text.into() }
    }

    /// This error, said of `place` unless something further inside is named already.
    pub(crate) fn at(mut self, place: &'static str) -> Self {
        self.place.get_or_insert(place);
        self
    }

    /// This error, whose place, if it has one, is an argument of `method`.
    pub(crate) fn of(mut self, method: &'static str) -> Self {
        match self.place {
            Some(_) => self.method = Some(method),
            None => self.place = Some(method),
        }
        self
    }

    fn custom(message: impl fmt::Display) -> Self {
        let mut text = message.to_string();
        if let Some((cut, _)) = text.char_indices().nth(limits::MAX_ERROR_CHARS) {
            text.truncate(cut);
            text.push('…');
        }
        Self::new(text)
    }
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.place, self.method) {
            (Some(name), Some(method)) => {
                write!(f, "argument `{name}` of `{method}`: {}", self.text)
            }
            (Some(place), None) => write!(f, "{place}: {}", self.text),
            (None, _) => f.write_str(&self.text),
        }
    }
}

impl std::error::Error for CodecError {}

impl serde::ser::Error for CodecError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::custom(message)
    }
}

impl serde::de::Error for CodecError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::custom(message)
    }
}

impl From<postcard::Error> for CodecError {
    fn from(error: postcard::Error) -> Self {
        use postcard::Error as E;
        Self::new(match error {
            E::SerializeBufferFull => "the message is larger than 256 MiB",
            E::SerializeSeqLengthUnknown => {
                "a sequence or map of unknown length (`#[serde(flatten)]` makes one) cannot be sent"
            }
            E::CollectStrError => "a Display implementation failed",
            E::DeserializeUnexpectedEnd => "the message ends too early",
            E::DeserializeBadVarint => "an integer is out of its type's range",
            E::DeserializeBadBool => "a bool is neither 0 nor 1",
            E::DeserializeBadChar => "a char is not one Unicode scalar value",
            E::DeserializeBadUtf8 => "a string is not UTF-8",
            E::DeserializeBadOption => "an Option's tag is neither 0 nor 1",
            _ => "the value does not fit postcard's encoding",
        })
    }
}
