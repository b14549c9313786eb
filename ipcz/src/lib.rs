//! ipcz
#![deny(unsafe_code)]

pub mod driver;
mod os_handle;
pub mod shm;

pub use os_handle::OsHandle;
