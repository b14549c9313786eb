//! Ping-pong of a cache line between two spinning threads.

use std::sync::atomic::Ordering;

use super::shared::Shared;
use super::{PingPong, Service, Spinner, order};
use crate::order::Handles;
use crate::peer::Peer;
use crate::placement::Pin;

const PING: usize = 0;
const PONG: usize = 2;
const STOP: u32 = u32::MAX;

pub(super) struct Client {
    shared: Shared,
    spinner: Spinner,
    rounds: u32,
}

impl Client {
    pub(super) fn start(peer: &Peer) -> Self {
        let shared = Shared::new(0);
        order(peer, Service::Spin, vec![shared.handle()]);
        Self { shared, spinner: Spinner::new(peer.placement.pin), rounds: 0 }
    }
}

impl PingPong for Client {
    fn round(&mut self) {
        self.rounds += 1;
        self.shared.word32(PING).store(self.rounds, Ordering::Release);
        let pong = self.shared.word32(PONG);
        self.spinner.until(|| pong.load(Ordering::Acquire) == self.rounds);
    }

    fn stop(self) {
        self.shared.word32(PING).store(STOP, Ordering::Release);
    }
}

pub(super) fn serve(pin: Pin, handles: &mut Handles) {
    let shared = Shared::receive(handles);
    let (ping, pong) = (shared.word32(PING), shared.word32(PONG));
    let mut spinner = Spinner::new(pin);
    let mut last = 0;
    loop {
        spinner.until(|| ping.load(Ordering::Acquire) != last);
        last = ping.load(Ordering::Acquire);
        if last == STOP {
            return;
        }
        pong.store(last, Ordering::Release);
    }
}
