//! A third party writes anything anywhere in the shared memory, while two sides use it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;

use super::{Random, layout, region};
use crate::shm::arena::{BLOCK_BYTES, Block};
use crate::shm::layout::Side;
use crate::shm::link::{Budgets, Ends};
use crate::shm::memory::{Memory, Word};
use crate::shm::record::{Kind, Tag};
use crate::shm::ring::WriteError;
use crate::shm::{Mapping, RingBroken};

/// How often each side starts again after its peer seems to have broken the rules.
const ROUNDS: u32 = 300;

/// Sends and receives what comes until something is wrong.
fn use_it(ends: &mut Ends, random: &mut Random) -> RingBroken {
    loop {
        for _ in 0..random.below(20) {
            if let Err(broken) = send(ends, random) {
                return broken;
            }
        }
        ends.writer.publish();
        let received = receive(ends).and_then(|()| ends.doorbell.who_sleeps());
        if let Err(broken) = received {
            return broken;
        }
    }
}

fn send(ends: &mut Ends, random: &mut Random) -> Result<(), RingBroken> {
    let written = match ends.send_arena.allocate(1 + random.below(5000)) {
        Ok(block) if random.below(2) == 0 => {
            let _ = block.copy_in(0, &[1; 100]);
            let len = block.len();
            let block = block.commit(len).unwrap();
            ends.writer.write(Tag::of(Kind::Block, 0), &[&block.encode()])
        }
        _ => ends.writer.write(Tag::of(Kind::Inline, 0), &[&vec![2; random.below(700)]]),
    };
    match written {
        Err(WriteError::Broken(broken)) => Err(broken),
        _ => Ok(()),
    }
}

fn receive(ends: &mut Ends) -> Result<(), RingBroken> {
    let mut views = Vec::new();
    for _ in 0..100 {
        let Some(record) = ends.reader.next()? else { break };
        assert!(record.len() <= 4096);
        let mut bytes = Vec::new();
        record.append_to(0, record.len(), &mut bytes)?;
        assert_eq!(bytes.len(), record.len());
        match record.tag().kind {
            Kind::HandBack => ends.send_arena.take_back(&bytes)?,
            Kind::Block => {
                let bytes = bytes.first_chunk::<BLOCK_BYTES>();
                let block = Block::decode(*bytes.ok_or(RingBroken("too short"))?);
                let view = ends.receive_arena.receive(block)?;
                assert!(view.len() <= 64 << 10);
                assert_eq!(view.to_vec().len(), view.len());
                views.push(view);
            }
            Kind::DropRegion => ends.receive_arena.drop_region(7)?,
            _ => {}
        }
    }
    drop(views);
    ends.reader.release();
    match ends.receive_arena.hand_back(&mut ends.writer) {
        Err(WriteError::Broken(broken)) => Err(broken),
        _ => Ok(()),
    }
}

/// Writes until it is told to stop: control words often, records sometimes, all else rarely.
fn scribble(mapping: &Arc<Mapping>, stop: &AtomicBool) {
    let mut random = Random(99);
    while !stop.load(Ordering::Relaxed) {
        let place = layout().ring([Side::Maker, Side::Taker][random.below(2)]);
        let value = match random.below(4) {
            0 => random.below(usize::MAX) as u32,
            1 => 16 * random.below(1024) as u32,
            2 => random.below(4) as u32,
            _ => 0_u32.wrapping_sub(random.below(64) as u32),
        };
        let line = place.control + 128 * random.below(4);
        match random.below(8) {
            0 => mapping.word(line).unwrap().store(value, Ordering::Relaxed),
            1..=3 => {
                let at = place.data + 4 * random.below(1024);
                mapping.copy_in(at, &value.to_le_bytes()).unwrap();
            }
            4 => mapping.copy_in(random.below(mapping.len() - 64), &[value as u8; 64]).unwrap(),
            _ => thread::yield_now(),
        }
    }
}

#[test]
fn whatever_is_written_there_costs_no_more_than_the_link() {
    let region = region();
    let stop = Arc::new(AtomicBool::new(false));
    let breaks = Arc::new(AtomicU32::new(0));
    let scribbler = {
        let (mapping, stop) = (Arc::new(region.map().unwrap()), Arc::clone(&stop));
        thread::spawn(move || scribble(&mapping, &stop))
    };
    let sides = [Side::Maker, Side::Taker].map(|side| {
        let (mapping, breaks) = (Arc::new(region.map().unwrap()), Arc::clone(&breaks));
        thread::spawn(move || {
            let mut random = Random(side as u64);
            for _ in 0..ROUNDS {
                let ends = Ends::new(&mapping, layout(), side, Budgets::default(), || {});
                use_it(&mut ends.unwrap(), &mut random);
                breaks.fetch_add(1, Ordering::Relaxed);
            }
        })
    });
    for side in sides {
        side.join().expect("no side panics");
    }
    stop.store(true, Ordering::Relaxed);
    scribbler.join().unwrap();
    assert_eq!(breaks.load(Ordering::Relaxed), 2 * ROUNDS);
}
