//! Bytes to messages. The bytes come from a peer: nothing in them is believed.

use ipcz_core::{
    Accept, Cause, CauseKind, Descriptor, EndKey, Hello, LinkId, MemoryId, Message, NetworkMessage,
    NodeName, Probe, ProtocolViolation, Provided, Relay, RelayKey, RouteMessage, Secret,
    TransportId, WIRE_VERSION,
};

use super::{
    HELLO_IS_BROKER, HELLO_RELAYS_HANDLES, HELLO_WANTS_BROKER, HELLO_WANTS_MEMORY, HandleKind,
    MAX_DEPTH, MAX_HANDLES, tag,
};

type Decoded<T> = Result<T, ProtocolViolation>;

/// Reads a message's head. In place of a parcel's payload it gives the kinds of its handles; the
/// transport of an introduction is number 0.
///
/// # Errors
/// What is malformed.
pub(crate) fn decode(head: &[u8]) -> Decoded<Message<Vec<HandleKind>>> {
    let mut input = Reader(head);
    let message = input.message()?;
    if input.0.is_empty() { Ok(message) } else { Err(ProtocolViolation("bytes behind a message")) }
}

/// Refuses lists of kinds in which a parcel claims more than follows it, or that are too deep.
fn check_tree(kinds: &[HandleKind]) -> Decoded<()> {
    // How many handles are still to come in each parcel that has begun.
    let mut open: Vec<u16> = Vec::new();
    for kind in kinds {
        if let Some(left) = open.last_mut() {
            *left -= 1;
        }
        if let HandleKind::Parcel { handles, .. } = kind {
            open.push(*handles);
            if open.len() > MAX_DEPTH {
                return Err(ProtocolViolation("parcels too deep in parcels"));
            }
        }
        while open.last() == Some(&0) {
            open.pop();
        }
    }
    if open.is_empty() { Ok(()) } else { Err(ProtocolViolation("handles that are missing")) }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn bytes<const N: usize>(&mut self) -> Decoded<[u8; N]> {
        let (first, rest) =
            self.0.split_first_chunk::<N>().ok_or(ProtocolViolation("a message is cut short"))?;
        self.0 = rest;
        Ok(*first)
    }

    fn u8(&mut self) -> Decoded<u8> {
        Ok(self.bytes::<1>()?[0])
    }

    fn u16(&mut self) -> Decoded<u16> {
        Ok(u16::from_le_bytes(self.bytes()?))
    }

    fn u32(&mut self) -> Decoded<u32> {
        Ok(u32::from_le_bytes(self.bytes()?))
    }

    fn u64(&mut self) -> Decoded<u64> {
        Ok(u64::from_le_bytes(self.bytes()?))
    }

    /// How many parcels went some way, or the number of one. No route lives to see its 2^62nd, and
    /// counting on from there must not overflow.
    fn count(&mut self) -> Decoded<u64> {
        match self.u64()? {
            count if count < 1 << 62 => Ok(count),
            _ => Err(ProtocolViolation("a count that nothing reaches")),
        }
    }

    fn u128(&mut self) -> Decoded<u128> {
        Ok(u128::from_le_bytes(self.bytes()?))
    }

    fn bool(&mut self) -> Decoded<bool> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(ProtocolViolation("a truth value that is neither")),
        }
    }

    fn link(&mut self) -> Decoded<LinkId> {
        Ok(LinkId(self.u64()?))
    }

    fn secret(&mut self) -> Decoded<Secret> {
        Ok(Secret(self.u128()?))
    }

    fn node(&mut self) -> Decoded<NodeName> {
        Ok(NodeName(self.u128()?))
    }

    fn message(&mut self) -> Decoded<Message<Vec<HandleKind>>> {
        let tag = self.u8()?;
        Ok(match tag {
            tag::HELLO => Message::Hello(self.hello()?),
            tag::PARCEL => self.parcel()?,
            tag::RELAY => self.relay()?,
            tag::ACCEPT => Message::Accept(Accept {
                key: self.key()?,
                link: self.link()?,
                secret: self.secret()?,
            }),
            tag::CLOSED..=tag::ANSWER => {
                let link = self.link()?;
                Message::Route(link, self.route(tag)?)
            }
            tag::REQUEST_INTRODUCTION..=tag::SOUGHT => Message::Network(self.network(tag)?),
            _ => return Err(ProtocolViolation("a message of unknown type")),
        })
    }

    fn hello(&mut self) -> Decoded<Hello> {
        let version = self.u16()?;
        if version != WIRE_VERSION {
            // All that can be said of another version is its number.
            self.0 = &[];
            return Ok(Hello {
                version,
                features: 0,
                max_payload: 0,
                name: NodeName(0),
                is_broker: false,
                wants_broker: false,
                wants_memory: false,
                relays_from: None,
                num_portals: 0,
                secret: Secret(0),
            });
        }
        let flags = self.u8()?;
        let known =
            HELLO_IS_BROKER | HELLO_WANTS_BROKER | HELLO_WANTS_MEMORY | HELLO_RELAYS_HANDLES;
        if flags & !known != 0 {
            return Err(ProtocolViolation("an unknown flag in a hello"));
        }
        Ok(Hello {
            version,
            is_broker: flags & HELLO_IS_BROKER != 0,
            wants_broker: flags & HELLO_WANTS_BROKER != 0,
            wants_memory: flags & HELLO_WANTS_MEMORY != 0,
            num_portals: self.u32()?,
            features: self.u64()?,
            max_payload: self.u64()?,
            name: self.node()?,
            secret: self.secret()?,
            relays_from: match flags & HELLO_RELAYS_HANDLES {
                0 => None,
                _ => Some(self.u64()?),
            },
        })
    }

    /// The handles are all attachments: how many is all that is said.
    fn relay(&mut self) -> Decoded<Message<Vec<HandleKind>>> {
        let RelayKey { from, to, id } = self.relay_key()?;
        let count = usize::from(self.u16()?);
        if count == 0 || count > MAX_HANDLES {
            return Err(ProtocolViolation("too many handles to relay, or none"));
        }
        Ok(Message::Relay(Relay { from, to, id, handles: vec![HandleKind::Attachment; count] }))
    }

    fn relay_key(&mut self) -> Decoded<RelayKey> {
        Ok(RelayKey { from: self.node()?, to: self.node()?, id: self.u64()? })
    }

    fn parcel(&mut self) -> Decoded<Message<Vec<HandleKind>>> {
        let link = self.link()?;
        let sequence = self.count()?;
        let count = usize::from(self.u16()?);
        let hops = self.u16()?;
        if count > MAX_HANDLES {
            return Err(ProtocolViolation("too many handles in a parcel"));
        }
        let kinds = (0..count).map(|_| match self.u8()? {
            0 => Ok(HandleKind::Portal),
            1 => Ok(HandleKind::Attachment),
            2 => Ok(HandleKind::Parcel { num_bytes: self.u32()?, handles: self.u16()? }),
            3 => Ok(HandleKind::Relayed),
            _ => Err(ProtocolViolation("a handle of unknown kind")),
        });
        let payload = kinds.collect::<Decoded<Vec<_>>>()?;
        check_tree(&payload)?;
        let portals = payload.iter().filter(|kind| **kind == HandleKind::Portal);
        let portals = portals.map(|_| self.descriptor()).collect::<Decoded<_>>()?;
        let relayed = payload.contains(&HandleKind::Relayed).then(|| self.u64()).transpose()?;
        Ok(Message::Parcel { link, sequence, hops, relayed, payload, portals })
    }

    fn descriptor(&mut self) -> Decoded<Descriptor> {
        Ok(Descriptor {
            link: self.link()?,
            secret: self.secret()?,
            next_in: self.count()?,
            next_out: self.count()?,
            owner: self.bool()?,
        })
    }

    fn key(&mut self) -> Decoded<EndKey> {
        Ok(EndKey {
            node: self.node()?,
            via: self.node()?,
            link: self.link()?,
            secret: self.secret()?,
        })
    }

    fn route(&mut self, tag: u8) -> Decoded<RouteMessage> {
        Ok(match tag {
            tag::CLOSED => RouteMessage::Closed(self.count()?),
            tag::FIN => RouteMessage::Fin(self.count()?),
            tag::YIELD => RouteMessage::Yield,
            tag::GRANT => RouteMessage::Grant,
            tag::BYPASS_ME => RouteMessage::BypassMe(self.key()?),
            tag::PROBE => RouteMessage::Probe(self.probe()?),
            tag::ANSWER => RouteMessage::Answer(self.probe()?),
            _ => RouteMessage::Disconnected(self.cause()?),
        })
    }

    fn probe(&mut self) -> Decoded<Probe> {
        Ok(Probe { token: self.secret()?, hops: self.u16()? })
    }

    fn cause(&mut self) -> Decoded<Cause> {
        let kind = self.cause_kind()?;
        let node = Some(self.node()?).filter(|node| node.0 != 0);
        Ok(Cause { kind, node })
    }

    fn cause_kind(&mut self) -> Decoded<CauseKind> {
        Ok(match self.u8()? {
            1 => CauseKind::NodeLost,
            2 => CauseKind::Violation,
            3 => CauseKind::RouteBroken,
            4 => CauseKind::Shutdown,
            5 => CauseKind::WrongVersion,
            6 => CauseKind::WrongRole,
            7 => CauseKind::AlreadyConnected,
            8 => CauseKind::Unsendable,
            9 => CauseKind::Rejected,
            10 => CauseKind::NotRelayed,
            _ => return Err(ProtocolViolation("an unknown cause")),
        })
    }

    fn memory(&mut self, tag: u8) -> Decoded<NetworkMessage> {
        let id = self.u64()?;
        if tag == tag::REQUEST_MEMORY {
            return Ok(NetworkMessage::RequestMemory { id, size: self.u64()?, hops: self.u16()? });
        }
        // What it is, and how large, shows by what is attached.
        let memory = self.bool()?.then_some(Provided { memory: MemoryId(0), size: 0 });
        Ok(NetworkMessage::ProvideMemory { id, memory })
    }

    fn network(&mut self, tag: u8) -> Decoded<NetworkMessage> {
        // Whoever takes the message apart knows which transport it carries.
        let transport = TransportId(0);
        match tag {
            tag::GOODBYE => return Ok(NetworkMessage::Goodbye(self.cause_kind()?)),
            tag::REQUEST_MEMORY | tag::PROVIDE_MEMORY => return self.memory(tag),
            tag::RELAY_REFUSED => return Ok(NetworkMessage::RelayRefused(self.relay_key()?)),
            tag::RELAY_PASSED => return Ok(NetworkMessage::RelayPassed(self.relay_key()?)),
            tag::UNRELAYED => {
                return Ok(NetworkMessage::Unrelayed { first: self.u64()?, last: self.u64()? });
            }
            tag::RELAYS_LOST => return Ok(NetworkMessage::RelaysLost),
            tag::RELAYS_LOST_HEARD => return Ok(NetworkMessage::RelaysLostHeard),
            _ => {}
        }
        let node = self.node()?;
        Ok(match tag {
            tag::REQUEST_INTRODUCTION => NetworkMessage::RequestIntroduction(node),
            tag::INTRODUCE => NetworkMessage::Introduce { node, transport },
            tag::INTRODUCED => NetworkMessage::Introduced(node),
            tag::INTRODUCTION_REFUSED => NetworkMessage::IntroductionRefused(node),
            tag::REFER => NetworkMessage::Refer { node, transport },
            tag::REFERRED => NetworkMessage::Referred { broker: node, transport },
            tag::REFERRAL_REFUSED => NetworkMessage::ReferralRefused(node),
            tag::LOCATE => NetworkMessage::Locate { node, seeker: self.node()? },
            tag::LOCATED => {
                NetworkMessage::Located { node, seeker: self.node()?, found: self.bool()? }
            }
            tag::PASS_INTRODUCTION => {
                NetworkMessage::PassIntroduction { to: node, node: self.node()?, transport }
            }
            tag::SEEK => NetworkMessage::Seek { node, seeker: self.node()? },
            tag::SOUGHT => {
                NetworkMessage::Sought { node, seeker: self.node()?, found: self.bool()? }
            }
            tag::PASS_REFUSAL => NetworkMessage::PassRefusal { to: node, node: self.node()? },
            _ => NetworkMessage::PassIntroduced { from: node, node: self.node()? },
        })
    }
}
