//! A private stand-in for the engine, dropped when the real one is merged.
#![allow(missing_docs, clippy::missing_errors_doc)]

use std::collections::VecDeque;
use std::fs::File;
use std::future::Future;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

#[derive(Clone, Debug)]
pub struct Node;
#[derive(Debug)]
pub struct Error;
impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("error")
    }
}
impl std::error::Error for Error {}
impl Node {
    pub fn broker() -> Result<Self, Error> {
        Ok(Self)
    }
    #[must_use]
    pub fn open_portals(&self) -> (Portal, Portal) {
        let a = Arc::new(Queue::default());
        let b = Arc::new(Queue::default());
        let one = End {
            inbox: a.clone(),
            outbox: b.clone(),
        };
        let two = End {
            inbox: b,
            outbox: a,
        };
        (Portal::new(one), Portal::new(two))
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the other end was closed")]
pub struct Disconnect;
#[derive(Debug)]
pub enum TryRecvError {
    Empty,
    Disconnected(Disconnect),
}
#[derive(Debug)]
pub struct PutError {
    parcel: Parcel,
}
impl PutError {
    #[must_use]
    pub fn into_parcel(self) -> Parcel {
        self.parcel
    }
}
#[derive(Debug)]
pub enum Handle {
    Portal(Portal),
    Os(OsHandle),
}
#[derive(Debug, Default)]
pub struct Parcel {
    bytes: Vec<u8>,
    handles: Vec<Handle>,
}
impl Parcel {
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self::with_handles(bytes, Vec::new())
    }
    pub fn with_handles(bytes: impl Into<Vec<u8>>, handles: Vec<Handle>) -> Self {
        Self {
            bytes: bytes.into(),
            handles,
        }
    }
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
    #[must_use]
    pub fn into_parts(self) -> (Vec<u8>, Vec<Handle>) {
        (self.bytes, self.handles)
    }
}
#[derive(Debug)]
pub struct OsHandle(Mutex<Option<OwnedFd>>);
impl From<OwnedFd> for OsHandle {
    fn from(fd: OwnedFd) -> Self {
        Self(Mutex::new(Some(fd)))
    }
}
impl From<File> for OsHandle {
    fn from(file: File) -> Self {
        OwnedFd::from(file).into()
    }
}
impl TryFrom<OsHandle> for OwnedFd {
    type Error = Error;
    fn try_from(handle: OsHandle) -> Result<Self, Error> {
        handle.take().ok_or(Error)
    }
}
impl OsHandle {
    pub(crate) fn take(&self) -> Option<OwnedFd> {
        self.0.lock().unwrap().take()
    }
}

pub(crate) trait Watcher: Send + Sync {
    fn on_ready(self: Arc<Self>);
}

#[derive(Default)]
struct Inner {
    parcels: VecDeque<Parcel>,
    closed: bool,
    receiver_gone: bool,
    wakers: Vec<Waker>,
    watchers: Vec<Arc<dyn Watcher>>,
}
#[derive(Default)]
struct Queue(Mutex<Inner>, Condvar);
impl Queue {
    fn ring(&self, change: impl FnOnce(&mut Inner)) {
        let mut inner = self.0.lock().unwrap();
        change(&mut inner);
        let wakers = std::mem::take(&mut inner.wakers);
        let watchers = std::mem::take(&mut inner.watchers);
        self.1.notify_all();
        drop(inner);
        wakers.into_iter().for_each(Waker::wake);
        watchers.into_iter().for_each(Watcher::on_ready);
    }
}
struct End {
    inbox: Arc<Queue>,
    outbox: Arc<Queue>,
}
impl Drop for End {
    fn drop(&mut self) {
        let rest = {
            let mut inner = self.inbox.0.lock().unwrap();
            inner.receiver_gone = true;
            std::mem::take(&mut inner.parcels)
        };
        drop(rest);
        self.outbox.ring(|q| q.closed = true);
    }
}
pub struct Portal {
    end: Mutex<Option<Arc<End>>>,
}
impl std::fmt::Debug for Portal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Portal")
    }
}
impl Portal {
    fn new(end: End) -> Self {
        Self {
            end: Mutex::new(Some(Arc::new(end))),
        }
    }
    fn end(&self) -> Option<Arc<End>> {
        self.end.lock().unwrap().clone()
    }
    pub fn put(&self, parcel: impl Into<Parcel>) -> Result<(), PutError> {
        let parcel = parcel.into();
        let Some(end) = self.end() else {
            return Err(PutError { parcel });
        };
        if end.outbox.0.lock().unwrap().receiver_gone {
            return Err(PutError { parcel });
        }
        end.outbox.ring(|q| q.parcels.push_back(parcel));
        Ok(())
    }
    fn step(mut inner: MutexGuard<'_, Inner>) -> Result<Parcel, TryRecvError> {
        match inner.parcels.pop_front() {
            Some(parcel) => Ok(parcel),
            None if inner.closed => Err(TryRecvError::Disconnected(Disconnect)),
            None => Err(TryRecvError::Empty),
        }
    }
    pub fn try_recv(&self) -> Result<Parcel, TryRecvError> {
        let Some(end) = self.end() else {
            return Err(TryRecvError::Disconnected(Disconnect));
        };
        Self::step(end.inbox.0.lock().unwrap())
    }
    pub fn recv(&self) -> Recv<'_> {
        Recv(self)
    }
    pub fn recv_blocking(&self) -> Result<Parcel, Disconnect> {
        match self.recv_timeout(Duration::from_secs(3600)) {
            Ok(parcel) => Ok(parcel),
            Err(_) => Err(Disconnect),
        }
    }
    pub fn recv_timeout(&self, d: Duration) -> Result<Parcel, TryRecvError> {
        let Some(end) = self.end() else {
            return Err(TryRecvError::Disconnected(Disconnect));
        };
        let until = Instant::now() + d;
        let mut inner = end.inbox.0.lock().unwrap();
        while inner.parcels.is_empty() && !inner.closed && Instant::now() < until {
            inner = end
                .inbox
                .1
                .wait_timeout(inner, until.saturating_duration_since(Instant::now()))
                .unwrap()
                .0;
        }
        Self::step(inner)
    }
    #[must_use]
    pub fn node(&self) -> Node {
        Node
    }
    pub(crate) fn take(&self) -> Option<Portal> {
        self.end.lock().unwrap().take().map(|end| Portal {
            end: Mutex::new(Some(end)),
        })
    }
    pub(crate) fn arm(&self, watcher: &Arc<dyn Watcher>) -> bool {
        let Some(end) = self.end() else { return false };
        let mut inner = end.inbox.0.lock().unwrap();
        if inner.closed || !inner.parcels.is_empty() {
            return false;
        }
        inner.watchers.push(watcher.clone());
        true
    }
}
pub struct Recv<'a>(&'a Portal);
impl Future for Recv<'_> {
    type Output = Result<Parcel, Disconnect>;
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(end) = self.0.end() else {
            return Poll::Ready(Err(Disconnect));
        };
        let mut inner = end.inbox.0.lock().unwrap();
        match inner.parcels.pop_front() {
            Some(parcel) => Poll::Ready(Ok(parcel)),
            None if inner.closed => Poll::Ready(Err(Disconnect)),
            None => {
                inner.wakers.push(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}
