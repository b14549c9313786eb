//! A request, and the answer to it, as emitted code sees them.

use std::sync::{Arc, Mutex};

use super::codec::{CodecError, Decoder, EncodeAs, Encoder};
use super::endpoint::Endpoint;
use super::message::{self, Failure, RequestHead};
use crate::sync::lock;
use crate::{Handle, Parcel};

/// A request whose head was understood.
pub struct Request {
    call: Option<u32>,
    method: u64,
    arguments: usize,
    bytes: Vec<u8>,
    handles: Vec<Handle>,
    /// Where it is left if the interface does not have the method, for the next interface to look at.
    leave: Option<Leftover>,
}

/// A request that an interface has left to the next.
#[derive(Clone, Default)]
pub(super) struct Leftover(Arc<Mutex<Option<Request>>>);

impl Leftover {
    pub(super) fn take(&self) -> Option<Request> {
        lock(&self.0).take()
    }
}

impl Request {
    /// The request in `parcel`, whose arguments begin at `arguments`.
    pub(super) fn new(head: RequestHead, arguments: usize, parcel: Parcel) -> Self {
        let (bytes, handles) = parcel.into_parts();
        Self { call: head.call, method: head.method, arguments, bytes, handles, leave: None }
    }

    /// This request, and where it is found again if the interface does not have the method.
    pub(super) fn or_leave(mut self) -> (Self, Leftover, Option<Leftover>) {
        let leftover = Leftover::default();
        let outer = self.leave.replace(leftover.clone());
        (self, leftover, outer)
    }

    /// This request, to be left there if the interface does not have the method.
    pub(super) fn leaving_to(mut self, leave: Option<Leftover>) -> Self {
        self.leave = leave;
        self
    }

    /// The id of the method that is called.
    #[must_use]
    pub fn method(&self) -> u64 {
        self.method
    }

    /// What makes the answer, the message with the arguments, and its handles.
    #[must_use]
    pub fn split(self) -> (Answer, Message, Vec<Handle>) {
        let message = Message { bytes: self.bytes, arguments: self.arguments };
        (Answer { call: self.call }, message, self.handles)
    }

    /// The answer to a method that the interface does not have: one that all have, or one that does not exist.
    #[must_use]
    pub fn other<I: Endpoint>(mut self) -> Option<Parcel> {
        let is_version = self.method == message::version_method(I::INTERFACE);
        if !is_version && let Some(leave) = self.leave.take() {
            *lock(&leave.0) = Some(self);
            return None;
        }
        let call = self.call?;
        if is_version {
            return Answer { call: self.call }
                .reply::<super::codec::Plain, _>("version", I::VERSION);
        }
        Some(Parcel::new(message::failure(call, Failure::UnknownMethod, "")))
    }
}

/// The private copy of a request.
pub struct Message {
    bytes: Vec<u8>,
    arguments: usize,
}

impl Message {
    /// What reads the arguments of `method`.
    #[must_use]
    pub fn decoder(&self, method: &'static str, handles: Vec<Handle>) -> Decoder<'_> {
        Decoder::of(method, self.bytes.get(self.arguments..).unwrap_or_default(), handles)
    }
}

/// Where a result goes.
#[derive(Clone, Copy)]
pub struct Answer {
    call: Option<u32>,
}

impl Answer {
    /// The reply with `result`, if the caller wants one.
    pub fn reply<S: EncodeAs<T>, T>(self, method: &'static str, result: T) -> Option<Parcel> {
        let call = self.call?;
        let mut encoder = Encoder::new(&message::reply(call));
        let reply = encoder.put::<S, T>("result", result).and_then(|()| encoder.finish());
        Some(reply.unwrap_or_else(|error: CodecError| {
            let text = format!("the server could not encode its result: {method}: {error}");
            Parcel::new(message::failure(call, Failure::BadResult, &text))
        }))
    }
}
