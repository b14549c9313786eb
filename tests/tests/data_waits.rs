//! Whoever waits is woken, with whatever it waits beside, over links of shared memory.

#[allow(dead_code, reason = "shared with other tests, which use all of it")]
#[path = "../support/links/alone.rs"]
mod alone;
#[allow(dead_code, reason = "shared with other tests, which use all of it")]
#[path = "../support/block_on.rs"]
mod block_on;
#[allow(dead_code, reason = "shared with other tests, which use all of it")]
#[path = "../support/nodes.rs"]
mod nodes;
#[path = "../support/links/pairs.rs"]
mod pairs;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use ipcz::{Conditions, NodeOptions, Portal, TryRecvError};
use nodes::PATIENCE;
use pairs::{Joined, Member, join, member, settle};
use rustix::io::Errno;
use rustix::thread::ClockId;
use rustix::thread::futex::{self, WaitvFlags};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

fn broker() -> Member {
    member(&NodeOptions::default(), true)
}

fn client() -> Member {
    member(&NodeOptions::default(), false)
}

/// A broker and a client with so many pairs of portals, over memory.
fn linked(portals: u32) -> (Member, Member, Joined, Vec<(Portal, Portal)>) {
    let (broker, client) = (broker(), client());
    let joined = join(&broker, &client, portals);
    let pairs: Vec<_> = (0..portals as usize).map(|index| joined.portals(index)).collect();
    settle(&pairs[0].0, &pairs[0].1);
    (broker, client, joined, pairs)
}

fn number(parcel: &ipcz::Parcel) -> u32 {
    u32::from_le_bytes(parcel.bytes().try_into().unwrap())
}

/// Sends back what comes until the other side is gone.
fn echo(portal: &Portal) {
    while let Ok(parcel) = portal.recv_blocking() {
        let _ = portal.put(parcel);
    }
}

/// Puts numbers and waits for each to come back.
fn ping(portal: &Portal, rounds: u32) {
    for round in 0..rounds {
        portal.put(round.to_le_bytes().to_vec()).unwrap();
        assert_eq!(number(&portal.recv_timeout(PATIENCE).unwrap()), round);
    }
}

#[test]
fn several_threads_wait_on_one_node_and_each_gets_its_own() {
    const THREADS: u32 = 5;
    let (_broker, _client, _joined, pairs) = linked(THREADS);
    thread::scope(|scope| {
        for (index, (near, far)) in (0_u32..).zip(pairs) {
            scope.spawn(move || echo(&far));
            // They leave one after the other.
            scope.spawn(move || ping(&near, 300 * (index + 1)));
        }
    });
}

#[test]
fn deadlines_pass_while_others_wait_on() {
    const THREADS: usize = 4;
    let (_broker, _client, _joined, pairs) = linked(THREADS as u32);
    let (nears, fars): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
    thread::scope(|scope| {
        let waiters: Vec<_> = nears
            .iter()
            .enumerate()
            .map(|(index, near)| {
                scope.spawn(move || {
                    let mut passed = 0;
                    // The one without a deadline gets its parcel after all others have left.
                    let Some(patience) = [0, 3, 7, 20].get(index).filter(|ms| **ms > 0) else {
                        return (near.recv_timeout(PATIENCE).unwrap(), passed);
                    };
                    loop {
                        let began = Instant::now();
                        let patience = Duration::from_millis(*patience);
                        match near.recv_timeout(patience) {
                            Ok(parcel) => return (parcel, passed),
                            Err(TryRecvError::Empty) => passed += 1,
                            Err(error) => panic!("{error}"),
                        }
                        assert!(began.elapsed() >= patience, "too early");
                    }
                })
            })
            .collect();
        thread::sleep(Duration::from_millis(100));
        for index in (0..THREADS).rev() {
            fars[index].put((index as u32).to_le_bytes().to_vec()).unwrap();
            thread::sleep(Duration::from_millis(30));
        }
        for (index, waiter) in waiters.into_iter().enumerate() {
            let (parcel, passed) = waiter.join().unwrap();
            assert_eq!(number(&parcel), index as u32);
            assert!(index == 0 || passed > 0, "the deadline of {index} never passed");
        }
    });
}

#[test]
fn a_follower_leads_once_the_leader_has_left() {
    let (_broker, _client, _joined, pairs) = linked(2);
    let [(leads, to_leader), (follows, to_follower)] = &pairs[..] else { unreachable!() };
    for round in 0..10_u32 {
        // No ticks any more, which would help.
        thread::sleep(Duration::from_millis(10));
        thread::scope(|scope| {
            let leader = scope.spawn(|| leads.recv_timeout(Duration::from_millis(40)).is_ok());
            thread::sleep(Duration::from_millis(10));
            let follower = scope.spawn(|| number(&follows.recv_timeout(PATIENCE).unwrap()));
            thread::sleep(Duration::from_millis(10));
            let is_served = round % 2 == 0;
            if is_served {
                to_leader.put("here").unwrap();
            }
            let left = leader.join().unwrap();
            let began = Instant::now();
            to_follower.put(round.to_le_bytes().to_vec()).unwrap();
            assert_eq!(follower.join().unwrap(), round);
            assert!(began.elapsed() < PATIENCE / 2, "only its deadline woke it");
            // On a slow machine its time may have been over before it was served.
            if is_served && !left {
                leads.recv_timeout(PATIENCE).unwrap();
            }
        });
    }
}

#[test]
fn one_thread_waits_on_three_links() {
    let broker = broker();
    let clients: Vec<_> = (0..3).map(|_| client()).collect();
    let joined: Vec<_> = clients.iter().map(|client| join(&broker, client, 1)).collect();
    let pairs: Vec<_> = joined.iter().map(|joined| joined.portals(0)).collect();
    pairs.iter().for_each(|(near, far)| settle(near, far));
    thread::scope(|scope| {
        let (nears, fars): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
        fars.into_iter().for_each(|far| drop(scope.spawn(move || echo(&far))));
        for round in 0..1500_u32 {
            let bytes = round.to_le_bytes().to_vec();
            nears.iter().for_each(|near| near.put(bytes.clone()).unwrap());
            // The last one first, so that what others sent is read by who does not want it.
            for index in 0..3 {
                let near = &nears[(round as usize + index) % 3];
                assert_eq!(number(&near.recv_timeout(PATIENCE).unwrap()), round);
            }
        }
        drop(nears);
    });
}

#[test]
fn tasks_and_traps_are_served_beside_a_thread_that_waits() {
    let (_broker, _client, _joined, mut pairs) = linked(3);
    let (blocking, echoed) = pairs.pop().unwrap();
    let (awaited, sent) = pairs.pop().unwrap();
    let (trapped, sprung) = pairs.pop().unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| echo(&echoed));
        // Leaders come and go, so that the background thread ticks; in between they stay away.
        scope.spawn(|| {
            let blocking = blocking;
            while !done.load(Ordering::Relaxed) {
                ping(&blocking, 20);
                thread::sleep(Duration::from_millis(5));
            }
        });
        let task = scope.spawn(|| {
            block_on::block_on(async {
                for round in 0..300_u32 {
                    assert_eq!(number(&awaited.recv().await.unwrap()), round);
                    awaited.put("next").unwrap();
                }
            });
        });
        for round in 0..300_u32 {
            sent.put(round.to_le_bytes().to_vec()).unwrap();
            assert_eq!(sent.recv_timeout(PATIENCE).unwrap().bytes(), b"next");
        }
        task.join().unwrap();
        for round in 0..200_u32 {
            let (tell, told) = mpsc::channel();
            let conditions = Conditions { new_parcel: true, dead: true, ..Conditions::default() };
            trapped.trap(conditions, move |event| tell.send(event).unwrap()).unwrap();
            sprung.put(round.to_le_bytes().to_vec()).unwrap();
            assert!(told.recv_timeout(PATIENCE).unwrap().flags.new_parcel);
            assert_eq!(number(&trapped.try_recv().unwrap()), round);
        }
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_follower_that_is_asked_to_lead_and_is_done_hands_over_to_the_background() {
    let (_broker, client, _joined, mut pairs) = linked(2);
    let (led, from_afar) = pairs.pop().unwrap();
    let (awaited, sent) = pairs.pop().unwrap();
    let (near, far) = client.node.open_portals();
    for round in 0..400_u32 {
        thread::scope(|scope| {
            // Which of the two leads is left to chance; both get what they want at the same time.
            let first = scope.spawn(|| number(&from_afar.recv_timeout(PATIENCE).unwrap()));
            let second = scope.spawn(|| number(&far.recv_timeout(PATIENCE).unwrap()));
            let task = scope.spawn(|| number(&block_on::block_on(sent.recv()).unwrap()));
            thread::sleep(Duration::from_micros(u64::from(round % 16) * 40));
            led.put(round.to_le_bytes().to_vec()).unwrap();
            (0..round % 8 * 100).for_each(|_| std::hint::spin_loop());
            near.put(round.to_le_bytes().to_vec()).unwrap();
            assert_eq!((first.join().unwrap(), second.join().unwrap()), (round, round));
            // Nobody else is there to read this.
            awaited.put(round.to_le_bytes().to_vec()).unwrap();
            assert_eq!(task.join().unwrap(), round);
        });
    }
}

#[test]
fn a_task_alone_is_served_after_leaders_have_left() {
    let (_broker, _client, _joined, mut pairs) = linked(2);
    let (blocking, echoed) = pairs.pop().unwrap();
    let (awaited, sent) = pairs.pop().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| echo(&echoed));
        let blocking = blocking;
        for round in 0..100_u32 {
            // Enough of them for ticks, and none; the task waits before, during or after a tick.
            ping(&blocking, round % 8);
            let waits = scope.spawn(|| number(&block_on::block_on(awaited.recv()).unwrap()));
            thread::sleep(Duration::from_micros(u64::from(round) * 40));
            sent.put(round.to_le_bytes().to_vec()).unwrap();
            assert_eq!(waits.join().unwrap(), round);
        }
        drop(blocking);
    });
}

#[test]
fn a_sleeping_leader_reads_links_that_are_added_meanwhile() {
    let (first, old) = (client(), broker());
    let joined = join(&old, &first, 1);
    let (near, far) = joined.portals(0);
    // Leaders enough in a row for the background thread to tick when the last one begins.
    settle(&near, &far);
    settle(&near, &far);
    let got = AtomicUsize::new(0);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        // It leads for as long as this lasts, and what it waits for comes last.
        let leader = scope.spawn(|| near.recv_timeout(4 * PATIENCE).unwrap());
        // And one who follows, comes and goes.
        scope.spawn(|| {
            let (_a, b) = old.node.open_portals();
            while !is_over.load(Ordering::Relaxed) {
                let nothing = b.recv_timeout(Duration::from_millis(3)).unwrap_err();
                assert_eq!(nothing, TryRecvError::Empty);
            }
        });
        for round in 0..12_u32 {
            let new = client();
            let joined = join(&old, &new, 1);
            let (near, far) = joined.portals(0);
            let got = &got;
            scope.spawn(move || {
                let began = Instant::now();
                for turn in 0..20_u32 {
                    assert_eq!(number(&near.recv_timeout(PATIENCE).unwrap()), turn);
                    near.put("seen").unwrap();
                }
                got.fetch_add(1, Ordering::Relaxed);
                assert!(began.elapsed() < PATIENCE);
            });
            thread::sleep(Duration::from_millis(u64::from(round)));
            for turn in 0..20_u32 {
                far.put(turn.to_le_bytes().to_vec()).unwrap();
                assert_eq!(far.recv_timeout(PATIENCE).unwrap().bytes(), b"seen");
            }
        }
        is_over.store(true, Ordering::Relaxed);
        far.put("at last").unwrap();
        assert_eq!(leader.join().unwrap().bytes(), b"at last");
    });
    assert_eq!(got.into_inner(), 12);
}

#[test]
fn all_of_this_holds_where_a_thread_cannot_sleep_on_several_words() {
    alone::run_alone("in_a_process_of_its_own_nobody_sleeps_on_several_words");
}

/// What older systems say to this system call, and some sandboxes.
fn refuse_futex_waitv() {
    const FUTEX_WAITV: i64 = 449;
    let rules = [(FUTEX_WAITV, vec![])].into_iter().collect();
    let refuse = SeccompAction::Errno(Errno::NOSYS.raw_os_error() as u32);
    let machine = std::env::consts::ARCH.try_into().unwrap();
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refuse, machine).unwrap();
    seccompiler::apply_filter_all_threads(&BpfProgram::try_from(filter).unwrap()).unwrap();
    let refused = futex::waitv(&[], WaitvFlags::empty(), None, ClockId::Monotonic);
    assert_eq!(refused, Err(Errno::NOSYS));
}

#[test]
#[ignore = "changes its whole process; the one above runs it"]
fn in_a_process_of_its_own_nobody_sleeps_on_several_words() {
    refuse_futex_waitv();
    several_threads_wait_on_one_node_and_each_gets_its_own();
    deadlines_pass_while_others_wait_on();
    a_follower_leads_once_the_leader_has_left();
    one_thread_waits_on_three_links();
    tasks_and_traps_are_served_beside_a_thread_that_waits();
    a_task_alone_is_served_after_leaders_have_left();
    a_sleeping_leader_reads_links_that_are_added_meanwhile();
    in_a_process_of_its_own_idle_nodes_use_no_processor();
}

/// More than one sleep can watch.
const MANY: usize = 140;

#[test]
fn one_thread_waits_on_more_links_than_a_sleep_can_watch() {
    let broker = broker();
    let clients: Vec<_> = (0..MANY).map(|_| client()).collect();
    let joined: Vec<_> = clients.iter().map(|client| join(&broker, client, 2)).collect();
    let pairs = |index| joined.iter().map(move |joined| joined.portals(index));
    let (nears, fars): (Vec<_>, Vec<_>) = pairs(0).unzip();
    let others: Vec<_> = pairs(1).collect();
    nears.iter().zip(&fars).for_each(|(near, far)| settle(near, far));
    thread::scope(|scope| {
        // It sleeps before most of what comes, for which it waits in an order of its own.
        let waiter = scope.spawn(|| {
            for round in 0..3_u32 {
                for (near, index) in nears.iter().rev().zip((0..MANY as u32).rev()) {
                    let got = number(&near.recv_timeout(PATIENCE).unwrap());
                    assert_eq!(got, round * MANY as u32 + index);
                    near.put("seen").unwrap();
                }
            }
        });
        for round in 0..3_u32 {
            // What is for nobody is read meanwhile, too.
            for (index, (near, far)) in others.iter().enumerate() {
                far.put((index as u32).to_le_bytes().to_vec()).unwrap();
                nodes::eventually("it arrives", || near.status().num_parcels > 0);
                assert_eq!(number(&near.try_recv().unwrap()), index as u32);
            }
            for (far, index) in fars.iter().rev().zip((0..MANY as u32).rev()) {
                far.put((round * MANY as u32 + index).to_le_bytes().to_vec()).unwrap();
                assert_eq!(far.recv_timeout(PATIENCE).unwrap().bytes(), b"seen");
            }
        }
        waiter.join().unwrap();
    });
}

/// The time that the threads of this process ran, all of them still there.
fn cpu_time() -> Duration {
    let threads = std::fs::read_dir("/proc/self/task").unwrap();
    let nanos = threads.map(|thread| {
        let text = std::fs::read_to_string(thread.unwrap().path().join("schedstat")).unwrap();
        text.split(' ').next().unwrap().parse::<u64>().unwrap()
    });
    Duration::from_nanos(nanos.sum())
}

#[test]
fn idle_nodes_use_no_processor() {
    alone::run_alone("in_a_process_of_its_own_idle_nodes_use_no_processor");
}

#[test]
#[ignore = "measures its whole process; `idle_nodes_use_no_processor` runs it"]
fn in_a_process_of_its_own_idle_nodes_use_no_processor() {
    let (_broker, _client, _joined, pairs) = linked(1);
    let (near, far) = &pairs[0];
    thread::scope(|scope| {
        scope.spawn(|| (0..500).for_each(|_| far.put(far.recv_blocking().unwrap()).unwrap()));
        ping(near, 500);
    });
    // Ticks end by themselves.
    thread::sleep(Duration::from_millis(50));
    let before = cpu_time();
    thread::sleep(Duration::from_millis(400));
    let used = cpu_time() - before;
    assert!(used < Duration::from_millis(5), "two idle nodes used {used:?} of 400 ms");
    // A thread that waits, and nothing comes: it sleeps, too.
    let (before, began) = (cpu_time(), Instant::now());
    assert_eq!(near.recv_timeout(Duration::from_millis(400)).unwrap_err(), TryRecvError::Empty);
    let used = cpu_time() - before;
    assert!(began.elapsed() >= Duration::from_millis(400));
    assert!(used < Duration::from_millis(5), "a waiter used {used:?} of 400 ms");
    settle(near, far);
}
