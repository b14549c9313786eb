use ipcz_core::{
    Accept, Cause, CauseKind, Descriptor, EndKey, Hello, LinkId, Message, NetworkMessage, NodeName,
    Probe, RouteMessage, Secret, TransportId, WIRE_VERSION,
};

use super::{HandleKind, decode, encode};

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
        num_portals: 4,
        secret: Secret(8),
    }
}

fn descriptor(link: u64) -> Descriptor {
    Descriptor { link: LinkId(link), secret: Secret(2), next_in: 3, next_out: 4, owner: true }
}

fn one_of_each() -> Vec<Message<Vec<HandleKind>>> {
    let node = NodeName(77);
    let link = LinkId(1 << 63);
    let cause = |kind, node| RouteMessage::Disconnected(Cause { kind, node });
    let handles = vec![HandleKind::Portal, HandleKind::Attachment, HandleKind::Portal];
    let portals = vec![descriptor(1), descriptor(2)];
    vec![
        Message::Hello(hello()),
        Message::Parcel { link, sequence: 5, hops: 9, payload: handles, portals },
        Message::Parcel { link, sequence: 5, hops: 0, payload: Vec::new(), portals: Vec::new() },
        Message::Accept(Accept { key: KEY, link, secret: Secret(1) }),
        Message::Route(link, RouteMessage::Closed((1 << 62) - 1)),
        Message::Route(link, RouteMessage::Fin(3)),
        Message::Route(link, RouteMessage::Yield),
        Message::Route(link, RouteMessage::Grant),
        Message::Route(link, RouteMessage::BypassMe(KEY)),
        Message::Route(link, RouteMessage::Probe(Probe { token: Secret(12), hops: 3 })),
        Message::Route(link, RouteMessage::Answer(Probe { token: Secret(13), hops: 4 })),
        Message::Route(link, cause(CauseKind::NodeLost, Some(node))),
        Message::Route(link, cause(CauseKind::RouteBroken, None)),
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
        Message::Network(NetworkMessage::PassIntroduced { from: NodeName(2), node }),
    ]
}

fn bytes(message: &Message<Vec<HandleKind>>) -> Vec<u8> {
    let handles = match message {
        Message::Parcel { payload, .. } => payload.as_slice(),
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
            (0..length).map(|i| if i == 0 { next() % 0x2e } else { next() }).collect();
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
    let parcel =
        |sequence, portals| Message::Parcel { link, sequence, hops: 0, payload: (), portals };
    let refused = |message: &Message<()>| {
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
    }
}
