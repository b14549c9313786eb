//! The compiler of ipcz's interface language, `.ipczidl`: not written yet.
//!
//! The crate holds its name and its place in the workspace. Until it exists, interfaces are
//! written as traits with `#[ipcz::interface]`; both lower to the model in `ipcz-codegen`.

#![forbid(unsafe_code)]
