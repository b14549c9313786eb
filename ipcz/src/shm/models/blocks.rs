//! Blocks: there, read, handed back, and used again.

use loom::thread;

use super::bell::End;
use super::check;
use super::memory::{DATA, ModelMemory};
use crate::shm::arena::{
    AllocateError, BLOCK_BYTES, Block, BlockView, GRANULE_BYTES, ReceiveArena, SendArena, Span,
};
use crate::shm::record::{Kind, Tag};
use crate::shm::ring::{CONTROL_BYTES, Place};

const CAPACITY: u32 = 256;

type Arenas = (SendArena<ModelMemory>, ReceiveArena<ModelMemory>);

/// Two sides, and an arena from the first to the second that has room for `granules` blocks.
fn link(granules: u32) -> (End, End, Arenas) {
    let rings = 2 * CAPACITY as usize;
    let len = (granules * GRANULE_BYTES) as usize;
    let memory = ModelMemory::new(rings + len);
    let place = |control, data| Place { control, data, capacity: CAPACITY, reserve: 64 };
    let (one, two) = (place(0, DATA), place(CONTROL_BYTES, DATA + CAPACITY as usize));
    let (a, b) = End::pair(&memory, one, two);
    let span = Span { memory, base: DATA + rings, len };
    let out = SendArena::new(span.clone(), 0).unwrap();
    let back = ReceiveArena::new(span, 0, || {}).unwrap();
    (a, b, (out, back))
}

/// Takes back what was handed back, if anything was.
fn collect(end: &mut End, arena: &SendArena<ModelMemory>) {
    while let Some(record) = end.reader.next().unwrap() {
        assert_eq!(record.tag().kind, Kind::HandBack);
        let mut ranges = Vec::new();
        record.append_to(0, record.len(), &mut ranges).unwrap();
        arena.take_back(&ranges).unwrap();
    }
    end.release();
}

/// Sends `byte` in a block, as soon as there is one.
fn send(end: &mut End, arena: &SendArena<ModelMemory>, byte: u8) {
    let block = loop {
        match arena.allocate(1) {
            Ok(block) => break block,
            Err(AllocateError::Full { .. }) => end.sleep(None),
            Err(error) => panic!("{error}"),
        }
        collect(end, arena);
    };
    block.copy_in(0, &[byte]).unwrap();
    let block = block.commit(1).unwrap();
    end.writer.write(Tag::of(Kind::Block, 0), &[&block.encode()]).unwrap();
    end.publish();
}

/// The next payload, as soon as there is one.
fn receive(end: &mut End, arena: &ReceiveArena<ModelMemory>) -> BlockView<ModelMemory> {
    loop {
        if let Some(record) = end.reader.next().unwrap() {
            let mut bytes = [0; BLOCK_BYTES];
            record.read_at(0, &mut bytes).unwrap();
            let view = arena.receive(Block::decode(bytes)).unwrap();
            end.release();
            return view;
        }
        end.sleep(None);
    }
}

/// One block for all payloads: it is written again only after it was read.
#[test]
fn a_block_that_came_back_is_used_again() {
    check(|| {
        let (mut a, mut b, (out, back)) = link(1);
        let sender = thread::spawn(move || (1..=2).for_each(|byte| send(&mut a, &out, byte)));
        for byte in 1..=2 {
            let view = receive(&mut b, &back);
            assert_eq!(view.to_vec(), [byte]);
            drop(view);
            assert_eq!(back.hand_back(&mut b.writer), Ok(true));
            b.publish();
        }
        sender.join().unwrap();
    });
}

/// A view that is dropped by another thread than the one that hands back.
#[test]
fn a_view_is_dropped_elsewhere() {
    check(|| {
        let (mut a, mut b, (out, back)) = link(1);
        send(&mut a, &out, 1);
        let view = receive(&mut b, &back);
        let reader = thread::spawn(move || assert_eq!(view.to_vec(), [1]));
        let writer = thread::spawn(move || send(&mut a, &out, 2));
        while !back.hand_back(&mut b.writer).unwrap() {
            thread::yield_now();
        }
        b.publish();
        assert_eq!(receive(&mut b, &back).to_vec(), [2]);
        reader.join().unwrap();
        writer.join().unwrap();
    });
}
