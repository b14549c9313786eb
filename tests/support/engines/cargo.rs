//! A payload that brokers may have to relay a part of.

use ipcz_core::Payload;

/// A number, and perhaps a handle, which may be elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cargo(pub u32, pub Handle);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Handle {
    None,
    Here,
    Away,
}

impl Payload for Cargo {
    fn num_bytes(&self) -> usize {
        1
    }

    fn has_handles(&self) -> bool {
        self.1 == Handle::Here
    }

    fn take_handles(&mut self) -> Option<Self> {
        let whole = *self;
        self.has_handles().then(|| {
            self.1 = Handle::Away;
            whole
        })
    }

    fn join(&mut self, handles: Self) -> bool {
        let fits = self.1 == Handle::Away && handles.0 == self.0;
        self.1 = Handle::Here;
        fits
    }
}
