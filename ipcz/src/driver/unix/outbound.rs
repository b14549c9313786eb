//! What is on its way out: frames in the form in which they travel.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::os::fd::OwnedFd;

use rustix::io::Errno;

use super::framing::{HEADER_BYTES, Header, Kind};
use super::socket::{self, MAX_FDS_A_MESSAGE};

/// How many pieces one system call is given at most. A frame has up to four.
const MAX_PIECES: usize = 64;

/// A frame that is not sent completely.
pub(super) struct Outgoing {
    header: [u8; HEADER_BYTES],
    kinds: Vec<u8>,
    head: Vec<u8>,
    body: Vec<u8>,
    /// Bytes that the system has taken.
    sent: usize,
    /// Descriptors that it has not.
    fds: Vec<OwnedFd>,
}

impl Outgoing {
    /// Takes a frame apart. It is within the limits; `attachments` is empty for most.
    pub(super) fn new(head: Vec<u8>, body: Vec<u8>, attachments: Vec<(Kind, OwnedFd)>) -> Outgoing {
        let header = Header {
            head_bytes: head.len(),
            body_bytes: body.len(),
            attachments: attachments.len(),
        };
        let (kinds, fds) = attachments.into_iter().map(|(kind, fd)| (kind as u8, fd)).unzip();
        Outgoing { header: header.encode(), kinds, head, body, sent: 0, fds }
    }

    fn len(&self) -> usize {
        HEADER_BYTES + self.kinds.len() + self.head.len() + self.body.len()
    }

    fn remaining(&self) -> usize {
        self.len() - self.sent
    }

    /// The offset of the byte that the first unsent descriptor travels with.
    fn next_fd_offset(&self) -> usize {
        match self.kinds.len() - self.fds.len() {
            0 => 0,
            fds_sent => HEADER_BYTES + fds_sent,
        }
    }

    /// The descriptors that travel with the next byte, and how far to send after it at most.
    fn next_stretch(&self) -> (&[OwnedFd], usize) {
        if self.fds.is_empty() {
            return (&[], self.len());
        }
        let offset = self.next_fd_offset();
        if self.sent < offset {
            return (&[], offset);
        }
        if self.fds.len() <= MAX_FDS_A_MESSAGE {
            return (&self.fds, self.len());
        }
        let fds_sent = self.kinds.len() - self.fds.len();
        let end = HEADER_BYTES + fds_sent + MAX_FDS_A_MESSAGE;
        (&self.fds[..MAX_FDS_A_MESSAGE], end)
    }

    /// Adds the bytes from the first unsent one up to offset `end` to `pieces`.
    fn gather<'a>(&'a self, end: usize, pieces: &mut Pieces<'a>) {
        let mut from = self.sent;
        let mut begin = 0;
        for part in [&self.header[..], &self.kinds, &self.head, &self.body] {
            let part_end = begin + part.len();
            let upto = part_end.min(end);
            if from < upto {
                pieces.push(&part[from - begin..upto - begin]);
                from = upto;
            }
            begin = part_end;
        }
    }
}

/// What one system call sends.
struct Pieces<'a> {
    slices: [IoSlice<'a>; MAX_PIECES],
    len: usize,
    num_bytes: usize,
}

impl<'a> Pieces<'a> {
    fn new() -> Self {
        Pieces { slices: [IoSlice::new(&[]); MAX_PIECES], len: 0, num_bytes: 0 }
    }

    fn push(&mut self, bytes: &'a [u8]) {
        self.slices[self.len] = IoSlice::new(bytes);
        self.len += 1;
        self.num_bytes += bytes.len();
    }

    fn has_room_for_a_frame(&self) -> bool {
        self.len + 4 <= MAX_PIECES
    }
}

/// Where a flush ended.
pub(super) enum Flushed {
    /// The queue is empty.
    All,
    /// The socket is full; it becomes writable.
    Full,
    /// The system has no memory, or too many descriptors are in flight. Nothing tells when that
    /// is over.
    Exhausted,
    /// The socket is of no more use.
    Failed(Errno),
}

/// The frames that one transport has yet to send, in order.
#[derive(Default)]
pub(super) struct SendQueue {
    frames: VecDeque<Outgoing>,
    num_bytes: usize,
}

impl SendQueue {
    pub(super) fn push(&mut self, frame: Outgoing) {
        self.num_bytes += frame.remaining();
        self.frames.push_back(frame);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    pub(super) fn num_bytes(&self) -> usize {
        self.num_bytes
    }

    /// Sends what `socket` takes, without blocking.
    pub(super) fn flush(&mut self, socket: &OwnedFd) -> Flushed {
        while !self.frames.is_empty() {
            let (pieces, fds) = self.next_message();
            let (wanted, num_fds) = (pieces.num_bytes, fds.len());
            match socket::send(socket, &pieces.slices[..pieces.len], fds) {
                Ok(sent) => {
                    self.advance(sent, num_fds);
                    if sent < wanted {
                        return Flushed::Full;
                    }
                }
                Err(Errno::AGAIN) => return Flushed::Full,
                Err(Errno::TOOMANYREFS | Errno::NOBUFS | Errno::NOMEM) => {
                    return Flushed::Exhausted;
                }
                Err(errno) => return Flushed::Failed(errno),
            }
        }
        Flushed::All
    }

    /// As much as may go in one system call, with the descriptors for its first byte. Frames follow
    /// each other up to the first byte that needs descriptors of its own.
    fn next_message(&self) -> (Pieces<'_>, &[OwnedFd]) {
        let mut pieces = Pieces::new();
        let mut fds: &[OwnedFd] = &[];
        for (index, frame) in self.frames.iter().enumerate() {
            let (frame_fds, end) = frame.next_stretch();
            if index == 0 {
                fds = frame_fds;
            } else if !frame_fds.is_empty() {
                break;
            }
            frame.gather(end, &mut pieces);
            if end < frame.len() || !pieces.has_room_for_a_frame() {
                break;
            }
        }
        (pieces, fds)
    }

    /// Notes that `num_bytes` and the first `num_fds` descriptors were sent.
    fn advance(&mut self, mut num_bytes: usize, num_fds: usize) {
        self.num_bytes -= num_bytes;
        if let Some(first) = self.frames.front_mut() {
            first.fds.drain(..num_fds);
        }
        while let Some(frame) = self.frames.front_mut() {
            let remaining = frame.remaining();
            if num_bytes < remaining {
                frame.sent += num_bytes;
                return;
            }
            num_bytes -= remaining;
            self.frames.pop_front();
        }
    }
}
