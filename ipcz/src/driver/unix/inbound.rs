//! What is on its way in: bytes and descriptors become frames.

use std::collections::VecDeque;
use std::io::IoSliceMut;
use std::os::fd::OwnedFd;

use rustix::io::Errno;

use super::framing::{HEADER_BYTES, Header};
use super::socket::{self, MAX_FDS_A_MESSAGE};
use crate::driver::limits::{FIRST_ALLOCATION, READ_BUDGET};

/// If this much of a body is missing, it is read to where it belongs instead of being copied there.
const DIRECT_BYTES: usize = 16 << 10;

/// The most that one system call reads to where it belongs.
const WINDOW_BYTES: usize = 256 << 10;

/// After this many descriptors, those that came are handed out, for the handler to use and close,
/// before more are taken.
const FD_BUDGET: usize = 64;

/// A whole frame as it came: nothing of it has been looked into.
pub(super) struct Incoming {
    pub(super) head: Vec<u8>,
    pub(super) body: Vec<u8>,
    pub(super) kinds: Vec<u8>,
    /// As many as `kinds`.
    pub(super) fds: Vec<OwnedFd>,
}

/// Takes whole frames. An error is a violation.
pub(super) type Sink<'a> = dyn FnMut(Incoming) -> Result<(), &'static str> + 'a;

/// Why a batch of reading ended.
pub(super) enum ReadEnd {
    /// Nothing is there now, or others shall have their turn.
    Pause,
    /// The other side sends no more.
    Eof,
    /// The other side broke a rule.
    Violation(&'static str),
    /// The system refused.
    Os(Errno),
}

/// The state of reception on one transport.
#[derive(Default)]
pub(super) struct Decoder {
    header: [u8; HEADER_BYTES],
    /// How much of the next header is there.
    header_bytes: usize,
    /// The frame that is being received, once its header is complete.
    frame: Option<Partial>,
    /// Descriptors that came and that no complete frame has claimed.
    fds: VecDeque<OwnedFd>,
}

struct Partial {
    size: Header,
    kinds: Vec<u8>,
    head: Vec<u8>,
    body: Vec<u8>,
}

impl Partial {
    fn new(size: Header) -> Partial {
        Partial { size, kinds: Vec::new(), head: Vec::new(), body: Vec::new() }
    }

    /// Takes what of `bytes` belongs to this frame.
    fn fill(&mut self, bytes: &mut &[u8]) {
        fill(&mut self.kinds, self.size.attachments, bytes);
        fill(&mut self.head, self.size.head_bytes, bytes);
        fill(&mut self.body, self.size.body_bytes, bytes);
    }

    fn is_complete(&self) -> bool {
        self.only_body_missing() && self.body.len() == self.size.body_bytes
    }

    fn only_body_missing(&self) -> bool {
        self.kinds.len() == self.size.attachments && self.head.len() == self.size.head_bytes
    }
}

/// Moves bytes from the front of `from` to the end of `to` until it has `wanted`.
fn fill(to: &mut Vec<u8>, wanted: usize, from: &mut &[u8]) {
    let count = (wanted - to.len()).min(from.len());
    let (these, rest) = from.split_at(count);
    make_room(to, wanted, count);
    to.extend_from_slice(these);
    *from = rest;
}

/// Makes room for `count` more bytes of the `wanted`: at once if they are few, else never for more
/// than twice what is there.
fn make_room(to: &mut Vec<u8>, wanted: usize, count: usize) {
    if to.capacity() - to.len() < count {
        let missing = wanted - to.len();
        let ahead = missing.min(to.len().max(FIRST_ALLOCATION));
        to.reserve_exact(ahead.max(count));
    }
}

impl Decoder {
    /// Reads from `socket` until it is empty or the budget is used. `scratch` is any memory.
    pub(super) fn read(
        &mut self,
        socket: &OwnedFd,
        scratch: &mut [u8],
        sink: &mut Sink<'_>,
    ) -> ReadEnd {
        let (mut total, mut total_fds) = (0, 0);
        while total < READ_BUDGET && total_fds < FD_BUDGET {
            let filled = self.frame.as_ref().map_or(0, |frame| frame.body.len());
            let window = self.open_window();
            let (window_bytes, room) = (window.len(), window.len() + scratch.len());
            let mut parts = [IoSliceMut::new(window), IoSliceMut::new(scratch)];
            let mut fds = VecDeque::new();
            let result = socket::receive(socket, &mut parts, &mut fds);
            let num_bytes = result.as_ref().map_or(0, |received| received.num_bytes);
            self.close_window(filled + num_bytes.min(window_bytes));
            match result {
                Ok(received) if received.fds_lost => {
                    return ReadEnd::Violation(
                        "descriptors were lost on the way (out of descriptors here?)",
                    );
                }
                Ok(received) if received.foreign_control => {
                    return ReadEnd::Violation("the socket reports more than descriptors");
                }
                Ok(received) if received.num_bytes == 0 => return ReadEnd::Eof,
                Ok(_) => {}
                Err(Errno::AGAIN) => return ReadEnd::Pause,
                Err(Errno::CONNRESET) => return ReadEnd::Eof,
                Err(errno) => return ReadEnd::Os(errno),
            }
            let came_with_fds = !fds.is_empty();
            total_fds += fds.len();
            self.fds.append(&mut fds);
            let rest = &scratch[..num_bytes.saturating_sub(window_bytes)];
            if let Err(rule) = self.feed(rest, sink) {
                return ReadEnd::Violation(rule);
            }
            // A message with descriptors ends a read early; otherwise a short one found the end.
            if num_bytes < room && !came_with_fds {
                return ReadEnd::Pause;
            }
            total += num_bytes;
        }
        ReadEnd::Pause
    }

    /// Room in the body that is being received, zeroed; empty if little is missing.
    fn open_window(&mut self) -> &mut [u8] {
        match &mut self.frame {
            Some(frame) if frame.only_body_missing() => {
                let (filled, wanted) = (frame.body.len(), frame.size.body_bytes);
                if wanted - filled < DIRECT_BYTES {
                    return &mut [];
                }
                let count = (wanted - filled).min(WINDOW_BYTES);
                make_room(&mut frame.body, wanted, count);
                frame.body.resize(filled + count, 0);
                &mut frame.body[filled..]
            }
            _ => &mut [],
        }
    }

    /// Cuts the body to `filled` bytes, which were received.
    fn close_window(&mut self, filled: usize) {
        if let Some(frame) = &mut self.frame {
            frame.body.truncate(filled);
        }
    }

    /// Takes bytes that follow those taken before, and hands out the frames that they complete.
    fn feed(&mut self, mut bytes: &[u8], sink: &mut Sink<'_>) -> Result<(), &'static str> {
        loop {
            let Some(mut frame) = self.frame.take() else {
                match self.feed_header(&mut bytes)? {
                    Some(size) => self.frame = Some(Partial::new(size)),
                    None => break,
                }
                continue;
            };
            frame.fill(&mut bytes);
            if !frame.is_complete() {
                self.frame = Some(frame);
                break;
            }
            sink(self.complete(frame)?)?;
        }
        if self.fds.len() > self.claimable() {
            return Err("descriptors came that belong to no frame");
        }
        Ok(())
    }

    /// Takes bytes of a header; `None` if it is not complete.
    fn feed_header(&mut self, bytes: &mut &[u8]) -> Result<Option<Header>, &'static str> {
        let count = (HEADER_BYTES - self.header_bytes).min(bytes.len());
        let (these, rest) = bytes.split_at(count);
        self.header[self.header_bytes..][..count].copy_from_slice(these);
        self.header_bytes += count;
        *bytes = rest;
        if self.header_bytes < HEADER_BYTES {
            return Ok(None);
        }
        self.header_bytes = 0;
        Header::decode(self.header).map(Some)
    }

    /// Adds its descriptors to a frame.
    fn complete(&mut self, frame: Partial) -> Result<Incoming, &'static str> {
        let count = frame.size.attachments;
        if self.fds.len() < count {
            return Err("fewer descriptors came than a frame has attachments");
        }
        Ok(Incoming {
            head: frame.head,
            body: frame.body,
            kinds: frame.kinds,
            fds: self.fds.drain(..count).collect(),
        })
    }

    /// How many descriptors may have come for the frame that is not complete yet.
    fn claimable(&self) -> usize {
        match &self.frame {
            Some(frame) => frame.size.attachments,
            None if self.header_bytes > 0 => MAX_FDS_A_MESSAGE,
            None => 0,
        }
    }
}
