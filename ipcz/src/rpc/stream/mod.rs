//! Streams: items from one end to the other, at the reader's pace.
//!
//! A stream is a portal of its own. Its messages, in the manner of [`message`](super::message):
//!
//! | kind | from | then |
//! | --- | --- | --- |
//! | 16 item | writer | the postcard encoding of the item |
//! | 17 end | writer | nothing: that was all |
//! | 18 failure | writer | UTF-8 text: that was not all, and why |
//! | 8 credit | reader | 4 bytes, how many items were taken; 8 bytes, what they weighed |
//! | 19 stop | reader | UTF-8 text: why nobody reads on |
//!
//! An item weighs its bytes, 2 MiB at most. No more than 256 items that weigh 4 MiB may be on their way; credit
//! is given for a quarter of that at a time. As a value, either end is its portal, then the items and the
//! bytes that are to be accounted for: what the writer has no credit for, what the reader has not given any.

mod error;
mod message;
mod reader;
mod source;
#[cfg(test)]
mod tests;
mod writer;

pub use error::StreamError;
pub use reader::Stream;
pub use writer::StreamSender;

pub(super) use source::Driver;
