//! What a peer can make this process hold, and why no more.
//!
//! A frame beyond one of these is a violation where it arrives. Where it is sent, it is an error of
//! the sender: see [`Transport::transmit`](super::Transport::transmit).

use super::Frame;

/// The longest head of a frame.
///
/// Heads hold descriptions of routers and portals, tens of bytes each. The limit leaves room for
/// hundreds of thousands in one message and is little enough to hold for every peer at once.
pub const MAX_HEAD_BYTES: usize = 16 << 20;

/// The longest body of a frame.
///
/// Larger payloads belong into shared memory. The receiver allocates as bytes arrive, so what a
/// peer announces costs nothing until it is sent.
pub const MAX_BODY_BYTES: usize = 256 << 20;

/// The most attachments of one frame.
///
/// Each takes a descriptor of the receiver, which by default has 1,024 of them on many systems.
pub const MAX_ATTACHMENTS: usize = 4096;

/// How much is read from one transport before the others have their turn.
pub const READ_BUDGET: usize = 256 << 10;

/// The most that is allocated for a part of a frame ahead of what has arrived of it; beyond that,
/// as much as has arrived. Large enough that ordinary bodies are allocated once.
pub const FIRST_ALLOCATION: usize = 64 << 10;

/// Whether `frame` is within what a receiver takes.
pub(super) fn fits(frame: &Frame) -> bool {
    frame.head.len() <= MAX_HEAD_BYTES
        && frame.body.len() <= MAX_BODY_BYTES
        && frame.attachments.len() <= MAX_ATTACHMENTS
}
