use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::shm::record::{Kind, Tag};
use crate::shm::ring::{CONTROL_BYTES, Place, Reader, WriteError, Writer};
use crate::shm::{Mapping, Region};

type Memory = Arc<Mapping>;

const KB: usize = 1 << 10;

fn span(len: usize) -> Span<Memory> {
    let memory = Arc::new(Region::new(len.max(1)).unwrap().map().unwrap());
    Span { memory, base: 0, len }
}

/// Both ends of an arena that may grow by `budget`, and how often the receiver wants to hand back.
struct Fixture {
    out: SendArena<Memory>,
    back: ReceiveArena<Memory>,
    nudges: Arc<AtomicU32>,
    writer: Writer<Memory>,
    reader: Reader<Memory>,
}

fn fixture(len: usize, budget: u64) -> Fixture {
    let first = span(len);
    let nudges = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&nudges);
    let nudge = move || {
        counter.fetch_add(1, Ordering::Relaxed);
    };
    let ring = span(CONTROL_BYTES + 4096).memory;
    let place = Place { control: 0, data: CONTROL_BYTES, capacity: 4096, reserve: 1024 };
    Fixture {
        out: SendArena::new(first.clone(), budget).unwrap(),
        back: ReceiveArena::new(first, budget, nudge).unwrap(),
        nudges,
        writer: Writer::new(&ring, place).unwrap(),
        reader: Reader::new(&ring, place).unwrap(),
    }
}

impl Fixture {
    fn send(&self, bytes: &[u8]) -> Block {
        let block = self.out.allocate(bytes.len()).unwrap();
        block.copy_in(0, bytes).unwrap();
        block.commit(bytes.len()).unwrap()
    }

    /// Adds a region of so many bytes to both ends.
    fn grow(&self, len: usize) -> u32 {
        let added = span(len);
        let index = self.out.add_region(added.clone()).unwrap();
        self.back.add_region(index, added).unwrap();
        index
    }

    /// Hands back what can be, and gives the ranges of each record.
    fn hand_back(&mut self) -> Vec<Vec<Block>> {
        self.back.hand_back(&mut self.writer).unwrap();
        self.writer.publish();
        let mut records = Vec::new();
        while let Some(record) = self.reader.next().unwrap() {
            assert_eq!(record.tag().kind, Kind::HandBack);
            let mut ranges = Vec::new();
            record.append_to(0, record.len(), &mut ranges).unwrap();
            self.out.take_back(&ranges).unwrap();
            records.push(ranges.as_chunks().0.iter().map(|block| Block::decode(*block)).collect());
        }
        self.reader.release();
        records
    }
}

#[test]
fn a_payload_is_read_where_it_was_written() {
    let mut f = fixture(64 * KB, 0);
    let payload: Vec<_> = (0..5000_u32).map(|i| i as u8).collect();
    let block = f.send(&payload);
    assert_eq!(Block::decode(block.encode()), block);
    assert_eq!(block, Block { region: 0, offset: 0, len: 5000 });
    let view = f.back.receive(block).unwrap();
    assert_eq!((view.len(), view.to_vec()), (5000, payload.clone()));
    let mut part = [0; 3];
    view.read_at(4997, &mut part).unwrap();
    assert_eq!(part, payload[4997..]);
    assert!(view.read_at(4998, &mut part).is_err() && view.read_at(usize::MAX, &mut part).is_err());
    assert!(view.append_to(5000, 1, &mut Vec::new()).is_err());
    let mut pieces = Vec::new();
    view.reader().for_each(&mut [0; 700], |piece| pieces.extend_from_slice(piece));
    assert_eq!(pieces, payload);
    let mut read = Vec::new();
    std::io::Read::read_to_end(&mut view.reader(), &mut read).unwrap();
    assert_eq!(read, payload);
    drop(view);
    assert_eq!(f.hand_back(), [[Block { len: 5 * KB as u32, ..block }]]);
    assert_eq!(f.out.usage().1 + f.back.usage().1, 0);
}

#[test]
fn one_block_in_flight_is_always_the_same() {
    let mut f = fixture(64 * KB, 0);
    for _ in 0..10 {
        let block = f.send(&[1; 3 * KB]);
        assert_eq!(block.offset, 0);
        drop(f.back.receive(block).unwrap());
        f.hand_back();
    }
}

#[test]
fn neighbours_come_back_as_one() {
    let mut f = fixture(64 * KB, 0);
    let blocks: Vec<_> = (0..64).map(|i| f.send(&[i; KB])).collect();
    let views: Vec<_> = blocks.iter().map(|block| f.back.receive(*block).unwrap()).collect();
    let (even, odd): (Vec<_>, Vec<_>) =
        views.into_iter().enumerate().partition(|(index, _)| index.is_multiple_of(2));
    drop(even);
    let records = f.hand_back();
    assert_eq!(records.iter().map(Vec::len).collect::<Vec<_>>(), [32]);
    drop(odd);
    f.hand_back();
    let views: Vec<_> = (0..64).map(|_| f.back.receive(f.send(&[0; KB])).unwrap()).collect();
    drop(views);
    assert_eq!(f.hand_back(), [[Block { region: 0, offset: 0, len: 64 * KB as u32 }]]);
}

#[test]
fn what_does_not_fit_one_record_takes_several() {
    let mut f = fixture(128 * KB, 0);
    let views: Vec<_> = (0..128).map(|_| f.back.receive(f.send(&[0; KB])).unwrap()).collect();
    let mut kept = Vec::new();
    for (index, view) in views.into_iter().enumerate() {
        if index.is_multiple_of(2) {
            kept.push(view);
        }
    }
    assert_eq!(f.hand_back().iter().map(Vec::len).collect::<Vec<_>>(), [32, 32]);
}

#[test]
fn a_full_ring_keeps_what_is_to_go_back() {
    let mut f = fixture(64 * KB, 0);
    drop(f.back.receive(f.send(&[0; KB])).unwrap());
    while f.writer.reserve_for_hand_back(1000).is_ok_and(|mut slot| {
        slot.put(&[0; 1000]).unwrap();
        slot.commit(Tag::of(Kind::Inline, 0)).is_ok()
    }) {}
    while f
        .writer
        .reserve_for_hand_back(16)
        .is_ok_and(|slot| slot.commit(Tag::of(Kind::Inline, 0)).is_ok())
    {}
    assert_eq!(f.back.hand_back(&mut f.writer), Err(WriteError::Full));
    assert!(f.back.has_done());
    while f.reader.next().unwrap().is_some() {}
    assert!(f.reader.release());
    assert_eq!(f.hand_back().len(), 1);
}

#[test]
fn the_link_is_nudged_for_a_quarter_and_for_whoever_waits() {
    let mut f = fixture(64 * KB, 0);
    let views: Vec<_> = (0..32).map(|_| f.back.receive(f.send(&[0; KB])).unwrap()).collect();
    let mut views = views.into_iter();
    views.by_ref().take(15).for_each(drop);
    assert_eq!(f.nudges.load(Ordering::Relaxed), 0);
    views.next();
    views.next();
    assert_eq!(f.nudges.load(Ordering::Relaxed), 1, "once");
    f.hand_back();
    views.next();
    assert_eq!(f.nudges.load(Ordering::Relaxed), 1);
    assert!(f.back.wanted());
    f.hand_back();
    assert!(!f.back.wanted());
    views.next();
    assert_eq!(f.nudges.load(Ordering::Relaxed), 2);
}

#[test]
fn a_full_arena_asks_once_for_each_hand_back() {
    let mut f = fixture(4 * KB, 0);
    let view = f.back.receive(f.send(&[0; 4 * KB])).unwrap();
    let full = |f: &Fixture| f.out.allocate(1).err();
    assert!(f.out.try_allocate(KB).is_none(), "and whoever only tries uses no question up");
    assert_eq!(full(&f), Some(AllocateError::Full { ask: true }));
    assert_eq!(full(&f), Some(AllocateError::Full { ask: false }));
    drop(view);
    f.hand_back();
    let _view = f.back.receive(f.send(&[0; 4 * KB])).unwrap();
    assert_eq!(full(&f), Some(AllocateError::Full { ask: true }));
    assert_eq!(f.out.allocate(4 * KB + 1).err(), Some(AllocateError::TooLarge));
    assert_eq!(f.out.allocate(0).err(), Some(AllocateError::TooLarge));
}

#[test]
fn an_arena_grows_and_shrinks() {
    const MB: usize = 1 << 20;
    let mut f = fixture(MB, 200 * MB as u64);
    let first = f.back.receive(f.send(&vec![1; MB])).unwrap();
    for (len, region) in [(MB, 2 * MB), (MB + 1, 2 * MB), (64 * MB, 64 * MB)] {
        assert_eq!(f.out.allocate(len).err(), Some(AllocateError::NeedsRegion(region)));
    }
    let index = f.grow(64 * MB);
    let block = f.send(&vec![2; 64 * MB]);
    assert_eq!(block.region, index);
    let view = f.back.receive(block).unwrap();
    assert_eq!(f.out.allocate(1).err(), Some(AllocateError::NeedsRegion(16 * MB)));
    let retire = |f: &Fixture| {
        let retired = f.out.retire();
        (retired.regions, retired.again, retired.ask)
    };
    assert_eq!(retire(&f), (vec![], true, false), "it was used just now");
    assert_eq!(retire(&f), (vec![], false, true), "there is a block in it");
    assert_eq!(retire(&f), (vec![], false, false), "it was asked for");
    assert!(f.back.drop_region(index).is_err(), "there is a block in it");
    drop((view, first));
    f.hand_back();
    assert_eq!(retire(&f), (vec![index], false, false), "the first region stays");
    assert!(!f.out.has_grown());
    assert_eq!(retire(&f), (vec![], false, false));
    f.back.drop_region(index).unwrap();
    assert_eq!((f.out.usage().0, f.back.usage().0), (MB as u64, MB as u64));
    assert_eq!(f.grow(MB), index + 1);
    assert!(f.out.has_grown());
    f.out.retire();
    drop(f.out.allocate(2 * KB));
    let _first = f.out.allocate(MB).unwrap();
    let block = f.out.allocate(2 * KB).unwrap();
    assert_eq!(retire(&f), (vec![], true, false), "it was used since");
    assert_eq!(retire(&f), (vec![], true, false), "the block in it was not sent yet");
    drop(block);
    assert_eq!(retire(&f).0, [index + 1]);
}

#[test]
fn the_budget_is_kept_on_both_ends() {
    let f = fixture(4 * KB, 64 * KB as u64);
    let _block = f.out.allocate(4 * KB).unwrap();
    assert_eq!(f.out.allocate(KB).err(), Some(AllocateError::NeedsRegion(64 * KB)));
    assert_eq!(f.out.allocate(65 * KB).err(), Some(AllocateError::TooLarge));
    assert_eq!(f.back.left(), 64 * KB as u64);
    assert!(f.back.add_region(1, span(65 * KB)).is_err());
    assert!(matches!(f.out.add_region(span(65 * KB)), Err(AllocateError::Full { .. })));
    f.grow(64 * KB);
    assert_eq!(f.back.left(), 0);
    assert!(f.back.add_region(2, span(KB)).is_err());
}

#[test]
fn an_arena_of_nothing_has_no_blocks() {
    let f = fixture(0, 0);
    assert_eq!(f.out.allocate(1).err(), Some(AllocateError::TooLarge));
    assert!(f.back.receive(Block { region: 0, offset: 0, len: 1 }).is_err());
}

#[test]
fn blocks_that_are_not_sent_are_free_again() {
    let f = fixture(4 * KB, 0);
    drop(f.out.allocate(4 * KB).unwrap());
    let block = f.out.allocate(4 * KB).unwrap();
    assert!(block.copy_in(4 * KB - 1, &[0; 2]).is_err());
    let block = block.commit(KB + 1).unwrap();
    assert_eq!(f.out.usage().1, 2 * KB as u64, "what was not needed is free");
    f.out.cancel(block);
    assert_eq!(f.out.usage().1, 0);
    assert!(f.out.allocate(KB).unwrap().commit(KB + 1).is_err());
    assert!(f.out.allocate(KB).unwrap().commit(0).is_err());
    assert_eq!(f.out.usage().1, 0);
}

#[test]
fn forged_hand_backs_are_refused() {
    let f = fixture(64 * KB, 0);
    let block = f.send(&[0; 4 * KB]);
    let open = f.out.allocate(KB).unwrap();
    for forged in [
        Block { region: 1, ..block },
        Block { offset: 1, ..block },
        Block { offset: KB as u32, ..block },
        Block { len: 0, ..block },
        Block { len: u32::MAX, ..block },
        Block { offset: u32::MAX / 1024 * 1024, ..block },
        Block { offset: 4 * KB as u32, len: KB as u32, ..block },
        Block { offset: 63 * KB as u32, len: KB as u32, ..block },
    ] {
        assert!(f.out.take_back(&forged.encode()).is_err(), "{forged:?}");
    }
    assert!(f.out.take_back(&[]).is_err() && f.out.take_back(&[0; 13]).is_err());
    f.out.take_back(&block.encode()).unwrap();
    assert!(f.out.take_back(&block.encode()).is_err(), "twice");
    drop(open);
    assert_eq!(f.out.usage().1, 0);
}

#[test]
fn forged_blocks_are_refused() {
    let f = fixture(64 * KB, 0);
    let block = Block { region: 0, offset: 8 * KB as u32, len: 4 * KB as u32 };
    let view = f.back.receive(block).unwrap();
    for forged in [
        block,
        Block { region: 1, ..block },
        Block { offset: 11 * KB as u32, len: 1, ..block },
        Block { offset: 1, len: 1, ..block },
        Block { len: 0, offset: 0, ..block },
        Block { offset: 63 * KB as u32, len: KB as u32 + 1, ..block },
        Block { offset: 0, len: u32::MAX, ..block },
        Block { offset: u32::MAX / 1024 * 1024, len: u32::MAX, ..block },
    ] {
        assert!(f.back.receive(forged).is_err(), "{forged:?}");
    }
    drop(view);
    assert!(f.back.receive(block).is_err(), "it was not handed back yet");
    assert!(f.back.drop_region(0).is_err() && f.back.drop_region(1).is_err());
    assert!(f.back.add_region(2, span(KB)).is_err(), "out of turn");
}

#[test]
fn a_view_keeps_its_memory() {
    let f = fixture(4 * KB, 0);
    let view = f.back.receive(f.send(b"still here")).unwrap();
    drop(f);
    assert_eq!(view.to_vec(), b"still here");
}

#[test]
fn what_is_tried_is_a_block_like_any() {
    let f = fixture(4 * KB, 0);
    let block = f.out.try_allocate(3 * KB).unwrap();
    assert!(block.is_of(&f.out) && !block.is_of(&fixture(4 * KB, 0).out));
    assert!(f.out.try_allocate(2 * KB).is_none() && f.out.try_allocate(0).is_none());
    drop(block);
    assert_eq!(f.out.usage().1, 0);
}

#[test]
fn views_crowd_an_arena_until_they_are_dropped() {
    let f = fixture(16 * KB, 0);
    let views: Vec<_> = (0..5).map(|_| f.back.receive(f.send(&[1; KB])).unwrap()).collect();
    assert!(f.back.is_crowded());
    drop(views);
    assert!(!f.back.is_crowded());
}
