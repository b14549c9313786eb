//! Every bound on calls and streams, with its reason.

use super::flow::Window;

/// Messages of one client: enough to keep any server busy, few enough that what they hold on to is small.
pub(super) const CALLS: Window = Window { messages: 1024, bytes: 16 << 20 };

/// Items of one stream, of which a program may have many.
pub(super) const STREAM: Window = Window { messages: 256, bytes: 4 << 20 };

/// How many messages, and bytes of them, may wait in a client for the server's pace. Each belongs to a call that
/// somebody holds, so this stops runaway loops only.
pub(super) const MAX_WAITING_MESSAGES: usize = 64 << 10;
/// See [`MAX_WAITING_MESSAGES`].
pub(super) const MAX_WAITING_BYTES: u64 = 256 << 20;

/// How many calls may be abandoned before their replies are fetched for nobody's sake.
pub(super) const MAX_ABANDONED: usize = 32;

/// The characters of a text that a peer sent.
pub(super) const MAX_TEXT: usize = 200;
