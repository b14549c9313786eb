//! The calling end of a typed portal.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::call::{Call, Sent};
use super::codec::{CodecError, DecodeReply, Encoder};
use super::context;
use super::error::Fault;
use super::flow::{Amount, CALLS};
use super::message::RequestHead;
use super::outbox::Submitted;
use super::replies::Replies;
use crate::{Disconnect, Parcel, Portal};

/// A method, as a proxy names it.
#[derive(Clone, Copy, Debug)]
pub struct Method {
    /// What travels.
    pub id: u64,
    /// What errors say.
    pub name: &'static str,
}

/// What is under way on a proxy: see [`Proxy::load`](super::Proxy::load).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Load {
    /// Calls that have no reply yet, those included that were given up and have yet to be answered.
    pub calls: usize,
    /// Messages that the server has to answer or to give credit for: calls and one-way messages.
    pub sent: u32,
    /// What those weigh, in bytes.
    pub sent_bytes: u64,
    /// Calls and one-way messages that wait here, because the server is behind.
    pub waiting: usize,
    /// The bytes of those.
    pub waiting_bytes: u64,
}

/// What a proxy is made of: a portal, and the calls that wait for their replies on it.
///
/// A client that nobody calls costs its portal and one small allocation. The connection closes when
/// the client and all of its calls are dropped.
pub struct Client {
    replies: Arc<Replies>,
}

impl Method {
    /// A method, by what travels and by what errors say.
    #[must_use]
    pub const fn new(id: u64, name: &'static str) -> Self {
        Self { id, name }
    }
}

type Arguments = Result<(), CodecError>;

impl Client {
    pub(super) fn new(portal: Portal, sent: Amount) -> Self {
        Self { replies: Replies::new(portal, sent) }
    }

    /// Another client on the same portal.
    pub(super) fn share(&self) -> Self {
        self.replies.clients.fetch_add(1, Ordering::Relaxed);
        Self { replies: Arc::clone(&self.replies) }
    }

    /// The portal, to look at.
    #[must_use]
    pub fn portal(&self) -> &Portal {
        &self.replies.portal
    }

    /// Sends a request now, and gives the call that waits for its reply.
    pub fn call<R, T, E>(
        &self,
        method: Method,
        arguments: impl FnOnce(&mut Encoder) -> Arguments,
    ) -> Call<T, E>
    where
        R: DecodeReply<T, E>,
    {
        // What this call is made for has a deadline that holds for it too.
        let deadline = context::deadline();
        let parcel = Self::request(Some(0), method, deadline, arguments);
        match parcel.and_then(|parcel| self.replies.submit(parcel, true)) {
            Ok(Submitted::Sent(number) | Submitted::Queued(number)) => {
                let replies = Arc::clone(&self.replies);
                Call::pending(replies, number, method.name, R::decode_reply, deadline)
            }
            Err(fault) => Call::failed(Arc::clone(&self.replies), fault, method.name),
        }
    }

    /// Sends a request that has no reply.
    pub fn notify(
        &self,
        method: Method,
        arguments: impl FnOnce(&mut Encoder) -> Arguments,
    ) -> Sent {
        let parcel = Self::request(None, method, None, arguments);
        match parcel.and_then(|parcel| self.replies.submit(parcel, false)) {
            Ok(Submitted::Sent(_)) => Sent::done(Ok(())),
            Ok(Submitted::Queued(number)) => {
                Sent::queued(Arc::clone(&self.replies), number, method.name)
            }
            Err(fault) => Sent::done(Err(fault.of(method.name))),
        }
    }

    fn request(
        call: Option<u32>,
        method: Method,
        deadline: Option<Instant>,
        arguments: impl FnOnce(&mut Encoder) -> Arguments,
    ) -> Result<Parcel, Fault> {
        let deadline = deadline.map(|at| at.saturating_duration_since(Instant::now()));
        let (head, len) = RequestHead { call, method: method.id, deadline }.to_bytes();
        let mut encoder = Encoder::new(&head[..len]);
        let parcel = arguments(&mut encoder).and_then(|()| encoder.finish());
        parcel.map_err(|error| Fault::Encode(error.of(method.name)))
    }

    /// Says that the server is to come of a call of the client `upstream`.
    pub(super) fn set_upstream(&self, upstream: &Arc<Replies>) {
        self.replies.set_upstream(upstream);
    }

    pub(super) fn load(&self) -> Load {
        self.replies.load()
    }

    /// Waits until no call can be made any more, and gives the reason.
    pub async fn closed(&self) -> Disconnect {
        poll_fn(|context| self.replies.poll_closed(context)).await
    }

    /// Has `callback` run when no call can be made any more.
    pub fn on_disconnect(&self, callback: impl FnOnce(Disconnect) + Send + 'static) {
        self.replies.on_disconnect(Box::new(callback));
    }

    /// Moves the portal out, so that it can be sent, with the messages and bytes that are on their way.
    ///
    /// # Errors
    /// What to tell the user: calls wait for replies, or the portal has left before.
    pub(super) fn take_portal(&self) -> Result<(Portal, Amount), String> {
        self.replies.take_portal()
    }

    /// The client on a portal that was sent as [`take_portal`](Self::take_portal) gave it.
    #[must_use]
    pub(super) fn from_taken(portal: Portal, sent: Amount) -> Self {
        Self::new(portal, sent.bounded(CALLS))
    }

    /// The portal, or this client again if it waits for replies or has no portal any more.
    ///
    /// # Errors
    /// This client, unchanged.
    pub fn into_portal(self) -> Result<Portal, Self> {
        self.replies.take_portal().map(|(portal, _)| portal).map_err(|_| self)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.replies.clients.fetch_sub(1, Ordering::Relaxed);
    }
}

impl From<Portal> for Client {
    fn from(portal: Portal) -> Self {
        Self::new(portal, Amount::default())
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting = self.replies.waiting();
        f.debug_struct("Client").field("waiting", &waiting).finish_non_exhaustive()
    }
}
