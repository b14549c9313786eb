//! Whole links, with threads.
//!
//! Each runs over one mapping that both sides share, and over two mappings of one region, as two
//! processes have them. ThreadSanitizer knows memory by its address: over one mapping it sees every race and
//! every order between the sides, over two only those within a side. To run it, with a nightly toolchain
//! that has `rust-src`:
//!
//! ```text
//! RUSTFLAGS=-Zsanitizer=thread cargo +nightly test -Zbuild-std --target x86_64-unknown-linux-gnu \
//!     -p ipcz --lib shm::tests::traffic
//! ```

mod corruption;
mod hostile;
mod traffic;

use std::sync::Arc;

use super::doorbell::Sleep;
use super::layout::{Layout, LayoutError, Side};
use super::link::{Budgets, Ends, LinkError};
use super::{Mapping, Region};

fn layout() -> Layout {
    Layout::new(4096, 64 << 10).unwrap()
}

fn region() -> Region {
    Region::new(layout().num_bytes()).unwrap()
}

/// Both sides over one mapping.
fn one_mapping() -> (Ends, Ends) {
    let mapping: Arc<Mapping> = Arc::new(region().map().unwrap());
    let ends = |side| Ends::new(&mapping, layout(), side, Budgets::default(), || {}).unwrap();
    (ends(Side::Maker), ends(Side::Taker))
}

/// Both sides, each over its own mapping.
fn two_mappings() -> (Ends, Ends) {
    let region = region();
    let maker = Ends::make(&region, layout(), Budgets::default(), || {}).unwrap();
    let given = Region::from_fd(region.into()).unwrap();
    (maker, Ends::take(&given, layout(), Budgets::default(), || {}).unwrap())
}

/// A generator of numbers that are the same each time.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) as usize % limit
    }
}

#[test]
fn the_region_must_be_what_was_agreed_on() {
    let other = Layout::new(8192, 64 << 10).unwrap();
    let take = |region: &Region, layout| {
        Ends::take(region, layout, Budgets::default(), || {}).err().unwrap()
    };
    let fresh = region();
    assert!(matches!(take(&fresh, layout()), LinkError::Layout(LayoutError::Header)));
    Ends::make(&fresh, layout(), Budgets::default(), || {}).unwrap();
    let size = LayoutError::RegionSize { expected: other.num_bytes(), found: layout().num_bytes() };
    assert!(matches!(take(&fresh, other), LinkError::Layout(error) if error == size));
    // As large, but divided in another way.
    let divided = Layout::new(8192, 60 << 10).unwrap();
    assert_eq!(divided.num_bytes(), layout().num_bytes());
    assert!(matches!(take(&fresh, divided), LinkError::Layout(LayoutError::Header)));
}

#[test]
fn a_doorbell_tells_who_sleeps_and_tells_it_once() {
    let (a, b) = two_mappings();
    assert_eq!(a.doorbell.who_sleeps(), Ok(None));
    for sleep in [Sleep::Waiter, Sleep::Background] {
        b.sleeper.arm(sleep);
        assert_eq!(b.doorbell.who_sleeps(), Ok(None), "the other direction");
        assert_eq!(a.doorbell.who_sleeps(), Ok(Some(sleep)));
        assert_eq!(a.doorbell.who_sleeps(), Ok(None));
        b.sleeper.arm(sleep);
        b.sleeper.disarm();
        assert_eq!(a.doorbell.who_sleeps(), Ok(None));
    }
}
