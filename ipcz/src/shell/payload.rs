//! A parcel's contents, as the engine holds them.

use std::any::Any;
use std::sync::{Arc, Mutex};

use ipcz_core::{Payload, PortalId, ThinVec};

use super::data::Data;
use super::origin::Origin;
use super::state::Shared;
use crate::OsHandle;
use crate::shm::Region;
use crate::sync::lock;

/// What an application put. Portals are the engine's; their places among the handles are kept here,
/// in the order in which a walk through the whole tree meets them.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    pub(crate) data: Data,
    /// What the engine is told, also while the data is lent to a reader: the bytes of this parcel
    /// and of all within it.
    pub(crate) num_bytes: usize,
    pub(crate) slots: ThinVec<Slot>,
    /// The connection that it came over, if it came from another node.
    pub(crate) origin: Option<Arc<Origin>>,
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
    /// A value of the application's, which becomes a parcel when it leaves the node.
    Object(Value),
    /// A parcel within the parcel.
    Parcel(Box<Contents>),
}

impl Slot {
    fn is_attachment(&self) -> bool {
        matches!(self, Self::Os(_) | Self::Memory(_))
    }

    /// The parcel in this place, if it holds one.
    fn within(&self) -> Option<&Contents> {
        match self {
            Self::Parcel(contents) => Some(contents),
            _ => None,
        }
    }
}

/// A value of the application's. Its lock makes it one that threads may share, and is never waited
/// for: who has the value has it alone.
#[derive(Debug)]
pub(crate) struct Value(pub(crate) Box<Mutex<dyn AnyValue>>);

/// What is known of a value whose type is not.
pub(crate) trait AnyValue: Send + std::fmt::Debug {
    /// The value in its `Option`.
    fn any(&mut self) -> &mut dyn Any;
    /// Whether there is a way to make a parcel of it.
    fn has_serializer(&self) -> bool;
    /// Makes a parcel of it, if that is possible, for a node whose portals it may hold. Runs code of
    /// the application.
    fn serialize(&mut self, node: &Arc<Shared>) -> Option<Loose>;
}

/// Contents and the portals in them, which nobody holds: whoever has this gives them to the engine,
/// or closes them.
#[derive(Debug)]
pub(crate) struct Loose {
    pub(crate) contents: Contents,
    pub(crate) portals: Vec<PortalId>,
}

impl Value {
    fn has_serializer(&self) -> bool {
        lock(&self.0).has_serializer()
    }
}

impl Contents {
    /// Bytes alone.
    #[inline]
    pub(crate) fn plain(data: Data) -> Self {
        Self { num_bytes: data.len(), data, slots: ThinVec::new(), origin: None }
    }

    /// Contents of these bytes and slots. What is within is measured.
    pub(crate) fn new(data: impl Into<Data>, slots: impl Into<ThinVec<Slot>>) -> Self {
        let data = data.into();
        let slots = slots.into();
        let within = slots.iter().filter_map(Slot::within).map(|contents| contents.num_bytes);
        let num_bytes = within.fold(data.len(), usize::saturating_add);
        Self { num_bytes, data, slots, origin: None }
    }

    /// The first place whose slot, or something within it, is what `is` says. The tree is as deep as
    /// `limits` allow.
    pub(crate) fn find(&self, is: &impl Fn(&Slot) -> bool) -> Option<usize> {
        self.slots.iter().position(|slot| {
            is(slot) || slot.within().is_some_and(|within| within.find(is).is_some())
        })
    }

    /// The first value that no parcel can be made of.
    pub(crate) fn find_fixed(&self) -> Option<usize> {
        self.find(&|slot| matches!(slot, Slot::Object(value) if !value.has_serializer()))
    }

    /// How many slots there are, in all parcels.
    pub(crate) fn num_slots(&self) -> usize {
        self.count(&|_| true)
    }

    /// How many slots are what `is` says, in all parcels.
    fn count(&self, is: &impl Fn(&Slot) -> bool) -> usize {
        let here = self.slots.iter().filter(|slot| is(slot)).count();
        let within = self.slots.iter().filter_map(Slot::within).map(|within| within.count(is));
        within.fold(here, usize::saturating_add)
    }

    /// Takes the attachments out of all parcels, in the order of a walk through them.
    fn take_attachments(&mut self, taken: &mut Vec<Slot>) {
        for slot in self.slots.iter_mut() {
            if slot.is_attachment() {
                taken.push(std::mem::replace(slot, Slot::Relayed));
            } else if let Slot::Parcel(within) = slot {
                within.take_attachments(taken);
            }
        }
    }

    /// Puts attachments where they were taken out, in the same order.
    fn put_attachments(&mut self, handles: &mut std::vec::IntoIter<Slot>) {
        for slot in self.slots.iter_mut() {
            if let Slot::Parcel(within) = slot {
                within.put_attachments(handles);
            } else if matches!(slot, Slot::Relayed)
                && let Some(handle) = handles.next()
            {
                *slot = handle;
            }
        }
    }
}

impl Payload for Contents {
    #[inline]
    fn num_bytes(&self) -> usize {
        self.num_bytes
    }

    fn is_ready(&self) -> bool {
        self.find(&|slot| matches!(slot, Slot::Object(_))).is_none()
    }

    fn can_leave(&self) -> bool {
        self.find_fixed().is_none()
    }

    fn has_handles(&self) -> bool {
        self.find(&Slot::is_attachment).is_some()
    }

    fn take_handles(&mut self) -> Option<Self> {
        let mut taken = Vec::new();
        self.take_attachments(&mut taken);
        (!taken.is_empty()).then(|| Self::new(Vec::new(), taken))
    }

    fn join(&mut self, handles: Self) -> bool {
        let fits = self.count(&|slot| matches!(slot, Slot::Relayed)) == handles.slots.len();
        if fits {
            self.put_attachments(&mut handles.slots.into_iter());
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents(slots: Vec<Slot>) -> Contents {
        Contents::new(b"data".to_vec(), slots)
    }

    fn within(slots: Vec<Slot>) -> Slot {
        Slot::Parcel(Box::new(contents(slots)))
    }

    fn handle() -> OsHandle {
        OsHandle::from(std::io::pipe().unwrap().0)
    }

    fn memory(size: usize) -> Slot {
        Slot::Memory(Region::new(size).unwrap())
    }

    #[test]
    fn handles_come_off_and_back_in_their_places() {
        let slots = vec![Slot::Portal, memory(7), Slot::Portal, Slot::Os(handle())];
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

    /// The sizes of all memory in a tree, in the order of a walk through it.
    fn sizes(contents: &Contents) -> Vec<usize> {
        let sizes = contents.slots.iter().flat_map(|slot| match slot {
            Slot::Memory(region) => vec![region.num_bytes()],
            slot => slot.within().map(sizes).unwrap_or_default(),
        });
        sizes.collect()
    }

    #[test]
    fn handles_come_off_and_back_at_any_depth() {
        let deepest = within(vec![Slot::Portal, memory(3), memory(4)]);
        let first = within(vec![memory(2), deepest, memory(5)]);
        let mut whole = contents(vec![memory(1), first, within(vec![]), within(vec![memory(6)])]);
        let num_slots = whole.num_slots();
        assert!(contents(vec![within(vec![within(vec![memory(1)])])]).has_handles());
        let handles = whole.take_handles().unwrap();
        assert!(!whole.has_handles() && whole.take_handles().is_none());
        assert_eq!((sizes(&handles), sizes(&whole)), ((1..=6).collect(), vec![]));
        assert_eq!((whole.num_slots(), whole.num_bytes), (num_slots, 5 * 4));
        assert!(whole.join(handles));
        assert_eq!(sizes(&whole), (1..=6).collect::<Vec<_>>());
    }

    #[test]
    fn too_few_handles_or_too_many_do_not_fit() {
        for count in [0, 1, 3] {
            let mut waiting = contents(vec![Slot::Relayed, within(vec![Slot::Relayed])]);
            let handles = contents((0..count).map(|_| Slot::Os(handle())).collect());
            assert!(!waiting.join(handles));
        }
    }
}
