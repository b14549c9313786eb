//! Parcels taken apart for the engine, and put together again.

use std::sync::Arc;

use ipcz_core::ThinVec;

use super::{Handle, Parcel};
use crate::shell::{Contents, Loose, Origin, Shared, Slot};
use crate::{Object, Portal, PutErrorKind, wire};

/// A parcel, taken apart for the engine. The portals stay the caller's until the engine has agreed.
pub(crate) struct Apart {
    pub(crate) contents: Contents,
    /// Those of the whole tree, in the order in which a walk through it meets them.
    pub(crate) portals: Vec<Portal>,
    /// Where the parcel came from, which the engine is not told: what is put comes from here.
    pub(crate) origin: Option<Arc<Origin>>,
}

impl Apart {
    /// Takes a parcel apart, or gives it back with the limit that it does not keep.
    pub(crate) fn take(mut parcel: Parcel) -> Result<Self, (PutErrorKind, Parcel)> {
        if !is_shallow(&parcel, wire::MAX_DEPTH) {
            return Err((PutErrorKind::TooDeep, parcel));
        }
        let origin = parcel.origin.take();
        let mut portals = Vec::new();
        let contents = take_apart(parcel, &mut portals);
        let kind = if contents.num_bytes > wire::MAX_PAYLOAD {
            PutErrorKind::TooLarge
        } else if contents.slots.len() > wire::MAX_HANDLES
            || contents.num_slots() > wire::MAX_HANDLES
        {
            PutErrorKind::TooManyHandles
        } else {
            return Ok(Self { contents, portals, origin });
        };
        Err((kind, Self { contents, portals, origin }.put_together()))
    }

    pub(crate) fn put_together(self) -> Parcel {
        put_together(self.contents, &mut self.portals.into_iter(), self.origin.as_ref())
    }

    /// Where portal number `portal` stands among the handles, or the parcel that it is in.
    pub(crate) fn place_of(&self, portal: usize) -> usize {
        let ends = self.contents.slots.iter().scan(0, |before, slot| {
            *before += num_portals(slot);
            Some(*before)
        });
        ends.take_while(|&end| end <= portal).count()
    }

    /// Lets go of the portals, if they and what else is there can leave `node`.
    pub(crate) fn loosen(self, node: &Arc<Shared>) -> Option<Loose> {
        let native = |portal: &Portal| Arc::ptr_eq(portal.shared(), node);
        if self.find_empty().is_some() || !self.portals.iter().all(native) {
            return None;
        }
        let portals = self.portals.iter().map(Portal::id).collect();
        self.portals.into_iter().for_each(Portal::forget);
        Some(Loose { contents: self.contents, portals })
    }

    /// The first place with an OS handle that was sent before.
    pub(crate) fn find_empty(&self) -> Option<usize> {
        self.contents.find(&|slot| matches!(slot, Slot::Os(handle) if handle.is_empty()))
    }
}

/// Whether parcels in this one are at most `left` deep. An object will be a parcel.
fn is_shallow(parcel: &Parcel, left: usize) -> bool {
    parcel.handles.iter().all(|handle| match handle {
        Handle::Portal(_) | Handle::Os(_) | Handle::Memory(_) => true,
        Handle::Object(_) => left > 0,
        Handle::Parcel(parcel) => left > 0 && is_shallow(parcel, left - 1),
    })
}

fn take_apart(parcel: Parcel, portals: &mut Vec<Portal>) -> Contents {
    let Parcel { data, handles, .. } = parcel;
    let slots = handles.into_iter().map(|handle| match handle {
        Handle::Portal(portal) => {
            portals.push(portal);
            Slot::Portal
        }
        Handle::Os(handle) => Slot::Os(handle),
        Handle::Memory(memory) => Slot::Memory(memory.into_region()),
        Handle::Object(object) => Slot::Object(object.into_value()),
        Handle::Parcel(parcel) => Slot::Parcel(Box::new(take_apart(*parcel, portals))),
    });
    let slots: ThinVec<_> = slots.collect();
    Contents::new(data, slots)
}

fn put_together(
    contents: Contents,
    portals: &mut std::vec::IntoIter<Portal>,
    origin: Option<&Arc<Origin>>,
) -> Parcel {
    let Contents { data, slots, .. } = contents;
    let handles = slots.into_iter().filter_map(|slot| match slot {
        Slot::Portal => portals.next().map(Handle::Portal),
        Slot::Os(handle) => Some(Handle::Os(handle)),
        Slot::Memory(region) => Some(Handle::Memory(region.into())),
        // What is not whole is given to nobody.
        Slot::Relayed => None,
        Slot::Object(value) => Some(Handle::Object(Object::from_value(value))),
        Slot::Parcel(contents) => {
            Some(Handle::Parcel(Box::new(put_together(*contents, portals, origin))))
        }
    });
    Parcel { handles: handles.collect(), data, origin: origin.cloned() }
}

fn num_portals(slot: &Slot) -> usize {
    match slot {
        Slot::Portal => 1,
        Slot::Os(_) | Slot::Memory(_) | Slot::Relayed | Slot::Object(_) => 0,
        Slot::Parcel(contents) => contents.slots.iter().map(num_portals).sum(),
    }
}
