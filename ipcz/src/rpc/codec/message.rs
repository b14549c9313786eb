//! Values that may grow: with their length, so that whoever does not know all of one can skip the rest.
//!
//! | size | |
//! | --- | --- |
//! | 4 | how many bytes follow, little-endian |
//! | .. | of an enum, the number of the variant; then how many fields there are, and the fields |

use serde::de::{Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};

use super::MESSAGE;

/// Serializes the twin of a message.
pub fn serialize_message<T: Serialize, S: Serializer>(
    twin: &T,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_newtype_struct(MESSAGE, twin)
}

/// Deserializes the twin of a message.
pub fn deserialize_message<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    struct Twin<T>(std::marker::PhantomData<T>);

    impl<'de, T: Deserialize<'de>> serde::de::Visitor<'de> for Twin<T> {
        type Value = T;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a message")
        }

        fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<T, D::Error> {
            T::deserialize(inner)
        }
    }

    deserializer.deserialize_newtype_struct(MESSAGE, Twin(std::marker::PhantomData))
}
