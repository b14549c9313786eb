//! Puts and gets in two phases: bytes written and read in place.

use std::fmt;
use std::ops::{Deref, DerefMut};

use crate::error::{PutError, PutErrorKind, TryRecvError};
use crate::shell::{Data, ParcelReader};
use crate::{Handle, Parcel, Portal, wire};

/// A parcel that is being written: see [`Portal::begin_put`].
///
/// Its bytes start as zeros. They are this transaction's own until the commit moves them, so an open
/// one holds up nobody. Dropping it puts nothing.
#[must_use = "nothing is put until it is committed"]
pub struct PutTransaction<'a> {
    portal: &'a Portal,
    data: Vec<u8>,
}

impl<'a> PutTransaction<'a> {
    pub(crate) fn new(portal: &'a Portal, num_bytes: usize) -> Result<Self, PutError> {
        if num_bytes > wire::MAX_PAYLOAD {
            return Err(PutError::new(PutErrorKind::TooLarge, Parcel::default()));
        }
        Ok(Self { portal, data: vec![0; num_bytes] })
    }

    /// Keeps the first `num_bytes` bytes only. More than there are changes nothing.
    pub fn truncate(&mut self, num_bytes: usize) {
        self.data.truncate(num_bytes);
    }

    /// Puts what was written.
    ///
    /// # Errors
    /// As [`Portal::put`].
    pub fn commit(self) -> Result<(), PutError> {
        self.portal.put(self.data)
    }

    /// Puts what was written, and handles with it.
    ///
    /// # Errors
    /// As [`Portal::put`].
    pub fn commit_with(self, handles: Vec<Handle>) -> Result<(), PutError> {
        self.portal.put(Parcel::with_handles(self.data, handles))
    }
}

impl Deref for PutTransaction<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.data
    }
}

impl DerefMut for PutTransaction<'_> {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.data
    }
}

impl fmt::Debug for PutTransaction<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PutTransaction").field("num_bytes", &self.data.len()).finish()
    }
}

/// The next parcel of a portal, being read: see [`Portal::begin_get`].
///
/// Its handles stay where they are until the parcel is taken. Dropping the transaction leaves the
/// parcel where it was; to leak it by [`std::mem::forget`] leaves a parcel without its bytes.
///
/// ```
/// # let (near, mut far) = ipcz::Node::broker()?.open_portals();
/// near.put("12 apples")?;
/// let get = far.begin_get()?;
/// if get.starts_with(b"12") {
///     assert_eq!(get.commit()?.bytes(), b"12 apples");
/// }
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[must_use = "it holds a parcel that nobody can take meanwhile"]
pub struct GetTransaction<'a> {
    portal: &'a mut Portal,
    data: Data,
}

impl<'a> GetTransaction<'a> {
    pub(crate) fn new(portal: &'a mut Portal, data: Data) -> Self {
        Self { portal, data }
    }

    /// Reads the bytes where they are, as [`Parcel::reader`] does.
    pub fn reader(&self) -> ParcelReader<'_> {
        ParcelReader::new(&self.data)
    }

    /// Takes the parcel, with its handles.
    ///
    /// # Errors
    /// [`TryRecvError::Disconnected`] if the whole node was shut down meanwhile: the parcel is gone.
    pub fn commit(mut self) -> Result<Parcel, TryRecvError> {
        self.give_back();
        self.portal.try_recv()
    }

    /// Puts the bytes back to where they were lent from.
    fn give_back(&mut self) {
        let data = std::mem::take(&mut self.data);
        self.portal.shared().look(|state| {
            if let Some(contents) = state.engine.peek_mut(self.portal.id()) {
                contents.data = data;
            }
        });
    }
}

impl Drop for GetTransaction<'_> {
    fn drop(&mut self) {
        if !self.data.is_empty() {
            self.give_back();
        }
    }
}

impl Deref for GetTransaction<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.data.as_slice()
    }
}

impl fmt::Debug for GetTransaction<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GetTransaction").field("num_bytes", &self.data.len()).finish()
    }
}
