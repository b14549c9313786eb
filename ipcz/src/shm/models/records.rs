//! Records, full rings and sleeping consumers.

use std::collections::VecDeque;

use loom::sync::{Arc, Mutex};
use loom::thread;

use super::bell::End;
use super::check;
use super::memory::{DATA, ModelMemory};
use crate::shm::record::{Kind, Tag};
use crate::shm::ring::{CONTROL_BYTES, Place, Reader, WriteError, Writer};

/// Room for two records of some bytes, or for four without.
const CAPACITY: u32 = 64;

fn places() -> (ModelMemory, Place, Place) {
    let place = |control, data| Place { control, data, capacity: CAPACITY, reserve: 0 };
    let (one, two) = (place(0, DATA), place(CONTROL_BYTES, DATA + CAPACITY as usize));
    (ModelMemory::new(2 * CAPACITY as usize), one, two)
}

/// The next record's bytes.
fn read(reader: &mut Reader<ModelMemory>) -> Option<Vec<u8>> {
    let record = reader.next().unwrap()?;
    let mut bytes = Vec::new();
    record.append_to(0, record.len(), &mut bytes).unwrap();
    Some(bytes)
}

fn write(writer: &mut Writer<ModelMemory>, bytes: &[u8]) -> Result<(), WriteError> {
    writer.write(Tag::of(Kind::Inline, 0), &[bytes])
}

/// Writes `records`, sleeping while there is no room.
fn send_all(end: &mut End, records: &[&[u8]], publish_each: bool) {
    for record in records {
        while let Err(error) = write(&mut end.writer, record) {
            assert_eq!(error, WriteError::Full);
            end.ring();
            end.sleep(Some(record.len()));
        }
        if publish_each {
            end.publish();
        }
    }
    end.publish();
}

/// Reads until `expected` has come, sleeping while there is nothing.
fn receive_all(end: &mut End, expected: &[&[u8]], release_each: bool) {
    let mut expected: VecDeque<_> = expected.iter().collect();
    loop {
        while let Some(bytes) = read(&mut end.reader) {
            assert_eq!(expected.pop_front().map(|bytes| &bytes[..]), Some(&bytes[..]));
            if release_each {
                end.release();
            }
        }
        end.release();
        if expected.is_empty() {
            return;
        }
        end.sleep(None);
    }
}

fn carries(records: &'static [&'static [u8]], publish_each: bool) {
    carries_and_releases(records, publish_each, false);
}

fn carries_and_releases(records: &'static [&'static [u8]], publish_each: bool, release_each: bool) {
    check(move || {
        let (memory, one, two) = places();
        let (mut a, mut b) = End::pair(&memory, one, two);
        let sender = thread::spawn(move || send_all(&mut a, records, publish_each));
        receive_all(&mut b, records, release_each);
        sender.join().unwrap();
    });
}

/// No record is lost, no sleep is: the consumer sleeps until it is rung, with nothing to wake it else.
#[test]
fn a_sleeping_consumer_is_rung() {
    carries(&[&[1], &[2]], true);
}

/// One store of tail for several records.
#[test]
fn a_batch_is_published_at_once() {
    carries(&[&[1], &[2]], false);
}

/// The third record has no room before the first was read: the producer sleeps until it is rung.
#[test]
fn a_waiting_producer_is_rung() {
    carries(&[&[1], &[2], &[3]], true);
}

/// The first release does not make room enough, so the producer waits anew for the second.
#[test]
fn a_producer_that_was_rung_too_early_is_rung_again() {
    carries_and_releases(&[&[], &[], &[1], &[2]], false, true);
}

/// The same where what is to be read first was not published when the ring was found full.
#[test]
fn a_full_ring_publishes_what_it_holds() {
    carries(&[&[1], &[2], &[3]], false);
}

/// The last record does not fit behind the second: a pad, and the ring's start again.
#[test]
fn a_record_wraps_behind_a_pad() {
    carries(&[&[1], &[], &[3]], true);
}

/// Nobody sleeps: what is read is whole, and nothing is overwritten while it is read. Only the rings' own
/// orders hold here, none of a lock.
#[test]
fn a_reader_that_stays_awake_sees_whole_records() {
    check(|| {
        let (memory, place, _) = places();
        let mut writer = Writer::new(&memory, place).unwrap();
        let mut reader = Reader::new(&memory, place).unwrap();
        let sender = thread::spawn(move || {
            for byte in 1..=3 {
                while write(&mut writer, &[byte]).is_err() {
                    thread::yield_now();
                }
                writer.publish();
            }
        });
        for byte in 1..=3 {
            let bytes = loop {
                match read(&mut reader) {
                    Some(bytes) => break bytes,
                    None => thread::yield_now(),
                }
            };
            assert_eq!(bytes, [byte]);
            reader.release();
        }
        sender.join().unwrap();
    });
}

/// Two threads that share a writer under a lock, and look at the flag after they have left it.
#[test]
fn two_producers_lose_no_sleep() {
    check(|| {
        let (memory, one, two) = places();
        let (a, mut b) = End::pair(&memory, one, two);
        let a = Arc::new(Mutex::new(a));
        let other = Arc::clone(&a);
        let send = |end: &Mutex<End>, byte: u8| {
            let bell = {
                let mut end = end.lock().unwrap();
                write(&mut end.writer, &[byte]).unwrap();
                end.writer.publish();
                end.bell()
            };
            bell.ring();
        };
        let sender = thread::spawn(move || send(&other, 1));
        let waiter = thread::spawn(move || {
            let mut left = 2;
            while left > 0 {
                while read(&mut b.reader).is_some() {
                    left -= 1;
                }
                if left > 0 {
                    b.sleep(None);
                }
            }
        });
        send(&a, 2);
        sender.join().unwrap();
        waiter.join().unwrap();
    });
}
