//! One thing is wrong in a link that is otherwise used as it should be, at a place and a time that a seed
//! decides.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Random, layout, region};
use crate::shm::layout::Side;
use crate::shm::link::{Budgets, Ends};
use crate::shm::memory::{Memory, Word};
use crate::shm::record::{Kind, Tag};
use crate::shm::ring::WriteError;
use crate::shm::{Mapping, RingBroken};

const SEEDS: u64 = 3000;
const STEPS: usize = 60;

/// What became of a link.
enum Outcome {
    Broken,
    /// So many records that were sent came, as they were sent or with other bytes.
    Went(usize),
}

/// Records of one direction, with `corrupt` called once in between.
fn run(seed: u64, corrupt: impl Fn(&Arc<Mapping>, &mut Random)) -> Result<usize, RingBroken> {
    let region = region();
    let mapping = Arc::new(region.map().unwrap());
    let ends = |side| Ends::new(&mapping, layout(), side, Budgets::default(), || {}).unwrap();
    let (mut a, mut b) = (ends(Side::Maker), ends(Side::Taker));
    let mut random = Random(seed);
    let at = random.below(STEPS);
    let mut received = 0;
    for step in 0..STEPS {
        let bytes = vec![step as u8; random.below(600)];
        match a.writer.write(Tag::of(Kind::Inline, 0), &[&bytes]) {
            Err(WriteError::Broken(broken)) => return Err(broken),
            Err(WriteError::TooLong) => unreachable!("600 bytes fit"),
            Ok(()) | Err(WriteError::Full) => {}
        }
        a.writer.publish();
        if step == at {
            corrupt(&mapping, &mut random);
        }
        if random.below(2) == 0 {
            while let Some(record) = b.reader.next()? {
                let mut bytes = Vec::new();
                record.append_to(0, record.len(), &mut bytes)?;
                assert!(bytes.len() <= 1520, "no record is longer than one may be");
                received += 1;
            }
            b.reader.release();
        }
    }
    Ok(received)
}

fn outcomes(corrupt: impl Fn(&Arc<Mapping>, &mut Random)) -> (usize, usize) {
    let (mut broken, mut went) = (0, 0);
    for seed in 0..SEEDS {
        let outcome = run(seed, &corrupt).map_or(Outcome::Broken, Outcome::Went);
        match outcome {
            Outcome::Broken => broken += 1,
            Outcome::Went(received) => {
                assert!(received <= STEPS, "nothing comes twice");
                went += 1;
            }
        }
    }
    (broken, went)
}

#[test]
fn a_link_that_nothing_is_wrong_with_breaks_never() {
    assert_eq!(outcomes(|_, _| {}), (0, SEEDS as usize));
}

#[test]
fn a_wrong_byte_among_the_records_is_noticed_or_does_no_harm() {
    let (broken, went) = outcomes(|mapping, random| {
        let at = layout().ring(Side::Maker).data + random.below(4096);
        let mut byte = [0];
        mapping.copy_out(at, &mut byte).unwrap();
        byte[0] ^= 1 << random.below(8);
        mapping.copy_in(at, &byte).unwrap();
    });
    assert!(broken > 0 && went > 0, "{broken} {went}");
}

#[test]
fn a_wrong_cursor_is_noticed_or_overwritten() {
    let (broken, went) = outcomes(|mapping, random| {
        let line = layout().ring(Side::Maker).control + 128 * random.below(2);
        let word = mapping.word(line).unwrap();
        let value = match random.below(3) {
            0 => 16 * random.below(2048) as u32,
            1 => random.below(1 << 32) as u32,
            _ => word.load(Ordering::Relaxed) ^ 1 << random.below(32),
        };
        word.store(value, Ordering::Relaxed);
    });
    assert!(broken > 0 && went > 0, "{broken} {went}");
}
