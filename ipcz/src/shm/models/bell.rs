//! What stands for the driver's wake-up, and for a side of a link, in models.

use loom::sync::{Arc, Condvar, Mutex};

use super::memory::ModelMemory;
use crate::shm::doorbell::{Doorbell, Sleep, Sleeper};
use crate::shm::ring::{Place, Reader, Writer};

/// A wake-up that is kept until somebody waits, as an eventfd does. A model in which nobody ever sends the one
/// that is waited for is reported as a deadlock.
#[derive(Clone)]
pub(super) struct Event(Arc<(Mutex<u32>, Condvar)>);

impl Event {
    pub(super) fn new() -> Self {
        Self(Arc::new((Mutex::new(0), Condvar::new())))
    }

    fn set(&self) {
        *self.0.0.lock().unwrap() += 1;
        self.0.1.notify_one();
    }

    fn wait(&self) {
        let mut rung = self.0.0.lock().unwrap();
        while *rung == 0 {
            rung = self.0.1.wait(rung).unwrap();
        }
        *rung = 0;
    }
}

/// One side of a link with two rings.
pub(super) struct End {
    pub(super) writer: Writer<ModelMemory>,
    pub(super) reader: Reader<ModelMemory>,
    bell: Bell,
    sleeper: Sleeper<ModelMemory>,
    mine: Event,
}

/// What a thread rings the peer with.
#[derive(Clone)]
pub(super) struct Bell {
    doorbell: Arc<Doorbell<ModelMemory>>,
    peers: Event,
}

impl Bell {
    /// Wakes the peer if it sleeps.
    pub(super) fn ring(&self) {
        if self.doorbell.who_sleeps().unwrap().is_some() {
            self.peers.set();
        }
    }
}

impl End {
    /// The two sides of a link with rings at `one` and `two`.
    pub(super) fn pair(memory: &ModelMemory, one: Place, two: Place) -> (End, End) {
        let (a, b) = (Event::new(), Event::new());
        let end = |out, back, mine: &Event, peers: &Event| End {
            writer: Writer::new(memory, out).unwrap(),
            reader: Reader::new(memory, back).unwrap(),
            bell: Bell {
                doorbell: Arc::new(Doorbell::new(memory, out).unwrap()),
                peers: peers.clone(),
            },
            sleeper: Sleeper::new(memory, back).unwrap(),
            mine: mine.clone(),
        };
        (end(one, two, &a, &b), end(two, one, &b, &a))
    }

    pub(super) fn bell(&self) -> Bell {
        self.bell.clone()
    }

    pub(super) fn ring(&self) {
        self.bell.ring();
    }

    /// Shows the peer what was written.
    pub(super) fn publish(&mut self) {
        if self.writer.publish() {
            self.ring();
        }
    }

    /// Gives back the room of what was read.
    pub(super) fn release(&mut self) {
        if self.reader.release() {
            self.ring();
        }
    }

    /// Sleeps until there is something to read, or, if `queued`, room for a record of so many bytes.
    pub(super) fn sleep(&mut self, queued: Option<usize>) {
        self.sleeper.arm(Sleep::Waiter);
        let full = queued.map(|len| self.writer.still_full(len).unwrap());
        if !self.reader.has_more().unwrap() && full != Some(false) {
            self.mine.wait();
        }
        self.sleeper.disarm();
    }
}
