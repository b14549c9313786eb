//! How one side of a shared-memory link wakes the other: a pair of eventfds, one for each kind of sleep.
//!
//! They are watched edge-triggered and never read, so that a wake-up is one `write` and the `epoll_wait` that
//! it ends. What is written is zero, over a count that starts at one: each write is an edge, the count
//! never grows, and so no number of wake-ups can fill it.
//!
//! *Whoever rings makes them*, and gives the other side duplicates to watch. To write to a
//! descriptor that a peer made could block, because it may be anything. To watch one cannot: nothing is ever
//! read from it. A pair belongs to one link, so a peer that spoils it spoils its own wake-ups.
//!
//! One thing a hostile peer can still do: a duplicate shares its flags with the original, so the peer can
//! make it blocking, and with help of the kernel's own writers (`io_submit`, io_uring) drive the count to the one
//! value at which a write of zero waits. What closes that is a wake-up that is told with each call not to block,
//! as `send` is; it costs a socket's buffer instead of a counter.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::event::{EventfdFlags, eventfd};
use rustix::io::Errno;

use crate::shm::doorbell::Sleep;

/// Wakes the peer of a link. Any thread.
#[derive(Debug)]
pub struct Ringer {
    waiter: OwnedFd,
    background: OwnedFd,
}

/// Is woken by the peer of a link.
#[derive(Debug)]
pub struct Alarm {
    waiter: OwnedFd,
    background: OwnedFd,
}

impl Ringer {
    /// Makes the two eventfds.
    ///
    /// # Errors
    /// What the system said, usually that the process is out of descriptors.
    pub fn new() -> io::Result<Ringer> {
        let make = || eventfd(1, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK);
        Ok(Ringer { waiter: make()?, background: make()? })
    }

    /// What to send to the peer, which makes an [`Alarm`] of it: for waiters, for the background thread.
    ///
    /// # Errors
    /// As of [`Ringer::new`].
    pub fn for_peer(&self) -> io::Result<[OwnedFd; 2]> {
        Ok([self.waiter.try_clone()?, self.background.try_clone()?])
    }

    /// Wakes whoever sleeps in this way, or the next who does. One system call.
    pub fn ring(&self, sleep: Sleep) {
        let fd = match sleep {
            Sleep::Waiter => &self.waiter,
            Sleep::Background => &self.background,
        };
        // Fails only if the peer has spoilt it, and then only for the peer.
        while rustix::io::write(fd, &0_u64.to_ne_bytes()) == Err(Errno::INTR) {}
    }
}

impl Alarm {
    /// Of what [`Ringer::for_peer`] gave the peer; whatever it is, watching it does no harm.
    pub fn from_peer([waiter, background]: [OwnedFd; 2]) -> Alarm {
        Alarm { waiter, background }
    }

    /// Has `epoll` report, as `token`, what rings for this kind of sleep. The first report may come at once, for
    /// nothing. It ends when the alarm is dropped and the peer has closed its end, or by
    /// [`Alarm::unwatch`].
    ///
    /// # Errors
    /// What the system said; the peer may have sent something that cannot be watched.
    pub fn watch(&self, epoll: BorrowedFd<'_>, sleep: Sleep, token: u64) -> io::Result<()> {
        let flags = EventFlags::IN | EventFlags::ET;
        Ok(epoll::add(epoll, self.of(sleep), EventData::new_u64(token), flags)?)
    }

    /// Ends that.
    ///
    /// # Errors
    /// It was not watched.
    pub fn unwatch(&self, epoll: BorrowedFd<'_>, sleep: Sleep) -> io::Result<()> {
        Ok(epoll::delete(epoll, self.of(sleep))?)
    }

    fn of(&self, sleep: Sleep) -> BorrowedFd<'_> {
        match sleep {
            Sleep::Waiter => self.waiter.as_fd(),
            Sleep::Background => self.background.as_fd(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::mem::MaybeUninit;
    use std::thread;

    use rustix::event::Timespec;

    /// The tokens that `epoll` reports within `timeout`, or ever.
    fn reported(epoll: &OwnedFd, timeout: Option<Timespec>) -> Vec<u64> {
        let mut space = [MaybeUninit::uninit(); 8];
        let (events, _) = epoll::wait(epoll, &mut space, timeout.as_ref()).unwrap();
        events.iter().map(|event| event.data.u64()).collect()
    }

    const NOW: Option<Timespec> = Some(Timespec { tv_sec: 0, tv_nsec: 0 });

    fn set(alarm: &Alarm, sleep: Sleep, token: u64) -> OwnedFd {
        let set = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
        alarm.watch(set.as_fd(), sleep, token).unwrap();
        reported(&set, NOW);
        set
    }

    #[test]
    fn each_ring_is_reported_to_whom_it_is_for_and_never_read() {
        let ringer = Ringer::new().unwrap();
        let alarm = Alarm::from_peer(ringer.for_peer().unwrap());
        let waiter = set(&alarm, Sleep::Waiter, 7);
        let background = set(&alarm, Sleep::Background, 8);
        for _ in 0..1000 {
            ringer.ring(Sleep::Waiter);
            assert_eq!(reported(&waiter, None), [7]);
            assert_eq!(reported(&waiter, NOW), []);
            assert_eq!(reported(&background, NOW), []);
            ringer.ring(Sleep::Background);
            assert_eq!(reported(&background, None), [8]);
            assert_eq!(reported(&waiter, NOW), []);
        }
        alarm.unwatch(waiter.as_fd(), Sleep::Waiter).unwrap();
        ringer.ring(Sleep::Waiter);
        assert_eq!(reported(&waiter, NOW), []);
    }

    #[test]
    fn one_that_sleeps_is_woken() {
        let ringer = Ringer::new().unwrap();
        let alarm = Alarm::from_peer(ringer.for_peer().unwrap());
        let waiter = set(&alarm, Sleep::Waiter, 1);
        let sleeper = thread::spawn(move || reported(&waiter, None));
        ringer.ring(Sleep::Waiter);
        assert_eq!(sleeper.join().unwrap(), [1]);
    }

    /// The peer has made the descriptor blocking, and filled the count as far as writes can.
    #[test]
    fn a_count_that_the_peer_has_filled_does_not_block() {
        let ringer = Ringer::new().unwrap();
        let [waiter, background] = ringer.for_peer().unwrap();
        rustix::io::write(&waiter, &(u64::MAX - 2).to_ne_bytes()).unwrap();
        rustix::fs::fcntl_setfl(&waiter, rustix::fs::OFlags::empty()).unwrap();
        let alarm = Alarm::from_peer([waiter, background]);
        let set = set(&alarm, Sleep::Waiter, 1);
        ringer.ring(Sleep::Waiter);
        assert_eq!(reported(&set, None), [1]);
    }
}
