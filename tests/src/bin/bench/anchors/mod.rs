//! What the machine itself costs: the least that a row could take. Each is measured between the same
//! processes, on the same CPUs and in the same minute as the rows that are compared to it.

mod eventfd;
mod futex;
mod ring;
mod shared;
mod socket;
mod spin;

use ipcz::OsHandle;
use serde::{Deserialize, Serialize};

use crate::bench::{Bench, Mode};
use crate::meter::Sample;
use crate::order::{Handles, Order};
use crate::peer::Peer;
use crate::placement::Pin;

pub(crate) use ring::{Producer, Shape};
pub(crate) use socket::Kind;

/// The other side of an anchor.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Service {
    Spin,
    Futex,
    Eventfd,
    Socket,
    Ring(Shape),
}

/// Serves an anchor until its client stops it.
pub(crate) fn serve(service: Service, pin: Pin, handles: &mut Handles) {
    match service {
        Service::Spin => spin::serve(pin, handles),
        Service::Futex => futex::serve(handles),
        Service::Eventfd => eventfd::serve(handles),
        Service::Socket => socket::serve(handles),
        Service::Ring(shape) => ring::serve(shape, pin, handles),
    }
}

/// The client's side of something that goes back and forth.
trait PingPong {
    fn round(&mut self);
    fn stop(self);
}

/// Ways to go back and forth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// One cache line there, one back, both sides spinning.
    Spin,
    /// The same, both sides sleeping in `futex`.
    Futex,
    /// A counter each way.
    Eventfd,
    /// 64 bytes over a socket pair.
    Socket(Kind),
}

impl Way {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Spin => "anchor.spin",
            Self::Futex => "anchor.futex",
            Self::Eventfd => "anchor.eventfd",
            Self::Socket(Kind::Stream) => "anchor.stream",
            Self::Socket(Kind::SeqPacket) => "anchor.seqpacket",
        }
    }

    /// One repetition.
    pub(crate) fn measure(self, bench: &Bench, mode: Mode) -> Sample {
        match self {
            Self::Spin => back_and_forth(bench, mode, spin::Client::start(bench.peer())),
            Self::Futex => back_and_forth(bench, mode, futex::Client::start(bench.peer())),
            Self::Eventfd => back_and_forth(bench, mode, eventfd::Client::start(bench.peer())),
            Self::Socket(kind) => {
                back_and_forth(bench, mode, socket::Client::start(bench.peer(), kind))
            }
        }
    }
}

fn back_and_forth(bench: &Bench, mode: Mode, mut client: impl PingPong) -> Sample {
    let sample = bench.latency(mode, || client.round());
    client.stop();
    bench.peer().done();
    sample
}

fn order(peer: &Peer, service: Service, handles: Vec<OsHandle>) {
    peer.descriptors(Order::Anchor(service, peer.placement.pin), handles);
}

/// What a thread does that spins: it lets others run only where they would have to wait for it.
struct Spinner {
    pin: Pin,
    turns: u32,
}

impl Spinner {
    /// Turns after which a thread that does not know who shares its CPU lets others run.
    const LIMIT: u32 = 1000;

    fn new(pin: Pin) -> Self {
        Self { pin, turns: 0 }
    }

    fn until(&mut self, mut condition: impl FnMut() -> bool) {
        self.turns = 0;
        while !condition() {
            self.turns += 1;
            let shared = self.pin == Pin::Same;
            if shared || self.pin == Pin::None && self.turns.is_multiple_of(Self::LIMIT) {
                std::thread::yield_now();
            } else {
                std::hint::spin_loop();
            }
        }
    }
}
