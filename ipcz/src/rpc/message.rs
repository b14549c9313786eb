//! The messages of a typed portal.
//!
//! Each message is one parcel. Integers are little-endian; reserved bytes are zero, and a message in
//! which they are not is malformed. All begin alike:
//!
//! | offset | size | |
//! | --- | --- | --- |
//! | 0 | 1 | kind |
//! | 1 | 1 | flags; none but those below |
//! | 2 | 2 | reserved |
//! | 4 | 4 | number of the call; 0 in messages that are about none |
//!
//! | kind | then |
//! | --- | --- |
//! | 1 request, 2 one-way | at 8, the method's id: 64-bit FNV-1a of its name, or the explicit id, exclusive-or FNV-1a of the interface's full name. Flag 1: 8 bytes, the nanoseconds until the call's deadline. Then the arguments |
//! | 3 reply | the result. Flag 1: the call was piped, and the server has seen to that |
//! | 4 failure | one byte that says what happened, then UTF-8 text up to the end. Flag 1: as above |
//! | 5 cancel | nothing |
//! | 6 deadline | 8 bytes, the nanoseconds until then |
//! | 7 pipe | nothing; one portal comes along. From a server: it is given back, the reply had left |
//! | 8 credit | 4 bytes, how many one-way messages are done with; 8 bytes, what they weighed |
//! | 9 farewell | as a failure |
//!
//! The caller numbers its calls, and does not use a number again before its reply arrived. Replies
//! may come in any order. A request has exactly one reply or failure; a one-way message has none.
//!
//! The arguments are the concatenated postcard encodings of the method's arguments, in order. A
//! reply's body is the postcard encoding of the result; a method that can fail encodes an enum of
//! two variants, 0 with the result or 1 with the application's error. A handle is encoded as a `u32`,
//! its index among the parcel's handles. Nothing may follow the last value. A reply to a call that was
//! piped has no handle: the one that its body names was joined with the pipe.
//!
//! | code | of a failure | of a farewell |
//! | --- | --- | --- |
//! | 1 | the server does not know the method | the server was stopped on purpose |
//! | 2 | the server could not encode the result | the server panicked |
//! | 3 | the method panicked | the server rejected what the client sent |
//! | 4 | the request was malformed, and the server closes the connection | the call that was to give this endpoint failed |
//! | 5 | the call was cancelled | |
//! | 6 | its deadline passed | |
//! | 7 | the server takes no more calls | |
//!
//! A message weighs its bytes, 8 MiB at most. No more than 1024 messages that weigh 16 MiB may be on their way:
//! requests without a reply, and one-way messages without credit.

use std::time::Duration;

use super::codec::CodecError;
use super::flow::Amount;
use super::limits::MAX_TEXT;

/// The name of the method, of every interface, that gives its version. No method of a trait has it.
const VERSION: &str = "$version";

/// What an interface's full name adds to the ids of its methods, and a method's name is: 64-bit FNV-1a.
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

/// The id of the method that gives the version of the interface `name`.
pub(super) const fn version_method(name: &str) -> u64 {
    interface_id(VERSION) ^ interface_id(name)
}

/// Where the body of a message begins, but of a request.
pub(super) const HEAD: usize = 8;
/// Where a request's arguments begin, unless it has a deadline.
const REQUEST_HEAD: usize = 16;

const REQUEST: u8 = 1;
const ONE_WAY: u8 = 2;
const REPLY: u8 = 3;
const FAILURE: u8 = 4;
const CANCEL: u8 = 5;
const DEADLINE: u8 = 6;
const PIPE: u8 = 7;
const CREDIT: u8 = 8;
const FAREWELL: u8 = 9;

/// The flag of a request that has a deadline.
const HAS_DEADLINE: u8 = 1;
/// The flag of a reply or failure to a call that the server knew to be piped.
const PIPED: u8 = 1;

/// A number on the wire for each variant, and one for those of later versions.
macro_rules! codes {
    ($(#[$doc:meta])* $name:ident { $($(#[$each:meta])* $variant:ident = $code:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum $name {
            $($(#[$each])* $variant,)*
            /// A code of a later version.
            Other(u8),
        }

        impl $name {
            fn code(self) -> u8 {
                match self {
                    $(Self::$variant => $code,)*
                    Self::Other(code) => code,
                }
            }

            fn from_code(code: u8) -> Self {
                match code {
                    $($code => Self::$variant,)*
                    other => Self::Other(other),
                }
            }
        }
    };
}

codes! {
    /// What a failure says happened.
    Failure {
        UnknownMethod = 1,
        BadResult = 2,
        Panicked = 3,
        Malformed = 4,
        Cancelled = 5,
        TimedOut = 6,
        Refused = 7,
    }
}

codes! {
    /// Why a server closes its end.
    Farewell {
        Stopped = 1,
        Panicked = 2,
        Rejected = 3,
        Failed = 4,
    }
}

/// The head of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RequestHead {
    /// The number to reply to, unless the message is one-way.
    pub(super) call: Option<u32>,
    pub(super) method: u64,
    /// How long the caller will wait.
    pub(super) deadline: Option<Duration>,
}

/// What a client says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ToServer {
    /// A call, whose arguments begin at that offset.
    Request(RequestHead, usize),
    Cancel(u32),
    Deadline(u32, Duration),
    Pipe(u32),
}

/// What a server says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ToClient {
    /// A result, and whether the server has seen to the call's pipe.
    Reply(u32, bool),
    /// See [`ToClient::Reply`].
    Failure(u32, Failure, bool),
    Pipe(u32),
    Credit(Amount),
    Farewell(Farewell),
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl RequestHead {
    pub(super) fn to_bytes(self) -> ([u8; REQUEST_HEAD + 8], usize) {
        let kind = if self.call.is_some() { REQUEST } else { ONE_WAY };
        let mut head = [0; REQUEST_HEAD + 8];
        head[..HEAD].copy_from_slice(&start(kind, self.call.unwrap_or(0)));
        head[HEAD..REQUEST_HEAD].copy_from_slice(&self.method.to_le_bytes());
        let Some(time) = self.deadline else {
            return (head, REQUEST_HEAD);
        };
        head[1] = HAS_DEADLINE;
        head[REQUEST_HEAD..].copy_from_slice(&nanos(time).to_le_bytes());
        (head, REQUEST_HEAD + 8)
    }

    fn parse(start: Start<'_>) -> Result<(Self, usize), CodecError> {
        let call = match (start.kind, start.call) {
            (REQUEST, call) => Some(call),
            (_, 0) => None,
            _ => return Err(CodecError::new("a one-way message has the number of a call")),
        };
        let mut rest = start.rest;
        let method = u64::from_le_bytes(take(&mut rest)?);
        let mut offset = REQUEST_HEAD;
        let mut deadline = None;
        if start.flags == HAS_DEADLINE {
            deadline = Some(Duration::from_nanos(u64::from_le_bytes(take(&mut rest)?)));
            offset += 8;
        }
        Ok((Self { call, method, deadline }, offset))
    }
}

/// Says in a reply or failure that the server has seen to the call's pipe.
pub(super) fn set_piped(message: &mut [u8]) {
    if let Some(flags) = message.get_mut(1) {
        *flags = PIPED;
    }
}

/// Writes the number of a call into its request.
pub(super) fn set_number(message: &mut [u8], call: u32) {
    if let Some(number) = message.get_mut(4..HEAD) {
        number.copy_from_slice(&call.to_le_bytes());
    }
}

impl ToServer {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, CodecError> {
        let start = Start::parse(bytes)?;
        let mut rest = start.rest;
        let message = match start.kind {
            REQUEST | ONE_WAY => {
                let (head, offset) = RequestHead::parse(start)?;
                return Ok(Self::Request(head, offset));
            }
            CANCEL => Self::Cancel(start.call),
            DEADLINE => {
                let nanos = u64::from_le_bytes(take(&mut rest)?);
                Self::Deadline(start.call, Duration::from_nanos(nanos))
            }
            PIPE => Self::Pipe(start.call),
            kind => return Err(unexpected(kind, "a request")),
        };
        ended(rest).map(|()| message)
    }
}

impl ToClient {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, CodecError> {
        let start = Start::parse(bytes)?;
        let mut rest = start.rest;
        let message = match start.kind {
            REPLY => return Ok(Self::Reply(start.call, start.flags == PIPED)),
            FAILURE => {
                let [code] = take(&mut rest)?;
                let is_piped = start.flags == PIPED;
                return Ok(Self::Failure(start.call, Failure::from_code(code), is_piped));
            }
            FAREWELL => {
                let [code] = take(&mut rest)?;
                return Ok(Self::Farewell(Farewell::from_code(code)));
            }
            PIPE => Self::Pipe(start.call),
            CREDIT => {
                let messages = u32::from_le_bytes(take(&mut rest)?);
                let bytes = u64::from_le_bytes(take(&mut rest)?);
                Self::Credit(Amount { messages, bytes })
            }
            kind => return Err(unexpected(kind, "a reply")),
        };
        ended(rest).map(|()| message)
    }
}

pub(super) fn reply(call: u32) -> [u8; HEAD] {
    start(REPLY, call)
}

pub(super) fn failure(call: u32, failure: Failure, text: &str) -> Vec<u8> {
    with_text(FAILURE, call, failure.code(), text)
}

pub(super) fn farewell(why: Farewell, text: &str) -> Vec<u8> {
    with_text(FAREWELL, 0, why.code(), text)
}

pub(super) fn cancel(call: u32) -> [u8; HEAD] {
    start(CANCEL, call)
}

pub(super) fn deadline(call: u32, time: Duration) -> Vec<u8> {
    [&start(DEADLINE, call)[..], &nanos(time).to_le_bytes()].concat()
}

pub(super) fn pipe(call: u32) -> [u8; HEAD] {
    start(PIPE, call)
}

pub(super) fn credit(amount: Amount) -> Vec<u8> {
    let Amount { messages, bytes } = amount;
    [&start(CREDIT, 0)[..], &messages.to_le_bytes(), &bytes.to_le_bytes()].concat()
}

fn with_text(kind: u8, call: u32, code: u8, text: &str) -> Vec<u8> {
    [&start(kind, call)[..], &[code], text.as_bytes()].concat()
}

/// What a failure or a farewell says in words. The text is the peer's: bounded, and made printable.
pub(super) fn text(message: &[u8]) -> String {
    printable(message.get(HEAD + 1..).unwrap_or_default())
}

/// A peer's text, to be shown.
pub(super) fn printable(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    text.chars().take(MAX_TEXT).flat_map(char::escape_debug).collect()
}

/// Why a message, which is a reply or a failure, brings no endpoint.
pub(super) fn failure_cause(bytes: &[u8]) -> String {
    let what = match ToClient::parse(bytes) {
        Ok(ToClient::Failure(_, Failure::Panicked, _)) => "the method panicked",
        Ok(ToClient::Failure(_, Failure::UnknownMethod, _)) => {
            "the server does not know the method"
        }
        Ok(ToClient::Failure(_, Failure::Cancelled, _)) => "it was cancelled",
        Ok(ToClient::Failure(_, Failure::TimedOut, _)) => "its deadline passed",
        Ok(ToClient::Failure(_, Failure::Refused, _)) => "the server takes no more calls",
        Ok(ToClient::Failure(..)) => return text(bytes),
        _ => NO_ENDPOINT,
    };
    what.into()
}

/// What is said of a result that should have been an endpoint.
pub(super) const NO_ENDPOINT: &str = "it gave an error of its own, or no endpoint";

/// The number of the call that a message is about.
pub(super) fn number(bytes: &[u8]) -> Option<u32> {
    Some(Start::parse(bytes).ok()?.call)
}

fn start(kind: u8, call: u32) -> [u8; HEAD] {
    let [a, b, c, d] = call.to_le_bytes();
    [kind, 0, 0, 0, a, b, c, d]
}

/// The part that all messages have.
#[derive(Clone, Copy)]
struct Start<'a> {
    kind: u8,
    flags: u8,
    call: u32,
    rest: &'a [u8],
}

impl<'a> Start<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self, CodecError> {
        let (head, rest) = bytes.split_first_chunk::<HEAD>().ok_or_else(short)?;
        let [kind, flags, reserved @ .., a, b, c, d] = *head;
        let known = match kind {
            REQUEST | ONE_WAY => HAS_DEADLINE,
            REPLY | FAILURE => PIPED,
            _ => 0,
        };
        if reserved != [0; 2] || flags & !known != 0 {
            return Err(CodecError::new("reserved bytes of a message's head are not zero"));
        }
        Ok(Self { kind, flags, call: u32::from_le_bytes([a, b, c, d]), rest })
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], CodecError> {
    let (taken, left) = rest.split_first_chunk::<N>().ok_or_else(short)?;
    *rest = left;
    Ok(*taken)
}

fn ended(rest: &[u8]) -> Result<(), CodecError> {
    match rest {
        [] => Ok(()),
        _ => Err(CodecError::new("a message is longer than its kind")),
    }
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

    fn bytes(head: RequestHead) -> Vec<u8> {
        let (bytes, len) = head.to_bytes();
        bytes[..len].to_vec()
    }

    #[test]
    fn messages_are_laid_out_as_documented() {
        let method = 0x0807_0605_0403_0201;
        let head = RequestHead { call: Some(0x0403_0201), method, deadline: None };
        assert_eq!(bytes(head), [1, 0, 0, 0, 1, 2, 3, 4, 1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(ToServer::parse(&bytes(head)), Ok(ToServer::Request(head, 16)));

        let head = RequestHead { call: None, method: 7, deadline: Some(Duration::from_nanos(258)) };
        assert_eq!(bytes(head)[..8], [2, 1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(bytes(head)[16..], [2, 1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(ToServer::parse(&bytes(head)), Ok(ToServer::Request(head, 24)));

        assert_eq!(reply(258), [3, 0, 0, 0, 2, 1, 0, 0]);
        let told = failure(1, Failure::UnknownMethod, "no");
        assert_eq!(told, *b"\x04\0\0\0\x01\0\0\0\x01no");
        assert_eq!(ToClient::parse(&told), Ok(ToClient::Failure(1, Failure::UnknownMethod, false)));
        assert_eq!(text(&told), "no");
    }

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(ToServer::parse(&cancel(3)), Ok(ToServer::Cancel(3)));
        assert_eq!(ToServer::parse(&pipe(3)), Ok(ToServer::Pipe(3)));
        let time = Duration::from_millis(7);
        assert_eq!(ToServer::parse(&deadline(3, time)), Ok(ToServer::Deadline(3, time)));
        assert_eq!(nanos(Duration::MAX), u64::MAX);
        let amount = Amount { messages: 5, bytes: 1 << 40 };
        assert_eq!(ToClient::parse(&credit(amount)), Ok(ToClient::Credit(amount)));
        for code in 0..=255 {
            let said = [&[9, 0, 0, 0, 0, 0, 0, 0][..], &[code]].concat();
            let Ok(ToClient::Farewell(why)) = ToClient::parse(&said) else { panic!("{code}") };
            assert_eq!(farewell(why, ""), said);
        }
    }

    #[test]
    fn malformed_heads_are_refused() {
        let head = RequestHead { call: Some(1), method: 2, deadline: Some(Duration::ZERO) };
        let good = bytes(head);
        for len in 0..good.len() {
            assert!(ToServer::parse(&good[..len]).is_err());
        }
        for at in 0..4 {
            let mut bad = good.clone();
            bad[at] = 30;
            assert!(ToServer::parse(&bad).is_err());
        }
        assert!(ToServer::parse(&[2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]).is_err());
        assert!(ToServer::parse(&[5, 0, 0, 0, 1, 0, 0, 0, 0]).is_err());
        assert!(ToServer::parse(&[5, 1, 0, 0, 1, 0, 0, 0]).is_err());
        assert!(ToServer::parse(&[6, 0, 0, 0, 1, 0, 0, 0]).is_err());
        assert!(ToServer::parse(&reply(1)).is_err());
        assert!(ToClient::parse(&good).is_err());
        assert!(ToClient::parse(&[4, 0, 0, 0, 1, 0, 0, 0]).is_err());
        assert!(ToClient::parse(&[8, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0]).is_err());
    }
}
