//! The end of a stream that items go into.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde::de::{Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};

use super::error::StreamError;
use super::message::{self, ITEM_HEAD, ToWriter};
use crate::rpc::codec::{Counted, Encoder, Plain};
use crate::rpc::flow::{Amount, STREAM};
use crate::shell::block_on;
use crate::sync::lock;
use crate::{Disconnect, Parcel, Portal, PutErrorKind, TryRecvError};

/// The writing end of a [`Stream`](super::Stream).
///
/// Items leave at once as long as the reader keeps up: 256 of them, or 4 MiB, may be on their way. Then a send waits,
/// in whichever way the caller chooses. [`finish`](Self::finish) says that this was all; a sender that is
/// dropped without it tells the reader so ([`StreamError::Dropped`]).
///
/// It is a value, as the stream is, and may move while items are on their way.
pub struct StreamSender<T> {
    portal: Portal,
    /// What is on its way. Behind a lock only because a value is taken apart through a shared reference.
    sent: Mutex<Amount>,
    over: Option<StreamError>,
    items: PhantomData<fn(T)>,
}

impl<T> StreamSender<T> {
    pub(super) fn new(portal: Portal, sent: Amount) -> Self {
        Self { portal, sent: Mutex::new(sent), over: None, items: PhantomData }
    }

    /// Says that there are no more items.
    ///
    /// # Errors
    /// The reader is gone, and may not have read all.
    pub fn finish(self) -> Result<(), StreamError> {
        self.say(message::end().to_vec())
    }

    /// Says that there would have been more items, and why they do not come.
    ///
    /// # Errors
    /// The reader is gone.
    pub fn fail(self, why: &str) -> Result<(), StreamError> {
        self.say(message::failure(why))
    }

    fn say(&self, message: Vec<u8>) -> Result<(), StreamError> {
        if let Some(over) = &self.over {
            return Err(over.clone());
        }
        self.portal.put_anyway(message.into()).map_err(|error| put_error(error.kind()))
    }

    /// Notes what the reader said.
    fn take_in(&mut self, said: Result<Parcel, Disconnect>) -> Result<(), StreamError> {
        let fault = match said {
            Err(why) => StreamError::ended(why, StreamError::Unread),
            Ok(parcel) => match ToWriter::parse(parcel.bytes()) {
                Ok(ToWriter::Credit(amount)) => {
                    lock(&self.sent).give_back(amount);
                    return Ok(());
                }
                Ok(ToWriter::Stop(why)) => StreamError::Stopped(why),
                Err(error) => StreamError::Malformed(error),
            },
        };
        self.over = Some(fault.clone());
        drop(self.portal.take());
        Err(fault)
    }

    /// Takes room for an item, if there is any.
    fn take_room(&mut self, weight: u64) -> Result<bool, StreamError> {
        loop {
            if let Some(over) = &self.over {
                return Err(over.clone());
            }
            if lock(&self.sent).take_of(weight, STREAM) {
                return Ok(true);
            }
            match self.portal.try_recv() {
                Ok(parcel) => self.take_in(Ok(parcel))?,
                Err(TryRecvError::Empty) => return Ok(false),
                Err(TryRecvError::Disconnected(why)) => self.take_in(Err(why))?,
            }
        }
    }

    /// Waits until the reader reads no more, and gives the reason.
    pub async fn closed(&mut self) -> StreamError {
        loop {
            if let Some(over) = &self.over {
                return over.clone();
            }
            let said = self.portal.recv().await;
            // The next turn gives the reason.
            let _ = self.take_in(said);
        }
    }
}

impl<T: Serialize> StreamSender<T> {
    /// Sends an item, on any executor, once there is room for it.
    ///
    /// Dropping the future before it is ready drops the item.
    ///
    /// # Errors
    /// See [`StreamError`]; the item is dropped.
    pub async fn send(&mut self, item: T) -> Result<(), StreamError> {
        let parcel = encode(item)?;
        let weight = STREAM.weight(parcel.bytes().len());
        while !self.take_room(weight)? {
            let said = self.portal.recv().await;
            self.take_in(said)?;
        }
        self.put(parcel)
    }

    /// Sends all of `items`, then says that this was all.
    ///
    /// # Errors
    /// See [`StreamError`]; the other items are dropped.
    pub async fn send_all(mut self, items: impl IntoIterator<Item = T>) -> Result<(), StreamError> {
        for item in items {
            self.send(item).await?;
        }
        self.finish()
    }

    /// Sends an item, and blocks until there is room for it.
    ///
    /// # Errors
    /// See [`StreamError`]; the item is dropped.
    pub fn send_blocking(&mut self, item: T) -> Result<(), StreamError> {
        self.send_until(item, None)
    }

    /// Sends an item, and blocks until there is room for it, for no longer than `timeout`.
    ///
    /// # Errors
    /// [`StreamError::TimedOut`], and the others; the item is dropped.
    pub fn send_timeout(&mut self, item: T, timeout: Duration) -> Result<(), StreamError> {
        self.send_until(item, Instant::now().checked_add(timeout))
    }

    fn send_until(&mut self, item: T, until: Option<Instant>) -> Result<(), StreamError> {
        block_on(self.send(item), until).unwrap_or(Err(StreamError::TimedOut))
    }

    /// Sends an item if there is room for it.
    ///
    /// # Errors
    /// [`StreamError::WouldBlock`] if there is not, and the others; the item is dropped.
    pub fn try_send(&mut self, item: T) -> Result<(), StreamError> {
        let parcel = encode(item)?;
        match self.take_room(STREAM.weight(parcel.bytes().len()))? {
            true => self.put(parcel),
            false => Err(StreamError::WouldBlock),
        }
    }

    fn put(&mut self, parcel: Parcel) -> Result<(), StreamError> {
        self.portal.put_anyway(parcel).map_err(|error| put_error(error.kind()))
    }
}

fn encode<T: Serialize>(item: T) -> Result<Parcel, StreamError> {
    let mut encoder = Encoder::new(&ITEM_HEAD);
    let item = encoder.put::<Plain, T>("item of a stream", item);
    item.and_then(|()| encoder.finish()).map_err(StreamError::Encode)
}

fn put_error(kind: PutErrorKind) -> StreamError {
    match kind {
        PutErrorKind::Disconnected(why) => StreamError::ended(why, StreamError::Unread),
        kind => StreamError::Encode(crate::CodecError::new(kind.to_string())),
    }
}

impl<T> fmt::Debug for StreamSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamSender").field("sent", &lock(&self.sent)).finish_non_exhaustive()
    }
}

/// Moves the sender into the message.
impl<T> Serialize for StreamSender<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let take = || {
            let portal = self.portal.take().ok_or("is over, or was moved into a message before")?;
            Ok((portal, *lock(&self.sent)))
        };
        Counted::serialize("a stream's sender", take, serializer)
    }
}

impl<'de, T> Deserialize<'de> for StreamSender<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Counted { portal, amount } = Counted::deserialize(deserializer)?;
        Ok(Self::new(portal, amount.bounded(STREAM)))
    }
}
