//! ipcz
