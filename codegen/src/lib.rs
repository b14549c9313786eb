//! The interface model of ipcz, its checker and its Rust emitter.
//!
//! A front-end lowers what it read to [`ir`]; [`check::interface`] finds what is wrong with that, all
//! of it at once; [`emit::interface`] gives the Rust code. Neither knows which front-end it was.
//!
//! | module | what it is |
//! | --- | --- |
//! | [`ir`] | interfaces, methods, arguments and results, with the places they were written at |
//! | [`names`] | what identifies an interface and a method between processes |
//! | [`check`] | every rule that the model must keep, and every message that says one is broken |
//! | [`emit`] | the emitted items, one function each |

#![forbid(unsafe_code)]

pub mod check;
pub mod emit;
pub mod ir;
pub mod names;
