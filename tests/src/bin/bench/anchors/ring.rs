//! A ring of fixed slots: copied in by one process, copied out by the other, and nothing else. Small
//! slots make the bare ring, large ones the bare block ring.

use std::sync::atomic::Ordering;

use serde::{Deserialize, Serialize};

use super::shared::Shared;
use super::{Service, Spinner, order};
use crate::order::Handles;
use crate::peer::Peer;
use crate::placement::Pin;

const TAIL: usize = 0;
const HEAD: usize = 2;
const STOP: usize = 4;

/// How large a ring is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Shape {
    /// Bytes of a message.
    pub(crate) size: usize,
    /// A power of two.
    pub(crate) slots: u64,
}

impl Shape {
    fn num_bytes(self) -> usize {
        self.size * self.slots as usize
    }

    fn offset(self, position: u64) -> usize {
        (position & (self.slots - 1)) as usize * self.size
    }
}

/// The writing side.
pub(crate) struct Producer {
    shared: Shared,
    shape: Shape,
    spinner: Spinner,
    tail: u64,
    /// Where the consumer was when the ring last seemed full.
    head: u64,
}

impl Producer {
    pub(crate) fn start(peer: &Peer, shape: Shape) -> Self {
        assert!(shape.slots.is_power_of_two());
        let shared = Shared::new(shape.num_bytes());
        order(peer, Service::Ring(shape), vec![shared.handle()]);
        let spinner = Spinner::new(peer.placement.pin);
        Self { shared, shape, spinner, tail: 0, head: 0 }
    }

    /// Waits for room and copies a message in.
    #[inline]
    pub(crate) fn put(&mut self, message: &[u8]) {
        let (tail, slots) = (self.tail, self.shape.slots);
        if tail - self.head == slots {
            let (head, seen) = (self.shared.word64(HEAD), &mut self.head);
            self.spinner.until(|| {
                *seen = head.load(Ordering::Acquire);
                tail - *seen < slots
            });
        }
        self.shared.write(self.shape.offset(tail), message);
        self.tail += 1;
        self.shared.word64(TAIL).store(self.tail, Ordering::Release);
    }

    /// Waits until all is read.
    pub(crate) fn flush(&mut self) {
        let (head, tail) = (self.shared.word64(HEAD), self.tail);
        self.spinner.until(|| head.load(Ordering::Acquire) == tail);
    }

    pub(crate) fn stop(self) {
        self.shared.word32(STOP).store(1, Ordering::Release);
    }
}

pub(super) fn serve(shape: Shape, pin: Pin, handles: &mut Handles) {
    let shared = Shared::receive(handles);
    let (tail, stop) = (shared.word64(TAIL), shared.word32(STOP));
    let mut spinner = Spinner::new(pin);
    let mut message = vec![0; shape.size];
    let mut head = 0;
    // Room is given back by the block, or by the batch of messages that are small.
    let batch = (shape.slots / 8).max(1);
    loop {
        let is_over = || stop.load(Ordering::Acquire) != 0;
        spinner.until(|| tail.load(Ordering::Acquire) != head || is_over());
        let end = tail.load(Ordering::Acquire).min(head + batch);
        if end == head {
            return;
        }
        while head < end {
            shared.read(shape.offset(head), &mut message);
            std::hint::black_box(&mut message);
            head += 1;
        }
        shared.word64(HEAD).store(head, Ordering::Release);
    }
}
