use ipcz_core::{
    Accept, Cause, CauseKind, Descriptor, EndKey, Hello, LinkId, MemoryId, Message, NetworkMessage,
    NodeName, Probe, Provided, Relay, RelayKey, RouteMessage, Secret, TransportId, WIRE_VERSION,
};

use super::{HandleKind, MAX_DEPTH, MAX_HANDLES, decode, encode};

const KEY: EndKey =
    EndKey { node: NodeName(1 << 100), via: NodeName(7), link: LinkId(9), secret: Secret(11) };

fn hello() -> Hello {
    Hello {
        version: WIRE_VERSION,
        features: 5,
        max_payload: 6,
        name: NodeName(3 << 90),
        is_broker: true,
        wants_broker: false,
        wants_memory: true,
        relays_from: None,
        num_portals: 4,
        secret: Secret(8),
    }
}

fn descriptor(link: u64) -> Descriptor {
    Descriptor { link: LinkId(link), secret: Secret(2), next_in: 3, next_out: 4, owner: true }
}

fn parcel_of(num_bytes: u32, handles: u16) -> HandleKind {
    HandleKind::Parcel { num_bytes, handles }
}

fn one_of_each() -> Vec<Message<Vec<HandleKind>>> {
    let node = NodeName(77);
    let link = LinkId(1 << 63);
    let cause = |kind, node| RouteMessage::Disconnected(Cause { kind, node });
    vec![
        Message::Hello(hello()),
        Message::Hello(Hello { relays_from: Some(7), ..hello() }),
        Message::Accept(Accept { key: KEY, link, secret: Secret(1) }),
        Message::Route(link, RouteMessage::Closed((1 << 62) - 1)),
        Message::Route(link, RouteMessage::Fin(3)),
        Message::Route(link, RouteMessage::Yield),
        Message::Route(link, RouteMessage::Grant),
        Message::Route(link, RouteMessage::BypassMe(KEY)),
        Message::Route(link, RouteMessage::Probe(Probe { token: Secret(12), hops: 3 })),
        Message::Route(link, RouteMessage::Answer(Probe { token: Secret(13), hops: 4 })),
        Message::Route(link, RouteMessage::HowMany(Probe { token: Secret(14), hops: 5 })),
        Message::Route(link, RouteMessage::SoMany(Probe { token: Secret(15), hops: 6 }, 1 << 40)),
        Message::Route(link, cause(CauseKind::NodeLost, Some(node))),
        Message::Route(link, cause(CauseKind::RouteBroken, None)),
        Message::Route(link, cause(CauseKind::NotRelayed, Some(node))),
        Message::Route(link, cause(CauseKind::Unsendable, Some(node))),
        Message::Network(NetworkMessage::Goodbye(CauseKind::Rejected)),
    ]
    .into_iter()
    .chain(one_of_each_with_handles())
    .chain(one_of_each_about_the_network())
    .collect()
}

fn one_of_each_with_handles() -> Vec<Message<Vec<HandleKind>>> {
    let handles = vec![HandleKind::Portal, HandleKind::Attachment, HandleKind::Portal];
    let tree = vec![
        parcel_of(7, 2),
        HandleKind::Portal,
        parcel_of(u32::MAX, 1),
        HandleKind::Portal,
        parcel_of(0, 0),
    ];
    let relayed = vec![HandleKind::Relayed, HandleKind::Portal, HandleKind::Portal];
    let relayed_within =
        vec![HandleKind::Portal, parcel_of(1, 2), HandleKind::Relayed, HandleKind::Portal];
    let portals = vec![descriptor(1), descriptor(2)];
    let parcel = |relayed, payload, portals| Message::Parcel {
        link: LinkId(1 << 63),
        sequence: 5,
        hops: 9,
        relayed,
        payload,
        portals,
    };
    let attached = vec![HandleKind::Attachment; 2];
    vec![
        parcel(None, handles, portals.clone()),
        parcel(None, tree, portals.clone()),
        parcel(None, Vec::new(), Vec::new()),
        parcel(Some(u64::MAX), relayed, portals.clone()),
        parcel(Some(0), relayed_within, portals),
        Message::Relay(Relay { from: NodeName(77), to: NodeName(1), id: 3, handles: attached }),
    ]
}

fn one_of_each_about_the_network() -> Vec<Message<Vec<HandleKind>>> {
    let node = NodeName(77);
    let key = RelayKey { from: node, to: NodeName(3), id: 9 };
    vec![
        Message::Network(NetworkMessage::RequestIntroduction(node)),
        Message::Network(NetworkMessage::Introduce { node, transport: TransportId(0) }),
        Message::Network(NetworkMessage::Introduced(node)),
        Message::Network(NetworkMessage::IntroductionRefused(node)),
        Message::Network(NetworkMessage::Goodbye(CauseKind::Shutdown)),
        Message::Network(NetworkMessage::Refer { node, transport: TransportId(0) }),
        Message::Network(NetworkMessage::Referred { broker: node, transport: TransportId(0) }),
        Message::Network(NetworkMessage::ReferralRefused(node)),
        Message::Network(NetworkMessage::Locate { node, seeker: NodeName(1) }),
        Message::Network(NetworkMessage::Located { node, seeker: NodeName(1), found: true }),
        Message::Network(NetworkMessage::PassIntroduction {
            to: NodeName(2),
            node,
            transport: TransportId(0),
        }),
        Message::Network(NetworkMessage::PassRefusal { to: NodeName(2), node }),
        Message::Network(NetworkMessage::RelayRefused(key)),
        Message::Network(NetworkMessage::RelayPassed(key)),
        Message::Network(NetworkMessage::Unrelayed { first: 3, last: u64::MAX }),
        Message::Network(NetworkMessage::RelaysLost),
        Message::Network(NetworkMessage::RelaysLostHeard),
        Message::Network(NetworkMessage::Seek { node, seeker: NodeName(1) }),
        Message::Network(NetworkMessage::Sought { node, seeker: NodeName(1), found: true }),
        Message::Network(NetworkMessage::RequestMemory { id: 3, size: 1 << 40, hops: 2 }),
        Message::Network(NetworkMessage::ProvideMemory { id: 3, memory: None }),
        Message::Network(NetworkMessage::ProvideMemory {
            id: 4,
            memory: Some(Provided { memory: MemoryId(0), size: 0 }),
        }),
        Message::Network(NetworkMessage::PassIntroduced { from: NodeName(2), node }),
    ]
}

fn head<P>(message: &Message<P>, kinds: &[HandleKind]) -> Vec<u8> {
    let mut out = Vec::new();
    encode(message, kinds, &mut out);
    out
}

fn bytes(message: &Message<Vec<HandleKind>>) -> Vec<u8> {
    let handles = match message {
        Message::Parcel { payload, .. } => payload.as_slice(),
        Message::Relay(relay) => relay.handles.as_slice(),
        _ => &[],
    };
    let mut out = Vec::new();
    encode(message, handles, &mut out);
    out
}

#[test]
fn every_message_survives_the_wire() {
    for message in one_of_each() {
        assert_eq!(decode(&bytes(&message)), Ok(message));
    }
}

#[test]
fn a_message_cut_short_or_too_long_is_refused() {
    for message in one_of_each() {
        let mut bytes = bytes(&message);
        for length in 0..bytes.len() {
            assert!(decode(&bytes[..length]).is_err(), "{message:?} cut to {length}");
        }
        bytes.push(0);
        assert!(decode(&bytes).is_err(), "{message:?} with a byte too many");
    }
}

#[test]
fn a_hello_of_another_version_is_understood_so_far() {
    let Ok(Message::Hello(hello)) = decode(&[1, 0x34, 0x12, 99, 98, 97]) else { panic!() };
    assert_eq!(hello.version, 0x1234);
}

#[test]
fn the_layout_is_what_the_table_says() {
    let message = Message::Route(LinkId(0x0102_0304), RouteMessage::Fin(5));
    let expected = [0x11, 4, 3, 2, 1, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(bytes(&message), expected);
}

#[test]
fn any_bytes_are_refused_or_understood_and_nothing_else() {
    // A linear congruential generator is random enough to reach every branch.
    let mut state = 1_u64;
    for _ in 0..200_000 {
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        };
        let length = usize::from(next() % 80);
        let noise: Vec<u8> =
            (0..length).map(|i| if i == 0 { next() % 0x37 } else { next() }).collect();
        if let Ok(message) = decode(&noise) {
            let again = decode(&bytes(&message));
            assert_eq!(again, Ok(message));
        }
    }
}

#[test]
fn counts_that_would_overflow_are_refused() {
    let link = LinkId(3);
    let descriptor =
        |next_in, next_out| Descriptor { link, secret: Secret(1), next_in, next_out, owner: true };
    let parcel = |sequence, portals| {
        let portals: Vec<Descriptor> = portals;
        Message::Parcel { link, sequence, hops: 0, relayed: None, payload: Vec::new(), portals }
    };
    let refused = |message: &Message<Vec<u8>>| {
        let kinds = match message {
            Message::Parcel { portals, .. } => vec![HandleKind::Portal; portals.len()],
            _ => Vec::new(),
        };
        let mut head = Vec::new();
        encode(message, &kinds, &mut head);
        decode(&head).is_err()
    };
    for (count, expected) in [((1 << 62) - 1, false), (1 << 62, true), (u64::MAX, true)] {
        assert_eq!(refused(&parcel(count, vec![])), expected);
        assert_eq!(refused(&parcel(0, vec![descriptor(count, 0)])), expected);
        assert_eq!(refused(&parcel(0, vec![descriptor(0, count)])), expected);
        assert_eq!(refused(&Message::Route(link, RouteMessage::Closed(count))), expected);
        assert_eq!(refused(&Message::Route(link, RouteMessage::Fin(count))), expected);
        let probe = Probe { token: Secret(1), hops: 1 };
        assert_eq!(refused(&Message::Route(link, RouteMessage::SoMany(probe, count))), expected);
    }
}

/// Whether a list of kinds, as a peer might write it, is refused.
fn refuses(kinds: &[HandleKind]) -> bool {
    let link = LinkId(1);
    let (payload, portals) = ((), Vec::new());
    let message = Message::Parcel { link, sequence: 0, hops: 0, relayed: None, payload, portals };
    decode(&head(&message, kinds)).is_err()
}

#[test]
fn parcels_in_parcels_claim_what_is_there() {
    let file = HandleKind::Attachment;
    assert!(!refuses(&[parcel_of(3, 2), file, file, file]));
    assert!(!refuses(&[parcel_of(3, 2), parcel_of(1, 1), file, file]));
    assert!(refuses(&[parcel_of(3, 3), file, file]));
    assert!(refuses(&[parcel_of(3, 1)]));
    assert!(refuses(&[parcel_of(3, u16::MAX), file]));
    assert!(refuses(&[parcel_of(3, 2), parcel_of(1, 2), file, file]));
}

#[test]
fn parcels_are_only_so_deep() {
    let chain = |depth: usize| {
        let mut kinds = vec![parcel_of(0, 1); depth - 1];
        kinds.push(parcel_of(0, 0));
        kinds
    };
    assert!(!refuses(&chain(MAX_DEPTH)));
    assert!(refuses(&chain(MAX_DEPTH + 1)));
    // Side by side they may be as many as handles may be.
    assert!(!refuses(&vec![parcel_of(0, 0); MAX_HANDLES]));
    assert!(refuses(&vec![parcel_of(0, 0); MAX_HANDLES + 1]));
}

#[test]
fn a_tree_looks_like_this() {
    let kinds = [parcel_of(0x0102_0304, 1), HandleKind::Attachment, HandleKind::Attachment];
    let (link, payload, portals) = (LinkId(9), (), Vec::new());
    let message = Message::Parcel { link, sequence: 8, hops: 7, relayed: None, payload, portals };
    let expected = [
        &[2][..],
        &[9, 0, 0, 0, 0, 0, 0, 0],
        &[8, 0, 0, 0, 0, 0, 0, 0],
        &[3, 0, 7, 0],
        &[2, 4, 3, 2, 1, 1, 0],
        &[1, 1],
    ];
    assert_eq!(head(&message, &kinds), expected.concat());
}
