//! ipcz-idl
