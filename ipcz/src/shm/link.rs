//! The ends of a link's shared region.

use std::io;
use std::sync::Arc;

use super::arena::{ReceiveArena, SendArena, Span};
use super::doorbell::{Doorbell, Sleeper};
use super::layout::{HEADER_BYTES, Layout, LayoutError, Side};
use super::mapping::{Mapping, OutOfBounds};
use super::memory::Memory;
use super::region::Region;
use super::ring::{Reader, Writer};

/// Why there is no link in a region.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The region is not what was agreed on.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// It could not be mapped.
    #[error(transparent)]
    Os(#[from] io::Error),
    /// The layout does not fit the memory: a defect of this crate.
    #[error(transparent)]
    OutOfBounds(#[from] OutOfBounds),
}

/// How many bytes either side may add to its arena, beside the first. Both sides know both numbers, from
/// what they said over the socket: each says what it is ready to map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Budgets {
    /// What this side may add.
    pub send: u64,
    /// What the peer may add.
    pub receive: u64,
}

/// What one side of a link has of the region. The rings' ends go to whoever sends and whoever receives;
/// everything else can be used by any thread.
pub struct Ends<M: Memory = Arc<Mapping>> {
    /// Where this side writes.
    pub writer: Writer<M>,
    /// Whether the peer sleeps.
    pub doorbell: Doorbell<M>,
    /// Where this side reads.
    pub reader: Reader<M>,
    /// Says that this side sleeps.
    pub sleeper: Sleeper<M>,
    /// Blocks to send.
    pub send_arena: SendArena<M>,
    /// Blocks that were received.
    pub receive_arena: ReceiveArena<M>,
}

impl Ends {
    /// The maker's ends in `region`, which it has just made, of [`Layout::num_bytes`]. `nudge` as for
    /// [`ReceiveArena::new`].
    ///
    /// # Errors
    /// The region is too small, or cannot be mapped.
    pub fn make(
        region: &Region,
        layout: Layout,
        budgets: Budgets,
        nudge: impl Fn() + Send + Sync + 'static,
    ) -> Result<Ends, LinkError> {
        let mapping = map(region, layout)?;
        mapping.copy_in(0, &layout.header())?;
        Ok(Ends::new(&mapping, layout, Side::Maker, budgets, nudge)?)
    }

    /// The taker's ends in `region`, which came from the peer: [`Region::from_fd`] has checked its
    /// seals, and this checks its size and what it says of itself.
    ///
    /// # Errors
    /// The region is not what was agreed on, or cannot be mapped.
    pub fn take(
        region: &Region,
        layout: Layout,
        budgets: Budgets,
        nudge: impl Fn() + Send + Sync + 'static,
    ) -> Result<Ends, LinkError> {
        let mapping = map(region, layout)?;
        let mut header = [0; HEADER_BYTES];
        mapping.copy_out(0, &mut header)?;
        if header != layout.header() {
            return Err(LayoutError::Header.into());
        }
        Ok(Ends::new(&mapping, layout, Side::Taker, budgets, nudge)?)
    }
}

impl<M: Memory> Ends<M> {
    /// The ends of `side` in `memory`, which is zeroed but for its header.
    ///
    /// # Errors
    /// The memory is too small.
    pub fn new(
        memory: &M,
        layout: Layout,
        side: Side,
        budgets: Budgets,
        nudge: impl Fn() + Send + Sync + 'static,
    ) -> Result<Ends<M>, OutOfBounds> {
        let (out, back) = (layout.ring(side), layout.ring(side.other()));
        let arena = |side| Span {
            memory: memory.clone(),
            base: layout.arena(side),
            len: layout.arena_bytes() as usize,
        };
        Ok(Ends {
            writer: Writer::new(memory, out)?,
            doorbell: Doorbell::new(memory, out)?,
            reader: Reader::new(memory, back)?,
            sleeper: Sleeper::new(memory, back)?,
            send_arena: SendArena::new(arena(side), budgets.send)?,
            receive_arena: ReceiveArena::new(arena(side.other()), budgets.receive, nudge)?,
        })
    }
}

fn map(region: &Region, layout: Layout) -> Result<Arc<Mapping>, LinkError> {
    let (expected, found) = (layout.num_bytes(), region.num_bytes());
    if expected != found {
        return Err(LayoutError::RegionSize { expected, found }.into());
    }
    Ok(Arc::new(region.map()?))
}
