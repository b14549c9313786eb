//! What the cases are written with.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use ipcz::driver::{Attachment, Driver, Frame, Transport, TransportClosed, TransportHandler};

/// Ends a failure. What is waited for takes milliseconds.
const DEADLINE: Duration = Duration::from_secs(60);

/// Held by cases; the one that counts the descriptors of this process needs it for itself.
static PROCESS: RwLock<()> = RwLock::new(());

pub(crate) fn beside_others() -> RwLockReadGuard<'static, ()> {
    PROCESS.read().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn alone() -> RwLockWriteGuard<'static, ()> {
    PROCESS.write().unwrap_or_else(PoisonError::into_inner)
}

/// Lets this process have as many descriptors as it may.
pub(crate) fn raise_descriptor_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
}

/// What a handler was told.
#[derive(Default)]
pub(crate) struct Told {
    pub(crate) frames: Vec<Frame>,
    pub(crate) drained: usize,
    pub(crate) closed: Vec<TransportClosed>,
}

/// A handler that keeps what it is told, and checks what every handler may rely on.
#[derive(Default)]
pub(crate) struct Recorder {
    told: Mutex<Told>,
    busy: AtomicBool,
}

impl Recorder {
    pub(crate) fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap()
    }

    pub(crate) fn num_frames(&self) -> usize {
        self.told().frames.len()
    }

    pub(crate) fn closed(&self) -> Option<TransportClosed> {
        self.told().closed.first().cloned()
    }

    pub(crate) fn take_frames(&self) -> Vec<Frame> {
        std::mem::take(&mut self.told().frames)
    }

    fn note(&self, what: impl FnOnce(&mut Told)) {
        assert!(!self.busy.swap(true, Ordering::SeqCst), "handler calls overlap");
        let mut told = self.told();
        assert_eq!(told.closed, [], "told something after the close");
        what(&mut told);
        drop(told);
        // Gives another thread a chance to overlap.
        std::thread::yield_now();
        self.busy.store(false, Ordering::SeqCst);
    }
}

impl TransportHandler for Recorder {
    fn on_frames(&self, frames: &mut Vec<Frame>) {
        self.note(|told| told.frames.append(frames));
    }

    fn on_drained(&self) {
        self.note(|told| told.drained += 1);
    }

    fn on_closed(&self, why: TransportClosed) {
        self.note(|told| told.closed.push(why));
    }
}

/// One end of a connection, and what its handler was told.
pub(crate) struct End {
    pub(crate) transport: Box<dyn Transport>,
    pub(crate) seen: Arc<Recorder>,
}

impl End {
    pub(crate) fn new(transport: Box<dyn Transport>) -> End {
        let seen = Arc::default();
        End { transport, seen }
    }

    pub(crate) fn activate(&self) {
        let seen = Arc::clone(&self.seen);
        self.transport.activate(seen).unwrap();
    }

    pub(crate) fn send(&self, frames: impl IntoIterator<Item = Frame>) {
        self.try_send(frames).unwrap();
    }

    pub(crate) fn try_send(
        &self,
        frames: impl IntoIterator<Item = Frame>,
    ) -> Result<(), TransportClosed> {
        let mut frames: VecDeque<Frame> = frames.into_iter().collect();
        let result = self.transport.transmit(&mut frames);
        assert!(frames.is_empty(), "transmit left frames behind");
        result
    }
}

/// Two ends that are not active.
pub(crate) fn dormant(driver: &dyn Driver) -> (End, End) {
    let (one, two) = driver.create_transports().unwrap();
    (End::new(one), End::new(two))
}

/// Two active ends.
pub(crate) fn connected(driver: &dyn Driver) -> (End, End) {
    let (one, two) = dormant(driver);
    one.activate();
    two.activate();
    (one, two)
}

/// Pumps until `done`.
pub(crate) fn pump_until(driver: &dyn Driver, what: &str, done: impl Fn() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !done() {
        let left = deadline.saturating_duration_since(Instant::now());
        assert!(!left.is_zero(), "waited in vain for: {what}");
        match driver.pump() {
            Some(pump) => pump.wait(Some(left)).unwrap(),
            None => panic!("a synchronous driver did not do at once: {what}"),
        }
    }
}

/// Lets other threads run until `done`, without pumping. A failure ends the process: a panic here
/// would wait for threads that wait for this one.
pub(crate) fn yield_until(what: &str, done: impl Fn() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !done() {
        if Instant::now() > deadline {
            eprintln!("waited in vain for: {what}");
            std::process::abort();
        }
        std::thread::yield_now();
    }
}

/// Pumps until `end` has `count` frames, and takes them.
pub(crate) fn receive(driver: &dyn Driver, end: &End, count: usize) -> Vec<Frame> {
    pump_until(driver, "frames", || end.seen.num_frames() >= count);
    let frames = end.seen.take_frames();
    assert_eq!(frames.len(), count);
    frames
}

/// Lets everything happen that can happen now, for a check that something does not. A frame over a
/// connection of its own arrives behind what was ready before it.
pub(crate) fn settle(driver: &dyn Driver) {
    for _ in 0..3 {
        let (one, two) = connected(driver);
        one.send([Frame::default()]);
        receive(driver, &two, 1);
    }
}

/// A frame with a number in its head.
pub(crate) fn numbered(number: usize) -> Frame {
    Frame { head: number.to_le_bytes().to_vec(), ..Frame::default() }
}

/// The number in a frame's head.
pub(crate) fn number(frame: &Frame) -> usize {
    usize::from_le_bytes(frame.head[..].try_into().unwrap())
}

/// A frame with nothing but attachments.
pub(crate) fn carrying(attachments: Vec<Attachment>) -> Frame {
    Frame { attachments, ..Frame::default() }
}

/// Bytes that repeat in no short period.
pub(crate) fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut bytes: Vec<u8> = (0..len.div_ceil(8)).flat_map(|_| next()).collect();
    bytes.truncate(len);
    bytes
}
