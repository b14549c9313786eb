//! Ping-pong of two event counters.

use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{EventfdFlags, eventfd};

use super::{PingPong, Service, order};
use crate::order::Handles;
use crate::peer::Peer;

const ROUND: u64 = 1;
const STOP: u64 = 2;

pub(super) struct Client {
    ping: OwnedFd,
    pong: OwnedFd,
}

impl Client {
    pub(super) fn start(peer: &Peer) -> Self {
        let counter = || eventfd(0, EventfdFlags::CLOEXEC).expect("an event counter");
        let (ping, pong) = (counter(), counter());
        let copies = [&ping, &pong].map(|fd| fd.try_clone().expect("a descriptor").into());
        order(peer, Service::Eventfd, copies.into());
        Self { ping, pong }
    }
}

impl PingPong for Client {
    fn round(&mut self) {
        say(&self.ping, ROUND);
        hear(&self.pong);
    }

    fn stop(self) {
        say(&self.ping, STOP);
    }
}

pub(super) fn serve(handles: &mut Handles) {
    let ping = handles.os().into_fd().expect("a handle");
    let pong = handles.os().into_fd().expect("a handle");
    while hear(&ping) == ROUND {
        say(&pong, ROUND);
    }
}

fn say(counter: impl AsFd, value: u64) {
    rustix::io::write(counter, &value.to_ne_bytes()).expect("an event counter");
}

fn hear(counter: impl AsFd) -> u64 {
    let mut value = [0; 8];
    rustix::io::retry_on_intr(|| rustix::io::read(&counter, &mut value)).expect("a counter");
    u64::from_ne_bytes(value)
}
