//! What identifies a method between processes.

/// The id of the method `name`, unless one is given explicitly: 64-bit FNV-1a of its UTF-8 bytes.
///
/// It depends on the name alone, so that methods can be declared in any order. Two names of one
/// interface that collide are refused by the checker, so nothing stronger is needed, and a C program
/// computes this in three lines. What travels is this, combined by exclusive or with the same hash of
/// the interface's full name: so methods of different interfaces are different, and those of one stay
/// apart.
#[must_use]
pub fn method_id(name: &str) -> u64 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    name.bytes().fold(OFFSET, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME))
}

/// Whether `name` is a full interface name: identifiers of ASCII letters, digits and underscores,
/// with dots between them.
#[must_use]
pub fn is_interface_name(name: &str) -> bool {
    let is_identifier = |part: &str| {
        part.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    name.split('.').all(is_identifier)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_fnv_1a() {
        assert_eq!(method_id(""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(method_id("a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(method_id("foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn interface_names() {
        for good in ["a", "demo.words.WordCounter", "_x1.y_2"] {
            assert!(is_interface_name(good), "{good}");
        }
        for bad in ["", ".", "a.", "a..b", "1a", "a-b", "a b", "ä"] {
            assert!(!is_interface_name(bad), "{bad}");
        }
    }
}
