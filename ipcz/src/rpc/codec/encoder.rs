//! Writes values into a message.

use postcard::ser_flavors::Flavor;
use serde::ser::{self, Serialize, Serializer};

use super::{CodecError, EncodeAs, HANDLE, MESSAGE, gate, limits};
use crate::{Handle, Parcel};

type Result<T> = std::result::Result<T, CodecError>;

/// Where postcard puts its bytes: a vector that refuses to outgrow a message.
struct Output {
    bytes: Vec<u8>,
    /// How many pieces were appended, for tests that count copies.
    #[cfg(test)]
    pieces: usize,
}

impl Flavor for Output {
    type Output = Vec<u8>;

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.try_extend(&[byte])
    }

    fn try_extend(&mut self, piece: &[u8]) -> postcard::Result<()> {
        if piece.len() > limits::MAX_BYTES - self.bytes.len() {
            return Err(postcard::Error::SerializeBufferFull);
        }
        #[cfg(test)]
        {
            self.pieces += 1;
        }
        self.bytes.extend_from_slice(piece);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<Vec<u8>> {
        Ok(self.bytes)
    }
}

/// A message that is being written: bytes, and the handles that travel beside them.
pub struct Encoder {
    post: postcard::Serializer<Output>,
    handles: Vec<Handle>,
    head: usize,
    depth: u32,
    items: usize,
    /// The fields that come next are those of a message, which says how many there are.
    counts: bool,
}

impl Encoder {
    /// A message that starts with `head`.
    pub(crate) fn new(head: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(head.len() + 48);
        bytes.extend_from_slice(head);
        let output = Output {
            bytes,
            #[cfg(test)]
            pieces: 0,
        };
        Self {
            post: postcard::Serializer { output },
            handles: Vec::new(),
            head: head.len(),
            depth: 0,
            items: 0,
            counts: false,
        }
    }

    /// Writes `value` in the shape `S`. An error is said of `place`.
    ///
    /// # Errors
    /// The value cannot be sent. Handles that it gave up before are dropped with this encoder.
    pub fn put<S: EncodeAs<T>, T>(&mut self, place: &'static str, value: T) -> Result<()> {
        S::encode(&value, self).map_err(|error| error.at(place))
    }

    /// The finished message.
    pub(crate) fn finish(self) -> Result<Parcel> {
        let bytes = self.post.output.finalize()?;
        if self.items > bytes.len() - self.head + limits::MAX_EMPTY_ITEMS {
            return Err(CodecError::new("the message has too many elements without content"));
        }
        Ok(Parcel::with_handles(bytes, self.handles))
    }

    /// A length, then `bytes` as one copy.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.post.output.bytes.reserve(bytes.len().min(limits::MAX_BYTES) + 10);
        Ok((&mut self.post).serialize_bytes(bytes)?)
    }

    /// Just `bytes`, as one copy.
    pub(super) fn array(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.post.output.try_extend(bytes)?)
    }

    #[cfg(test)]
    pub(super) fn pieces(&self) -> usize {
        self.post.output.pieces
    }

    pub(super) fn nest<R>(&mut self, inside: impl FnOnce(&mut Self) -> Result<R>) -> Result<R> {
        self.enter()?;
        let result = inside(self);
        self.depth -= 1;
        result
    }

    fn enter(&mut self) -> Result<()> {
        if self.depth == limits::MAX_DEPTH {
            return Err(CodecError::new("the value nests more than 128 levels deep"));
        }
        self.depth += 1;
        Ok(())
    }

    fn compound(&mut self, len: usize) -> Result<Compound<'_>> {
        self.enter()?;
        Ok(Compound { encoder: self, left: len })
    }

    /// A value with its length before it.
    fn message<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        self.array(&[0; 4])?;
        let start = self.post.output.bytes.len();
        self.counts = true;
        let result = self.nest(|encoder| value.serialize(encoder));
        self.counts = false;
        result?;
        // No message is as large as 4 GiB.
        let len = u32::try_from(self.post.output.bytes.len() - start).unwrap_or(u32::MAX);
        if let Some(place) = self.post.output.bytes.get_mut(start - 4..start) {
            place.copy_from_slice(&len.to_le_bytes());
        }
        Ok(())
    }

    /// So many fields of a message come next, if it is one.
    fn count(&mut self, fields: usize) -> Result<()> {
        match std::mem::take(&mut self.counts) {
            true => Ok((&mut self.post).serialize_u64(fields as u64)?),
            false => Ok(()),
        }
    }

    /// The fields of a struct or of a variant.
    fn fields(&mut self, len: usize) -> Result<Compound<'_>> {
        self.count(len)?;
        self.compound(len)
    }

    fn handle<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        let (result, handle) = gate::collect(|| value.serialize(&mut *self));
        result?;
        let handle = handle.ok_or_else(|| {
            CodecError::new("a value that is no handle uses the reserved name `ipcz::Handle`")
        })?;
        let index = u32::try_from(self.handles.len()).unwrap_or(u32::MAX);
        if self.handles.len() >= limits::MAX_HANDLES {
            return Err(CodecError::new("the message has more than 4096 handles"));
        }
        self.handles.push(handle);
        Ok((&mut self.post).serialize_u32(index)?)
    }
}

/// Passes a method on to postcard's serializer.
macro_rules! pass_on {
    ($($method:ident($($arg:ident: $type:ty),*);)*) => {
        $(fn $method(self, $($arg: $type),*) -> Result<()> {
            Ok((&mut self.post).$method($($arg),*)?)
        })*
    };
}

impl<'a> Serializer for &'a mut Encoder {
    type Ok = ();
    type Error = CodecError;
    type SerializeSeq = Compound<'a>;
    type SerializeTuple = Compound<'a>;
    type SerializeTupleStruct = Compound<'a>;
    type SerializeTupleVariant = Compound<'a>;
    type SerializeMap = Compound<'a>;
    type SerializeStruct = Compound<'a>;
    type SerializeStructVariant = Compound<'a>;

    pass_on! {
        serialize_bool(value: bool);
        serialize_i8(value: i8);
        serialize_i16(value: i16);
        serialize_i32(value: i32);
        serialize_i64(value: i64);
        serialize_i128(value: i128);
        serialize_u8(value: u8);
        serialize_u16(value: u16);
        serialize_u32(value: u32);
        serialize_u64(value: u64);
        serialize_u128(value: u128);
        serialize_f32(value: f32);
        serialize_f64(value: f64);
        serialize_char(value: char);
        serialize_str(value: &str);
        serialize_none();
        serialize_unit();
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<()> {
        self.count(0)
    }

    fn serialize_unit_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
    ) -> Result<()> {
        (&mut self.post).serialize_unit_variant(name, index, variant)?;
        self.count(0)
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<()> {
        self.bytes(value)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<()> {
        (&mut self.post).serialize_some(&())?;
        self.nest(|encoder| value.serialize(encoder))
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<()> {
        match name {
            HANDLE => return self.handle(value),
            MESSAGE => return self.message(value),
            _ => {}
        }
        self.count(1)?;
        self.nest(|encoder| value.serialize(encoder))
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<()> {
        (&mut self.post).serialize_unit_variant(name, index, variant)?;
        self.count(1)?;
        self.nest(|encoder| value.serialize(encoder))
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<Compound<'a>> {
        let _ = (&mut self.post).serialize_seq(len)?;
        let len = len.unwrap_or_default();
        self.items = self.items.saturating_add(len);
        self.compound(len)
    }

    fn serialize_tuple(self, len: usize) -> Result<Compound<'a>> {
        self.compound(len)
    }

    fn serialize_tuple_struct(self, _: &'static str, len: usize) -> Result<Compound<'a>> {
        self.fields(len)
    }

    fn serialize_tuple_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Compound<'a>> {
        (&mut self.post).serialize_unit_variant(name, index, variant)?;
        self.fields(len)
    }

    fn serialize_map(self, len: Option<usize>) -> Result<Compound<'a>> {
        let _ = (&mut self.post).serialize_map(len)?;
        let len = len.unwrap_or_default();
        self.items = self.items.saturating_add(len);
        self.compound(len)
    }

    fn serialize_struct(self, _: &'static str, len: usize) -> Result<Compound<'a>> {
        self.fields(len)
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Compound<'a>> {
        (&mut self.post).serialize_unit_variant(name, index, variant)?;
        self.fields(len)
    }

    fn collect_str<T: std::fmt::Display + ?Sized>(self, value: &T) -> Result<()> {
        // One pass: postcard would format twice and trust that both give the same length.
        self.serialize_str(&value.to_string())
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

/// The inside of a sequence, map, tuple or struct.
pub struct Compound<'a> {
    encoder: &'a mut Encoder,
    /// Elements that were announced and have yet to come.
    left: usize,
}

impl Compound<'_> {
    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        self.left = self
            .left
            .checked_sub(1)
            .ok_or_else(|| CodecError::new("a value gave more elements than it announced"))?;
        value.serialize(&mut *self.encoder)
    }

    fn finish(self) -> Result<()> {
        self.encoder.depth -= 1;
        if self.left != 0 {
            return Err(CodecError::new("a value gave fewer elements than it announced"));
        }
        Ok(())
    }
}

/// Implements a trait whose elements are all alike.
macro_rules! elements {
    ($($trait:ident $method:ident($($key:ident: $type:ty)?);)*) => {
        $(impl ser::$trait for Compound<'_> {
            type Ok = ();
            type Error = CodecError;

            fn $method<T: Serialize + ?Sized>(&mut self, $($key: $type,)? value: &T) -> Result<()> {
                $(let _ = $key;)?
                self.element(value)
            }

            fn end(self) -> Result<()> {
                self.finish()
            }
        })*
    };
}

elements! {
    SerializeSeq serialize_element();
    SerializeTuple serialize_element();
    SerializeTupleStruct serialize_field();
    SerializeTupleVariant serialize_field();
}

/// Implements a trait whose fields have names, and may claim to be skipped.
macro_rules! fields {
    ($($trait:ident;)*) => {
        $(impl ser::$trait for Compound<'_> {
            type Ok = ();
            type Error = CodecError;

            fn serialize_field<T: Serialize + ?Sized>(&mut self, _: &'static str, value: &T) -> Result<()> {
                self.element(value)
            }

            fn skip_field(&mut self, name: &'static str) -> Result<()> {
                Err(CodecError::new(format!(
                    "field `{name}` is skipped by `#[serde(skip_serializing_if)]`, which this encoding \
                     cannot carry: send an Option instead"
                )))
            }

            fn end(self) -> Result<()> {
                self.finish()
            }
        })*
    };
}

fields! {
    SerializeStruct;
    SerializeStructVariant;
}

impl ser::SerializeMap for Compound<'_> {
    type Ok = ();
    type Error = CodecError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<()> {
        self.element(key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        value.serialize(&mut *self.encoder)
    }

    fn end(self) -> Result<()> {
        self.finish()
    }
}
