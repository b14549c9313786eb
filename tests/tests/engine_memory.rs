//! Memory that another node allocates, with engines that are driven by hand.

#[path = "../support/engines/mod.rs"]
mod engines;

use engines::net::Net;
use engines::{Bench, assert_banned, config, hello};
use ipcz_core::limits::{MAX_DELEGATES, MAX_MEMORY_BYTES, MAX_PENDING_MEMORY};
use ipcz_core::{
    AllocateFailed, AllocateRefused, AllocationId, CauseKind, Config, ConnectRefused, Effect,
    Engine, MemoryId, Message, NetworkMessage, Provided, Relation,
};

/// A broker, a client of it that shares the broker with another, each the next one's delegate.
fn chain() -> Net {
    let mut net = Net::new(1, 3);
    for node in [1, 2] {
        let name = net.engines[node].config().name.0;
        net.engines[node] = Engine::new(Config { may_allocate: false, ..config(name, false) });
    }
    net.ward(0, 1);
    net.ward(1, 2);
    net
}

fn ask(net: &mut Net, node: usize, size: u64) -> AllocationId {
    let request = net.engines[node].allocate(size).unwrap();
    net.work(node);
    net.rest();
    request
}

fn assert_nothing_pending(net: &Net) {
    for engine in &net.engines {
        assert_eq!(engine.pending_memory(), 0);
    }
}

#[test]
fn a_chain_of_delegates_passes_requests_and_answers() {
    for memory in [Some(MemoryId(77)), None] {
        let mut net = chain();
        let request = ask(&mut net, 2, 4096);
        let [(0, asked, 4096)] = net.to_allocate[..] else { panic!("{:?}", net.to_allocate) };
        net.engines[0].handle_memory(asked, memory);
        net.work(0);
        net.rest();
        assert_eq!(net.allocated, [(2, request, memory.ok_or(AllocateFailed::Refused))]);
        assert_nothing_pending(&net);
    }
}

#[test]
fn who_has_no_delegate_allocates_alone_or_not_at_all() {
    let mut net = Net::new(1, 1);
    assert_eq!(net.engines[0].allocate(0), Err(AllocateRefused::BadSize));
    assert_eq!(net.engines[0].allocate(MAX_MEMORY_BYTES + 1), Err(AllocateRefused::BadSize));
    let request = ask(&mut net, 0, 5);
    assert_eq!(net.to_allocate, [(0, request, 5)]);
    net.engines[0].handle_memory(request, Some(MemoryId(1)));
    net.engines[0].handle_memory(request, Some(MemoryId(2)));
    net.work(0);
    assert_eq!(net.allocated, [(0, request, Ok(MemoryId(1)))]);
    assert_eq!(net.dropped_memory, [MemoryId(2)]);
    let mut alone = Engine::<Vec<u8>>::new(Config { may_allocate: false, ..config(9, false) });
    assert_eq!(alone.allocate(1), Err(AllocateRefused::NoDelegate));
}

#[test]
fn a_lost_delegate_fails_what_is_pending_along_the_chain() {
    let mut net = chain();
    let request = ask(&mut net, 2, 4096);
    net.crash(0);
    net.rest();
    // The one in between lives: all that it can say is no.
    assert_eq!(net.allocated, [(2, request, Err(AllocateFailed::Refused))]);
    assert_nothing_pending_at(&net, &[1, 2]);
    let request = ask(&mut net, 2, 1);
    assert_eq!(net.allocated[1..], [(2, request, Err(AllocateFailed::Refused))]);
    assert_eq!(net.engines[1].allocate(1), Err(AllocateRefused::NoDelegate));

    net = chain();
    let request = ask(&mut net, 1, 1);
    net.crash(0);
    net.rest();
    let [(1, failed, Err(AllocateFailed::DelegateLost(cause)))] = net.allocated[..] else {
        panic!("{:?}", net.allocated)
    };
    assert_eq!((failed, cause.kind), (request, CauseKind::NodeLost));
}

fn assert_nothing_pending_at(net: &Net, nodes: &[usize]) {
    nodes.iter().for_each(|&node| assert_eq!(net.engines[node].pending_memory(), 0));
}

#[test]
fn what_a_lost_peer_had_asked_for_is_dropped() {
    let mut net = chain();
    ask(&mut net, 2, 4096);
    net.crash(2);
    net.rest();
    let (_, asked, _) = net.to_allocate[0];
    net.engines[0].handle_memory(asked, Some(MemoryId(5)));
    net.work(0);
    net.rest();
    assert_eq!(net.dropped_memory, [MemoryId(5)]);
    assert_nothing_pending_at(&net, &[0, 1]);
}

#[test]
fn a_delegate_is_asked_no_more_at_a_time_than_it_takes() {
    let mut net = chain();
    let many = MAX_PENDING_MEMORY + 10;
    for _ in 0..many {
        net.engines[2].allocate(8).unwrap();
    }
    net.work(2);
    net.rest();
    assert_eq!(net.to_allocate.len(), MAX_PENDING_MEMORY);
    let mut next = 0;
    while let Some(&(_, asked, _)) = net.to_allocate.get(next) {
        net.engines[0].handle_memory(asked, Some(MemoryId(next as u64)));
        net.work(0);
        net.rest();
        next += 1;
    }
    assert_eq!((next, net.allocated.len()), (many, many));
    assert!(net.ended.is_empty());
}

#[test]
fn delegates_in_a_circle_give_up() {
    // The two brokers, whose networks join, would each have the other allocate for it.
    let mut net = Net::new(2, 2);
    let (left, _) = net.engines[0].connect_to_delegate(Relation::Broker, 0).unwrap();
    let refused = net.engines[0].connect_to_delegate(Relation::Broker, 0);
    assert_eq!(refused, Err(ConnectRefused::HasDelegate));
    let wants = ipcz_core::Hello { is_broker: true, wants_memory: true, ..hello(77, 0) };
    net.engines[0].handle_message(left, Message::Hello(wants)).unwrap();
    assert!(!net.engines[0].has_peer(left));
}

/// A bench whose peer `low` has taken the engine for its delegate.
fn delegate() -> (Engine<Vec<u8>>, ipcz_core::PeerId) {
    let mut engine = Engine::new(config(5, true));
    let (ward, _) = engine.connect(Relation::Client, 0).unwrap();
    let wants = ipcz_core::Hello { wants_memory: true, ..hello(3, 0) };
    engine.handle_message(ward, Message::Hello(wants)).unwrap();
    while engine.poll_effect().is_some() {}
    (engine, ward)
}

fn request(id: u64, size: u64, hops: u16) -> Message<Vec<u8>> {
    Message::Network(NetworkMessage::RequestMemory { id, size, hops })
}

#[test]
fn requests_that_no_honest_node_makes() {
    let mut bench = Bench::new();
    let said = bench.say(bench.low, request(1, 1, 0));
    assert_banned(&bench, bench.low, said);
    for wrong in [request(1, 0, 0), request(1, MAX_MEMORY_BYTES + 1, 0)] {
        let (mut engine, ward) = delegate();
        assert!(engine.handle_message(ward, wrong).is_err() && !engine.has_peer(ward));
    }
    let (mut engine, ward) = delegate();
    engine.handle_message(ward, request(1, 1, 0)).unwrap();
    assert!(engine.handle_message(ward, request(1, 1, 0)).is_err());
    let (mut engine, ward) = delegate();
    for id in 0..MAX_PENDING_MEMORY as u64 {
        engine.handle_message(ward, request(id, 1, 0)).unwrap();
    }
    assert!(engine.handle_message(ward, request(99, 1, 0)).is_err());
    assert_eq!(engine.counts().peers, 0);
}

#[test]
fn a_request_that_was_passed_on_for_ever_is_refused() {
    let (mut engine, ward) = delegate();
    engine.handle_message(ward, request(4, 1, MAX_DELEGATES)).unwrap();
    let refusal = Message::Network(NetworkMessage::ProvideMemory { id: 4, memory: None });
    assert_eq!(engine.poll_effect(), Some(Effect::Send { peer: ward, message: refusal }));
    assert_eq!(engine.pending_memory(), 0);
}

fn provide(id: u64, size: u64) -> Message<Vec<u8>> {
    let memory = Some(Provided { memory: MemoryId(8), size });
    Message::Network(NetworkMessage::ProvideMemory { id, memory })
}

#[test]
fn memory_that_nobody_asked_for_is_dropped_with_who_sent_it() {
    // From a peer that is no delegate; for no request; twice; too little.
    let mut bench = Bench::new();
    let said = bench.say(bench.low, provide(1, 1));
    assert!(bench.asked().contains(&Effect::DropMemory(MemoryId(8))));
    assert_banned(&bench, bench.low, said);
    for answers in [&[provide(2, 10)][..], &[provide(1, 10), provide(1, 10)], &[provide(1, 9)]] {
        let mut engine = Engine::new(Config { may_allocate: false, ..config(5, false) });
        let (delegate, _) = engine.connect_to_delegate(Relation::Broker, 0).unwrap();
        let hello = ipcz_core::Hello { is_broker: true, wants_broker: false, ..hello(3, 0) };
        engine.handle_message(delegate, Message::Hello(hello)).unwrap();
        assert_eq!(engine.allocate(10), Ok(AllocationId(1)));
        let said: Vec<_> = answers
            .iter()
            .map(|answer| engine.handle_message(delegate, answer.clone()).is_ok())
            .collect();
        assert_eq!(said.iter().filter(|ok| !**ok).count(), 1, "{answers:?}");
        assert!(!engine.has_peer(delegate));
        let effects: Vec<_> = std::iter::from_fn(|| engine.poll_effect()).collect();
        assert!(effects.contains(&Effect::DropMemory(MemoryId(8))));
        assert_eq!(engine.pending_memory(), 0);
    }
}

#[test]
fn the_largest_piece_can_be_had() {
    let (mut engine, ward) = delegate();
    assert!(engine.allocate(MAX_MEMORY_BYTES).is_ok());
    engine.handle_message(ward, request(1, MAX_MEMORY_BYTES, 0)).unwrap();
    assert_eq!(engine.pending_memory(), 2);
}

#[test]
fn a_request_counts_who_passed_it_on() {
    let mut net = chain();
    ask(&mut net, 2, 4096);
    let requests = net.delivered.iter().filter_map(|(node, message)| match message {
        Message::Network(NetworkMessage::RequestMemory { hops, .. }) => Some((*node, *hops)),
        _ => None,
    });
    assert_eq!(requests.collect::<Vec<_>>(), [(1, 0), (0, 1)]);
}

#[test]
fn only_the_delegate_answers_what_it_was_asked() {
    let mut engine = Engine::new(Config { may_allocate: false, ..config(5, false) });
    let (delegate, _) = engine.connect_to_delegate(Relation::Broker, 0).unwrap();
    let greeting = ipcz_core::Hello { is_broker: true, wants_broker: false, ..hello(3, 0) };
    engine.handle_message(delegate, Message::Hello(greeting)).unwrap();
    let (other, _) = engine.connect(Relation::Client, 0).unwrap();
    engine.handle_message(other, Message::Hello(hello(7, 0))).unwrap();
    assert_eq!(engine.allocate(10), Ok(AllocationId(1)));
    assert!(engine.handle_message(other, provide(1, 10)).is_err());
    assert!(!engine.has_peer(other));
    assert_eq!(engine.pending_memory(), 1);
    engine.handle_message(delegate, provide(1, 10)).unwrap();
    assert_eq!(engine.pending_memory(), 0);
}

#[test]
fn what_a_lost_peer_had_yet_to_ask_for_is_never_asked() {
    // Node 1 has asked for as much as its delegate takes, so what node 2 wants has to wait.
    let mut net = chain();
    for _ in 0..MAX_PENDING_MEMORY {
        net.engines[1].allocate(8).unwrap();
    }
    net.work(1);
    ask(&mut net, 2, 4096);
    assert_eq!(net.engines[1].pending_memory(), MAX_PENDING_MEMORY + 1);
    net.crash(2);
    net.rest();
    assert_eq!(net.engines[1].pending_memory(), MAX_PENDING_MEMORY);
    for (_, asked, _) in net.to_allocate.clone() {
        net.engines[0].handle_memory(asked, None);
    }
    net.work(0);
    net.rest();
    assert_eq!(net.to_allocate.len(), MAX_PENDING_MEMORY);
    assert_nothing_pending_at(&net, &[0, 1]);
}

#[test]
fn what_is_made_here_outlives_a_delegate() {
    let mut engine = Engine::<Vec<u8>>::new(config(5, false));
    let here = engine.allocate(10).unwrap();
    let (delegate, _) = engine.connect_to_delegate(Relation::Broker, 0).unwrap();
    let there = engine.allocate(10).unwrap();
    engine.handle_lost(delegate);
    engine.handle_memory(here, Some(MemoryId(8)));
    let answers = std::iter::from_fn(|| engine.poll_effect()).filter_map(|effect| match effect {
        Effect::Allocated { request, memory } => Some((request, memory.is_ok())),
        _ => None,
    });
    assert_eq!(answers.collect::<Vec<_>>(), [(there, false), (here, true)]);
    assert_eq!(engine.pending_memory(), 0);
}

#[test]
fn a_delegate_answers_what_it_was_asked_and_nothing_else() {
    // The first request is made here; the last one has to wait until others are answered.
    let last = 1 + MAX_PENDING_MEMORY as u64 + 1;
    for (id, asked) in [(1, false), (2, true), (last - 1, true), (last, false)] {
        let mut engine = Engine::<Vec<u8>>::new(config(5, false));
        assert_eq!(engine.allocate(10), Ok(AllocationId(1)));
        let (delegate, _) = engine.connect_to_delegate(Relation::Broker, 0).unwrap();
        let greeting = ipcz_core::Hello { is_broker: true, wants_broker: false, ..hello(3, 0) };
        engine.handle_message(delegate, Message::Hello(greeting)).unwrap();
        for id in 2..=last {
            assert_eq!(engine.allocate(10), Ok(AllocationId(id)));
        }
        assert_eq!(engine.handle_message(delegate, provide(id, 10)).is_ok(), asked, "{id}");
        assert_eq!(engine.has_peer(delegate), asked);
    }
}
