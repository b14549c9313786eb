//! ipcz/core
