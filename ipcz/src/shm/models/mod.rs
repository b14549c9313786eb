//! What loom checks: every interleaving, within a bound, of the code that runs in production, and
//! every value that a weak memory may let a load return.
//!
//! ```text
//! RUSTFLAGS="--cfg loom" cargo test -p ipcz --lib --release shm::models
//! IPCZ_LOOM_DEEP=1 RUSTFLAGS="--cfg loom" cargo test -p ipcz --lib --release shm::models
//! ```
//!
//! The first lets a thread be interrupted three times where it did not wait; the second has no such bound.
//! loom fails a model where an assertion fails, where two threads touch the same bytes with
//! nothing between them, and where all threads wait, which is what a lost wake-up is.
//!
//! # What was weakened, and what failed
//!
//! Each of these was tried by itself:
//!
//! | change | caught by |
//! | --- | --- |
//! | tail stored, or loaded, relaxed | every model |
//! | head stored, or loaded, relaxed | `a_reader_that_stays_awake_..`, and all in which a ring fills |
//! | no fence in `who_sleeps` or in `arm` | every model in which a consumer sleeps |
//! | no fence in `release` | the models in which a ring fills |
//! | no fence when the ring is full, or no second look at head | `a_producer_that_was_rung_too_early_..` |
//! | a full ring does not publish | `a_full_ring_publishes_what_it_holds` |
//! | `release` never looks at *waiting* | the models in which a ring fills |
//! | the flag is read and cleared in two steps | `a_block_that_came_back_..` and others |
//! | head stored before the record is copied out | `a_reader_that_stays_awake_..` |
//! | tail not looked at after arming | every model in which a consumer sleeps |
//!
//! Arming, and setting *waiting*, are swaps where stores would do. loom does not know that nothing comes
//! between the two halves of a swap, and so reports a lost wake-up that no memory can show.

mod bell;
mod blocks;
mod memory;
mod records;

use loom::model::Builder;

/// Runs `model` in every interleaving within the bound.
fn check(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = Builder::new();
    if std::env::var_os("IPCZ_LOOM_DEEP").is_none() && builder.preemption_bound.is_none() {
        builder.preemption_bound = Some(3);
    }
    builder.check(model);
}
