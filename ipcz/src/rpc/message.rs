//! The messages of a typed portal.
//!
//! Each message is one parcel. Integers are little-endian; reserved bytes are zero, and a message in
//! which they are not is malformed.
//!
//! | offset | size | request (kind 1), one-way (kind 2) | reply (kind 3), failure (kind 4) |
//! | --- | --- | --- | --- |
//! | 0 | 1 | kind | kind |
//! | 1 | 3 | reserved | reserved |
//! | 4 | 4 | number of the call; 0 in a one-way message | number of the call |
//! | 8 | 8 | id of the method: FNV-1a (64 bits) of its name, or the explicit id, exclusive-or FNV-1a of the interface's full name | (the body starts here) |
//! | 16 | .. | the arguments | |
//!
//! The caller numbers its calls, and does not use a number again before its reply arrived. Replies
//! may come in any order. A one-way message has no reply, whatever becomes of it.
//!
//! The arguments are the concatenated postcard encodings of the method's arguments, in order. A
//! reply's body is the postcard encoding of the result; a method that can fail encodes an enum of
//! two variants, 0 with the result or 1 with the application's error. A handle is encoded as a `u32`,
//! its index among the parcel's handles. Nothing may follow the last value.
//!
//! A failure's body is one byte that says what happened, then UTF-8 text up to the end: 1, the server
//! does not know the method; 2, the server could not encode the result; 3, the method panicked; 4, the
//! request was malformed, and the server closes the connection.

use super::codec::CodecError;

/// What an interface's full name adds to the ids of its methods: 64-bit FNV-1a.
#[must_use]
pub const fn interface_id(name: &str) -> u64 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let (bytes, mut hash, mut index) = (name.as_bytes(), OFFSET, 0);
    while index < bytes.len() {
        hash = (hash ^ bytes[index] as u64).wrapping_mul(PRIME);
        index += 1;
    }
    hash
}

/// Where the arguments of a request begin.
pub(super) const REQUEST_HEAD: usize = 16;
/// Where the body of a reply or failure begins.
pub(super) const REPLY_HEAD: usize = 8;

const REQUEST: u8 = 1;
const ONE_WAY: u8 = 2;
const REPLY: u8 = 3;
const FAILURE: u8 = 4;

/// What a failure says happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    UnknownMethod,
    BadResult,
    Panicked,
    Malformed,
    /// A code of a later version.
    Other(u8),
}

impl Failure {
    fn code(self) -> u8 {
        match self {
            Self::UnknownMethod => 1,
            Self::BadResult => 2,
            Self::Panicked => 3,
            Self::Malformed => 4,
            Self::Other(code) => code,
        }
    }

    fn from_code(code: u8) -> Self {
        match code {
            1 => Self::UnknownMethod,
            2 => Self::BadResult,
            3 => Self::Panicked,
            4 => Self::Malformed,
            other => Self::Other(other),
        }
    }
}

/// The head of a message to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RequestHead {
    /// The number to reply to, unless the message is one-way.
    pub(super) call: Option<u32>,
    pub(super) method: u64,
}

impl RequestHead {
    pub(super) fn to_bytes(self) -> [u8; REQUEST_HEAD] {
        let kind = if self.call.is_some() { REQUEST } else { ONE_WAY };
        let mut head = [0; REQUEST_HEAD];
        head[0] = kind;
        head[4..8].copy_from_slice(&self.call.unwrap_or(0).to_le_bytes());
        head[8..].copy_from_slice(&self.method.to_le_bytes());
        head
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Self, CodecError> {
        let (kind, number, rest) = parse_start(bytes)?;
        let call = match kind {
            REQUEST => Some(number),
            ONE_WAY if number == 0 => None,
            ONE_WAY => {
                return Err(CodecError::new("a one-way message has the number of a call"));
            }
            kind => return Err(unexpected(kind, "a request")),
        };
        let (method, _) = rest.split_first_chunk().ok_or_else(short)?;
        let method = u64::from_le_bytes(*method);
        Ok(Self { call, method })
    }
}

/// The head of a message to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ReplyHead {
    pub(super) call: u32,
    pub(super) failure: Option<Failure>,
}

impl ReplyHead {
    pub(super) fn reply(call: u32) -> [u8; REPLY_HEAD] {
        start(REPLY, call)
    }

    pub(super) fn failure(call: u32, failure: Failure, text: &str) -> Vec<u8> {
        let mut message = start(FAILURE, call).to_vec();
        message.push(failure.code());
        message.extend_from_slice(text.as_bytes());
        message
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Self, CodecError> {
        let (kind, call, body) = parse_start(bytes)?;
        let failure = match kind {
            REPLY => None,
            FAILURE => Some(Failure::from_code(*body.first().ok_or_else(short)?)),
            kind => return Err(unexpected(kind, "a reply")),
        };
        Ok(Self { call, failure })
    }
}

/// What the failure in `message` says in words. The text is the peer's: bounded, and made printable.
pub(super) fn failure_text(message: &[u8]) -> String {
    let text = message.get(REPLY_HEAD + 1..).unwrap_or_default();
    let text = String::from_utf8_lossy(text);
    text.chars().take(200).flat_map(char::escape_debug).collect()
}

fn start(kind: u8, call: u32) -> [u8; REPLY_HEAD] {
    let [a, b, c, d] = call.to_le_bytes();
    [kind, 0, 0, 0, a, b, c, d]
}

fn parse_start(bytes: &[u8]) -> Result<(u8, u32, &[u8]), CodecError> {
    let (head, rest) = bytes.split_first_chunk::<REPLY_HEAD>().ok_or_else(short)?;
    let [kind, reserved @ .., a, b, c, d] = *head;
    if reserved != [0; 3] {
        return Err(CodecError::new("reserved bytes of a message's head are not zero"));
    }
    Ok((kind, u32::from_le_bytes([a, b, c, d]), rest))
}

fn short() -> CodecError {
    CodecError::new("a message is shorter than its head")
}

fn unexpected(kind: u8, wanted: &str) -> CodecError {
    CodecError::new(format!("a message of kind {kind} stands where {wanted} should"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_laid_out_as_documented() {
        let head = RequestHead { call: Some(0x0403_0201), method: 0x0807_0605_0403_0201 };
        let bytes = head.to_bytes();
        assert_eq!(bytes, [1, 0, 0, 0, 1, 2, 3, 4, 1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(RequestHead::parse(&bytes), Ok(head));

        let head = RequestHead { call: None, method: 7 };
        assert_eq!(head.to_bytes()[..8], [2, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(RequestHead::parse(&head.to_bytes()), Ok(head));

        assert_eq!(ReplyHead::reply(258), [3, 0, 0, 0, 2, 1, 0, 0]);
        let failure = ReplyHead::failure(1, Failure::UnknownMethod, "no");
        assert_eq!(failure, *b"\x04\0\0\0\x01\0\0\0\x01no");
        let parsed = ReplyHead::parse(&failure).unwrap();
        assert_eq!(parsed.failure, Some(Failure::UnknownMethod));
        assert_eq!(failure_text(&failure), "no");
    }

    #[test]
    fn malformed_heads_are_refused() {
        let good = RequestHead { call: Some(1), method: 2 }.to_bytes();
        for len in 0..good.len() {
            assert!(RequestHead::parse(&good[..len]).is_err());
        }
        for at in 0..4 {
            let mut bad = good;
            bad[at] = 9;
            assert!(RequestHead::parse(&bad).is_err());
        }
        assert!(RequestHead::parse(&[2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]).is_err());
        assert!(ReplyHead::parse(&good).is_err());
        assert!(ReplyHead::parse(&[4, 0, 0, 0, 1, 0, 0, 0]).is_err());
    }
}
