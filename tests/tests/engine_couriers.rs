//! Handles that a broker passes on for its clients, with an engine that is driven by hand.

#[path = "../support/engines/mod.rs"]
mod engines;

use engines::cargo::{Cargo, Handle};
use engines::{config, hello};
use ipcz_core::{
    Effect, Engine, Hello, Message, NetworkMessage, NodeName, PeerId, Relation, Relay, RelayKey,
};

/// A broker named 5 with clients 3 and 7.
fn broker() -> (Engine<Cargo>, [PeerId; 2]) {
    let mut engine = Engine::new(config(5, true));
    let peers = [3, 7].map(|name| {
        let (peer, _) = engine.connect(Relation::Client, 0).unwrap();
        let greeting = Hello { relays_from: Some(0), ..hello(name, 0) };
        engine.handle_message(peer, Message::Hello(greeting)).unwrap();
        peer
    });
    while engine.poll_effect().is_some() {}
    (engine, peers)
}

fn relay(from: u128, to: u128) -> Message<Cargo> {
    let (from, to) = (NodeName(from), NodeName(to));
    Message::Relay(Relay { from, to, id: 4, handles: Cargo(0, Handle::Here) })
}

#[test]
fn a_broker_passes_on_what_its_clients_send_each_other() {
    let (mut engine, [low, high]) = broker();
    engine.handle_message(low, relay(3, 7)).unwrap();
    let expected = Effect::Send { peer: high, message: relay(3, 7) };
    assert_eq!(engine.poll_effect(), Some(expected));
    // There is nobody of that name, and no broker to ask.
    engine.handle_message(low, relay(3, 99)).unwrap();
    let key = RelayKey { from: NodeName(3), to: NodeName(99), id: 4 };
    let message = Message::Network(NetworkMessage::RelayRefused(key));
    assert_eq!(engine.poll_effect(), Some(Effect::Send { peer: low, message }));
    assert_eq!(engine.pending_relays(), 0);
    // In another's name, to itself, and to the broker, which needs none to pass them on.
    for wrong in [relay(7, 3), relay(3, 3), relay(3, 5)] {
        let (mut engine, [low, _]) = broker();
        assert!(engine.handle_message(low, wrong).is_err());
        assert!(!engine.has_peer(low));
    }
}

#[test]
fn a_broker_that_is_lost_on_the_way_is_a_refusal() {
    let (mut engine, [low, _]) = broker();
    let (other, _) = engine.connect(Relation::Broker, 0).unwrap();
    let greeting = Hello { is_broker: true, ..hello(9, 0) };
    engine.handle_message(other, Message::Hello(greeting)).unwrap();
    let refused = |engine: &mut Engine<Cargo>| {
        let key = RelayKey { from: NodeName(3), to: NodeName(99), id: 4 };
        let message = Message::Network(NetworkMessage::RelayRefused(key));
        let refusal = Effect::Send { peer: low, message };
        std::iter::from_fn(|| engine.poll_effect()).any(|effect| effect == refusal)
    };
    let seeker = NodeName(3);
    let sought = |found| NetworkMessage::Sought { node: NodeName(99), seeker, found };
    for found in [None, Some(false), Some(true)] {
        let mut engine = engine.clone();
        engine.handle_message(low, relay(3, 99)).unwrap();
        assert_eq!(engine.pending_relays(), 1);
        if let Some(found) = found {
            engine.handle_message(other, Message::Network(sought(found))).unwrap();
        }
        assert_eq!(refused(&mut engine), found == Some(false));
        engine.handle_lost(other);
        assert_eq!(refused(&mut engine), found != Some(false));
        assert_eq!(engine.pending_relays(), 0);
    }
    // Once it has confirmed, its loss is no matter.
    engine.handle_message(low, relay(3, 99)).unwrap();
    engine.handle_message(other, Message::Network(sought(true))).unwrap();
    let key = RelayKey { from: NodeName(3), to: NodeName(99), id: 4 };
    engine.handle_message(other, Message::Network(NetworkMessage::RelayPassed(key))).unwrap();
    engine.handle_lost(other);
    assert!(!refused(&mut engine));
}

const NOBODY: NodeName = NodeName(99);

/// The broker, with two others, named 8 and 9.
fn among_brokers() -> (Engine<Cargo>, [PeerId; 2], [PeerId; 2]) {
    let (mut engine, clients) = broker();
    let others = [8, 9].map(|name| {
        let (peer, _) = engine.connect(Relation::Broker, 0).unwrap();
        let greeting = Hello { is_broker: true, ..hello(name, 0) };
        engine.handle_message(peer, Message::Hello(greeting)).unwrap();
        peer
    });
    // The two are introduced to each other, and have heard of it.
    for (other, name) in others.into_iter().zip([9, 8]) {
        let introduced = Message::Network(NetworkMessage::Introduced(NodeName(name)));
        engine.handle_message(other, introduced).unwrap();
    }
    while engine.poll_effect().is_some() {}
    (engine, clients, others)
}

fn key(from: u128) -> RelayKey {
    RelayKey { from: NodeName(from), to: NOBODY, id: 4 }
}

/// What the engine sent since it was last asked, to whom.
fn sent(engine: &mut Engine<Cargo>) -> Vec<(PeerId, Message<Cargo>)> {
    let sent = std::iter::from_fn(|| engine.poll_effect()).filter_map(|effect| match effect {
        Effect::Send { peer, message } => Some((peer, message)),
        _ => None,
    });
    sent.collect()
}

fn sought(seeker: u128, found: bool) -> Message<Cargo> {
    Message::Network(NetworkMessage::Sought { node: NOBODY, seeker: NodeName(seeker), found })
}

#[test]
fn all_brokers_are_asked_once_and_the_first_that_knows_the_node_gets_the_handles() {
    let (mut engine, [low, _], [one, two]) = among_brokers();
    let before = engine.clone();
    engine.handle_message(low, relay(3, 99)).unwrap();
    let seek = Message::Network(NetworkMessage::Seek { node: NOBODY, seeker: NodeName(3) });
    assert_eq!(sent(&mut engine), [(one, seek.clone()), (two, seek)]);
    // More of the same waits along.
    engine.handle_message(low, relay(3, 99)).unwrap();
    assert_eq!((sent(&mut engine), engine.pending_relays()), (vec![], 2));
    engine.handle_message(one, sought(3, false)).unwrap();
    assert_eq!((sent(&mut engine), engine.pending_relays()), (vec![], 2));
    // It has said no, and has no second word.
    engine.handle_message(one, sought(3, true)).unwrap();
    assert_eq!((sent(&mut engine), engine.pending_relays()), (vec![], 2));
    engine.handle_message(two, sought(3, true)).unwrap();
    assert_eq!(sent(&mut engine), [(two, relay(3, 99)), (two, relay(3, 99))]);
    let passed = Message::Network(NetworkMessage::RelayPassed(key(3)));
    engine.handle_message(two, passed).unwrap();
    assert!(engine == before, "nothing is remembered of it");
}

#[test]
fn handles_for_a_node_that_no_broker_knows() {
    let (mut engine, [low, _], others) = among_brokers();
    let before = engine.clone();
    engine.handle_message(low, relay(3, 99)).unwrap();
    sent(&mut engine);
    for (index, other) in others.into_iter().enumerate() {
        engine.handle_message(other, sought(3, false)).unwrap();
        let refused = Message::Network(NetworkMessage::RelayRefused(key(3)));
        let expected = if index == 1 { vec![(low, refused)] } else { vec![] };
        assert_eq!(sent(&mut engine), expected);
    }
    assert!(engine == before, "nothing is remembered of it");
}

#[test]
fn a_search_for_the_broker_of_a_node_outlives_one_that_was_asked() {
    let (mut engine, [low, _], [one, two]) = among_brokers();
    engine.handle_message(low, relay(3, 99)).unwrap();
    sent(&mut engine);
    let refused = (low, Message::Network(NetworkMessage::RelayRefused(key(3))));
    engine.handle_lost(one);
    assert!(!sent(&mut engine).contains(&refused));
    assert_eq!(engine.pending_relays(), 1);
    engine.handle_lost(two);
    assert!(sent(&mut engine).contains(&refused));
    assert_eq!(engine.pending_relays(), 0);
}

#[test]
fn a_lost_broker_refuses_what_it_had_and_nothing_else() {
    let (mut engine, [low, high], [one, two]) = among_brokers();
    for (client, name, broker) in [(low, 3, one), (high, 7, two)] {
        engine.handle_message(client, relay(name, 99)).unwrap();
        engine.handle_message(broker, sought(name, true)).unwrap();
    }
    assert_eq!(engine.pending_relays(), 2);
    sent(&mut engine);
    engine.handle_lost(one);
    let refusals: Vec<_> = sent(&mut engine)
        .into_iter()
        .filter(|(_, it)| matches!(it, Message::Network(NetworkMessage::RelayRefused(_))))
        .collect();
    assert_eq!(refusals, [(low, Message::Network(NetworkMessage::RelayRefused(key(3))))]);
    assert_eq!(engine.pending_relays(), 1);
}

#[test]
fn what_a_lost_client_sent_is_forgotten() {
    let (mut engine, [low, high], [one, _]) = among_brokers();
    for (client, name) in [(low, 3), (high, 7)] {
        engine.handle_message(client, relay(name, 99)).unwrap();
    }
    engine.handle_message(one, sought(3, true)).unwrap();
    assert_eq!(engine.pending_relays(), 2);
    engine.handle_lost(low);
    assert_eq!(engine.pending_relays(), 1);
    engine.handle_lost(high);
    assert_eq!(engine.pending_relays(), 0);
}

#[test]
fn what_other_brokers_clients_sent_goes_to_clients_alone() {
    let (mut engine, [_, high], [one, two]) = among_brokers();
    let before = engine.clone();
    let passed = |to| {
        let key = RelayKey { from: NOBODY, to: NodeName(to), id: 4 };
        Message::Network(NetworkMessage::RelayPassed(key))
    };
    let refused = RelayKey { from: NOBODY, to: NodeName(9), id: 4 };
    let refused = Message::Network(NetworkMessage::RelayRefused(refused));
    engine.handle_message(one, relay(99, 7)).unwrap();
    assert_eq!(sent(&mut engine), [(high, relay(99, 7)), (one, passed(7))]);
    engine.handle_message(two, relay(99, 9)).unwrap();
    assert_eq!(sent(&mut engine), [(two, refused)]);
    // What is for the broker itself has arrived with it, though it knows of no parcel.
    engine.handle_message(two, relay(99, 5)).unwrap();
    assert_eq!(sent(&mut engine), [(two, passed(5))]);
    assert!(engine == before);
    for (node, found) in [(NodeName(7), true), (NodeName(9), false), (NOBODY, false)] {
        let seeker = NOBODY;
        let seek = Message::Network(NetworkMessage::Seek { node, seeker });
        engine.handle_message(one, seek).unwrap();
        let answer = Message::Network(NetworkMessage::Sought { node, seeker, found });
        assert_eq!(sent(&mut engine), [(one, answer)]);
    }
}

#[test]
fn what_only_brokers_say_of_relays() {
    let messages = [
        NetworkMessage::RelayPassed(key(3)),
        NetworkMessage::RelayRefused(key(3)),
        NetworkMessage::Seek { node: NOBODY, seeker: NodeName(3) },
        NetworkMessage::Sought { node: NOBODY, seeker: NodeName(3), found: true },
    ];
    for message in messages {
        let (mut engine, [low, _], _) = among_brokers();
        assert!(engine.handle_message(low, Message::Network(message)).is_err());
        assert!(!engine.has_peer(low));
    }
}
