//! Messages as frames, and back.

use std::sync::Arc;

use ipcz_core::{Message, ProtocolViolation, Relay, ThinVec};

use super::Addressed;
use crate::driver::{Attachment, Frame};
use crate::shell::data::Data;
use crate::shell::payload::{Contents, Slot};
use crate::shm::Mapping;
use crate::shm::arena::{OutBlock, SendArena};
use crate::wire::{self, HandleKind};

/// Bytes that were copied into shared memory already.
pub(super) type Block = OutBlock<Arc<Mapping>>;

/// A message as a frame, and the block that has its payload too, if it was staged in `arena`. Its head is
/// written into `head`, which is empty memory.
pub(super) fn into_frame(
    (mut message, carried): Addressed,
    head: Vec<u8>,
    arena: Option<&SendArena<Arc<Mapping>>>,
) -> (Frame, Option<Block>) {
    let mut frame = Frame { head, ..Frame::default() };
    let mut kinds = Vec::new();
    let mut block = None;
    match &mut message {
        Message::Parcel { payload, .. } => {
            let data = std::mem::take(&mut payload.data);
            match arena.filter(|_| payload.slots.is_empty()) {
                Some(arena) => (frame.body, block) = data.take_staged(arena),
                None => frame.body = data.into_vec(),
            }
            flatten(std::mem::take(&mut payload.slots), &mut frame, &mut kinds);
        }
        Message::Relay(relay) => {
            flatten(std::mem::take(&mut relay.handles.slots), &mut frame, &mut kinds);
        }
        _ => frame.attachments.extend(carried),
    }
    wire::encode(&message, &kinds, &mut frame.head);
    (frame, block)
}

/// Whether a message that carries nothing is nothing but its head and, if it is a parcel, bytes.
pub(super) fn is_bare(message: &Message<Contents>) -> bool {
    match message {
        Message::Parcel { payload, .. } => payload.slots.is_empty(),
        Message::Relay(_) => false,
        _ => true,
    }
}

/// The bytes of a parcel.
pub(super) fn body_of(message: &mut Message<Contents>) -> Option<&mut Data> {
    match message {
        Message::Parcel { payload, .. } => Some(&mut payload.data),
        _ => None,
    }
}

/// Moves what a parcel holds beside its bytes, with the parcels in it, into a frame. Lists what stood
/// where. The engine lets no values through.
fn flatten(slots: ThinVec<Slot>, frame: &mut Frame, kinds: &mut Vec<HandleKind>) {
    for slot in slots {
        kinds.push(match slot {
            Slot::Portal => HandleKind::Portal,
            Slot::Relayed => HandleKind::Relayed,
            Slot::Os(handle) => {
                frame.attachments.push(Attachment::Handle(handle));
                HandleKind::Attachment
            }
            Slot::Memory(region) => {
                frame.attachments.push(Attachment::Region(region));
                HandleKind::Attachment
            }
            Slot::Object(_) => HandleKind::Parcel { num_bytes: 0, handles: 0 },
            Slot::Parcel(contents) => {
                let Contents { data, slots, .. } = *contents;
                let (num_bytes, handles) = (data.len() as u32, slots.len() as u16);
                kinds.push(HandleKind::Parcel { num_bytes, handles });
                frame.body.extend_from_slice(data.as_slice());
                flatten(slots, frame, kinds);
                continue;
            }
        });
    }
}

/// A message as it arrived, with the transport or the memory that it brought.
pub(in crate::shell) type Incoming = Result<Addressed, ProtocolViolation>;

pub(in crate::shell) fn into_message(frame: Frame) -> Incoming {
    let Frame { head, body, attachments } = frame;
    message_of(&head, body.into(), attachments)
}

/// What a head and what came with it say.
pub(super) fn message_of(head: &[u8], body: Data, attachments: Vec<Attachment>) -> Incoming {
    let mut attachments = attachments.into_iter();
    let mut carried = None;
    let message = match wire::decode(head)? {
        Message::Parcel { link, sequence, hops, relayed, payload, portals } => {
            let payload = contents(body, &payload, &mut attachments)?;
            Message::Parcel { link, sequence, hops, relayed, payload, portals }
        }
        Message::Relay(Relay { from, to, id, handles }) if body.is_empty() => {
            let handles = contents(body, &handles, &mut attachments)?;
            Message::Relay(Relay { from, to, id, handles })
        }
        _ if !body.is_empty() => return Err(ProtocolViolation("a payload without a parcel")),
        Message::Network(message) => {
            carried = match (message.transport(), message.memory()) {
                (None, None) => None,
                wanted => match (wanted, attachments.next()) {
                    ((Some(_), _), Some(it @ Attachment::Transport(_))) => Some(it),
                    ((_, Some(_)), Some(it @ Attachment::Region(_))) => Some(it),
                    _ => return Err(ProtocolViolation("a transport or memory that is missing")),
                },
            };
            Message::Network(message)
        }
        Message::Hello(hello) => Message::Hello(hello),
        Message::Route(link, message) => Message::Route(link, message),
        Message::Accept(accept) => Message::Accept(accept),
        // With a body, which was refused above.
        Message::Relay(_) => return Err(ProtocolViolation("a payload without a parcel")),
    };
    match attachments.next() {
        None => Ok((message, carried)),
        Some(_) => Err(ProtocolViolation("an attachment that nothing names")),
    }
}

/// Makes the contents of what arrived. The list of kinds is a whole tree: decoding has seen to that.
fn contents(
    data: Data,
    kinds: &[HandleKind],
    attachments: &mut impl Iterator<Item = Attachment>,
) -> Result<Contents, ProtocolViolation> {
    if data.len() > wire::MAX_PAYLOAD {
        return Err(ProtocolViolation("a payload that is too large"));
    }
    let within = kinds.iter().map(|kind| match kind {
        HandleKind::Parcel { num_bytes, .. } => u64::from(*num_bytes),
        HandleKind::Portal | HandleKind::Attachment | HandleKind::Relayed => 0,
    });
    let own = (data.len() as u64).checked_sub(within.sum());
    let own = own.ok_or(ProtocolViolation("parcels with more data than there is"))?;
    let (data, within) = match own as usize {
        own if own == data.len() => (data, Vec::new()),
        own => {
            let mut data = data.into_vec();
            let within = data.split_off(own);
            (data.into(), within)
        }
    };
    let mut kinds = kinds.iter();
    let count = kinds.len();
    let slots = slots(count, &mut kinds, &mut within.as_slice(), attachments)?;
    Ok(Contents::new(data, slots))
}

/// Makes the slots of one parcel: `count` of them, or as many as there are.
fn slots(
    count: usize,
    kinds: &mut std::slice::Iter<'_, HandleKind>,
    data: &mut &[u8],
    attachments: &mut impl Iterator<Item = Attachment>,
) -> Result<Vec<Slot>, ProtocolViolation> {
    let mut made = Vec::with_capacity(count.min(kinds.len()));
    while made.len() < count
        && let Some(kind) = kinds.next()
    {
        made.push(match kind {
            HandleKind::Portal => Slot::Portal,
            HandleKind::Relayed => Slot::Relayed,
            HandleKind::Attachment => match attachments.next() {
                Some(Attachment::Handle(handle)) => Slot::Os(handle),
                Some(Attachment::Region(region)) => Slot::Memory(region),
                _ => return Err(ProtocolViolation("a handle that is missing or of another kind")),
            },
            HandleKind::Parcel { num_bytes, handles } => {
                let own = data.split_off(..*num_bytes as usize).unwrap_or_default().to_vec();
                let within = slots((*handles).into(), kinds, data, attachments)?;
                Slot::Parcel(Box::new(Contents::new(own, within)))
            }
        });
    }
    Ok(made)
}
