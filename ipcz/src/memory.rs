//! Shared memory as a value that can be sent.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::error::{Disconnect, Error, ErrorKind};
use crate::shell::{Allocating, Failure, block_on};
use crate::shm::{Mapping, ReadOnlyMapping, Region};

/// A piece of memory that several processes can map: made by
/// [`Node::allocate_memory`](crate::Node::allocate_memory), sent as a [`Handle`](crate::Handle).
///
/// It starts as zeros. Whoever has it may write it at any time, so its bytes are only ever copied,
/// in and out of a [`Mapping`]; whoever checks a value checks its own copy. It lives until the last
/// handle and the last mapping of it, in whichever process, is gone. Its size never changes: nobody can shrink
/// it under others.
///
/// Memory made by [`SharedMemory::read_only`] is written by its maker alone. Whoever receives it
/// is told ([`SharedMemory::is_writable`]) and can map it for reading only, whatever it does. A
/// node that says otherwise of what it sends is cut off.
///
/// ```
/// # let node = ipcz::Node::broker()?;
/// # let (near, far) = node.open_portals();
/// use ipcz::{Handle, Parcel};
/// let memory = node.allocate_memory(4096).wait()?;
/// near.put(Parcel::with_handles("look", vec![Handle::from(memory.try_clone()?)]))?;
/// memory.map()?.copy_in(100, b"hello")?;
///
/// let (_, mut handles) = far.recv_blocking()?.into_parts();
/// let Some(Handle::Memory(received)) = handles.pop() else { panic!("it was put") };
/// let mut copy = [0; 5];
/// received.map()?.copy_out(100, &mut copy)?;
/// assert_eq!(&copy, b"hello");
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct SharedMemory(Region);

impl SharedMemory {
    pub(crate) fn into_region(self) -> Region {
        self.0
    }

    /// The size in bytes; never zero.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "shared memory is never empty")]
    pub fn len(&self) -> usize {
        self.0.num_bytes()
    }

    /// A second handle of the same memory. Does not block.
    ///
    /// # Errors
    /// What the system said, usually that the process is out of descriptors.
    pub fn try_clone(&self) -> io::Result<Self> {
        self.0.try_clone().map(Self)
    }

    /// Makes zeroed memory of `num_bytes` in this process that nobody can write but through the mapping that
    /// comes with it: no handle of it can be mapped for writing again, in this process or any other.
    ///
    /// ```
    /// # let (near, far) = ipcz::Node::broker()?.open_portals();
    /// use ipcz::{Handle, Parcel, SharedMemory};
    /// let (memory, mine) = SharedMemory::read_only(4096)?;
    /// near.put(Parcel::with_handles("a table", vec![Handle::from(memory)]))?;
    /// mine.copy_in(0, b"version 1")?;
    ///
    /// let (_, mut handles) = far.recv_blocking()?.into_parts();
    /// let Some(Handle::Memory(table)) = handles.pop() else { panic!("it was put") };
    /// assert!(!table.is_writable());
    /// assert_eq!(table.map_read_only()?.to_vec(0, 9)?, b"version 1");
    /// let refused = table.map().unwrap_err();
    /// assert_eq!(refused.kind(), std::io::ErrorKind::PermissionDenied);
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] for zero bytes or more than fit an address space, else what the system
    /// said. Linux can do this since version 5.1.
    pub fn read_only(num_bytes: usize) -> io::Result<(Self, Mapping)> {
        let (region, mapping) = Region::new_read_only(num_bytes)?;
        Ok((Self(region), mapping))
    }

    /// Whether it can be mapped for writing: by whoever has it, or by nobody.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.0.is_writable()
    }

    /// Maps all of it, for reading only. The mapping outlives this handle.
    ///
    /// # Errors
    /// What the system said, usually that address space is short.
    pub fn map_read_only(&self) -> io::Result<ReadOnlyMapping> {
        self.0.map_read_only()
    }

    /// Maps all of it, for reading and writing. The mapping outlives this handle.
    ///
    /// # Errors
    /// [`io::ErrorKind::PermissionDenied`] if it can only be read ([`SharedMemory::is_writable`]), else what the
    /// system said, usually that address space is short.
    pub fn map(&self) -> io::Result<Mapping> {
        self.0.map()
    }
}

impl From<Region> for SharedMemory {
    fn from(region: Region) -> Self {
        Self(region)
    }
}

/// Shared memory that was asked for: see [`Node::allocate_memory`](crate::Node::allocate_memory).
///
/// A future that works on any executor, or is waited for with a thread. Dropping it asks for nothing
/// back: what still comes is released.
///
/// # Errors
/// [`ErrorKind::BadSize`] for zero bytes, or more than 4 GiB. [`ErrorKind::NoDelegate`] if the node
/// may not allocate and has no delegate. [`ErrorKind::DelegateRefused`] if the delegate could not;
/// [`ErrorKind::DelegateLost`] if the connection to it ended, for the reason that is the source.
/// [`ErrorKind::Os`] if this process itself was to allocate and the system refused.
/// [`ErrorKind::ShutDown`] if the node was shut down before.
#[derive(Debug)]
#[must_use = "a future does nothing until it is awaited"]
pub struct Allocation(Allocating);

impl Allocation {
    pub(crate) fn new(allocating: Allocating) -> Self {
        Self(allocating)
    }

    /// Waits with this thread, for as long as it takes. Not in a trap's callback or a waker: on the
    /// node's background thread, which would deliver the memory, it never ends.
    ///
    /// # Errors
    /// As the future.
    pub fn wait(self) -> Result<SharedMemory, Error> {
        match block_on(self.0, None) {
            Some(outcome) => outcome.map(SharedMemory).map_err(error),
            None => unreachable!("there is no deadline to pass"),
        }
    }

    /// Waits as [`Allocation::wait`] does, for at most `timeout`.
    ///
    /// # Errors
    /// As the future, and [`ErrorKind::TimedOut`].
    pub fn wait_timeout(self, timeout: Duration) -> Result<SharedMemory, Error> {
        // A timeout beyond the clock's range is none.
        match block_on(self.0, Instant::now().checked_add(timeout)) {
            Some(outcome) => outcome.map(SharedMemory).map_err(error),
            None => Err(Error::new(ErrorKind::TimedOut)),
        }
    }
}

impl Future for Allocation {
    type Output = Result<SharedMemory, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = Pin::new(&mut self.0).poll(cx);
        outcome.map(|outcome| outcome.map(SharedMemory).map_err(error))
    }
}

fn error(failure: Failure) -> Error {
    match failure {
        Failure::BadSize => Error::new(ErrorKind::BadSize),
        Failure::NoDelegate => Error::new(ErrorKind::NoDelegate),
        Failure::ShutDown => Error::new(ErrorKind::ShutDown),
        Failure::Refused => Error::new(ErrorKind::DelegateRefused),
        Failure::DelegateLost(cause) => {
            Error::with(ErrorKind::DelegateLost, Disconnect::from(cause))
        }
        Failure::Os(error) => Error::from(error),
    }
}
