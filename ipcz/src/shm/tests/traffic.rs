//! Two threads that send each other records and blocks, and sleep in between.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use super::{Random, one_mapping, two_mappings};
use crate::shm::arena::{AllocateError, BLOCK_BYTES, Block};
use crate::shm::doorbell::Sleep;
use crate::shm::link::Ends;
use crate::shm::record::{Kind, Tag};
use crate::shm::ring::WriteError;

const MESSAGES: u32 = if cfg!(miri) { 50 } else { 20_000 };

/// Stands for an eventfd.
#[derive(Default)]
struct Event {
    rung: Mutex<bool>,
    changed: Condvar,
}

impl Event {
    fn set(&self) {
        *self.rung.lock().unwrap() = true;
        self.changed.notify_one();
    }

    fn wait(&self) {
        let mut rung = self.rung.lock().unwrap();
        while !std::mem::take(&mut *rung) {
            rung = self.changed.wait(rung).unwrap();
        }
    }
}

/// One side: sends `MESSAGES` numbers, each in as many bytes as its sender likes, and expects as many.
struct Party {
    ends: Ends,
    mine: Arc<Event>,
    peers: Arc<Event>,
    random: Random,
    sent: u32,
    received: u32,
    /// Blocks that are still being looked at.
    views: VecDeque<crate::shm::arena::BlockView<Arc<crate::shm::Mapping>>>,
    want: bool,
}

fn payload(number: u32, len: usize) -> Vec<u8> {
    let mut bytes = number.to_le_bytes().to_vec();
    bytes.resize(len.max(4), number as u8);
    bytes
}

impl Party {
    fn ring(&self) {
        if self.ends.doorbell.who_sleeps().unwrap().is_some() {
            self.peers.set();
        }
    }

    /// Sends until something is in the way. Gives whether anything was written.
    fn send(&mut self) -> bool {
        let before = self.sent;
        while self.sent < MESSAGES && self.send_one().is_some() {
            self.sent += 1;
            if self.sent.is_multiple_of(3) && self.ends.writer.publish() {
                self.ring();
            }
        }
        let mut wrote = self.sent > before;
        if self.want && self.ends.writer.write(Tag::of(Kind::Want, 0), &[]).is_ok() {
            (self.want, wrote) = (false, true);
        }
        match self.ends.receive_arena.hand_back(&mut self.ends.writer) {
            Ok(any) => wrote |= any,
            Err(error) => assert_eq!(error, WriteError::Full),
        }
        // Full has published too, so the bell is asked in any case.
        self.ends.writer.publish();
        self.ring();
        wrote
    }

    fn send_one(&mut self) -> Option<()> {
        if self.random.below(4) > 0 {
            let bytes = payload(self.sent, self.random.below(300));
            let tag = Tag::of(Kind::Inline, 0);
            return self.ends.writer.write(tag, &[&bytes]).ok();
        }
        let bytes = payload(self.sent, self.random.below(9000));
        let block = match self.ends.send_arena.allocate(bytes.len()) {
            Ok(block) => block,
            Err(AllocateError::Full { ask }) => {
                self.want |= ask;
                return None;
            }
            Err(error) => panic!("{error}"),
        };
        block.copy_in(0, &bytes).unwrap();
        let block = block.commit(bytes.len()).unwrap();
        let wrote = self.ends.writer.write(Tag::of(Kind::Block, 0), &[&block.encode()]);
        if wrote.is_err() {
            self.ends.send_arena.cancel(block);
        }
        wrote.ok()
    }

    /// Reads all there is. Gives whether there was anything.
    fn receive(&mut self) -> bool {
        let mut any = false;
        while let Some(record) = self.ends.reader.next().unwrap() {
            any = true;
            let mut bytes = Vec::new();
            record.append_to(0, record.len(), &mut bytes).unwrap();
            match record.tag().kind {
                Kind::HandBack => self.ends.send_arena.take_back(&bytes).unwrap(),
                Kind::Want => drop(self.ends.receive_arena.wanted()),
                Kind::Block => {
                    let block = Block::decode(<[u8; BLOCK_BYTES]>::try_from(&bytes[..]).unwrap());
                    let view = self.ends.receive_arena.receive(block).unwrap();
                    assert_eq!(view.to_vec(), payload(self.received, view.len()));
                    self.views.push_back(view);
                    self.received += 1;
                }
                _ => {
                    assert_eq!(bytes, payload(self.received, bytes.len()));
                    self.received += 1;
                }
            }
        }
        if self.views.len() > 3 || !any {
            self.views.clear();
        }
        if self.ends.reader.release() {
            self.ring();
        }
        any
    }

    fn run(mut self) {
        while self.sent < MESSAGES || self.received < MESSAGES {
            if self.send() | self.receive() {
                continue;
            }
            self.ends.sleeper.arm(Sleep::Waiter);
            // A block's record is the shortest that may be in the way.
            let full = self.sent < MESSAGES && self.ends.writer.still_full(300).unwrap();
            let blocked = self.sent == MESSAGES || full || self.arena_is_full();
            let to_do = self.ends.reader.has_more().unwrap()
                || self.ends.receive_arena.has_done()
                || self.want
                || !blocked;
            if !to_do {
                self.mine.wait();
            }
            self.ends.sleeper.disarm();
        }
        // The peer may still want blocks back, or room.
        self.send();
        self.receive();
    }

    fn arena_is_full(&mut self) -> bool {
        match self.ends.send_arena.allocate(9000) {
            Err(AllocateError::Full { ask }) => {
                self.want |= ask;
                !ask
            }
            _ => false,
        }
    }
}

fn run((a, b): (Ends, Ends)) {
    let events = [Arc::new(Event::default()), Arc::new(Event::default())];
    let party = |ends, mine: usize| Party {
        ends,
        mine: Arc::clone(&events[mine]),
        peers: Arc::clone(&events[1 - mine]),
        random: Random(mine as u64),
        sent: 0,
        received: 0,
        views: VecDeque::new(),
        want: false,
    };
    let (a, b) = (party(a, 0), party(b, 1));
    let other = thread::spawn(|| b.run());
    a.run();
    other.join().unwrap();
}

#[test]
fn both_sides_over_one_mapping() {
    run(one_mapping());
}

#[test]
fn both_sides_over_two_mappings() {
    run(two_mappings());
}
