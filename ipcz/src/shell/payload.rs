//! A parcel's contents, as the engine holds them.

use ipcz_core::{Payload, ThinVec};

use crate::OsHandle;
use crate::shm::Region;

/// What an application put. Portals are the engine's; their places among the handles are kept here.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    pub(crate) data: Vec<u8>,
    /// What the engine is told, also while the data is lent to a reader.
    pub(crate) num_bytes: usize,
    pub(crate) slots: ThinVec<Slot>,
}

/// One place in a parcel's list of handles.
#[derive(Debug)]
pub(crate) enum Slot {
    /// The next of the parcel's portals.
    Portal,
    /// A handle of the operating system.
    Os(OsHandle),
    /// Shared memory.
    Memory(Region),
    /// A handle or memory that travels by way of a broker.
    Relayed,
}

impl Slot {
    fn is_attachment(&self) -> bool {
        matches!(self, Self::Os(_) | Self::Memory(_))
    }
}

impl Contents {
    /// Bytes alone.
    pub(crate) fn plain(data: Vec<u8>) -> Self {
        Self { num_bytes: data.len(), data, slots: ThinVec::new() }
    }
}

impl Payload for Contents {
    #[inline]
    fn num_bytes(&self) -> usize {
        self.num_bytes
    }

    fn has_handles(&self) -> bool {
        self.slots.iter().any(Slot::is_attachment)
    }

    fn take_handles(&mut self) -> Option<Self> {
        let attached = self.slots.iter_mut().filter(|slot| slot.is_attachment());
        let slots: Vec<_> = attached.map(|slot| std::mem::replace(slot, Slot::Relayed)).collect();
        (!slots.is_empty()).then(|| Self { slots: slots.into(), ..Self::default() })
    }

    fn join(&mut self, handles: Self) -> bool {
        let missing = || self.slots.iter().filter(|slot| matches!(slot, Slot::Relayed));
        if missing().count() != handles.slots.len() {
            return false;
        }
        let missing = self.slots.iter_mut().filter(|slot| matches!(slot, Slot::Relayed));
        missing.zip(handles.slots).for_each(|(slot, handle)| *slot = handle);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents(slots: Vec<Slot>) -> Contents {
        Contents { data: b"data".to_vec(), num_bytes: 4, slots: slots.into() }
    }

    fn handle() -> OsHandle {
        OsHandle::from(std::io::pipe().unwrap().0)
    }

    #[test]
    fn handles_come_off_and_back_in_their_places() {
        let memory = Region::new(7).unwrap();
        let slots = vec![Slot::Portal, Slot::Memory(memory), Slot::Portal, Slot::Os(handle())];
        let mut whole = contents(slots);
        assert!(whole.has_handles());
        let handles = whole.take_handles().unwrap();
        assert!(!whole.has_handles() && whole.take_handles().is_none());
        assert_eq!((handles.slots.len(), handles.num_bytes), (2, 0));
        assert!(whole.join(handles));
        let [Slot::Portal, Slot::Memory(memory), Slot::Portal, Slot::Os(_)] = &whole.slots[..]
        else {
            panic!("{:?}", whole.slots)
        };
        assert_eq!(memory.num_bytes(), 7);
    }

    #[test]
    fn too_few_handles_or_too_many_do_not_fit() {
        for count in [0, 1, 3] {
            let mut waiting = contents(vec![Slot::Relayed, Slot::Portal, Slot::Relayed]);
            let handles = contents((0..count).map(|_| Slot::Os(handle())).collect());
            assert!(!waiting.join(handles));
        }
    }
}
