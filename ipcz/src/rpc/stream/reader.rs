//! The end of a stream that items come out of.

use std::fmt;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use serde::de::{Deserialize, DeserializeOwned, Deserializer};
use serde::ser::{Serialize, Serializer};

use super::error::StreamError;
use super::message::{self, ToReader};
use super::source::Source;
use super::writer::StreamSender;
use crate::rpc::codec::{CodecError, Counted, Decoder, Plain};
use crate::rpc::flow::{Amount, STREAM};
use crate::rpc::message::{HEAD, credit};
use crate::shell::Watcher;
use crate::sync::lock;
use crate::{Disconnect, Node, Parcel, Portal, TryRecvError};

/// Items of type `T` that somebody sends, one after the other, at the pace at which they are taken.
///
/// It is a value: an argument or a result of a method, or a part of one, in any process. A method usually gives
/// one by [`Stream::from_stream`] or [`Stream::from_iter`], which its server then works off, or makes a
/// [`pair`](Self::pair), keeps the sender, and gives the stream. It may move while items are on their way.
///
/// Take items by [`next`](Self::next), by blocking, as an iterator ([`blocking`](Self::blocking)), or as a
/// `futures_core::Stream`. `None` is the end that the sender declared; whatever else ends it is an error. Dropping
/// the stream tells the sender.
///
/// ```
/// #[ipcz::interface]
/// trait Primes {
///     async fn below(&self, limit: u32) -> ipcz::Stream<u32>;
/// }
///
/// struct Sieve;
/// impl Primes for Sieve {
///     async fn below(&self, limit: u32) -> ipcz::Stream<u32> {
///         let is_prime = |n: &u32| (2..*n).all(|d| n % d != 0);
///         ipcz::Stream::from_iter((2..limit).filter(is_prime))
///     }
/// }
///
/// let (primes, receiver) = PrimesProxy::pair(&ipcz::Node::broker()?);
/// std::thread::spawn(move || receiver.serve_blocking(Sieve));
/// let found: Result<Vec<_>, _> = primes.below(12).wait()?.blocking().collect();
/// assert_eq!(found?, [2, 3, 5, 7, 11]);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub struct Stream<T> {
    end: End<T>,
    /// What was taken and not given credit for. Behind a lock only because a value is taken apart through a
    /// shared reference.
    taken: Mutex<Amount>,
    bell: Arc<Bell>,
    /// What ended it: nothing, once that was said.
    over: Option<Option<StreamError>>,
}

enum End<T> {
    Portal(Portal, PhantomData<fn() -> T>),
    /// Made here, and not sent yet.
    Source(Mutex<Option<Source<T>>>),
}

/// Wakes the task that waits for an item.
#[derive(Default)]
struct Bell {
    waker: Mutex<Option<Waker>>,
    is_armed: AtomicBool,
}

impl Watcher for Bell {
    fn on_ready(self: Arc<Self>) {
        self.is_armed.store(false, Ordering::SeqCst);
        let waker = lock(&self.waker).take();
        waker.into_iter().for_each(Waker::wake);
    }
}

impl<T> Stream<T> {
    fn new(portal: Portal, taken: Amount) -> Self {
        let end = End::Portal(portal, PhantomData);
        Self { end, taken: Mutex::new(taken), bell: Arc::default(), over: None }
    }

    /// A sender, and the stream that its items come out of. Keep one, send the other.
    #[must_use]
    pub fn pair(node: &Node) -> (StreamSender<T>, Self) {
        let (near, far) = node.open_portals();
        (StreamSender::new(near, Amount::default()), Self::new(far, Amount::default()))
    }

    /// Ends the stream, and tells the sender why ([`StreamError::Stopped`]).
    pub fn stop(mut self, why: &str) {
        if let End::Portal(portal, _) = &mut self.end {
            let _ = portal.put_anyway(message::stop(why).into());
        }
    }
}

impl<T: Serialize + Send + 'static> Stream<T> {
    /// A stream of all that `items` gives. It can only be (a part of) the result of a method, whose server then
    /// sends the items while it serves; it ends as `items` does.
    #[must_use]
    pub fn from_stream(items: impl futures_core::Stream<Item = T> + Send + 'static) -> Self {
        let end = End::Source(Mutex::new(Some(Source::new(items))));
        Self { end, taken: Mutex::default(), bell: Arc::default(), over: None }
    }

    /// As [`from_stream`](Self::from_stream), of an iterator's items. The server's thread is busy while the
    /// iterator is.
    #[must_use]
    #[allow(clippy::should_implement_trait, reason = "there the items need not be `Send`")]
    pub fn from_iter(items: impl IntoIterator<Item = T, IntoIter: Send + 'static>) -> Self {
        Self::from_stream(futures_util::stream::iter(items))
    }
}

impl<T: DeserializeOwned> Stream<T> {
    /// Waits for the next item, on any executor. `None`: that was all. After an error, there is none either.
    ///
    /// Dropping the future loses no item.
    pub async fn next(&mut self) -> Option<Result<T, StreamError>> {
        poll_fn(|context| self.poll_item(context)).await
    }

    /// Blocks for the next item.
    pub fn next_blocking(&mut self) -> Option<Result<T, StreamError>> {
        match self.next_until(None) {
            Err(TryRecvError::Empty) => Some(Err(StreamError::TimedOut)),
            Ok(item) => item,
            Err(TryRecvError::Disconnected(_)) => None,
        }
    }

    /// Blocks for the next item, for no longer than `timeout`, after which it gives
    /// [`StreamError::TimedOut`] and may be asked again.
    pub fn next_timeout(&mut self, timeout: Duration) -> Option<Result<T, StreamError>> {
        match self.next_until(Instant::now().checked_add(timeout)) {
            Err(_) => Some(Err(StreamError::TimedOut)),
            Ok(item) => item,
        }
    }

    /// An iterator that blocks for each item. It ends with the stream, after an error if that has one.
    pub fn blocking(&mut self) -> impl Iterator<Item = Result<T, StreamError>> {
        std::iter::from_fn(|| self.next_blocking())
    }

    fn next_until(
        &mut self,
        until: Option<Instant>,
    ) -> Result<Option<Result<T, StreamError>>, TryRecvError> {
        let portal = match self.live() {
            Ok(portal) => portal,
            Err(over) => return Ok(over.map(Err)),
        };
        let arrival = match until {
            None => portal.recv_blocking(),
            Some(until) => {
                let left = until.saturating_duration_since(Instant::now());
                match portal.recv_timeout(left) {
                    Err(TryRecvError::Empty) => return Err(TryRecvError::Empty),
                    Err(TryRecvError::Disconnected(why)) => Err(why),
                    Ok(parcel) => Ok(parcel),
                }
            }
        };
        Ok(self.take_in(arrival))
    }

    /// The portal, or what there is to say instead: once why the stream is over, then nothing.
    fn live(&mut self) -> Result<&Portal, Option<StreamError>> {
        if let Some(over) = &mut self.over {
            return Err(over.take());
        }
        match &self.end {
            End::Portal(portal, _) => Ok(portal),
            End::Source(_) => {
                self.over = Some(None);
                Err(Some(StreamError::Moved))
            }
        }
    }

    fn poll_item(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<T, StreamError>>> {
        let bell = Arc::clone(&self.bell);
        loop {
            let portal = match self.live() {
                Ok(portal) => portal,
                Err(over) => return Poll::Ready(over.map(Err)),
            };
            match portal.try_recv() {
                Ok(parcel) => return Poll::Ready(self.take_in(Ok(parcel))),
                Err(TryRecvError::Disconnected(why)) => return Poll::Ready(self.take_in(Err(why))),
                Err(TryRecvError::Empty) => {}
            }
            let waker = context.waker().clone();
            let replaced = lock(&bell.waker).replace(waker);
            drop(replaced);
            if bell.is_armed.swap(true, Ordering::SeqCst) {
                return Poll::Pending;
            }
            let watcher: Arc<dyn Watcher> = bell.clone();
            if portal.arm(&watcher) {
                return Poll::Pending;
            }
            // Something is there.
            bell.is_armed.store(false, Ordering::SeqCst);
        }
    }

    fn take_in(&mut self, arrival: Result<Parcel, Disconnect>) -> Option<Result<T, StreamError>> {
        let understood = match arrival {
            Err(why) => Err(Some(StreamError::ended(why, StreamError::Dropped))),
            Ok(parcel) => match ToReader::parse(parcel.bytes()) {
                Ok(ToReader::Item) => {
                    self.item(parcel).map_err(StreamError::Malformed).map_err(Some)
                }
                Ok(ToReader::End) => Err(None),
                Ok(ToReader::Failure(why)) => Err(Some(StreamError::Failed(why))),
                Err(error) => Err(Some(StreamError::Malformed(error))),
            },
        };
        understood
            .map(Ok)
            .or_else(|over| {
                self.over = Some(None);
                if let End::Portal(portal, _) = &self.end {
                    drop(portal.take());
                }
                over.map_or(Err(()), |error| Ok(Err(error)))
            })
            .ok()
    }

    fn item(&mut self, parcel: Parcel) -> Result<T, CodecError> {
        let weight = STREAM.weight(parcel.bytes().len());
        let (bytes, handles) = parcel.into_parts();
        let mut body = Decoder::new(bytes.get(HEAD..).unwrap_or_default(), handles);
        let item = body.take::<Plain, T>("item of a stream")?;
        body.finish("item of a stream")?;
        let End::Portal(portal, _) = &self.end else { return Ok(item) };
        if let Some(amount) = lock(&self.taken).consume(weight, STREAM) {
            // A writer that sends more than it has credit for shows here, by what has piled up.
            let status = portal.status();
            if status.num_parcels > 2 * STREAM.messages as usize {
                return Err(CodecError::new("the writer sent more than it had credit for"));
            }
            let _ = portal.put_anyway(credit(amount).into());
        }
        Ok(item)
    }
}

/// Gives what [`next`](Self::next) does.
impl<T: DeserializeOwned> futures_core::Stream for Stream<T> {
    type Item = Result<T, StreamError>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<T, StreamError>>> {
        self.poll_item(context)
    }
}

impl<T> fmt::Debug for Stream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("taken", &lock(&self.taken)).finish_non_exhaustive()
    }
}

/// Moves the stream into the message.
impl<T> Serialize for Stream<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let take = || match &self.end {
            End::Portal(portal, _) => {
                let portal = portal.take().ok_or("is over, or was moved into a message before")?;
                Ok((portal, *lock(&self.taken)))
            }
            End::Source(source) => {
                let source = lock(source).take().ok_or("was moved into a message before")?;
                Ok((source.begin()?, Amount::default()))
            }
        };
        Counted::serialize("a stream", take, serializer)
    }
}

impl<'de, T> Deserialize<'de> for Stream<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Counted { portal, amount } = Counted::deserialize(deserializer)?;
        Ok(Self::new(portal, amount.bounded(STREAM)))
    }
}
