//! Ping-pong of a word between two threads that sleep for it.

use std::sync::atomic::{AtomicU32, Ordering};

use rustix::thread::futex::{Flags, wait, wake};

use super::shared::Shared;
use super::{PingPong, Service, order};
use crate::order::Handles;
use crate::peer::Peer;

const PING: usize = 0;
const PONG: usize = 2;
const STOP: u32 = u32::MAX;

pub(super) struct Client {
    shared: Shared,
    rounds: u32,
}

impl Client {
    pub(super) fn start(peer: &Peer) -> Self {
        let shared = Shared::new(0);
        order(peer, Service::Futex, vec![shared.handle()]);
        Self { shared, rounds: 0 }
    }
}

impl PingPong for Client {
    fn round(&mut self) {
        let last = self.rounds;
        self.rounds += 1;
        say(self.shared.word32(PING), self.rounds);
        hear(self.shared.word32(PONG), last);
    }

    fn stop(self) {
        say(self.shared.word32(PING), STOP);
    }
}

pub(super) fn serve(handles: &mut Handles) {
    let shared = Shared::receive(handles);
    let mut last = 0;
    loop {
        last = hear(shared.word32(PING), last);
        if last == STOP {
            return;
        }
        say(shared.word32(PONG), last);
    }
}

fn say(word: &AtomicU32, value: u32) {
    word.store(value, Ordering::Release);
    wake(word, Flags::empty(), 1).expect("a word of shared memory");
}

/// Sleeps until the word is not `last`, and gives what it is.
fn hear(word: &AtomicU32, last: u32) -> u32 {
    loop {
        match word.load(Ordering::Acquire) {
            value if value == last => {
                // It has changed, or a signal has come, or somebody was woken: look again.
                let _ = wait(word, Flags::empty(), last, None);
            }
            value => return value,
        }
    }
}
