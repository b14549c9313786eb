//! What the two ends of a link say to each other about how it is carried: see `shell/link/switch.rs`.
//!
//! | type | message | fields |
//! | --- | --- | --- |
//! | `40` | offer | ring bytes `u32`, arena bytes `u32`, budget of the sender's arena `u64`, of the receiver's `u64`; one attachment, the region |
//! | `41` | accept | |
//! | `42` | switch | |
//! | `43` | decline | |
//! | `44` | region | index `u32`; one attachment, the region |
//! | `45` | pass | |

use ipcz_core::ProtocolViolation;

/// A message between the ends of a link, which no engine hears of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinkMessage {
    /// "This region can be ours."
    Offer(Offer),
    /// "It is. What follows is in it."
    Accept,
    /// "What follows is in the region."
    Switch,
    /// "I cannot use the region."
    Decline,
    /// A further region of the sender's arena.
    Region(u32),
    /// "I have no region. Offer one if you have."
    Pass,
}

/// The sizes that go with a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Offer {
    pub(crate) ring_bytes: u32,
    pub(crate) arena_bytes: u32,
    /// What the sender may add to its arena, in bytes.
    pub(crate) send_budget: u64,
    /// What the receiver may add to its own.
    pub(crate) receive_budget: u64,
}

const OFFER: u8 = 0x40;
const ACCEPT: u8 = 0x41;
const SWITCH: u8 = 0x42;
const DECLINE: u8 = 0x43;
const REGION: u8 = 0x44;
const PASS: u8 = 0x45;

impl LinkMessage {
    pub(crate) fn encode(self) -> Vec<u8> {
        match self {
            Self::Offer(offer) => {
                let mut out = vec![OFFER];
                out.extend_from_slice(&offer.ring_bytes.to_le_bytes());
                out.extend_from_slice(&offer.arena_bytes.to_le_bytes());
                out.extend_from_slice(&offer.send_budget.to_le_bytes());
                out.extend_from_slice(&offer.receive_budget.to_le_bytes());
                out
            }
            Self::Accept => vec![ACCEPT],
            Self::Switch => vec![SWITCH],
            Self::Decline => vec![DECLINE],
            Self::Region(index) => [&[REGION][..], &index.to_le_bytes()].concat(),
            Self::Pass => vec![PASS],
        }
    }

    /// What a head says, if it is one of these.
    pub(crate) fn decode(head: &[u8]) -> Option<Result<Self, ProtocolViolation>> {
        let (&tag, fields) = head.split_first()?;
        if !(OFFER..=PASS).contains(&tag) {
            return None;
        }
        let message = match (tag, fields) {
            (OFFER, fields) => Offer::decode(fields).map(Self::Offer),
            (ACCEPT, []) => Some(Self::Accept),
            (SWITCH, []) => Some(Self::Switch),
            (DECLINE, []) => Some(Self::Decline),
            (PASS, []) => Some(Self::Pass),
            (REGION, fields) => fields.try_into().ok().map(u32::from_le_bytes).map(Self::Region),
            _ => None,
        };
        Some(message.ok_or(ProtocolViolation("a malformed message about a link")))
    }
}

impl Offer {
    fn decode(fields: &[u8]) -> Option<Self> {
        let fields: &[u8; 24] = fields.try_into().ok()?;
        let u32_at = |at: usize| u32::from_le_bytes(std::array::from_fn(|i| fields[at + i]));
        let u64_at = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| fields[at + i]));
        Some(Self {
            ring_bytes: u32_at(0),
            arena_bytes: u32_at(4),
            send_budget: u64_at(8),
            receive_budget: u64_at(16),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_survive_the_journey() {
        let offer =
            Offer { ring_bytes: 1, arena_bytes: 2, send_budget: 3, receive_budget: 1 << 40 };
        for message in [
            LinkMessage::Offer(offer),
            LinkMessage::Accept,
            LinkMessage::Switch,
            LinkMessage::Decline,
            LinkMessage::Region(77),
            LinkMessage::Pass,
        ] {
            let bytes = message.encode();
            assert_eq!(LinkMessage::decode(&bytes), Some(Ok(message)));
            for len in 1..bytes.len() {
                assert!(matches!(LinkMessage::decode(&bytes[..len]), Some(Err(_))));
            }
            let longer = [&bytes[..], &[0]].concat();
            assert!(matches!(LinkMessage::decode(&longer), Some(Err(_))));
        }
        assert_eq!(LinkMessage::decode(&[]), None);
        assert_eq!(LinkMessage::decode(&[0x01]), None);
    }
}
