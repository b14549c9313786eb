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
//! | change | fails |
//! | --- | --- |
//! | TABLE |

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
