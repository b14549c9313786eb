//! Reads values from the private copy of a message.

use serde::de::value::U32Deserializer;
use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, IntoDeserializer, Visitor};

use super::{CodecError, DecodeAs, HANDLE, MESSAGE, gate, limits};
use crate::Handle;

type Result<T> = std::result::Result<T, CodecError>;

/// A message that is being read. Handles that no value asks for are dropped with it.
pub struct Decoder<'de> {
    rest: &'de [u8],
    handles: Vec<Option<Handle>>,
    depth: u32,
    /// How many more elements the message may claim to have.
    items: usize,
    /// What is read next is the inside of a message, which says how many fields it has.
    counts: bool,
    /// Whose arguments these are.
    method: Option<&'static str>,
    /// The message that is being read has more than was asked for.
    has_more: bool,
}

impl<'de> Decoder<'de> {
    /// Reads from `bytes`, with the handles that came along.
    #[must_use]
    pub fn new(bytes: &'de [u8], handles: Vec<Handle>) -> Self {
        Self {
            rest: bytes,
            handles: handles.into_iter().map(Some).collect(),
            depth: 0,
            items: bytes.len().saturating_add(limits::MAX_EMPTY_ITEMS),
            counts: false,
            method: None,
            has_more: false,
        }
    }

    /// Reads the arguments of `method`.
    pub(crate) fn of(method: &'static str, bytes: &'de [u8], handles: Vec<Handle>) -> Self {
        Self { method: Some(method), ..Self::new(bytes, handles) }
    }

    /// Reads a value in the shape `S`. An error is said of `place`, an argument if this reads those.
    ///
    /// # Errors
    /// What is there is no such value.
    pub fn take<S: DecodeAs<'de, T>, T>(&mut self, place: &'static str) -> Result<T> {
        S::decode(self).map_err(|error| match self.method {
            Some(method) => error.at(place).of(method),
            None => error.at(place),
        })
    }

    /// Ends the message. An error is said of `place`.
    ///
    /// # Errors
    /// There are bytes behind the last value.
    pub fn finish(self, place: &'static str) -> Result<()> {
        if self.rest.is_empty() {
            return Ok(());
        }
        let text = format!("{} bytes follow the last value", self.rest.len());
        Err(CodecError::new(text).at(place))
    }

    /// A value that postcard reads by itself, without recursion.
    fn leaf<T: Deserialize<'de>>(&mut self) -> Result<T> {
        let mut post = postcard::Deserializer::from_bytes(self.rest);
        let value = T::deserialize(&mut post)?;
        self.rest = post.finalize()?;
        Ok(value)
    }

    /// A number of elements, which the message must be large enough for.
    fn count(&mut self) -> Result<usize> {
        let count: u64 = self.leaf()?;
        usize::try_from(count)
            .ok()
            .and_then(|count| {
                self.items = self.items.checked_sub(count)?;
                Some(count)
            })
            .ok_or_else(|| {
                CodecError::new(format!(
                    "{count} elements are announced, more than the message holds"
                ))
            })
    }

    /// A length and that many bytes.
    pub(super) fn bytes(&mut self) -> Result<&'de [u8]> {
        self.leaf()
    }

    /// Exactly `len` bytes.
    pub(super) fn array(&mut self, len: usize) -> Result<&'de [u8]> {
        let (bytes, rest) =
            self.rest.split_at_checked(len).ok_or(postcard::Error::DeserializeUnexpectedEnd)?;
        self.rest = rest;
        Ok(bytes)
    }

    /// A byte that must be 0 or 1, the tag of an option.
    pub(super) fn is_some(&mut self) -> Result<bool> {
        match self.leaf::<u8>()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(postcard::Error::DeserializeBadOption.into()),
        }
    }

    /// The number of an enum's variant.
    pub(super) fn variant(&mut self) -> Result<u32> {
        self.leaf()
    }

    pub(super) fn nest<R>(&mut self, inside: impl FnOnce(&mut Self) -> Result<R>) -> Result<R> {
        if self.depth == limits::MAX_DEPTH {
            return Err(CodecError::new("the value nests more than 128 levels deep"));
        }
        self.depth += 1;
        let result = inside(self);
        self.depth -= 1;
        result
    }

    fn elements<V: Visitor<'de>>(&mut self, left: usize, visitor: V) -> Result<V::Value> {
        self.nest(|decoder| visitor.visit_seq(Elements { decoder, left }))
    }

    /// A value with its length before it. What of it is not known is skipped.
    fn message<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value> {
        let end = || CodecError::from(postcard::Error::DeserializeUnexpectedEnd);
        let (len, rest) = self.rest.split_first_chunk().ok_or_else(end)?;
        let len = usize::try_from(u32::from_le_bytes(*len)).unwrap_or(usize::MAX);
        let (inside, behind) = rest.split_at_checked(len).ok_or_else(end)?;
        self.rest = inside;
        let around = std::mem::replace(&mut self.has_more, false);
        self.counts = true;
        let result = self.nest(|decoder| visitor.visit_newtype_struct(decoder));
        self.counts = false;
        let has_more = std::mem::replace(&mut self.has_more, around);
        if result.is_ok() && !has_more && !self.rest.is_empty() {
            let text = format!("{} bytes follow the last field of a message", self.rest.len());
            return Err(CodecError::new(text));
        }
        self.rest = behind;
        result
    }

    /// The fields of a struct or of a variant, of which so many are known.
    fn fields<V: Visitor<'de>>(&mut self, known: usize, visitor: V) -> Result<V::Value> {
        let left = self.known_fields(known)?;
        self.elements(left, visitor)
    }

    /// How many of so many known fields are there.
    fn known_fields(&mut self, known: usize) -> Result<usize> {
        if !std::mem::take(&mut self.counts) {
            return Ok(known);
        }
        let count: u64 = self.leaf()?;
        let there = usize::try_from(count).unwrap_or(usize::MAX);
        self.has_more = there > known;
        Ok(there.min(known))
    }

    /// The one field of a struct or variant without names.
    fn only_field(&mut self) -> Result<()> {
        match self.known_fields(1)? {
            0 => Err(CodecError::new("a message has none of its fields")),
            _ => Ok(()),
        }
    }

    fn handle<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value> {
        let index: u32 = self.leaf()?;
        let came = self.handles.len();
        let slot = usize::try_from(index).ok().and_then(|index| self.handles.get_mut(index));
        let Some(slot) = slot else {
            let text = format!("handle {index} is named, but {came} came along");
            return Err(CodecError::new(text));
        };
        let Some(handle) = slot.take() else {
            return Err(CodecError::new(format!("handle {index} is named twice")));
        };
        gate::give(handle, || visitor.visit_newtype_struct(self))
    }
}

/// Reads a leaf and shows it to the visitor.
macro_rules! leaves {
    ($($method:ident $visit:ident $type:ty;)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
            visitor.$visit(self.leaf::<$type>()?)
        })*
    };
}

/// Refuses what a format without self-description cannot do.
macro_rules! refuse {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, _: V) -> Result<V::Value> {
            Err(CodecError::new(
                "the type needs a self-describing format (`#[serde(untagged)]`, `tag` and `flatten` do), \
                 which this encoding is not",
            ))
        })*
    };
}

impl<'de> Deserializer<'de> for &mut Decoder<'de> {
    type Error = CodecError;

    leaves! {
        deserialize_bool visit_bool bool;
        deserialize_i8 visit_i8 i8;
        deserialize_i16 visit_i16 i16;
        deserialize_i32 visit_i32 i32;
        deserialize_i64 visit_i64 i64;
        deserialize_i128 visit_i128 i128;
        deserialize_u8 visit_u8 u8;
        deserialize_u16 visit_u16 u16;
        deserialize_u32 visit_u32 u32;
        deserialize_u64 visit_u64 u64;
        deserialize_u128 visit_u128 u128;
        deserialize_f32 visit_f32 f32;
        deserialize_f64 visit_f64 f64;
        deserialize_char visit_char char;
        deserialize_str visit_borrowed_str &'de str;
        deserialize_string visit_borrowed_str &'de str;
        deserialize_bytes visit_borrowed_bytes &'de [u8];
        deserialize_byte_buf visit_borrowed_bytes &'de [u8];
    }

    refuse! { deserialize_any deserialize_identifier deserialize_ignored_any }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        if self.is_some()? {
            self.nest(|decoder| visitor.visit_some(decoder))
        } else {
            visitor.visit_none()
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value> {
        self.known_fields(0)?;
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value> {
        match name {
            HANDLE => return self.handle(visitor),
            MESSAGE => return self.message(visitor),
            _ => self.only_field()?,
        }
        self.nest(|decoder| visitor.visit_newtype_struct(decoder))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        let count = self.count()?;
        self.elements(count, visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value> {
        self.elements(len, visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value> {
        self.fields(len, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        let left = self.count()?;
        self.nest(|decoder| visitor.visit_map(Elements { decoder, left }))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        self.fields(fields.len(), visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        let mut known = usize::MAX;
        if self.counts && variants.last() == Some(&UNKNOWN) {
            known = variants.len() - 1;
        }
        visitor.visit_enum(Variant { decoder: self, known })
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

/// The inside of a sequence, map, tuple or struct.
struct Elements<'a, 'de> {
    decoder: &'a mut Decoder<'de>,
    left: usize,
}

impl Elements<'_, '_> {
    /// What to reserve room for: no more than one element for each byte that is there.
    fn hint(&self) -> usize {
        self.left.min(self.decoder.rest.len())
    }
}

impl<'de> de::SeqAccess<'de> for Elements<'_, 'de> {
    type Error = CodecError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>> {
        let Some(left) = self.left.checked_sub(1) else {
            return Ok(None);
        };
        self.left = left;
        seed.deserialize(&mut *self.decoder).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.hint())
    }
}

impl<'de> de::MapAccess<'de> for Elements<'_, 'de> {
    type Error = CodecError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>> {
        de::SeqAccess::next_element_seed(self, seed)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value> {
        seed.deserialize(&mut *self.decoder)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.hint())
    }
}

/// What the last variant of a message's twin is called, if it stands for those that are unknown.
const UNKNOWN: &str = "$unknown";

/// A variant that is read, of an enum that knows so many.
struct Variant<'a, 'de> {
    decoder: &'a mut Decoder<'de>,
    known: usize,
}

impl<'a, 'de> de::EnumAccess<'de> for Variant<'a, 'de> {
    type Error = CodecError;
    type Variant = &'a mut Decoder<'de>;

    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Self::Variant)> {
        let mut index = self.decoder.variant()?;
        if let Some(unknown) = u32::try_from(self.known).ok().filter(|known| index >= *known) {
            index = unknown;
            self.decoder.has_more = true;
        }
        let index: U32Deserializer<CodecError> = index.into_deserializer();
        Ok((seed.deserialize(index)?, self.decoder))
    }
}

impl<'de> de::VariantAccess<'de> for &mut Decoder<'de> {
    type Error = CodecError;

    fn unit_variant(self) -> Result<()> {
        self.known_fields(0).map(drop)
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value> {
        self.only_field()?;
        self.nest(|decoder| seed.deserialize(decoder))
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value> {
        self.fields(len, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        self.fields(fields.len(), visitor)
    }
}
