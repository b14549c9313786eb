//! How a handle gets past serde.
//!
//! serde shows a serializer plain data only, so a handle cannot be passed to it. Our serializer and
//! deserializer open a gate for exactly the duration of one handle's own code, and the handle passes
//! through there. Code that runs outside of a gate, such as another format's, finds it closed.

use std::cell::RefCell;

use crate::Handle;

#[derive(Default)]
enum Gate {
    #[default]
    Closed,
    /// A value may leave its handle here.
    Collecting(Option<Handle>),
    /// A value may fetch its handle here.
    Giving(Option<Handle>),
}

thread_local! {
    static GATE: RefCell<Gate> = const { RefCell::new(Gate::Closed) };
}

/// Puts back what stood there before, also when the code inside unwinds.
struct Restore(Gate);

impl Drop for Restore {
    fn drop(&mut self) {
        let before = std::mem::take(&mut self.0);
        // The handle that was not fetched drops outside of the borrow: its close may run anything.
        let left = GATE.with(|gate| gate.replace(before));
        drop(left);
    }
}

fn open(gate: Gate) -> Restore {
    Restore(GATE.with(|current| current.replace(gate)))
}

/// Runs `value`, and gives what it deposited beside its result.
pub(super) fn collect<R>(value: impl FnOnce() -> R) -> (R, Option<Handle>) {
    let _restore = open(Gate::Collecting(None));
    let result = value();
    let handle = GATE.with(|gate| match &mut *gate.borrow_mut() {
        Gate::Collecting(handle) => handle.take(),
        _ => None,
    });
    (result, handle)
}

/// Whether a handle can be deposited now.
pub(super) fn is_collecting() -> bool {
    GATE.with(|gate| matches!(&*gate.borrow(), Gate::Collecting(None)))
}

/// Leaves `handle` for the serializer that opened the gate, or gives it back.
pub(super) fn deposit(handle: Handle) -> Result<(), Handle> {
    GATE.with(|gate| match &mut *gate.borrow_mut() {
        Gate::Collecting(slot @ None) => {
            *slot = Some(handle);
            Ok(())
        }
        _ => Err(handle),
    })
}

/// Runs `value`, which may withdraw `handle`.
pub(super) fn give<R>(handle: Handle, value: impl FnOnce() -> R) -> R {
    let _restore = open(Gate::Giving(Some(handle)));
    value()
}

/// The handle that the deserializer gives now, once.
pub(super) fn withdraw() -> Option<Handle> {
    GATE.with(|gate| match &mut *gate.borrow_mut() {
        Gate::Giving(handle) => handle.take(),
        _ => None,
    })
}
