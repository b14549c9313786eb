//! Waking a peer that sleeps.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::driver::{Frame, Transport};
use crate::shm::doorbell::{Doorbell, Sleep};
use crate::shm::{Mapping, RingBroken};

/// The bell of the peer's reading side.
///
/// A thread that waits there sleeps on the flag itself, and is woken through it. The background
/// thread sleeps where the transport can wake it: an empty frame does. Neither can be made to block
/// whoever rings, as a full eventfd could: the peer has the same one.
pub(super) struct Bell {
    doorbell: Doorbell<Arc<Mapping>>,
}

impl Bell {
    pub(super) fn new(doorbell: Doorbell<Arc<Mapping>>) -> Self {
        Self { doorbell }
    }

    /// Wakes the peer if it sleeps. To be called by whoever flushes the link.
    ///
    /// # Errors
    /// The peer broke the rules.
    pub(super) fn ring(&self, transport: &dyn Transport) -> Result<(), RingBroken> {
        match self.doorbell.who_sleeps()? {
            None => {}
            Some(Sleep::Waiter) => self.doorbell.wake_waiter(),
            Some(Sleep::Background) => {
                // If the transport is closed, nobody is there to be woken.
                let _ = transport.transmit(&mut VecDeque::from([Frame::default()]));
            }
        }
        Ok(())
    }
}
