//! Sleeps until a socket of this node can do something.
//!
//! The poller knows a transport by a token that is never used again, and holds a reference to it
//! while the kernel reports on it. An event for a token that it does not know is one that the
//! kernel reported before the transport was forgotten, and means nothing.

use std::collections::BTreeMap;
use std::io;
use std::mem::{self, MaybeUninit};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, Event, EventData, EventFlags};
use rustix::event::{EventfdFlags, Timespec, eventfd};
use rustix::io::Errno;

use super::transport::Core;
use crate::driver::Pump;
use crate::driver::lock::lock;

/// The token of the descriptor that interrupts a wait.
const INTERRUPT: u64 = 0;

/// How many transports one wait serves at most; the others have their turn in the next.
const EVENTS_A_WAIT: usize = 64;

/// How much of a stream one system call reads when nothing is known of it.
const SCRATCH_BYTES: usize = 64 << 10;

/// A longer timeout ends early: the system call counts milliseconds in 31 bits.
const LONGEST_SLEEP: Duration = Duration::from_secs(24 * 60 * 60);

/// How long to leave a transport alone for which the system had no memory or descriptors.
const RETRY_AFTER: Duration = Duration::from_millis(5);

/// One epoll set, and an eventfd to leave it with.
pub(super) struct Poller {
    epoll: OwnedFd,
    interrupt: OwnedFd,
    transports: Mutex<BTreeMap<u64, Arc<Core>>>,
    next_token: AtomicU64,
    /// Transports to try again although nothing was reported of them.
    exhausted: Mutex<Vec<Weak<Core>>>,
    /// The memory that the last wait read into, for the next.
    scratch: Mutex<Vec<u8>>,
}

impl Poller {
    pub(super) fn new() -> io::Result<Poller> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let interrupt = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        // Edge-triggered: every write is reported once and need not be read.
        let flags = EventFlags::IN | EventFlags::ET;
        epoll::add(&epoll, &interrupt, EventData::new_u64(INTERRUPT), flags)?;
        Ok(Poller {
            epoll,
            interrupt,
            transports: Mutex::default(),
            next_token: AtomicU64::new(INTERRUPT + 1),
            exhausted: Mutex::default(),
            scratch: Mutex::default(),
        })
    }

    pub(super) fn new_token(&self) -> u64 {
        self.next_token.fetch_add(1, Ordering::Relaxed)
    }

    /// Reports `new` of a transport from now on, where it reported `old`. The caller makes sure
    /// that only one thread does this for one transport.
    pub(super) fn watch(
        &self,
        core: &Arc<Core>,
        old: EventFlags,
        new: EventFlags,
    ) -> io::Result<()> {
        let (token, socket) = (core.token(), core.socket());
        let data = EventData::new_u64(token);
        if old == new {
            return Ok(());
        }
        if new.is_empty() {
            // A duplicate of the socket may live on elsewhere, so closing ours is not enough.
            let deleted = epoll::delete(&self.epoll, socket);
            lock(&self.transports).remove(&token);
            return Ok(deleted?);
        }
        if !old.is_empty() {
            return Ok(epoll::modify(&self.epoll, socket, data, new)?);
        }
        lock(&self.transports).insert(token, Arc::clone(core));
        let added = epoll::add(&self.epoll, socket, data, new);
        if added.is_err() {
            lock(&self.transports).remove(&token);
        }
        Ok(added?)
    }

    /// Has `core` go on with sending in a little while, whatever happens to its socket.
    pub(super) fn retry_soon(&self, core: &Arc<Core>) {
        lock(&self.exhausted).push(Arc::downgrade(core));
        self.interrupt();
    }

    /// Sleeps until there are events, and serves them.
    fn sleep_and_serve(&self, timeout: Option<Duration>, scratch: &mut [u8]) -> io::Result<()> {
        let deadline = timeout.map(|timeout| Instant::now() + timeout.min(LONGEST_SLEEP));
        let mut space = [MaybeUninit::uninit(); EVENTS_A_WAIT];
        loop {
            let left = deadline
                .map(|deadline| deadline.saturating_duration_since(Instant::now()))
                .and_then(|left| Timespec::try_from(left).ok());
            match epoll::wait(&self.epoll, &mut space, left.as_ref()) {
                Ok((events, _)) => {
                    self.serve(events, scratch);
                    return Ok(());
                }
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    fn serve(&self, events: &[Event], scratch: &mut [u8]) {
        for event in events {
            let (token, flags) = (event.data.u64(), event.flags);
            let core = lock(&self.transports).get(&token).cloned();
            if let Some(core) = core {
                core.ready(flags, scratch);
            }
        }
    }

    fn retry(&self, cores: Vec<Weak<Core>>) {
        for core in cores.iter().filter_map(Weak::upgrade) {
            core.resume_sending();
            core.deliver();
        }
    }
}

impl Pump for Poller {
    fn wait(&self, timeout: Option<Duration>) -> io::Result<()> {
        let exhausted = mem::take(&mut *lock(&self.exhausted));
        let timeout = match timeout {
            _ if exhausted.is_empty() => timeout,
            Some(timeout) => Some(timeout.min(RETRY_AFTER)),
            None => Some(RETRY_AFTER),
        };
        // Nothing is locked while handlers run, so a second caller finds no memory here.
        let mut scratch = mem::take(&mut *lock(&self.scratch));
        scratch.resize(SCRATCH_BYTES, 0);
        let slept = self.sleep_and_serve(timeout, &mut scratch);
        *lock(&self.scratch) = scratch;
        self.retry(exhausted);
        slept
    }

    fn interrupt(&self) {
        // Fails only if interrupted 2^64 times unseen, in which case it is seen soon.
        let _ = rustix::io::write(&self.interrupt, &1u64.to_ne_bytes());
    }
}
