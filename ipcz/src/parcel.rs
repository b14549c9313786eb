//! What travels through portals.

use crate::shell::{Contents, Slot};
use crate::{OsHandle, Portal, SharedMemory};

/// Bytes, and the handles that travel with them.
///
/// A parcel arrives as it was put: all of it, once, in order, at most 256 MiB and 4096 handles.
/// Dropping one closes its handles.
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
    data: Vec<u8>,
    handles: Vec<Handle>,
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
}

impl Parcel {
    /// A parcel of these bytes. A `Vec` is moved, not copied.
    #[must_use]
    #[inline]
    pub fn new(data: impl Into<Vec<u8>>) -> Self {
        Self { data: data.into(), handles: Vec::new() }
    }

    /// A parcel of these bytes and handles.
    #[must_use]
    pub fn with_handles(data: impl Into<Vec<u8>>, handles: Vec<Handle>) -> Self {
        Self { data: data.into(), handles }
    }

    /// The bytes.
    #[must_use]
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        &self.data
    }

    /// The handles, in order.
    #[must_use]
    pub fn handles(&self) -> &[Handle] {
        &self.handles
    }

    #[inline]
    pub(crate) fn is_plain(&self) -> bool {
        self.handles.is_empty()
    }

    /// The bytes, without the handles, which are closed.
    #[must_use]
    #[inline]
    pub fn into_bytes(self) -> Vec<u8> {
        self.data
    }

    /// The bytes and the handles.
    #[must_use]
    #[inline]
    pub fn into_parts(self) -> (Vec<u8>, Vec<Handle>) {
        (self.data, self.handles)
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

/// A parcel, taken apart for the engine. The portals stay the caller's until the engine has agreed.
pub(crate) struct Apart {
    pub(crate) contents: Contents,
    pub(crate) portals: Vec<Portal>,
}

impl Apart {
    pub(crate) fn take(parcel: Parcel) -> Self {
        let Parcel { data, handles } = parcel;
        let mut portals = Vec::new();
        let slots = handles.into_iter().map(|handle| match handle {
            Handle::Portal(portal) => {
                portals.push(portal);
                Slot::Portal
            }
            Handle::Os(handle) => Slot::Os(handle),
            Handle::Memory(memory) => Slot::Memory(memory.into_region()),
        });
        let slots = slots.collect();
        Self { contents: Contents { num_bytes: data.len(), data, slots }, portals }
    }

    pub(crate) fn put_together(self) -> Parcel {
        let mut portals = self.portals.into_iter();
        let handles = self.contents.slots.into_iter().filter_map(|slot| match slot {
            Slot::Portal => portals.next().map(Handle::Portal),
            Slot::Os(handle) => Some(Handle::Os(handle)),
            // What is not whole is given to nobody.
            Slot::Relayed => None,
            Slot::Memory(region) => Some(Handle::Memory(region.into())),
        });
        Parcel { handles: handles.collect(), data: self.contents.data }
    }

    /// Where portal number `portal` stands among the handles.
    pub(crate) fn place_of(&self, portal: usize) -> usize {
        let mut places = self.contents.slots.iter().enumerate();
        let mut portals = places.by_ref().filter(|(_, slot)| matches!(slot, Slot::Portal));
        portals.nth(portal).map_or(0, |(place, _)| place)
    }
}
