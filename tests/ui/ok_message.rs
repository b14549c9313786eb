//! What the derive emits relies on nothing in scope, and warns of nothing.

#![no_implicit_prelude]
#![deny(warnings, missing_docs)]

/// Under another name.
pub mod other {
    pub use ::ipcz::*;
}

/// Shadows whatever it can.
pub mod inner {
    #![allow(dead_code, missing_docs)]
    struct Option;
    struct Some;
    struct Ok;
    struct Err;
    struct Result;
    mod core {}
    mod std {}
    mod ipcz {}
    mod serde {}

    /// Grows.
    #[derive(::ipcz::Message)]
    #[ipcz(crate = "crate::other")]
    pub struct Counts<T, const N: usize>
    where
        T: ::std::fmt::Debug,
    {
        pub lines: u64,
        pub value: T,
        #[serde(skip)]
        pub skipped: u8,
        #[cfg(any())]
        pub absent: Missing,
        #[since(2)]
        pub words: ::std::option::Option<u64>,
    }

    #[derive(::ipcz::Message)]
    pub struct Empty {}

    #[derive(::ipcz::Message)]
    #[deprecated]
    pub enum Encoding<T> {
        Utf8,
        Latin(u8, T),
        #[unknown]
        Other,
        #[since(2)]
        Named { self_: u8, serializer: u8 },
    }

    /// With bodies, and versions.
    #[::ipcz::interface(crate = "crate::other")]
    pub trait Words {
        async fn count(&self, to: u32) -> u32 {
            self.half(to).await
        }
        async fn half(&self, to: u32) -> u32;
        #[oneway]
        fn log(&mut self, _line: ::std::string::String) {}
        #[since(2)]
        fn twice(&self, n: u32) -> u32 {
            n * 2
        }
    }
}

fn main() {}
