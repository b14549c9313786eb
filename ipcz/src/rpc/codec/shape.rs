//! How a value is written, as its type's spelling tells.
//!
//! serde cannot tell a vector of bytes from any other vector, so the emitted code says it: each
//! argument and result is encoded in a shape that was read off its written type.

use std::convert::Infallible;

use serde::{Deserialize, Serialize};

use super::{CodecError, Decoder, Encoder};

type Result<T, E = CodecError> = std::result::Result<T, E>;

/// Writes a `T`.
pub trait EncodeAs<T: ?Sized> {
    /// Writes `value`.
    fn encode(value: &T, to: &mut Encoder) -> Result<()>;
}

/// Reads a `T`.
pub trait DecodeAs<'de, T> {
    /// Reads a value.
    fn decode(from: &mut Decoder<'de>) -> Result<T>;
}

/// Reads what a call gives: its result, or the application's error.
pub trait DecodeReply<T, E> {
    /// Reads a reply.
    fn decode_reply(from: &mut Decoder<'_>) -> Result<Result<T, E>>;
}

/// By serde.
pub enum Plain {}

impl<T: Serialize> EncodeAs<T> for Plain {
    fn encode(value: &T, to: &mut Encoder) -> Result<()> {
        value.serialize(to)
    }
}

impl<'de, T: Deserialize<'de>> DecodeAs<'de, T> for Plain {
    fn decode(from: &mut Decoder<'de>) -> Result<T> {
        T::deserialize(from)
    }
}

/// `Vec<u8>` or `&[u8]`, in one copy. The bytes are those of a sequence of `u8`.
pub enum Bytes {}

impl<T: AsRef<[u8]>> EncodeAs<T> for Bytes {
    fn encode(value: &T, to: &mut Encoder) -> Result<()> {
        to.bytes(value.as_ref())
    }
}

impl DecodeAs<'_, Vec<u8>> for Bytes {
    fn decode(from: &mut Decoder<'_>) -> Result<Vec<u8>> {
        from.bytes().map(<[u8]>::to_vec)
    }
}

impl<'de> DecodeAs<'de, &'de [u8]> for Bytes {
    fn decode(from: &mut Decoder<'de>) -> Result<&'de [u8]> {
        from.bytes()
    }
}

/// `[u8; N]`, in one copy. The bytes are those of a tuple of `u8`.
pub enum Array {}

impl<const N: usize> EncodeAs<[u8; N]> for Array {
    fn encode(value: &[u8; N], to: &mut Encoder) -> Result<()> {
        to.array(value)
    }
}

impl<const N: usize> DecodeAs<'_, [u8; N]> for Array {
    fn decode(from: &mut Decoder<'_>) -> Result<[u8; N]> {
        let bytes = from.array(N)?;
        bytes.try_into().map_err(|_| CodecError::new("an array of bytes has another length"))
    }
}

/// `Option<T>` around the shape of `T`.
pub struct Optional<S>(S);

impl<T, S: EncodeAs<T>> EncodeAs<Option<T>> for Optional<S> {
    fn encode(value: &Option<T>, to: &mut Encoder) -> Result<()> {
        match value {
            None => None::<()>.serialize(to),
            Some(value) => {
                Some(()).serialize(&mut *to)?;
                to.nest(|to| S::encode(value, to))
            }
        }
    }
}

impl<'de, T, S: DecodeAs<'de, T>> DecodeAs<'de, Option<T>> for Optional<S> {
    fn decode(from: &mut Decoder<'de>) -> Result<Option<T>> {
        if !from.is_some()? {
            return Ok(None);
        }
        from.nest(S::decode).map(Some)
    }
}

/// The result of a method that has no error of its own.
pub struct Always<S>(S);

impl<T, S: EncodeAs<T>> EncodeAs<T> for Always<S> {
    fn encode(value: &T, to: &mut Encoder) -> Result<()> {
        S::encode(value, to)
    }
}

impl<T, S: for<'de> DecodeAs<'de, T>> DecodeReply<T, Infallible> for Always<S> {
    fn decode_reply(from: &mut Decoder<'_>) -> Result<Result<T, Infallible>> {
        S::decode(from).map(Ok)
    }
}

/// `Result<T, E>` around the shape of `T`: the tag of an enum, 0 or 1, then the value.
pub struct Fallible<S>(S);

impl<T, E: Serialize, S: EncodeAs<T>> EncodeAs<Result<T, E>> for Fallible<S> {
    fn encode(value: &Result<T, E>, to: &mut Encoder) -> Result<()> {
        match value {
            Ok(value) => {
                0_u32.serialize(&mut *to)?;
                to.nest(|to| S::encode(value, to))
            }
            Err(error) => {
                1_u32.serialize(&mut *to)?;
                to.nest(|to| error.serialize(to))
            }
        }
    }
}

impl<T, E, S> DecodeReply<T, E> for Fallible<S>
where
    E: for<'de> Deserialize<'de>,
    S: for<'de> DecodeAs<'de, T>,
{
    fn decode_reply(from: &mut Decoder<'_>) -> Result<Result<T, E>> {
        match from.variant()? {
            0 => from.nest(|from| S::decode(from)).map(Ok),
            1 => from.nest(|from| E::deserialize(from)).map(Err),
            tag => Err(CodecError::new(format!("the tag of a Result is {tag}, not 0 or 1"))),
        }
    }
}
