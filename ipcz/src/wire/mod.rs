//! The wire format: how messages between nodes look as bytes.
//!
//! Every number is little-endian and has a fixed width. A message is a *head*, described here, a
//! *body*, which is a parcel's payload and otherwise empty, and *attachments*. The first byte of a
//! head is its type:
//!
//! | type | message | fields |
//! | --- | --- | --- |
//! | `01` | hello | version `u16`, flags `u8` (1 is broker, 2 wants broker, 4 wants memory, 8 relays handles), portals `u32`, features `u64`, max payload `u64`, name `u128`, secret `u128`, and if it relays handles the first id of its relays, `u64` |
//! | `02` | parcel | link `u64`, sequence `u64`, handles `u16`, hops `u16`, one *kind* for each handle, one descriptor for each portal, and if a handle is relayed the id of the relay, `u64` |
//! | `03` | accept | key, link `u64`, secret `u128` |
//! | `04` | relay | from `u128`, to `u128`, id `u64`, handles `u16`; as many attachments |
//! | `10` | closed | link `u64`, length `u64` |
//! | `11` | fin | link `u64`, count `u64` |
//! | `12` | yield | link `u64` |
//! | `13` | grant | link `u64` |
//! | `14` | bypass me | link `u64`, key |
//! | `15` | disconnected | link `u64`, cause `u8`, node `u128` (0 if unknown) |
//! | `16` | probe | link `u64`, token `u128`, hops `u16` |
//! | `17` | answer | link `u64`, token `u128`, hops `u16` |
//! | `18` | how many | link `u64`, token `u128`, hops `u16` |
//! | `19` | so many | link `u64`, token `u128`, hops `u16`, count `u64` |
//! | `20` | request introduction | node `u128` |
//! | `21` | introduce | node `u128`; one attachment, the transport |
//! | `22` | introduced | node `u128` |
//! | `23` | introduction refused | node `u128` |
//! | `24` | goodbye | cause `u8` |
//! | `25` | refer | node `u128`; one attachment, the transport |
//! | `26` | referred | broker `u128`; one attachment, the transport |
//! | `27` | referral refused | node `u128` |
//! | `28` | locate | node `u128`, seeker `u128` |
//! | `29` | located | node `u128`, seeker `u128`, found `u8` |
//! | `2a` | pass introduction | to `u128`, node `u128`; one attachment, the transport |
//! | `2b` | pass refusal | to `u128`, node `u128` |
//! | `2c` | pass introduced | from `u128`, node `u128` |
//! | `2d` | request memory | id `u64`, size `u64`, hops `u16` |
//! | `2e` | provide memory | id `u64`, provided `u8`; one attachment, the memory, if it is 1 |
//! | `2f` | relay refused | from `u128`, to `u128`, id `u64` |
//! | `30` | relay passed | from `u128`, to `u128`, id `u64` |
//! | `31` | unrelayed | first `u64`, last `u64` |
//! | `32` | relays lost | |
//! | `33` | relays lost heard | |
//! | `34` | seek | node `u128`, seeker `u128` |
//! | `35` | sought | node `u128`, seeker `u128`, found `u8` |
//!
//! A *kind* is `u8`: 0 portal, 1 attachment, 2 parcel, 3 relayed. Behind that of a parcel stand the length of its
//! data `u32` and how many of the kinds that follow are its own handles `u16`, not counting what is
//! within those. So the kinds of a whole tree stand in one list, as a walk through it meets them, and
//! the message's count is theirs. The body is the data of all, in the same order, the outermost first;
//! what the others do not claim is its. A relay's attachments belong where the *relayed* stand in the
//! list, in the same order.
//!
//! A *descriptor* is link `u64`, secret `u128`, next in `u64`, next out `u64`, owner `u8`. A *key*
//! is node `u128`, via `u128`, link `u64`, secret `u128`. A *cause* is 1 node lost, 2 violation,
//! 3 route broken, 4 shutdown, 5 wrong version, 6 wrong role, 7 already connected,
//! 8 unsendable, 9 rejected, 10 not relayed.
//!
//! The numbers that count a route's parcels (sequence, next in and out, length, count) are below 2^62.
//!
//! A hello of any version starts with its type and its version, so that different versions can
//! tell each other why they part. A head with bytes left over is malformed.

mod decode;
mod encode;
mod link;

pub(crate) use decode::decode;
pub(crate) use encode::encode;
pub(crate) use link::{LinkMessage, Offer};

/// What a hello says of optional features, as bits.
pub(crate) mod feature {
    /// Links may be carried by shared memory.
    pub(crate) const SHARED_MEMORY: u64 = 1;
    /// The sender can make that memory, and send it directly.
    pub(crate) const OFFERS_MEMORY: u64 = 2;
    /// The sender knows that memory can come from a delegate of either side, if neither can make it, and that
    /// whoever has none passes.
    pub(crate) const BORROWS_MEMORY: u64 = 4;
}

/// What stands in one place of a parcel's list of handles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HandleKind {
    /// A portal: it takes the next descriptor.
    Portal,
    /// A handle of the operating system, or shared memory: it takes the next attachment.
    Attachment,
    /// A parcel within the parcel: it takes the next part of the body and the kinds that follow.
    Parcel {
        /// The length of its data.
        num_bytes: u32,
        /// How many handles it has.
        handles: u16,
    },
    /// What an attachment would be, were it not on its way by a broker.
    Relayed,
}

/// The largest payload of a parcel, in bytes. What is larger is better shared as memory.
pub(crate) const MAX_PAYLOAD: usize = 256 << 20;

/// The most handles of all kinds in one parcel, with those of the parcels in it: as many as one
/// message may have attachments. A parcel is a handle of that which it is in, so this bounds their
/// number too.
pub(crate) const MAX_HANDLES: usize = 4096;

/// How deep parcels may be in parcels. Whoever walks through them, to take them apart or to drop them,
/// goes as deep with its stack; nobody has needed a tenth of it.
pub(crate) const MAX_DEPTH: usize = 16;

mod tag {
    pub(super) const HELLO: u8 = 0x01;
    pub(super) const PARCEL: u8 = 0x02;
    pub(super) const ACCEPT: u8 = 0x03;
    pub(super) const RELAY: u8 = 0x04;
    pub(super) const CLOSED: u8 = 0x10;
    pub(super) const FIN: u8 = 0x11;
    pub(super) const YIELD: u8 = 0x12;
    pub(super) const GRANT: u8 = 0x13;
    pub(super) const BYPASS_ME: u8 = 0x14;
    pub(super) const DISCONNECTED: u8 = 0x15;
    pub(super) const PROBE: u8 = 0x16;
    pub(super) const ANSWER: u8 = 0x17;
    pub(super) const HOW_MANY: u8 = 0x18;
    pub(super) const SO_MANY: u8 = 0x19;
    pub(super) const REQUEST_INTRODUCTION: u8 = 0x20;
    pub(super) const INTRODUCE: u8 = 0x21;
    pub(super) const INTRODUCED: u8 = 0x22;
    pub(super) const INTRODUCTION_REFUSED: u8 = 0x23;
    pub(super) const GOODBYE: u8 = 0x24;
    pub(super) const REFER: u8 = 0x25;
    pub(super) const REFERRED: u8 = 0x26;
    pub(super) const REFERRAL_REFUSED: u8 = 0x27;
    pub(super) const LOCATE: u8 = 0x28;
    pub(super) const LOCATED: u8 = 0x29;
    pub(super) const PASS_INTRODUCTION: u8 = 0x2a;
    pub(super) const PASS_REFUSAL: u8 = 0x2b;
    pub(super) const PASS_INTRODUCED: u8 = 0x2c;
    pub(super) const REQUEST_MEMORY: u8 = 0x2d;
    pub(super) const PROVIDE_MEMORY: u8 = 0x2e;
    pub(super) const RELAY_REFUSED: u8 = 0x2f;
    pub(super) const RELAY_PASSED: u8 = 0x30;
    pub(super) const UNRELAYED: u8 = 0x31;
    pub(super) const RELAYS_LOST: u8 = 0x32;
    pub(super) const RELAYS_LOST_HEARD: u8 = 0x33;
    pub(super) const SEEK: u8 = 0x34;
    pub(super) const SOUGHT: u8 = 0x35;
}

const HELLO_IS_BROKER: u8 = 1;
const HELLO_WANTS_BROKER: u8 = 2;
const HELLO_WANTS_MEMORY: u8 = 4;
const HELLO_RELAYS_HANDLES: u8 = 8;

#[cfg(test)]
mod tests;
