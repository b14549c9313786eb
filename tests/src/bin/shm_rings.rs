//! Measures the shared-memory structures by themselves: no node, no messages of the engine.
//!
//! Two threads use the two sides of one link's region, pinned to one CPU or to two. On two CPUs both stay
//! awake; on one they sleep, by the doorbell and an eventfd. Each figure stands beside what the
//! hardware does without any of this, measured in the same run: a cache line sent to and fro, and
//! `memcpy` of as many bytes in and out of the same memory by one thread.
//!
//! Run it with `cargo run --release -p ipcz-tests --bin shm_rings`. It prints the median of several rounds.

use std::hint;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use ipcz::shm::Region;
use ipcz::shm::arena::{BLOCK_BYTES, Block};
use ipcz::shm::doorbell::Sleep;
use ipcz::shm::layout::Layout;
use ipcz::shm::link::{Budgets, Ends};
use ipcz::shm::record::{Kind, Tag};
use rustix::event::{EventfdFlags, eventfd};
use rustix::thread::{CpuSet, sched_setaffinity};

const ROUNDS: usize = 5;
const MESSAGES: usize = 500_000;
const BLOCKS: usize = 4_000;
const BLOCK: usize = 64 << 10;
const ROUND_TRIPS: usize = 100_000;

fn main() {
    let cpus = thread::available_parallelism().map_or(1, |cpus| cpus.get());
    let line = median(|| per_second(ROUND_TRIPS, ping_pong_of_a_line));
    let copy = median(|| per_second(BLOCKS, copy_in_and_out) * BLOCK as f64);
    println!("a line to and fro        {:>8.0} ns", 1e9 / line);
    println!("memcpy in and out 64 KiB {:>8.2} GB/s", copy / 1e9);
    for split in [true, false].into_iter().filter(|&split| !split || cpus > 1) {
        let cpus = if split { "two CPUs" } else { "one CPU " };
        for batch in [1, 16] {
            let rate = median(|| per_second(MESSAGES, |count| one_way(count, split, batch)));
            let lines = line * 2.0 / rate;
            println!(
                "{cpus} 64 B one way, published by {batch:>2}: {:>6.1} M/s, {lines:.3} x a line's way",
                rate / 1e6
            );
        }
        for in_flight in [1, 4, 8] {
            let rate = median(|| per_second(BLOCKS, |count| blocks(count, split, in_flight)));
            let bytes = rate * BLOCK as f64;
            println!(
                "{cpus} 64 KiB in {in_flight} blocks, copied: {:>6.2} GB/s, {:.2} x memcpy",
                bytes / 1e9,
                bytes / copy
            );
        }
    }
}

fn median(mut figure: impl FnMut() -> f64) -> f64 {
    let mut figures: Vec<_> = (0..ROUNDS).map(|_| figure()).collect();
    figures.sort_unstable_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn per_second(count: usize, run: impl FnOnce(usize)) -> f64 {
    let start = Instant::now();
    run(count);
    count as f64 / start.elapsed().as_secs_f64()
}

fn pin(cpu: usize) {
    let mut set = CpuSet::new();
    set.set(cpu);
    sched_setaffinity(None, &set).expect("the CPU is there");
}

/// Runs both at once, on two CPUs or on one.
fn together(split: bool, one: impl FnOnce() + Send, two: impl FnOnce() + Send) {
    thread::scope(|scope| {
        scope.spawn(|| {
            pin(0);
            one();
        });
        scope.spawn(move || {
            pin(usize::from(split));
            two();
        });
    });
}

fn ping_pong_of_a_line(count: usize) {
    let line = AtomicU64::new(0);
    let turn = |mine: u64| {
        for round in 0..count as u64 {
            while line.load(Ordering::Acquire) != 2 * round + mine {
                hint::spin_loop();
            }
            line.store(2 * round + mine + 1, Ordering::Release);
        }
    };
    together(
        thread::available_parallelism().is_ok_and(|cpus| cpus.get() > 1),
        || turn(0),
        || turn(1),
    );
}

fn copy_in_and_out(count: usize) {
    let mapping = Region::new(BLOCK).expect("memory").map().expect("mapped");
    let mut bytes = vec![1; BLOCK];
    for _ in 0..count {
        mapping.copy_in(0, &bytes).expect("in bounds");
        mapping.copy_out(0, &mut bytes).expect("in bounds");
        hint::black_box(&bytes);
    }
}

/// One side of a link, and how it and the other are woken.
struct Party {
    ends: Ends,
    split: bool,
    mine: Arc<OwnedFd>,
    peers: Arc<OwnedFd>,
}

fn parties(split: bool) -> (Party, Party) {
    let layout = Layout::DEFAULT;
    let region = Region::new(layout.num_bytes()).expect("memory");
    let events = [(); 2].map(|()| Arc::new(eventfd(0, EventfdFlags::CLOEXEC).expect("an eventfd")));
    let [a, b] = events;
    let maker = Ends::make(&region, layout, Budgets::default(), || {}).expect("a link");
    let taker = Ends::take(&region, layout, Budgets::default(), || {}).expect("a link");
    let one = Party { ends: maker, split, mine: Arc::clone(&a), peers: Arc::clone(&b) };
    (one, Party { ends: taker, split, mine: b, peers: a })
}

impl Party {
    fn ring(&self) {
        if self.ends.doorbell.who_sleeps().expect("an honest peer").is_some() {
            rustix::io::write(&*self.peers, &1_u64.to_ne_bytes()).expect("rung");
        }
    }

    fn publish(&mut self) {
        if self.ends.writer.publish() {
            self.ring();
        }
    }

    fn release(&mut self) {
        if self.ends.reader.release() {
            self.ring();
        }
    }

    /// Waits for something to read, or for room, if that is what is missing.
    fn wait(&mut self, queued: Option<usize>) {
        if self.split {
            hint::spin_loop();
            return;
        }
        self.ends.sleeper.arm(Sleep::Waiter);
        let full = queued.map(|len| self.ends.writer.still_full(len).expect("an honest peer"));
        if !self.ends.reader.has_more().expect("an honest peer") && full != Some(false) {
            rustix::io::read(&*self.mine, &mut [0; 8]).expect("woken");
        }
        self.ends.sleeper.disarm();
    }

    fn send(&mut self, tag: Tag, bytes: &[u8]) {
        while self.ends.writer.write(tag, &[bytes]).is_err() {
            self.ring();
            self.wait(Some(bytes.len()));
        }
    }
}

fn one_way(count: usize, split: bool, batch: usize) {
    let (mut a, mut b) = parties(split);
    let send = move || {
        let bytes = [7; 64];
        for message in 1..=count {
            a.send(Tag::of(Kind::Inline, 0), &bytes);
            if message.is_multiple_of(batch) {
                a.publish();
            }
        }
        a.publish();
    };
    let receive = move || {
        let mut bytes = [0; 64];
        let mut left = count;
        while left > 0 {
            let before = left;
            while left > 0 && before - left < 256 {
                let Some(record) = b.ends.reader.next().expect("an honest peer") else { break };
                record.read_at(0, &mut bytes).expect("64 bytes");
                hint::black_box(&bytes);
                left -= 1;
            }
            b.release();
            if left > 0 && left == before {
                b.wait(None);
            }
        }
    };
    together(split, send, receive);
}

fn blocks(count: usize, split: bool, in_flight: usize) {
    let (mut a, mut b) = parties(split);
    let send = move || {
        let bytes = vec![7; BLOCK];
        for _ in 0..count {
            while a.ends.send_arena.usage().1 >= (in_flight * BLOCK) as u64 {
                a.collect();
            }
            let block = a.ends.send_arena.allocate(BLOCK).expect("room");
            block.copy_in(0, &bytes).expect("in bounds");
            let block = block.commit(BLOCK).expect("in bounds");
            a.send(Tag::of(Kind::Block, 0), &block.encode());
            a.publish();
        }
    };
    let receive = move || {
        let mut bytes = vec![0; BLOCK];
        for left in (0..count).rev() {
            while !b.take(&mut bytes) {
                b.wait(None);
            }
            b.release();
            b.ends.receive_arena.hand_back(&mut b.ends.writer).expect("room");
            b.ends.writer.publish();
            if left > 0 {
                b.ring();
            }
        }
    };
    together(split, send, receive);
}

impl Party {
    /// Takes back what comes, or waits for it.
    fn collect(&mut self) {
        let mut any = false;
        let mut ranges = Vec::new();
        while let Some(record) = self.ends.reader.next().expect("an honest peer") {
            ranges.clear();
            record.append_to(0, record.len(), &mut ranges).expect("all of it");
            self.ends.send_arena.take_back(&ranges).expect("an honest peer");
            any = true;
        }
        self.release();
        if !any {
            self.wait(None);
        }
    }

    /// Copies the next block's payload out, if there is one.
    fn take(&mut self, bytes: &mut [u8]) -> bool {
        let Some(record) = self.ends.reader.next().expect("an honest peer") else { return false };
        let mut block = [0; BLOCK_BYTES];
        record.read_at(0, &mut block).expect("a block");
        let view = self.ends.receive_arena.receive(Block::decode(block)).expect("an honest peer");
        view.read_at(0, bytes).expect("all of it");
        hint::black_box(bytes);
        true
    }
}
