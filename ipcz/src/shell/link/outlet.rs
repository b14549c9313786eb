//! What a link sends with once it has shared memory: a ring, an arena, and the transport for the rest.
//!
//! | what | how it travels | system calls | copies here | allocations | locks |
//! | --- | --- | --- | --- | --- | --- |
//! | a message without payload, or with one of up to [`INLINE_BYTES`] | in the ring | - | 1 | - | - |
//! | a larger payload | in a block of the arena; the message in the ring | - | 1, or none if it was staged by who put it | - | the arena's, 2 times |
//! | the arena grows | a region over the transport, announced in the ring | 5 to make and map it, 1 to send it | - | some | the arena's; the driver's |
//! | OS handles, transports, regions; what is larger than the arena may become, or is now, if it grows by the delegate | over the transport; a marker in the ring keeps its place | 1 to send | the driver's | a list; the driver's | the driver's |
//!
//! Messages of a batch are shown to the peer together, by one store, and it is woken once if it sleeps. With both
//! sides awake, a small message costs no system call, lock or allocation here; the wake-up is the outbox's.

use std::collections::VecDeque;
use std::sync::Arc;

use ipcz_core::Message;

use super::supply::Supply;
use super::{Outgoing, frames};
use crate::driver::{Attachment, Frame, Transport};
use crate::shell::data::{Data, LEAST_STAGED};
use crate::shell::payload::Contents;
use crate::shm::arena::{AllocateError, OutBlock, ReceiveArena, SendArena, Span};
use crate::shm::record::{Kind, Tag};
use crate::shm::ring::{WriteError, Writer};
use crate::shm::{Mapping, Region, RingBroken, current_cpu};
use crate::wire::{self, LinkMessage};

type Memory = Arc<Mapping>;

/// The largest message that is copied into the ring. Above it, a block costs less than the ring's room.
const INLINE_BYTES: usize = LEAST_STAGED + 256;

/// The largest payload that is copied under the node's lock.
const WRITE_THROUGH_BYTES: usize = LEAST_STAGED;

/// The sending end of a link's shared memory. Whoever flushes the link has it.
pub(crate) struct Outlet {
    pub(super) writer: Writer<Memory>,
    pub(super) arena: SendArena<Memory>,
    /// Blocks of the other direction, which go back through this ring.
    pub(super) received: ReceiveArena<Memory>,
    /// What the arena grows by.
    pub(super) supply: Supply,
    /// A region that the arena has yet to get, and those that it has dropped and the peer has not.
    pub(super) lent: Option<Region>,
    pub(super) dropped: Vec<u32>,
    /// The last message's head: memory for the next one's.
    pub(super) head: Vec<u8>,
    /// The peer is to be asked for blocks, and was not yet.
    pub(super) wants: bool,
    /// What was sent took so many bytes while it was queued, since the flusher last looked.
    pub(super) sent: usize,
}

/// How far a batch came.
pub(super) enum Sent {
    All,
    /// The peer has to read, or to hand blocks back, before anything else can be sent.
    Stalled,
}

/// Why a message was not sent.
enum Refused {
    /// Not now. The frame is unchanged.
    Stalled(Frame),
    Broken(RingBroken),
}

impl Outlet {
    /// Sends what is queued, as far as there is room.
    ///
    /// # Errors
    /// The peer broke the rules of the memory, or the transport is closed.
    pub(super) fn send(
        &mut self,
        queue: &mut VecDeque<Outgoing>,
        transport: &dyn Transport,
    ) -> Result<Sent, RingBroken> {
        let mut sent = match self.tidy(transport) {
            Err(WriteError::Broken(broken)) => Err(broken),
            Err(_) => Ok(Sent::Stalled),
            Ok(()) => Ok(Sent::All),
        };
        while let Ok(Sent::All) = sent {
            let Some(next) = queue.pop_front() else { break };
            let cost = next.cost();
            match self.send_one(next, transport) {
                Ok(()) => self.sent = self.sent.saturating_add(cost),
                Err(Refused::Stalled(frame)) => {
                    queue.push_front(Outgoing::Frame(frame));
                    sent = Ok(Sent::Stalled);
                }
                Err(Refused::Broken(broken)) => sent = Err(broken),
            }
        }
        // A ring that is full was published by itself.
        self.writer.publish();
        sent
    }

    /// Writes a message into the ring, and shows it to the peer, if its bytes are all that it has, and are few or
    /// staged. Gives whether it did; what was staged may then be so no more. Called under the node's lock, it
    /// leaves the bytes to be dropped elsewhere.
    pub(super) fn write_through(&mut self, message: &mut Message<Contents>) -> bool {
        // What is to go back leaves with whatever a flusher sends.
        if !frames::is_bare(message) || self.received.has_done() {
            return false;
        }
        let mut head = std::mem::take(&mut self.head);
        wire::encode(message, &[], &mut head);
        let written = self.write_bare(&head, frames::body_of(message));
        self.head = head;
        self.head.clear();
        // If it was not, the flusher meets whatever was in the way.
        written && self.writer.publish()
    }

    /// Writes a head and what is behind it. Gives whether it did: if not, it may be staged no more.
    fn write_bare(&mut self, head: &[u8], body: Option<&mut Data>) -> bool {
        match body {
            None => self.write(Kind::Inline, head, &[]).is_ok(),
            Some(Data::Own(bytes)) if bytes.len() <= WRITE_THROUGH_BYTES => {
                self.write(Kind::Inline, head, bytes).is_ok()
            }
            Some(data) if data.is_staged_in(&self.arena) => {
                let (bytes, block) = std::mem::take(data).take_staged(&self.arena);
                let written = block.map(|block| self.write_in_block(head, bytes.len(), block));
                *data = Data::Own(bytes);
                matches!(written, Some(Ok(())))
            }
            Some(_) => false,
        }
    }

    /// Says what is to be said of the arenas.
    fn tidy(&mut self, transport: &dyn Transport) -> Result<(), WriteError> {
        if self.received.has_done() {
            self.received.hand_back(&mut self.writer)?;
        }
        self.ask()?;
        while let Some(index) = self.dropped.last() {
            let mut slot = self.writer.reserve(4)?;
            slot.put(&index.to_le_bytes())?;
            slot.commit(Tag::of(Kind::DropRegion, 4))?;
            self.dropped.pop();
        }
        if self.lent.is_some() {
            // There is room for its record, or it stays here.
            self.writer.reserve(4)?;
            let added = self.lent.take().map(|region| self.add_region(region, transport));
            // One that the arena cannot use is no loss.
            if let Some(Err(error @ WriteError::Broken(_))) = added {
                return Err(error);
            }
        }
        Ok(())
    }

    /// Drops regions that were not used for a while. The peer hears of it with what is sent next.
    pub(super) fn shrink(&mut self) {
        let retired = self.arena.retire();
        self.dropped.extend(&retired.regions);
        self.wants |= retired.ask;
        if retired.again {
            self.supply.has_grown();
        }
    }

    fn send_one(&mut self, next: Outgoing, transport: &dyn Transport) -> Result<(), Refused> {
        let (frame, block) = match next {
            Outgoing::Message(message) => {
                frames::into_frame(message, std::mem::take(&mut self.head), Some(&self.arena))
            }
            Outgoing::Frame(frame) => (frame, None),
            // A link changes over once.
            Outgoing::Switch(..) => return Ok(()),
        };
        if !frame.attachments.is_empty() {
            return self.send_marked(frame, transport);
        }
        let written = match block {
            Some(block) => self.write_in_block(&frame.head, frame.body.len(), block),
            None if frame.head.len() + frame.body.len() <= INLINE_BYTES => {
                self.write(Kind::Inline, &frame.head, &frame.body)
            }
            None => self.write_block(&frame.head, &frame.body, transport),
        };
        match written {
            Ok(()) => {
                self.head = frame.head;
                self.head.clear();
                Ok(())
            }
            Err(WriteError::TooLong) => self.send_marked(frame, transport),
            Err(error) => Err(refused(error, frame)),
        }
    }

    fn write(&mut self, kind: Kind, head: &[u8], body: &[u8]) -> Result<(), WriteError> {
        let mut slot = self.writer.reserve(head.len() + body.len())?;
        slot.put(head)?;
        slot.put(body)?;
        slot.commit(Tag { cpu: current_cpu(), ..Tag::of(kind, head.len() as u32) })
    }

    /// Sends a message whose payload is in a block.
    fn write_block(
        &mut self,
        head: &[u8],
        body: &[u8],
        transport: &dyn Transport,
    ) -> Result<(), WriteError> {
        let block = self.allocate(body.len(), transport)?;
        block.copy_in(0, body).map_err(|_| WriteError::TooLong)?;
        self.write_in_block(head, body.len(), block)
    }

    /// Sends a message whose payload was copied into `block`.
    fn write_in_block(
        &mut self,
        head: &[u8],
        len: usize,
        block: frames::Block,
    ) -> Result<(), WriteError> {
        let block = block.commit(len).map_err(|_| WriteError::TooLong)?;
        let written = self.write(Kind::Block, head, &block.encode());
        if written.is_err() {
            self.arena.cancel(block);
        }
        written
    }

    fn allocate(
        &mut self,
        len: usize,
        transport: &dyn Transport,
    ) -> Result<OutBlock<Memory>, WriteError> {
        loop {
            match self.arena.allocate(len) {
                Ok(block) => return Ok(block),
                Err(AllocateError::NeedsRegion(num_bytes)) => self.grow(num_bytes, transport)?,
                Err(AllocateError::Full { ask }) => {
                    self.wants |= ask;
                    self.ask()?;
                    return Err(WriteError::Full);
                }
                Err(AllocateError::TooLarge) => return Err(WriteError::TooLong),
            }
        }
    }

    /// Asks the peer for blocks, if that is still to be done.
    fn ask(&mut self) -> Result<(), WriteError> {
        if self.wants {
            self.write(Kind::Want, &[], &[])?;
            self.wants = false;
        }
        Ok(())
    }

    /// Adds a region to the arena.
    fn grow(&mut self, num_bytes: usize, transport: &dyn Transport) -> Result<(), WriteError> {
        // Without memory for a region now, the message goes over the transport.
        let region = self.supply.region(num_bytes).ok_or(WriteError::TooLong)?;
        self.add_region(region, transport)
    }

    fn add_region(&mut self, region: Region, transport: &dyn Transport) -> Result<(), WriteError> {
        let memory = Arc::new(region.map().map_err(|_| WriteError::TooLong)?);
        // Before the arena has it: nothing is left half done if the ring is full.
        let mut slot = self.writer.reserve(4)?;
        let span = Span { len: memory.len(), memory, base: 0 };
        let index = match self.arena.add_region(span) {
            Ok(index) => index,
            Err(error) => {
                self.wants |= matches!(error, AllocateError::Full { ask: true });
                return Err(WriteError::TooLong);
            }
        };
        slot.put(&index.to_le_bytes())?;
        slot.commit(Tag::of(Kind::AddRegion, 4))?;
        self.supply.has_grown();
        let head = LinkMessage::Region(index).encode();
        let frame =
            Frame { head, attachments: vec![Attachment::Region(region)], ..Frame::default() };
        self.transmit(frame, transport);
        Ok(())
    }

    /// Sends a message over the transport. Its place among the others is kept by a marker.
    fn send_marked(&mut self, frame: Frame, transport: &dyn Transport) -> Result<(), Refused> {
        if let Err(error) = self.write(Kind::Marker, &[], &[]) {
            return Err(refused(error, frame));
        }
        self.transmit(frame, transport);
        Ok(())
    }

    /// Whoever gets the frame looks for its record, which must be there before.
    fn transmit(&mut self, frame: Frame, transport: &dyn Transport) {
        self.writer.publish();
        // If the transport is closed, the link's handler hears of it.
        let _ = transport.transmit(&mut VecDeque::from([frame]));
    }
}

fn refused(error: WriteError, frame: Frame) -> Refused {
    match error {
        WriteError::Broken(broken) => Refused::Broken(broken),
        WriteError::Full | WriteError::TooLong => Refused::Stalled(frame),
    }
}
