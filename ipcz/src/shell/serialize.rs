//! Values of the application's become parcels, because they leave the node.
//!
//! Their serializers run on the thread that did the step which wanted that, under no lock, one after
//! another. A serializer that panics has refused; the panic hook tells of it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use ipcz_core::{Parcel, PortalId};

use super::payload::{Contents, Loose, Slot, Value};
use super::state::Shared;
use crate::sync::lock;
use crate::wire;

/// The portals of a tree while it changes: those it had, in order, and those it has.
struct Portals {
    old: std::vec::IntoIter<PortalId>,
    new: Vec<PortalId>,
}

impl Shared {
    /// Makes a parcel ready to leave. If that cannot be, it comes back with what came of it, which
    /// is of no use.
    pub(super) fn serialize(
        self: &Arc<Self>,
        parcel: Parcel<Contents>,
    ) -> Result<Parcel<Contents>, Parcel<Contents>> {
        let Parcel { mut payload, portals, hops } = parcel;
        let mut portals = Portals { old: portals.into_iter(), new: Vec::new() };
        let done = self.serialize_tree(&mut payload, &mut portals, wire::MAX_DEPTH).is_some()
            && payload.num_slots() <= wire::MAX_HANDLES
            && payload.num_bytes <= wire::MAX_PAYLOAD;
        let Portals { old, mut new } = portals;
        new.extend(old);
        let parcel = Parcel { payload, portals: new.into(), hops };
        if done { Ok(parcel) } else { Err(parcel) }
    }

    /// Replaces the values in a tree that may be so much deeper.
    fn serialize_tree(
        self: &Arc<Self>,
        contents: &mut Contents,
        portals: &mut Portals,
        depth: usize,
    ) -> Option<()> {
        for slot in contents.slots.iter_mut() {
            if let Slot::Object(value) = slot {
                let Loose { contents, portals: within } = self.serialize_value(value)?;
                // Its values are replaced as if it had been a parcel from the beginning.
                let mut inner = Portals { old: within.into_iter(), new: Vec::new() };
                *slot = Slot::Parcel(Box::new(contents));
                let Slot::Parcel(contents) = slot else { return None };
                let done = depth.checked_sub(1);
                let done = done.and_then(|left| self.serialize_tree(contents, &mut inner, left));
                portals.new.extend(inner.new);
                portals.new.extend(inner.old);
                done?;
            } else if let Slot::Parcel(contents) = slot {
                self.serialize_tree(contents, portals, depth.checked_sub(1)?)?;
            } else if let Slot::Portal = slot {
                portals.new.extend(portals.old.next());
            }
        }
        let data = std::mem::take(&mut contents.data);
        let slots = std::mem::take(&mut contents.slots);
        *contents = Contents::new(data, slots);
        Some(())
    }

    fn serialize_value(self: &Arc<Self>, value: &Value) -> Option<Loose> {
        // What was caught is leaked: to drop it could panic again.
        catch_unwind(AssertUnwindSafe(|| lock(&value.0).serialize(self))).unwrap_or_else(|panic| {
            std::mem::forget(panic);
            None
        })
    }
}
