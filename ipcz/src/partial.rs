//! Gets with bounds: only what fits, or as much as fits.

use std::fmt;

use ipcz_core::GetRefused;

use crate::error::TryRecvError;
use crate::{Handle, Parcel, Portal};

/// How large a parcel is: its own bytes and handles, without what is in the parcels within it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ParcelSize {
    /// Bytes.
    pub num_bytes: usize,
    /// Handles.
    pub num_handles: usize,
}

/// What [`Portal::try_recv_into`] took.
#[derive(Debug)]
pub struct Partial {
    /// How large the parcel was.
    pub size: ParcelSize,
    /// How many of its bytes were copied.
    pub num_bytes: usize,
    /// The first of its handles.
    pub handles: Vec<Handle>,
    /// The other bytes and handles, if there are any. Dropping it closes those.
    pub rest: Option<Parcel>,
}

/// Why [`Portal::try_recv_within`] took nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecvWithinError {
    /// The next parcel is larger than was allowed, and stays where it is. This is its size.
    TooSmall(ParcelSize),
    /// There is no parcel.
    NoParcel(TryRecvError),
}

impl fmt::Display for RecvWithinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooSmall(ParcelSize { num_bytes, num_handles }) => {
                write!(f, "the next parcel has {num_bytes} bytes and {num_handles} handles")
            }
            Self::NoParcel(why) => why.fmt(f),
        }
    }
}

impl std::error::Error for RecvWithinError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::TooSmall(_) => None,
            Self::NoParcel(why) => Some(why),
        }
    }
}

impl Portal {
    /// Takes the next parcel if it has at most so many bytes and handles. A larger one stays the
    /// next.
    ///
    /// ```
    /// # let (near, far) = ipcz::Node::broker()?.open_portals();
    /// use ipcz::{ParcelSize, RecvWithinError};
    /// near.put("hello")?;
    /// let size = ParcelSize { num_bytes: 5, num_handles: 0 };
    /// assert_eq!(far.try_recv_within(4, 0).unwrap_err(), RecvWithinError::TooSmall(size));
    /// assert_eq!(far.try_recv_within(5, 0)?.bytes(), b"hello");
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`RecvWithinError`]. Either leaves the portal as it was.
    pub fn try_recv_within(
        &self,
        max_bytes: usize,
        max_handles: usize,
    ) -> Result<Parcel, RecvWithinError> {
        let taken = self.shared().step(|state| {
            if let Some(next) = state.engine.peek(self.id()) {
                let contents = &next.payload;
                let (num_bytes, num_handles) = (contents.data.len(), contents.slots.len());
                if num_bytes > max_bytes || num_handles > max_handles {
                    return Err(Ok(ParcelSize { num_bytes, num_handles }));
                }
            }
            state.engine.get(self.id()).map_err(Err::<_, GetRefused>)
        });
        taken.map(|parcel| self.receive(parcel)).map_err(|refused| match refused {
            Ok(size) => RecvWithinError::TooSmall(size),
            Err(refused) => RecvWithinError::NoParcel(self.try_recv_error(refused)),
        })
    }

    /// Takes the next parcel, whatever its size: copies the first of its bytes into `buffer`, as many
    /// as fit, and gives the first of its handles, `max_handles` at most. What is left of the parcel
    /// is in the result; it is not in the portal any more.
    ///
    /// ```
    /// # let (near, far) = ipcz::Node::broker()?.open_portals();
    /// near.put("hello")?;
    /// let mut buffer = [0; 2];
    /// let part = far.try_recv_into(&mut buffer, 0)?;
    /// assert_eq!((part.num_bytes, part.size.num_bytes, &buffer), (2, 5, b"he"));
    /// assert_eq!(part.rest.expect("three bytes").bytes(), b"llo");
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Portal::try_recv`]; the buffer is as it was.
    pub fn try_recv_into(
        &self,
        buffer: &mut [u8],
        max_handles: usize,
    ) -> Result<Partial, TryRecvError> {
        let parcel = self.try_recv()?;
        let size =
            ParcelSize { num_bytes: parcel.num_bytes(), num_handles: parcel.handles().len() };
        let num_bytes = parcel.data().read_at(0, buffer);
        let (handles, rest) = parcel.split(num_bytes, max_handles);
        Ok(Partial { size, num_bytes, handles, rest })
    }
}
