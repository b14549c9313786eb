use std::collections::VecDeque;
use std::sync::Arc;

use super::*;
use crate::shm::memory::Word;
use crate::shm::record::{Kind, NO_CPU, Tag};
use crate::shm::{Mapping, Region, RingBroken};

type Memory = Arc<Mapping>;

const CAPACITY: u32 = 1024;
const PLACE: Place = Place { control: 0, data: CONTROL_BYTES, capacity: CAPACITY, reserve: 128 };

fn memory() -> Memory {
    Arc::new(Region::new(CONTROL_BYTES + CAPACITY as usize).unwrap().map().unwrap())
}

fn ring() -> (Memory, Writer<Memory>, Reader<Memory>) {
    let memory = memory();
    let (writer, reader) = (Writer::new(&memory, PLACE), Reader::new(&memory, PLACE));
    (memory, writer.unwrap(), reader.unwrap())
}

fn inline() -> Tag {
    Tag::of(Kind::Inline, 0)
}

fn read(reader: &mut Reader<Memory>) -> Option<Vec<u8>> {
    let record = reader.next().unwrap()?;
    let mut bytes = Vec::new();
    record.append_to(0, record.len(), &mut bytes).unwrap();
    Some(bytes)
}

fn random(seed: &mut u64) -> usize {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
    (*seed >> 33) as usize
}

#[test]
fn records_of_all_sizes_come_out_as_they_went_in() {
    for seed in 0..50 {
        let mut seed = seed;
        let (_, mut writer, mut reader) = ring();
        let mut expected = VecDeque::new();
        for round in 0..2000 {
            let record = vec![round as u8; random(&mut seed) % (writer.max_bytes() + 1)];
            match writer
                .write(inline(), &[&record[..record.len() / 3], &record[record.len() / 3..]])
            {
                Ok(()) => expected.push_back(record),
                Err(error) => assert_eq!(error, WriteError::Full),
            }
            writer.publish();
            if random(&mut seed).is_multiple_of(3) {
                while let Some(bytes) = read(&mut reader) {
                    assert_eq!(Some(bytes), expected.pop_front());
                }
                assert!(expected.is_empty());
                reader.release();
            }
        }
    }
}

#[test]
fn the_longest_record_fits_an_empty_ring_wherever_it_begins() {
    for skip in 0..CAPACITY as usize / ALIGNMENT {
        let (_, mut writer, mut reader) = ring();
        for _ in 0..skip {
            writer.write(inline(), &[]).unwrap();
            writer.publish();
            assert_eq!(read(&mut reader), Some(Vec::new()));
            reader.release();
        }
        let longest = vec![7; writer.max_bytes()];
        assert_eq!(writer.write(inline(), &[&longest, &[1]]), Err(WriteError::TooLong));
        writer.write(inline(), &[&longest]).unwrap();
        writer.publish();
        assert_eq!(read(&mut reader), Some(longest));
    }
}

#[test]
fn nothing_shows_before_it_is_published() {
    let (_, mut writer, mut reader) = ring();
    assert!(!writer.publish());
    writer.write(inline(), &[b"one"]).unwrap();
    writer.write(inline(), &[b"two"]).unwrap();
    assert_eq!(read(&mut reader), None);
    assert!(writer.publish() && !writer.publish());
    assert_eq!(read(&mut reader), Some(b"one".to_vec()));
    assert_eq!(read(&mut reader), Some(b"two".to_vec()));
    assert_eq!(read(&mut reader), None);
}

#[test]
fn a_slot_that_is_dropped_leaves_nothing() {
    let (_, mut writer, mut reader) = ring();
    writer.reserve(8).unwrap().put(b"gone").unwrap();
    let mut slot = writer.reserve(20).unwrap();
    slot.put(b"her").unwrap();
    slot.put(b"e").unwrap();
    // What is rounded up to is no room that was asked for, but does no harm.
    assert_eq!(slot.put(&[0; 40]), Err(WriteError::TooLong));
    slot.commit(Tag { kind: Kind::Block, flags: 3, cpu: 5, split: 2 }).unwrap();
    writer.publish();
    let record = reader.next().unwrap().unwrap();
    assert_eq!(record.tag(), Tag { kind: Kind::Block, flags: 3, cpu: 5, split: 2 });
    let (mut head, mut body) = (Vec::new(), Vec::new());
    record.split_to(&mut head, &mut body).unwrap();
    assert_eq!((&head[..], &body[..]), (&b"he"[..], &b"re"[..]));
    let mut bytes = [0; 2];
    record.read_at(1, &mut bytes).unwrap();
    assert_eq!(&bytes, b"er");
    assert!(record.read_at(3, &mut bytes).is_err());
    assert!(record.read_at(usize::MAX, &mut bytes).is_err());
}

#[test]
fn a_split_behind_the_end_is_refused() {
    let (_, mut writer, _) = ring();
    assert_eq!(writer.write(Tag::of(Kind::Inline, 2), &[b"1"]), Err(WriteError::TooLong));
}

#[test]
fn a_full_ring_asks_to_be_rung_and_is() {
    let (_, mut writer, mut reader) = ring();
    while writer.write(inline(), &[b"filler"]).is_ok() {}
    // Full has published them.
    assert!(!writer.publish());
    assert!(writer.still_full(6).unwrap());
    assert!(read(&mut reader).is_some());
    assert!(writer.still_full(6).unwrap(), "nothing was released");
    assert!(reader.release(), "the producer waits");
    assert!(!writer.still_full(6).unwrap());
    assert!(read(&mut reader).is_some());
    assert!(!reader.release(), "and waits no more");
}

#[test]
fn hand_backs_have_room_where_others_have_none() {
    let (_, mut writer, _) = ring();
    while writer.write(inline(), &[]).is_ok() {}
    assert_eq!(writer.in_flight(), CAPACITY - PLACE.reserve);
    for _ in 0..PLACE.reserve as usize / ALIGNMENT {
        writer.reserve_for_hand_back(0).unwrap().commit(Tag::of(Kind::HandBack, 0)).unwrap();
    }
    assert_eq!(writer.in_flight(), CAPACITY);
    assert!(writer.reserve_for_hand_back(0).is_err());
}

#[test]
fn the_consumers_cpu_is_known_or_not() {
    let (memory, writer, mut reader) = ring();
    assert_eq!(writer.consumer_cpu(), NO_CPU);
    for cpu in [0, 1, NO_CPU - 1, NO_CPU, 3] {
        reader.set_cpu(cpu);
        assert_eq!(writer.consumer_cpu(), cpu);
    }
    memory.word(CPU).unwrap().store(u32::MAX, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(writer.consumer_cpu(), NO_CPU);
}

#[test]
fn places_that_are_none_are_refused() {
    let memory = memory();
    for place in [
        Place { capacity: 1000, ..PLACE },
        Place { capacity: 32, ..PLACE },
        Place { capacity: 2048, ..PLACE },
        Place { data: CONTROL_BYTES + 16, ..PLACE },
        Place { data: usize::MAX - 15, ..PLACE },
        Place { reserve: 513, ..PLACE },
        Place { control: usize::MAX - 127, ..PLACE },
        Place { control: 2, ..PLACE },
    ] {
        assert!(Writer::new(&memory, place).is_err(), "{place:?}");
        assert!(Reader::new(&memory, place).is_err(), "{place:?}");
    }
}

fn store(memory: &Memory, word: usize, value: u32) {
    memory.word(word).unwrap().store(value, std::sync::atomic::Ordering::Relaxed);
}

/// What the reader says of what the peer has done to the ring, now and afterwards.
fn broken(reader: &mut Reader<Memory>) -> RingBroken {
    let broken = loop {
        match reader.next() {
            Ok(Some(_)) => {}
            Ok(None) => panic!("nothing is wrong"),
            Err(broken) => break broken,
        }
    };
    assert_eq!(reader.has_more(), Err(broken), "it stays so");
    assert_eq!(reader.next().err(), Some(broken), "it stays so");
    broken
}

#[test]
fn tails_that_cannot_be_are_refused() {
    for (before, tail) in [
        (0, 8),
        (0, 17),
        (0, CAPACITY + 16),
        (0, 0_u32.wrapping_sub(16)),
        (0, 1 << 31),
        (32, 16),
        (32, 0),
        (32, CAPACITY + 48),
    ] {
        let (memory, mut writer, mut reader) = ring();
        for _ in 0..before / 16 {
            writer.write(inline(), &[]).unwrap();
        }
        writer.publish();
        while reader.next().unwrap().is_some() {}
        reader.release();
        store(&memory, TAIL, tail);
        broken(&mut reader);
    }
}

#[test]
fn heads_that_cannot_be_are_refused() {
    for head in [8, 17, 1 << 31, 0_u32.wrapping_sub(16), CAPACITY] {
        let (memory, mut writer, _) = ring();
        store(&memory, HEAD, head);
        let error = loop {
            if let Err(error) = writer.write(inline(), &[]) {
                break error;
            }
        };
        let WriteError::Broken(broken) = error else { panic!("{error} {head}") };
        assert_eq!(writer.write(inline(), &[]), Err(WriteError::Broken(broken)), "it stays so");
        assert_eq!(writer.still_full(0), Err(broken), "it stays so");
    }
}

#[test]
fn records_that_cannot_be_are_refused() {
    let header = |len: u32, kind: u8| {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&len.to_le_bytes());
        bytes[4] = kind;
        bytes
    };
    let longest = PLACE.max_record() - 16;
    for (tail, at, bytes) in [
        (16, 0, header(0, 0)),
        (16, 0, header(0, 9)),
        (16, 0, header(1, 2)),
        (16, 0, header(u32::MAX, 2)),
        (16, 0, header(u32::MAX - 15, 2)),
        (CAPACITY, 0, header(longest + 1, 2)),
        (CAPACITY, 0, header(16, 1)),
        (CAPACITY, 0, header(CAPACITY - 16, 1)),
    ] {
        let (memory, _, mut reader) = ring();
        memory.copy_in(CONTROL_BYTES + at, &bytes).unwrap();
        store(&memory, TAIL, tail);
        broken(&mut reader);
    }
}

/// Fills the ring up to its last 16 bytes, and has all of that read.
fn at_the_end() -> (Memory, Reader<Memory>) {
    let (memory, mut writer, mut reader) = ring();
    for _ in 0..CAPACITY / 16 - 1 {
        writer.reserve_for_hand_back(0).unwrap().commit(inline()).unwrap();
    }
    writer.publish();
    while reader.next().unwrap().is_some() {}
    reader.release();
    memory.copy_in(PLACE.at(CAPACITY - 16), &[0, 0, 0, 0, 1, 0, 0, 0]).unwrap();
    memory.copy_in(PLACE.at(CAPACITY - 8), &[0; 8]).unwrap();
    (memory, reader)
}

#[test]
fn a_pad_leads_to_a_record() {
    let (memory, mut reader) = at_the_end();
    store(&memory, TAIL, CAPACITY);
    broken(&mut reader);

    let (memory, mut reader) = at_the_end();
    store(&memory, TAIL, 2 * CAPACITY - 16);
    let pad_of_all = (CAPACITY - 16).to_le_bytes();
    memory.copy_in(CONTROL_BYTES, &pad_of_all).unwrap();
    memory.copy_in(CONTROL_BYTES + 4, &[1]).unwrap();
    broken(&mut reader);

    let (memory, mut reader) = at_the_end();
    store(&memory, TAIL, CAPACITY + 16);
    assert!(reader.next().unwrap().is_some());
    assert!(reader.next().unwrap().is_none());
}
