//! Memory that several processes can map.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{MemfdFlags, OFlags, SealFlags};

use super::{Mapping, ReadOnlyMapping};

/// `f_type` of the file system that memory files live on. Huge pages live on another, where a
/// write can fault for want of a page; those are refused.
const TMPFS_MAGIC: u64 = 0x0102_1994;

/// A piece of memory of fixed size that can be sent to other processes and mapped by them.
///
/// On Linux: a memory file whose size is sealed, so that no process, however hostile, can shrink it
/// under those that map it. Everyone who has the region may write its bytes, unless it is sealed against that too
/// ([`Region::new_read_only`]).
#[derive(Debug)]
pub struct Region {
    fd: OwnedFd,
    num_bytes: usize,
    is_writable: bool,
}

/// Why a descriptor is no region.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegionError {
    /// It is not a memory file, or one of huge pages.
    #[error("the descriptor is no memory file of ordinary pages")]
    NotMemory,
    /// Its size can still change, or its seals can.
    #[error("the memory file is not sealed against shrinking, growing and further seals")]
    NotSealed,
    /// It is not open for writing, though nothing forbids others to write it; or not for reading.
    #[error(
        "the memory file is neither open for both reading and writing nor sealed against writing"
    )]
    NotWritable,
    /// It has no byte, or more than fit an address space.
    #[error("the memory file is empty or does not fit an address space")]
    BadSize,
    /// The system refused to tell.
    #[error(transparent)]
    Os(#[from] io::Error),
}

/// What makes a size final.
fn size_seals() -> SealFlags {
    SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL
}

/// A zeroed memory file of this size, with no seal yet.
fn memory_file(num_bytes: usize) -> io::Result<OwnedFd> {
    if num_bytes == 0 || isize::try_from(num_bytes).is_err() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "a region has at least one byte and fits an address space",
        ));
    }
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let fd = rustix::fs::memfd_create("ipcz", flags)?;
    rustix::fs::ftruncate(&fd, num_bytes as u64)?;
    Ok(fd)
}

impl Region {
    /// Makes a zeroed region. Pages are taken from the system when they are first written.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] for zero bytes or more than fit an address space, else what
    /// the system said.
    pub fn new(num_bytes: usize) -> io::Result<Region> {
        let fd = memory_file(num_bytes)?;
        rustix::fs::fcntl_add_seals(&fd, size_seals())?;
        Ok(Region { fd, num_bytes, is_writable: true })
    }

    /// Makes a zeroed region that nobody can write but through the mapping that comes with it: the system
    /// makes no other that can.
    ///
    /// # Errors
    /// As [`Region::new`]. Linux can do this since version 5.1.
    pub fn new_read_only(num_bytes: usize) -> io::Result<(Region, Mapping)> {
        let fd = memory_file(num_bytes)?;
        let mapping = Mapping::new(fd.as_fd(), num_bytes)?;
        rustix::fs::fcntl_add_seals(&fd, size_seals() | SealFlags::FUTURE_WRITE)?;
        Ok((Region { fd, num_bytes, is_writable: false }, mapping))
    }

    /// Takes a descriptor for a region if it is one, whoever made it.
    ///
    /// Everything that mapping relies on is checked here, and sealed, so it stays true.
    ///
    /// # Errors
    /// It is none; the descriptor is closed.
    pub fn from_fd(fd: OwnedFd) -> Result<Region, RegionError> {
        let seals = rustix::fs::fcntl_get_seals(&fd).map_err(|_| RegionError::NotMemory)?;
        if rustix::fs::fstatfs(&fd).map_err(io::Error::from)?.f_type as u64 != TMPFS_MAGIC {
            return Err(RegionError::NotMemory);
        }
        if !seals.contains(size_seals()) {
            return Err(RegionError::NotSealed);
        }
        let mode = rustix::fs::fcntl_getfl(&fd).map_err(io::Error::from)?;
        let is_writable = !seals.intersects(SealFlags::WRITE | SealFlags::FUTURE_WRITE);
        let is_open = match mode & OFlags::RWMODE {
            OFlags::RDWR => true,
            mode => mode == OFlags::RDONLY && !is_writable,
        };
        if !is_open {
            return Err(RegionError::NotWritable);
        }
        let size = rustix::fs::fstat(&fd).map_err(io::Error::from)?.st_size;
        match usize::try_from(size) {
            Ok(num_bytes) if num_bytes > 0 && isize::try_from(num_bytes).is_ok() => {
                Ok(Region { fd, num_bytes, is_writable })
            }
            _ => Err(RegionError::BadSize),
        }
    }

    /// The size in bytes; never zero.
    pub fn num_bytes(&self) -> usize {
        self.num_bytes
    }

    /// Whether it can be mapped for writing.
    pub fn is_writable(&self) -> bool {
        self.is_writable
    }

    /// A second handle of the same memory.
    ///
    /// # Errors
    /// What the system said, usually that the process is out of descriptors.
    pub fn try_clone(&self) -> io::Result<Region> {
        Ok(Region { fd: self.fd.try_clone()?, ..*self })
    }

    /// Maps all of it, for reading and writing.
    ///
    /// # Errors
    /// [`io::ErrorKind::PermissionDenied`] if it can only be read, else what the system said, usually that
    /// address space is short.
    pub fn map(&self) -> io::Result<Mapping> {
        if !self.is_writable {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                "this memory can only be read",
            ));
        }
        Mapping::new(self.fd.as_fd(), self.num_bytes)
    }

    /// Maps all of it, for reading only, whether or not it can be written.
    ///
    /// # Errors
    /// What the system said, usually that address space is short.
    pub fn map_read_only(&self) -> io::Result<ReadOnlyMapping> {
        ReadOnlyMapping::new(self.fd.as_fd(), self.num_bytes)
    }
}

impl AsFd for Region {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl From<Region> for OwnedFd {
    fn from(region: Region) -> OwnedFd {
        region.fd
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shm::OutOfBounds;

    fn refused(fd: OwnedFd) -> RegionError {
        Region::from_fd(fd).expect_err("taken for a region")
    }

    fn memfd(size: u64, seals: SealFlags) -> OwnedFd {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let fd = rustix::fs::memfd_create("test", flags).unwrap();
        rustix::fs::ftruncate(&fd, size).unwrap();
        rustix::fs::fcntl_add_seals(&fd, seals).unwrap();
        fd
    }

    #[test]
    fn two_mappings_show_the_same_zeroed_bytes() {
        let region = Region::new(5000).unwrap();
        let other = Region::from_fd(region.try_clone().unwrap().into()).unwrap();
        assert_eq!(other.num_bytes(), 5000);
        let (one, two) = (region.map().unwrap(), other.map().unwrap());
        drop((region, other));
        one.copy_in(4996, b"tail").unwrap();
        let mut got = [1; 8];
        two.copy_out(4992, &mut got).unwrap();
        assert_eq!(&got, b"\0\0\0\0tail");
    }

    #[test]
    fn copies_beyond_the_end_are_refused() {
        let mapping = Region::new(10).unwrap().map().unwrap();
        assert_eq!(mapping.len(), 10);
        mapping.copy_in(10, b"").unwrap();
        let expected = OutOfBounds { offset: 8, len: 3, mapped: 10 };
        assert_eq!(mapping.copy_in(8, b"abc"), Err(expected));
        assert!(mapping.copy_out(usize::MAX, &mut [0; 2]).is_err());
        assert!(mapping.copy_out(11, &mut []).is_err());
    }

    #[test]
    fn impossible_sizes_are_refused() {
        for size in [0, usize::MAX] {
            let kind = Region::new(size).unwrap_err().kind();
            assert_eq!(kind, io::ErrorKind::InvalidInput);
        }
    }

    #[test]
    fn only_sealed_memory_is_a_region() {
        let null = std::fs::File::open("/dev/null").unwrap();
        assert!(matches!(refused(null.into()), RegionError::NotMemory));
        let shrinkable = memfd(10, SealFlags::GROW | SealFlags::SEAL);
        assert!(matches!(refused(shrinkable), RegionError::NotSealed));
        let unsealed = memfd(10, SealFlags::GROW | SealFlags::SHRINK);
        assert!(matches!(refused(unsealed), RegionError::NotSealed));
        assert!(matches!(refused(memfd(0, size_seals())), RegionError::BadSize));
    }

    /// The same memory file, opened anew.
    fn reopened(fd: &OwnedFd, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        use std::os::fd::AsRawFd;
        let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
        rustix::fs::open(path, flags | OFlags::CLOEXEC, rustix::fs::Mode::empty())
    }

    #[test]
    fn read_only_memory_is_written_by_who_made_it_alone() {
        let (region, mine) = Region::new_read_only(5000).unwrap();
        assert!(!region.is_writable());
        let theirs = Region::from_fd(region.try_clone().unwrap().into()).unwrap();
        assert!(!theirs.is_writable());
        for region in [&region, &theirs] {
            assert_eq!(region.map().unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        }
        let seen = theirs.map_read_only().unwrap();
        mine.copy_in(4996, b"tail").unwrap();
        let mut got = [1; 8];
        seen.copy_out(4992, &mut got).unwrap();
        assert_eq!((&got, seen.len()), (b"\0\0\0\0tail", 5000));
        assert!(seen.copy_out(4993, &mut got).is_err());
        assert_eq!(seen.to_vec(4996, 4).unwrap(), b"tail");
        // Whatever is tried with the descriptor itself.
        let fd = reopened(&region.fd, OFlags::RDWR).unwrap();
        assert!(Mapping::new(fd.as_fd(), 5000).is_err());
        assert!(rustix::io::write(&fd, b"x").is_err());
        assert!(rustix::fs::ftruncate(&fd, 1).is_err());
        // A mapping of memory that can be written may be for reading only, too.
        let region = Region::new(10).unwrap();
        region.map().unwrap().copy_in(0, b"x").unwrap();
        assert_eq!(region.map_read_only().unwrap().to_vec(0, 1).unwrap(), b"x");
    }

    #[test]
    fn what_cannot_be_written_is_sealed_against_it() {
        let constant = memfd(10, size_seals() | SealFlags::WRITE);
        assert!(!Region::from_fd(constant).unwrap().is_writable());
        let open = memfd(10, size_seals());
        let to_read = reopened(&open, OFlags::RDONLY).unwrap();
        assert!(matches!(refused(to_read), RegionError::NotWritable));
        let sealed = memfd(10, size_seals() | SealFlags::FUTURE_WRITE);
        let to_read = reopened(&sealed, OFlags::RDONLY).unwrap();
        assert!(!Region::from_fd(to_read).unwrap().is_writable());
        let to_write = reopened(&sealed, OFlags::WRONLY).unwrap();
        assert!(matches!(refused(to_write), RegionError::NotWritable));
    }
}
