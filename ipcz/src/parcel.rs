//! What travels through portals.

use std::sync::Arc;

use crate::shell::{Data, Origin, ParcelReader};
use crate::{Object, OsHandle, Portal, RejectError, SharedMemory};

mod apart;

pub(crate) use apart::Apart;

/// Bytes, and the handles that travel with them.
///
/// A parcel arrives as it was put: all of it, once, in order, at most 256 MiB and 4096 handles, with
/// what is in the parcels within it. Dropping one closes its handles. It is a value of its own: any
/// number of received parcels may be kept, read and taken apart at the same time, in any order, while
/// more is received.
///
/// ```
/// use ipcz::{Handle, OsHandle, Parcel};
/// let (reader, _writer) = std::io::pipe()?;
/// let parcel = Parcel::with_handles("read this", vec![Handle::Os(OsHandle::from(reader))]);
/// assert_eq!(parcel.bytes(), b"read this");
/// let (_bytes, handles) = parcel.into_parts();
/// assert_eq!(handles.len(), 1);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct Parcel {
    data: Data,
    handles: Vec<Handle>,
    /// The connection that it came over, until it is put.
    origin: Option<Arc<Origin>>,
}

/// Something in a parcel that bytes cannot express.
#[derive(Debug)]
#[non_exhaustive]
pub enum Handle {
    /// A portal. Whoever takes the parcel has it.
    Portal(Portal),
    /// A handle of the operating system.
    Os(OsHandle),
    /// Shared memory.
    Memory(SharedMemory),
    /// A value of the application's. Once it has left its node it is a parcel.
    Object(Object),
    /// A parcel within the parcel: bytes that stay apart, and handles of its own. Parcels may be 16
    /// deep within one; an object counts as a parcel.
    Parcel(Box<Parcel>),
}

impl Parcel {
    /// A parcel of these bytes. A `Vec` is moved, not copied.
    #[must_use]
    #[inline]
    pub fn new(data: impl Into<Vec<u8>>) -> Self {
        Self { data: Data::Own(data.into()), handles: Vec::new(), origin: None }
    }

    /// A parcel of these bytes and handles.
    #[must_use]
    pub fn with_handles(data: impl Into<Vec<u8>>, handles: Vec<Handle>) -> Self {
        Self { data: Data::Own(data.into()), handles, origin: None }
    }

    /// The bytes. Large ones that came from another node are in shared memory until they are asked for
    /// here, the first time, which copies them: into memory that only this process has, so they stay
    /// what they are. To do without the copy, see [`Parcel::reader`].
    #[must_use]
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        self.data.as_slice()
    }

    /// How many bytes there are.
    #[must_use]
    #[inline]
    pub fn num_bytes(&self) -> usize {
        self.data.len()
    }

    /// Reads the bytes where they are: for large ones that came from another node, that is where the sender
    /// wrote them. Each is copied once, to where the reader is told to put it.
    ///
    /// Until [`Parcel::bytes`] was called, the sender, if it lies, can still change what it sent. So
    /// what is to be checked and then used is to be read once.
    ///
    /// ```
    /// # let (near, far) = ipcz::Node::broker()?.open_portals();
    /// use std::io::Read;
    /// near.put(vec![1; 1 << 20])?;
    /// let parcel = far.recv_blocking()?;
    /// let (mut reader, mut piece, mut sum) = (parcel.reader(), [0; 4096], 0);
    /// while let count @ 1.. = reader.read(&mut piece)? {
    ///     sum += piece[..count].iter().map(|&byte| usize::from(byte)).sum::<usize>();
    /// }
    /// assert_eq!(sum, parcel.num_bytes());
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn reader(&self) -> ParcelReader<'_> {
        ParcelReader::new(&self.data)
    }

    pub(crate) fn data(&self) -> &Data {
        &self.data
    }

    /// The handles, in order.
    #[must_use]
    pub fn handles(&self) -> &[Handle] {
        &self.handles
    }

    /// The bytes, to be changed.
    pub fn bytes_mut(&mut self) -> &mut Vec<u8> {
        self.data.as_vec_mut()
    }

    /// The handles, to be changed.
    pub fn handles_mut(&mut self) -> &mut Vec<Handle> {
        &mut self.handles
    }

    /// Takes handle number `index` out; those behind it move up. Gives nothing if there are not so
    /// many.
    pub fn take_handle(&mut self, index: usize) -> Option<Handle> {
        (index < self.handles.len()).then(|| self.handles.remove(index))
    }

    /// Takes handle number `index` out if it is a portal. Anything else stays.
    ///
    /// ```
    /// # let (near, far) = ipcz::Node::broker()?.open_portals();
    /// use ipcz::{Handle, Parcel};
    /// let inner = Parcel::with_handles("inner", vec![Handle::from(near)]);
    /// let mut outer = Parcel::with_handles("outer", vec![Handle::from(inner)]);
    /// assert!(outer.take_portal(0).is_none());
    /// let mut inner = outer.take_parcel(0).expect("it is there");
    /// let near = inner.take_portal(0).expect("it is there");
    /// near.put("hello")?;
    /// assert_eq!(far.recv_blocking()?.bytes(), b"hello");
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn take_portal(&mut self, index: usize) -> Option<Portal> {
        self.take_if(index, |handle| match handle {
            Handle::Portal(portal) => Ok(portal),
            other => Err(other),
        })
    }

    /// Takes handle number `index` out if it is one of the operating system. Anything else stays.
    pub fn take_os_handle(&mut self, index: usize) -> Option<OsHandle> {
        self.take_if(index, |handle| match handle {
            Handle::Os(handle) => Ok(handle),
            other => Err(other),
        })
    }

    /// Takes handle number `index` out if it is shared memory. Anything else stays.
    pub fn take_memory(&mut self, index: usize) -> Option<SharedMemory> {
        self.take_if(index, |handle| match handle {
            Handle::Memory(memory) => Ok(memory),
            other => Err(other),
        })
    }

    /// Takes handle number `index` out if it is an object. Anything else stays.
    pub fn take_object(&mut self, index: usize) -> Option<Object> {
        self.take_if(index, |handle| match handle {
            Handle::Object(object) => Ok(object),
            other => Err(other),
        })
    }

    /// Takes handle number `index` out if it is a parcel. Anything else stays.
    pub fn take_parcel(&mut self, index: usize) -> Option<Parcel> {
        self.take_if(index, |handle| match handle {
            Handle::Parcel(parcel) => Ok(*parcel),
            other => Err(other),
        })
    }

    fn take_if<T>(
        &mut self,
        index: usize,
        pick: impl FnOnce(Handle) -> Result<T, Handle>,
    ) -> Option<T> {
        match pick(self.take_handle(index)?) {
            Ok(picked) => Some(picked),
            Err(other) => {
                self.handles.insert(index, other);
                None
            }
        }
    }

    /// Says that the node which this parcel came from should not have sent it. The driver hears
    /// `why`, and the connection to that node is ended: its routes are cut, and say
    /// [`DisconnectKind::Rejected`](crate::DisconnectKind::Rejected) with that node's name, on both
    /// sides. If the connection is over already, nothing happens.
    ///
    /// The node is the one at the other end of the connection that brought the parcel, which on a
    /// route that has just changed may be one that passed it on. A parcel within a parcel came from
    /// where that came from. Once it is put into another portal, a parcel comes from there.
    ///
    /// ```
    /// # let (near, far) = ipcz::Node::broker()?.open_portals();
    /// near.put("from here")?;
    /// let error = far.recv_blocking()?.reject("too long").unwrap_err();
    /// assert_eq!(error.into_parcel().bytes(), b"from here");
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`RejectError`], which holds the parcel, if it was made or put on this node: there is nobody
    /// to blame.
    pub fn reject(mut self, why: &str) -> Result<(), RejectError> {
        let Some(origin) = self.origin.take() else { return Err(RejectError::new(self)) };
        origin.report(why);
        origin.reject();
        Ok(())
    }

    /// The connection that it came over.
    pub(crate) fn origin(&self) -> Option<&Arc<Origin>> {
        self.origin.as_ref()
    }

    /// Tells the driver, as [`Parcel::reject`] does, and nobody else. Gives whether the parcel came
    /// from another node.
    #[allow(dead_code, reason = "the C interface reports without disconnecting")]
    pub(crate) fn report(&self, why: &str) -> bool {
        self.origin.as_ref().is_some_and(|origin| {
            origin.report(why);
            true
        })
    }

    /// Takes off the first `num_bytes` bytes, and at most `max_handles` handles. Gives those, and
    /// what is left if that is anything.
    pub(crate) fn split(
        mut self,
        num_bytes: usize,
        max_handles: usize,
    ) -> (Vec<Handle>, Option<Self>) {
        let rest = self.handles.split_off(max_handles.min(self.handles.len()));
        let taken = std::mem::replace(&mut self.handles, rest);
        self.data.as_vec_mut().drain(..num_bytes);
        let left = !(self.data.is_empty() && self.handles.is_empty());
        (taken, left.then_some(self))
    }

    /// A parcel without handles, from wherever it came.
    #[inline]
    pub(crate) fn plain(data: Data, origin: Option<Arc<Origin>>) -> Self {
        Self { data, handles: Vec::new(), origin }
    }

    #[inline]
    pub(crate) fn is_plain(&self) -> bool {
        self.handles.is_empty()
    }

    /// What [`Parcel::plain`] made.
    #[inline]
    pub(crate) fn into_plain(self) -> (Data, Option<Arc<Origin>>) {
        (self.data, self.origin)
    }

    /// The bytes, without the handles, which are closed.
    #[must_use]
    #[inline]
    pub fn into_bytes(self) -> Vec<u8> {
        self.data.into_vec()
    }

    /// The bytes and the handles.
    #[must_use]
    #[inline]
    pub fn into_parts(self) -> (Vec<u8>, Vec<Handle>) {
        (self.data.into_vec(), self.handles)
    }
}

impl From<Vec<u8>> for Parcel {
    #[inline]
    fn from(data: Vec<u8>) -> Self {
        Self::new(data)
    }
}

impl From<&[u8]> for Parcel {
    fn from(data: &[u8]) -> Self {
        Self::new(data)
    }
}

impl<const N: usize> From<&[u8; N]> for Parcel {
    fn from(data: &[u8; N]) -> Self {
        Self::new(data.as_slice())
    }
}

impl From<String> for Parcel {
    fn from(data: String) -> Self {
        Self::new(data)
    }
}

impl From<&str> for Parcel {
    fn from(data: &str) -> Self {
        Self::new(data)
    }
}

impl From<Portal> for Handle {
    fn from(portal: Portal) -> Self {
        Self::Portal(portal)
    }
}

impl From<OsHandle> for Handle {
    fn from(handle: OsHandle) -> Self {
        Self::Os(handle)
    }
}

impl From<SharedMemory> for Handle {
    fn from(memory: SharedMemory) -> Self {
        Self::Memory(memory)
    }
}

impl From<Object> for Handle {
    fn from(object: Object) -> Self {
        Self::Object(object)
    }
}

impl From<Parcel> for Handle {
    fn from(parcel: Parcel) -> Self {
        Self::Parcel(Box::new(parcel))
    }
}

impl From<std::fs::File> for Handle {
    fn from(file: std::fs::File) -> Self {
        Self::Os(file.into())
    }
}

impl From<std::os::fd::OwnedFd> for Handle {
    fn from(fd: std::os::fd::OwnedFd) -> Self {
        Self::Os(fd.into())
    }
}
