//! Every bound on a value, with its reason.

/// How deep values nest. serde recurses once or more a level; 128 levels of large frames fit the
/// smallest default stack of a thread, and no honest message comes near.
pub(super) const MAX_DEPTH: u32 = 128;

/// The bytes of one message, no more than a parcel may have. Larger data belongs in shared memory or in several messages.
pub(super) const MAX_BYTES: usize = 256 << 20;

/// The handles of one message.
pub(super) const MAX_HANDLES: usize = 4096;

/// How many elements a message may have beyond one per byte. Elements that encode to nothing, such
/// as those of a `Vec<()>`, are free for the sender and cost the reader a turn of a loop each.
pub(super) const MAX_EMPTY_ITEMS: usize = 4096;

/// The characters of a text that came from a peer or from an application's serde code.
pub(super) const MAX_ERROR_CHARS: usize = 400;
