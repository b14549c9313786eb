//! The messages of a stream, byte by byte.

use crate::rpc::codec::CodecError;
use crate::rpc::flow::Amount;
use crate::rpc::message::{self, HEAD, ToClient};

const ITEM: u8 = 16;
const END: u8 = 17;
const FAILURE: u8 = 18;
const STOP: u8 = 19;

/// What a writer says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ToReader {
    Item,
    End,
    Failure(String),
}

/// What a reader says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ToWriter {
    Credit(Amount),
    Stop(String),
}

pub(super) const ITEM_HEAD: [u8; HEAD] = [ITEM, 0, 0, 0, 0, 0, 0, 0];

pub(super) fn end() -> [u8; HEAD] {
    [END, 0, 0, 0, 0, 0, 0, 0]
}

pub(super) fn failure(why: &str) -> Vec<u8> {
    [&[FAILURE, 0, 0, 0, 0, 0, 0, 0], why.as_bytes()].concat()
}

pub(super) fn stop(why: &str) -> Vec<u8> {
    [&[STOP, 0, 0, 0, 0, 0, 0, 0], why.as_bytes()].concat()
}

fn split(bytes: &[u8]) -> Result<(u8, &[u8]), CodecError> {
    match bytes.split_first_chunk::<HEAD>() {
        Some(([kind, 0, 0, 0, 0, 0, 0, 0], rest)) => Ok((*kind, rest)),
        Some(_) => Err(CodecError::new("reserved bytes of a message's head are not zero")),
        None => Err(CodecError::new("a message is shorter than its head")),
    }
}

fn unexpected(kind: u8) -> CodecError {
    CodecError::new(format!("a message of kind {kind} stands in a stream"))
}

impl ToReader {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, CodecError> {
        match split(bytes)? {
            (ITEM, _) => Ok(Self::Item),
            (END, []) => Ok(Self::End),
            (FAILURE, why) => Ok(Self::Failure(message::printable(why))),
            (kind, _) => Err(unexpected(kind)),
        }
    }
}

impl ToWriter {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, CodecError> {
        match split(bytes)? {
            (STOP, why) => Ok(Self::Stop(message::printable(why))),
            (kind, _) => match ToClient::parse(bytes)? {
                ToClient::Credit(amount) => Ok(Self::Credit(amount)),
                _ => Err(unexpected(kind)),
            },
        }
    }
}
