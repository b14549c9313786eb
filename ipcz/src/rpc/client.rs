//! The calling end of a typed portal.

use std::fmt;
use std::sync::Arc;

use super::call::{Call, Sent};
use super::codec::{CodecError, DecodeReply, Encoder};
use super::error::Fault;
use super::message::RequestHead;
use super::replies::Replies;
use crate::Portal;

/// A method, as a proxy names it.
#[derive(Clone, Copy, Debug)]
pub struct Method {
    /// What travels.
    pub id: u64,
    /// What errors say.
    pub name: &'static str,
}

/// What a proxy is made of: a portal, and the calls that wait for their replies on it.
///
/// A client that nobody calls costs its portal and one small allocation. The connection closes when
/// the client and all of its calls are dropped.
pub struct Client {
    replies: Arc<Replies>,
}

type Arguments = Result<(), CodecError>;

impl Client {
    /// The portal, to look at.
    #[must_use]
    pub fn portal(&self) -> &Portal {
        self.replies.portal()
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
        let call = match self.replies.begin() {
            Ok(call) => call,
            Err(fault) => return Call::failed(fault, method.name),
        };
        match self.send(Some(call), method, arguments) {
            Ok(()) => Call::pending(Arc::clone(&self.replies), call, method.name, R::decode_reply),
            Err(fault) => {
                self.replies.forget(call);
                Call::failed(fault, method.name)
            }
        }
    }

    /// Sends a request that has no reply.
    pub fn notify(
        &self,
        method: Method,
        arguments: impl FnOnce(&mut Encoder) -> Arguments,
    ) -> Sent {
        let sent = match self.replies.fault() {
            Some(fault) => Err(fault),
            None => self.send(None, method, arguments),
        };
        Sent::new(sent.map_err(|fault| fault.of(method.name)))
    }

    fn send(
        &self,
        call: Option<u32>,
        method: Method,
        arguments: impl FnOnce(&mut Encoder) -> Arguments,
    ) -> Result<(), Fault> {
        let head = RequestHead { call, method: method.id };
        let mut encoder = Encoder::new(&head.to_bytes());
        let parcel =
            arguments(&mut encoder).and_then(|()| encoder.finish()).map_err(Fault::Encode)?;
        self.replies.put(parcel)
    }

    /// Moves the portal out, so that it can be sent.
    ///
    /// # Errors
    /// What to tell the user: calls wait for replies, or the portal has left before.
    pub fn take_portal(&self) -> Result<Portal, String> {
        self.replies.take_portal()
    }

    /// The portal, or this client again if it waits for replies or has no portal any more.
    ///
    /// # Errors
    /// This client, unchanged.
    pub fn into_portal(self) -> Result<Portal, Self> {
        self.replies.take_portal().map_err(|_| self)
    }
}

impl From<Portal> for Client {
    fn from(portal: Portal) -> Self {
        Self { replies: Replies::new(portal) }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting = self.replies.waiting();
        f.debug_struct("Client").field("waiting", &waiting).finish_non_exhaustive()
    }
}
