//! The emitted code relies on nothing that is in scope where it lands.

#![no_implicit_prelude]
#![deny(warnings, missing_docs)]

/// Shadows whatever it can.
pub mod inner {
    #![allow(dead_code, unused_macros, non_camel_case_types, missing_docs)]
    use ::std::string::String;
    use ::std::vec::Vec;

    struct Option;
    struct Some;
    struct Ok;
    struct Err;
    struct Send;
    struct Sync;
    struct Future;
    struct Box;
    struct Default;
    struct Clone;
    struct Self_;
    mod core {}
    mod std {}
    mod ipcz {}
    mod serde {}
    type u64 = ();
    macro_rules! concat {
        () => {};
    }

    /// Has arguments named as the emitted code's own.
    #[::ipcz::interface]
    pub trait Words {
        async fn count(&self, to: String, from: Vec<u8>, server: (), request: (), method: ()) -> bool;
        async fn find(&self, answer: &str, message: &[u8], handles: (), result: (), self_: u32);
        #[oneway]
        fn r#match(&self, r#type: String);
    }

    struct S;
    struct D;
    struct __private;

    /// Is no longer wanted.
    #[::ipcz::interface]
    #[deprecated]
    pub trait Old {
        #[deprecated = "old"]
        fn old(&self);
    }

    /// Has types named as the emitted code's own.
    #[::ipcz::interface]
    trait Server {
        fn s(&self);
    }
}

fn main() {}
