//! Garbage in a link's memory, at random places and while it is read, harms nobody but the link.

#[allow(dead_code, reason = "shared with other tests, which use all of it")]
#[path = "../support/nodes.rs"]
mod nodes;
#[allow(dead_code, reason = "shared with other tests, which use all of it")]
#[path = "../support/links/raw.rs"]
mod raw;
#[path = "../support/sim/rng.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the simulator, which uses all of it")]
mod rng;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use ipcz::DisconnectKind;
use ipcz::shm::record::{Kind, Tag};
use nodes::PATIENCE;
use raw::{Honest, Linked, broker, no_panics};
use rng::Rng;

/// The control lines of both rings, and the first records of the one that the peer writes.
const CONTROL: std::ops::Range<usize> = 128..1152;
const RECORDS: usize = 4096;

const KINDS: [Kind; 7] = [
    Kind::Inline,
    Kind::Block,
    Kind::Marker,
    Kind::HandBack,
    Kind::AddRegion,
    Kind::DropRegion,
    Kind::Want,
];

/// A number of the kind that breaks things.
fn odd_number(rng: &mut Rng) -> u32 {
    let numbers =
        [0, 1, 2, 12, 16, 1024, 4096, 256 << 10, 1 << 20, 1 << 31, u32::MAX - 15, u32::MAX];
    match rng.below(3) {
        0 => rng.next() as u32,
        _ => rng.pick(&numbers).unwrap(),
    }
}

/// A record of any kind, with anything in it.
fn write_record(linked: &mut Linked, rng: &mut Rng) {
    let mut bytes = raw::parcel(0, rng.below(3) as u64).head;
    for _ in 0..rng.below(4) {
        bytes.extend(odd_number(rng).to_le_bytes());
    }
    if rng.chance(50) {
        bytes.drain(..bytes.len().min(21));
    }
    let split = rng.below(bytes.len() + 1) as u32;
    linked.write(Tag::of(rng.pick(&KINDS).unwrap(), split), &[&bytes]);
}

/// Writes over a word of the control lines, or of the next records.
fn scribble(linked: &Linked, rng: &mut Rng) {
    let at = match rng.chance(50) {
        true => CONTROL.start + 128 * rng.below(8) + 4 * rng.below(2),
        false => RECORDS + 4 * rng.below(64),
    };
    linked.memory.copy_in(at, &odd_number(rng).to_le_bytes()).unwrap();
}

#[test]
fn random_garbage_harms_nobody_else() {
    let panics = no_panics();
    let broker = broker();
    let honest = Honest::client_of(&broker);
    let (mut cut_off, mut went_on) = (0, 0);
    for seed in 0..400 {
        let mut rng = Rng::new(seed);
        let mut linked = Linked::client_of(&broker, 100 + u128::from(seed));
        for _ in 0..12 {
            match rng.below(4) {
                0 => write_record(&mut linked, &mut rng),
                1 => linked.raw.send(raw::parcel(0, rng.below(3) as u64)),
                2 => {
                    scribble(&linked, &mut rng);
                    linked.ring();
                }
                _ => drop(linked.portal.put(vec![7; rng.below(9000)])),
            }
            // Whatever came of it.
            let _ = linked.portal.try_recv();
        }
        panics(&format!("seed {seed}"));
        honest.check();
        match linked.connection.ended() {
            Some(why) => {
                assert_eq!(why.kind(), DisconnectKind::Violation, "seed {seed}");
                cut_off += 1;
            }
            None => went_on += 1,
        }
        linked.connection.disconnect();
        assert!(linked.connection.wait_ended(PATIENCE).is_some(), "seed {seed}");
    }
    println!("{cut_off} were cut off, {went_on} went on");
    assert!(cut_off > 100 && went_on > 0);
    nodes::eventually("only the honest one is left", || broker.topology().peers.len() == 1);
}

#[test]
fn bytes_that_change_while_they_are_read_harm_nobody_else() {
    let panics = no_panics();
    let broker = broker();
    let honest = Honest::client_of(&broker);
    for seed in 0..40 {
        let mut rng = Rng::new(seed);
        let mut linked = Linked::client_of(&broker, 100 + u128::from(seed));
        let region = linked.region.map().unwrap();
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            // Only the records and the blocks: the control lines would end this at once.
            scope.spawn(|| {
                let mut rng = Rng::new(seed);
                while !is_over.load(Ordering::Relaxed) {
                    let at = RECORDS + 4 * rng.below(2048);
                    region.copy_in(at, &odd_number(&mut rng).to_le_bytes()).unwrap();
                }
            });
            for sequence in 0..60 {
                linked.send_inline(sequence, &vec![7; rng.below(500)]);
                let _ = linked.portal.try_recv();
                if linked.connection.ended().is_some() {
                    break;
                }
            }
            is_over.store(true, Ordering::Relaxed);
        });
        panics(&format!("seed {seed}"));
        honest.check();
        let why = linked.connection.ended();
        assert!(why.is_none_or(|why| why.kind() == DisconnectKind::Violation), "seed {seed}");
    }
}
