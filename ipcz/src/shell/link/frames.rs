//! Messages as frames, and back.

use ipcz_core::{Message, ProtocolViolation};

use super::Addressed;
use crate::driver::{Attachment, Frame};
use crate::shell::payload::{Contents, Slot};
use crate::wire::{self, HandleKind};

/// Whether a message has something that bytes cannot express.
pub(super) fn has_attachments((message, transport): &Addressed) -> bool {
    transport.is_some() || body_of(message).is_some_and(Contents::has_attachments)
}

/// A parcel's payload.
pub(super) fn body_of(message: &Message<Contents>) -> Option<&Contents> {
    match message {
        Message::Parcel { payload, .. } => Some(payload),
        _ => None,
    }
}

/// Appends a message's head.
pub(super) fn encode_head((message, _): &Addressed, head: &mut Vec<u8>) {
    let slots = body_of(message).map_or(&[][..], |payload| &payload.slots);
    let kinds = slots.iter().map(|slot| match slot {
        Slot::Portal => HandleKind::Portal,
        Slot::Os(_) => HandleKind::Attachment,
    });
    wire::encode(message, &kinds.collect::<Vec<_>>(), head);
}

pub(super) fn into_frame(addressed: Addressed) -> Frame {
    let mut head = Vec::with_capacity(64);
    encode_head(&addressed, &mut head);
    let (message, transport) = addressed;
    let (mut body, mut attachments) = (Vec::new(), Vec::new());
    if let Message::Parcel { payload, .. } = message {
        body = payload.data;
        attachments.extend(payload.slots.into_iter().filter_map(|slot| match slot {
            Slot::Portal => None,
            Slot::Os(handle) => Some(Attachment::Handle(handle)),
        }));
    }
    attachments.extend(transport.map(Attachment::Transport));
    Frame { head, body, attachments }
}

/// A message as it arrived, with the transport that an introduction brought.
pub(in crate::shell) type Incoming = Result<Addressed, ProtocolViolation>;

pub(in crate::shell) fn into_message(frame: Frame) -> Incoming {
    let Frame { head, body, attachments } = frame;
    message_of(&head, body, attachments)
}

/// What a head and what came with it say.
pub(super) fn message_of(head: &[u8], body: Vec<u8>, attachments: Vec<Attachment>) -> Incoming {
    let mut attachments = attachments.into_iter();
    let mut transport = None;
    let message = match wire::decode(head)? {
        Message::Parcel { link, sequence, hops, payload, portals } => {
            let payload = contents(body, &payload, &mut attachments)?;
            Message::Parcel { link, sequence, hops, payload, portals }
        }
        _ if !body.is_empty() => return Err(ProtocolViolation("a payload without a parcel")),
        Message::Network(message) => {
            if message.transport().is_some() {
                let Some(Attachment::Transport(carried)) = attachments.next() else {
                    return Err(ProtocolViolation("a transport that is missing"));
                };
                transport = Some(carried);
            }
            Message::Network(message)
        }
        Message::Hello(hello) => Message::Hello(hello),
        Message::Route(link, message) => Message::Route(link, message),
        Message::Accept(accept) => Message::Accept(accept),
    };
    match attachments.next() {
        None => Ok((message, transport)),
        Some(_) => Err(ProtocolViolation("an attachment that nothing names")),
    }
}

fn contents(
    data: Vec<u8>,
    kinds: &[HandleKind],
    attachments: &mut impl Iterator<Item = Attachment>,
) -> Result<Contents, ProtocolViolation> {
    if data.len() > wire::MAX_PAYLOAD {
        return Err(ProtocolViolation("a payload that is too large"));
    }
    let slots = kinds.iter().map(|kind| match kind {
        HandleKind::Portal => Ok(Slot::Portal),
        HandleKind::Attachment => match attachments.next() {
            Some(Attachment::Handle(handle)) => Ok(Slot::Os(handle)),
            _ => Err(ProtocolViolation("a handle that is missing or of another kind")),
        },
    });
    let slots = slots.collect::<Result<_, _>>()?;
    Ok(Contents { num_bytes: data.len(), data, slots })
}
