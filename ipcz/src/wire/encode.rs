//! Messages to bytes.

use ipcz_core::{
    Accept, Cause, CauseKind, Descriptor, EndKey, Hello, LinkId, Message, NetworkMessage, Probe,
    RelayKey, RouteMessage,
};

use super::{
    HELLO_IS_BROKER, HELLO_RELAYS_HANDLES, HELLO_WANTS_BROKER, HELLO_WANTS_MEMORY, HandleKind, tag,
};

/// Appends the head of a message to `out`. `handles` is what a parcel, with the parcels in it, or a relay
/// holds, in order, and empty for all others.
pub(crate) fn encode<P>(message: &Message<P>, handles: &[HandleKind], out: &mut Vec<u8>) {
    let mut out = Writer(out);
    match message {
        Message::Hello(hello) => out.hello(hello),
        Message::Parcel { link, sequence, hops, relayed, portals, .. } => {
            out.parcel((*link, *sequence, *hops), portals, handles);
            relayed.iter().for_each(|id| out.u64(*id));
        }
        Message::Relay(relay) => {
            out.u8(tag::RELAY);
            out.relay(&RelayKey { from: relay.from, to: relay.to, id: relay.id });
            out.u16(handles.len() as u16);
        }
        Message::Route(link, message) => out.route(*link, message),
        Message::Accept(accept) => out.accept(accept),
        Message::Network(message) => out.network(message),
    }
}

struct Writer<'a>(&'a mut Vec<u8>);

impl Writer<'_> {
    fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    fn u16(&mut self, value: u16) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    fn u32(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    fn u128(&mut self, value: u128) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    fn hello(&mut self, hello: &Hello) {
        self.u8(tag::HELLO);
        self.u16(hello.version);
        let broker = if hello.is_broker { HELLO_IS_BROKER } else { 0 };
        let wants = if hello.wants_broker { HELLO_WANTS_BROKER } else { 0 };
        let memory = if hello.wants_memory { HELLO_WANTS_MEMORY } else { 0 };
        let relays = if hello.relays_from.is_some() { HELLO_RELAYS_HANDLES } else { 0 };
        self.u8(broker | wants | memory | relays);
        self.u32(hello.num_portals);
        self.u64(hello.features);
        self.u64(hello.max_payload);
        self.u128(hello.name.0);
        self.u128(hello.secret.0);
        hello.relays_from.into_iter().for_each(|id| self.u64(id));
    }

    fn parcel(
        &mut self,
        (link, sequence, hops): (LinkId, u64, u16),
        portals: &[Descriptor],
        handles: &[HandleKind],
    ) {
        self.u8(tag::PARCEL);
        self.u64(link.0);
        self.u64(sequence);
        self.u16(handles.len() as u16);
        self.u16(hops);
        for handle in handles {
            match handle {
                HandleKind::Portal => self.u8(0),
                HandleKind::Attachment => self.u8(1),
                HandleKind::Parcel { num_bytes, handles } => {
                    self.u8(2);
                    self.u32(*num_bytes);
                    self.u16(*handles);
                }
                HandleKind::Relayed => self.u8(3),
            }
        }
        for portal in portals {
            self.u64(portal.link.0);
            self.u128(portal.secret.0);
            self.u64(portal.next_in);
            self.u64(portal.next_out);
            self.u8(u8::from(portal.owner));
        }
    }

    fn route(&mut self, link: LinkId, message: &RouteMessage) {
        let (tag, number) = match message {
            RouteMessage::Closed(length) => (tag::CLOSED, Some(*length)),
            RouteMessage::Fin(count) => (tag::FIN, Some(*count)),
            RouteMessage::Yield => (tag::YIELD, None),
            RouteMessage::Grant => (tag::GRANT, None),
            RouteMessage::BypassMe(_) => (tag::BYPASS_ME, None),
            RouteMessage::Probe(_) => (tag::PROBE, None),
            RouteMessage::Answer(_) => (tag::ANSWER, None),
            RouteMessage::HowMany(_) => (tag::HOW_MANY, None),
            RouteMessage::SoMany(..) => (tag::SO_MANY, None),
            RouteMessage::Disconnected(_) => (tag::DISCONNECTED, None),
        };
        self.u8(tag);
        self.u64(link.0);
        if let Some(number) = number {
            self.u64(number);
        }
        match message {
            RouteMessage::BypassMe(key) => self.key(key),
            RouteMessage::Probe(probe)
            | RouteMessage::Answer(probe)
            | RouteMessage::HowMany(probe) => self.probe(probe),
            RouteMessage::SoMany(probe, count) => {
                self.probe(probe);
                self.u64(*count);
            }
            RouteMessage::Disconnected(cause) => self.cause(cause),
            _ => {}
        }
    }

    fn probe(&mut self, probe: &Probe) {
        self.u128(probe.token.0);
        self.u16(probe.hops);
    }

    fn cause(&mut self, cause: &Cause) {
        self.cause_kind(cause.kind);
        self.u128(cause.node.map_or(0, |node| node.0));
    }

    fn cause_kind(&mut self, kind: CauseKind) {
        self.u8(match kind {
            CauseKind::NodeLost => 1,
            CauseKind::Violation => 2,
            CauseKind::RouteBroken => 3,
            CauseKind::Shutdown => 4,
            CauseKind::WrongVersion => 5,
            CauseKind::WrongRole => 6,
            CauseKind::AlreadyConnected => 7,
            CauseKind::Unsendable => 8,
            CauseKind::Rejected => 9,
            CauseKind::NotRelayed => 10,
        });
    }

    fn key(&mut self, key: &EndKey) {
        self.u128(key.node.0);
        self.u128(key.via.0);
        self.u64(key.link.0);
        self.u128(key.secret.0);
    }

    fn accept(&mut self, accept: &Accept) {
        self.u8(tag::ACCEPT);
        self.key(&accept.key);
        self.u64(accept.link.0);
        self.u128(accept.secret.0);
    }

    fn relay(&mut self, key: &RelayKey) {
        self.u128(key.from.0);
        self.u128(key.to.0);
        self.u64(key.id);
    }

    /// A message about connections that is not about one node or two.
    fn unnamed(&mut self, message: &NetworkMessage) {
        match message {
            NetworkMessage::RequestMemory { id, size, hops } => {
                self.u8(tag::REQUEST_MEMORY);
                self.u64(*id);
                self.u64(*size);
                self.u16(*hops);
            }
            NetworkMessage::ProvideMemory { id, memory } => {
                self.u8(tag::PROVIDE_MEMORY);
                self.u64(*id);
                self.u8(u8::from(memory.is_some()));
            }
            NetworkMessage::RelayRefused(key) => {
                self.u8(tag::RELAY_REFUSED);
                self.relay(key);
            }
            NetworkMessage::RelayPassed(key) => {
                self.u8(tag::RELAY_PASSED);
                self.relay(key);
            }
            NetworkMessage::Unrelayed { first, last } => {
                self.u8(tag::UNRELAYED);
                self.u64(*first);
                self.u64(*last);
            }
            NetworkMessage::RelaysLost => self.u8(tag::RELAYS_LOST),
            NetworkMessage::RelaysLostHeard => self.u8(tag::RELAYS_LOST_HEARD),
            NetworkMessage::Goodbye(kind) => {
                self.u8(tag::GOODBYE);
                self.cause_kind(*kind);
            }
            _ => {}
        }
    }

    fn network(&mut self, message: &NetworkMessage) {
        use NetworkMessage as Say;
        let (tag, first, second) = match message {
            Say::RequestIntroduction(node) => (tag::REQUEST_INTRODUCTION, node, None),
            Say::Introduce { node, .. } => (tag::INTRODUCE, node, None),
            Say::Introduced(node) => (tag::INTRODUCED, node, None),
            Say::IntroductionRefused(node) => (tag::INTRODUCTION_REFUSED, node, None),
            Say::Refer { node, .. } => (tag::REFER, node, None),
            Say::Referred { broker, .. } => (tag::REFERRED, broker, None),
            Say::ReferralRefused(node) => (tag::REFERRAL_REFUSED, node, None),
            Say::Locate { node, seeker } => (tag::LOCATE, node, Some(seeker)),
            Say::Located { node, seeker, .. } => (tag::LOCATED, node, Some(seeker)),
            Say::PassIntroduction { to, node, .. } => (tag::PASS_INTRODUCTION, to, Some(node)),
            Say::PassRefusal { to, node } => (tag::PASS_REFUSAL, to, Some(node)),
            Say::PassIntroduced { from, node } => (tag::PASS_INTRODUCED, from, Some(node)),
            Say::Seek { node, seeker } => (tag::SEEK, node, Some(seeker)),
            Say::Sought { node, seeker, .. } => (tag::SOUGHT, node, Some(seeker)),
            _ => return self.unnamed(message),
        };
        self.u8(tag);
        self.u128(first.0);
        if let Some(second) = second {
            self.u128(second.0);
        }
        if let Say::Located { found, .. } | Say::Sought { found, .. } = message {
            self.u8(u8::from(*found));
        }
    }
}
