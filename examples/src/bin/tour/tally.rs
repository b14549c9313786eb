//! Lines, words and bytes, as `LC_ALL=C wc` counts them.

use sha2::{Digest, Sha256};

use crate::services::Counts;

/// Counts a file piece by piece.
#[derive(Default)]
pub(crate) struct Tally {
    lines: u64,
    words: u64,
    bytes: u64,
    in_word: bool,
    sha256: Sha256,
}

/// What a byte does to a word.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    /// Ends it.
    Space,
    /// Makes one of the bytes around it.
    Printable,
    /// Neither: alone it is no word.
    Other,
}

const CLASSES: [Class; 256] = {
    let mut classes = [Class::Other; 256];
    let mut byte = 0x21;
    while byte < 0x7f {
        classes[byte] = Class::Printable;
        byte += 1;
    }
    let spaces = b" \t\n\x0b\x0c\r";
    let mut index = 0;
    while index < spaces.len() {
        classes[spaces[index] as usize] = Class::Space;
        index += 1;
    }
    classes
};

impl Tally {
    pub(crate) fn add(&mut self, piece: &[u8]) {
        self.bytes += piece.len() as u64;
        self.sha256.update(piece);
        for &byte in piece {
            self.lines += u64::from(byte == b'\n');
            match CLASSES[usize::from(byte)] {
                Class::Space => {
                    self.words += u64::from(self.in_word);
                    self.in_word = false;
                }
                Class::Printable => self.in_word = true,
                Class::Other => {}
            }
        }
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn finish(self) -> Counts {
        Counts {
            lines: self.lines,
            words: self.words + u64::from(self.in_word),
            bytes: self.bytes,
            sha256: self.sha256.finalize().into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &[u8]) -> u64 {
        let mut tally = Tally::default();
        // In pieces of one byte, so that words and lines cross them.
        text.chunks(1).for_each(|piece| tally.add(piece));
        tally.finish().words
    }

    #[test]
    fn a_word_has_a_printable_byte() {
        assert_eq!(words(b""), 0);
        assert_eq!(words(b" \n\t"), 0);
        assert_eq!(words(b"one"), 1);
        assert_eq!(words(b"one two\nthree"), 3);
        assert_eq!(words(b"one\x00two \x00\x01 \xff\xfe"), 1);
        assert_eq!(words(b"\xffx"), 1);
    }
}
