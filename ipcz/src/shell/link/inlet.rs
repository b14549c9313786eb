//! What a link receives with once it has shared memory.
//!
//! Several threads may find that something is there. The first becomes the *reader*; others leave, and the
//! reader looks again before it ends. What the reader takes out of the ring are private copies. It reads a batch under no
//! lock, hands it to the engine in one step, and gives the room back with one store.
//!
//! | what | system calls | copies | allocations | locks | wake-ups |
//! | --- | --- | --- | --- | --- | --- |
//! | a look whether there is anything | - | - | - | - | - |
//! | a batch, of up to 128 records | - | - | - | the inlet's, 2 times; the node's, once | of who waits for what is in it; the peer's, if it waits for room |
//! | a message in it | - | 1, of its bytes | its bytes, if it has any | - | - |
//! | one whose payload is in a block | - | none until it is read (`data`); 1 if blocks are crowded | 1, for its place | the arena's | - |
//! | one whose frame came over the transport | - | - | the driver's | the inlet's, 2 times | - |
//! | to be rung from now on | - | - | - | the inlet's and the outbox's, once each | - |

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use ipcz_core::ProtocolViolation;

use super::frames::{self, Incoming};
use crate::driver::{Attachment, Driver, Frame, TransportClosed};
use crate::shell::data::Data;
use crate::shm::arena::{BLOCK_BYTES, Block, ReceiveArena, SendArena, Span};
use crate::shm::doorbell::{Flag, Sleep, Sleeper};
use crate::shm::memory::Word;
use crate::shm::record::{Kind, NO_CPU};
use crate::shm::ring::{Incoming as Record, Reader};
use crate::shm::{Mapping, RingBroken, SharedWord, current_cpu};
use crate::sync::lock;
use crate::wire::{LinkMessage, MAX_PAYLOAD};

type Memory = Arc<Mapping>;

/// The most records, and about the most bytes, that a batch takes.
const BATCH_RECORDS: usize = 128;
const BATCH_BYTES: usize = 256 << 10;

/// The receiving end of a link's shared memory.
pub(super) struct Inlet {
    state: Mutex<State>,
    glance: Glance,
    sleeper: Sleeper<Memory>,
    /// Where the last record's sender ran.
    cpu: AtomicU16,
    /// Whether the peer sends through it, as far as it has said.
    is_open: AtomicBool,
    nudge: Arc<Nudge>,
}

/// What can be seen without a lock, by a thread that looks all the time.
struct Glance {
    tail: SharedWord,
    /// Up to where the ring was read, as the last reader left it.
    read: AtomicU32,
    /// How many frames wait for their records.
    frames: AtomicU32,
    /// Whether it is a frame that is read next.
    awaits_frame: AtomicBool,
    /// The peer broke the rules: nothing is read any more.
    is_over: AtomicBool,
    /// Whether somebody is at it. To look again before that one is done would be to spin.
    is_being_read: AtomicBool,
}

impl Glance {
    /// Whether there may be something to read.
    fn has_more(&self) -> bool {
        let is_there = self.frames.load(Ordering::Relaxed) > 0
            || (self.tail.load(Ordering::Relaxed) != self.read.load(Ordering::Relaxed)
                && !self.awaits_frame.load(Ordering::Relaxed));
        is_there
            && !self.is_being_read.load(Ordering::Relaxed)
            && !self.is_over.load(Ordering::Relaxed)
    }
}

struct State {
    /// Not here while somebody reads.
    end: Option<Box<End>>,
    /// Somebody else wanted to read meanwhile.
    again: bool,
    /// The transport was closed meanwhile, and why.
    ended: Option<TransportClosed>,
    /// A reader panicked. There will be no other.
    abandoned: bool,
    /// What came over the transport, whose records are yet to be read.
    marked: VecDeque<Frame>,
}

/// Tells that blocks are to go back to the peer. Used wherever a payload is dropped, under any lock, so it only
/// leaves word.
pub(super) struct Nudge {
    is_due: AtomicBool,
    /// Somebody reads, and looks here afterwards.
    is_being_read: AtomicBool,
    driver: Arc<dyn Driver>,
}

impl Nudge {
    pub(super) fn new(driver: Arc<dyn Driver>) -> Arc<Self> {
        let (is_due, is_being_read) = Default::default();
        Arc::new(Self { is_due, is_being_read, driver })
    }

    pub(super) fn nudge(&self) {
        self.is_due.store(true, Ordering::SeqCst);
        if !self.is_being_read.load(Ordering::SeqCst)
            && let Some(pump) = self.driver.pump()
        {
            pump.interrupt();
        }
    }
}

/// The reader's own.
pub(super) struct End {
    reader: Reader<Memory>,
    received: ReceiveArena<Memory>,
    sent: SendArena<Memory>,
    /// A record was read whose frame has yet to come.
    awaited: Option<Awaited>,
    /// The peer broke the rules: the engine was told, and nothing else is read.
    is_over: bool,
    head: Vec<u8>,
    pub(super) batch: Vec<Incoming>,
    /// Blocks came back, or are to go back: the link has something to send.
    pub(super) to_send: bool,
    /// The peer waits for room, and there is some.
    pub(super) to_ring: bool,
}

/// What a record that has no payload of its own waits for.
#[derive(Clone, Copy)]
enum Awaited {
    Message,
    Region(u32),
}

impl End {
    pub(super) fn new(
        reader: Reader<Memory>,
        received: ReceiveArena<Memory>,
        sent: SendArena<Memory>,
    ) -> Box<Self> {
        Box::new(Self {
            reader,
            received,
            sent,
            awaited: None,
            is_over: false,
            head: Vec::new(),
            batch: Vec::new(),
            to_send: false,
            to_ring: false,
        })
    }
}

impl Inlet {
    pub(super) fn new(end: Box<End>, sleeper: Sleeper<Memory>, nudge: Arc<Nudge>) -> Self {
        let tail = end.reader.tail_word().clone();
        let state = State {
            end: Some(end),
            again: false,
            ended: None,
            abandoned: false,
            marked: VecDeque::new(),
        };
        let glance = Glance {
            tail,
            read: AtomicU32::new(0),
            frames: AtomicU32::new(0),
            awaits_frame: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
            is_being_read: AtomicBool::new(false),
        };
        Self {
            state: Mutex::new(state),
            glance,
            sleeper,
            cpu: AtomicU16::new(NO_CPU),
            is_open: AtomicBool::new(false),
            nudge,
        }
    }

    pub(super) fn open(&self) {
        self.is_open.store(true, Ordering::Release);
    }

    pub(super) fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Acquire)
    }

    /// Becomes the reader. If there is one, it looks again.
    pub(super) fn begin(&self) -> Option<Box<End>> {
        let mut state = lock(&self.state);
        let end = state.end.take();
        state.again = end.is_none();
        if end.is_some() {
            self.glance.is_being_read.store(true, Ordering::Relaxed);
            self.nudge.is_being_read.store(true, Ordering::SeqCst);
        }
        end
    }

    /// Is the reader no more. Gives whether somebody else wanted to read, and there is something, and
    /// why the transport was closed if that was left to the reader.
    pub(super) fn finish(&self, end: Box<End>) -> (bool, Option<TransportClosed>) {
        self.nudge.is_being_read.store(false, Ordering::SeqCst);
        self.glance.read.store(end.reader.position(), Ordering::Relaxed);
        self.glance.awaits_frame.store(end.awaited.is_some(), Ordering::Relaxed);
        self.glance.is_over.store(end.is_over, Ordering::Relaxed);
        let mut state = lock(&self.state);
        state.end = Some(end);
        self.glance.is_being_read.store(false, Ordering::Relaxed);
        (std::mem::take(&mut state.again) && !state.is_quiet(), state.ended.take())
    }

    /// Is the reader no more, and nobody will be.
    pub(super) fn abandon(&self) {
        lock(&self.state).abandoned = true;
    }

    /// The transport is closed. What a reader has taken out of the ring comes before that, so if there
    /// is one, it is left to it; else `why` is given back.
    pub(super) fn end(&self, why: TransportClosed) -> Option<TransportClosed> {
        let mut state = lock(&self.state);
        if state.end.is_some() || state.abandoned {
            return Some(why);
        }
        state.ended = Some(why);
        None
    }

    /// Whether blocks are to go back, which has now been seen to.
    pub(super) fn take_nudge(&self) -> bool {
        self.nudge.is_due.load(Ordering::Relaxed) && self.nudge.is_due.swap(false, Ordering::SeqCst)
    }

    /// Puts a frame where its record's reader finds it.
    pub(super) fn push(&self, frame: Frame) {
        let mut state = lock(&self.state);
        state.marked.push_back(frame);
        self.glance.frames.fetch_add(1, Ordering::Release);
    }

    /// Whether there seems to be something: for a thread that looks all the time, and sleeps only after
    /// it has armed the flag ([`Inlet::arm`]).
    #[inline]
    pub(super) fn has_more(&self) -> bool {
        self.glance.has_more()
    }

    fn pop(&self) -> Option<Frame> {
        let frame = lock(&self.state).marked.pop_front()?;
        self.glance.frames.fetch_sub(1, Ordering::Relaxed);
        Some(frame)
    }

    /// Has the peer ring `sleep` from now on. Gives whether there is nothing to read, or somebody is
    /// at it, who then looks once more; and whether the peer waits for room, which there is now.
    pub(super) fn arm(&self, sleep: Sleep) -> (bool, bool) {
        self.sleeper.arm(sleep);
        let mut state = lock(&self.state);
        state.again |= state.end.is_none();
        let to_ring = state.end.as_mut().is_some_and(|end| end.reader.release());
        (state.is_quiet(), to_ring)
    }

    pub(super) fn disarm(&self) {
        self.sleeper.disarm();
    }

    /// What a leader sleeps on.
    pub(super) fn flag(&self) -> &Flag {
        self.sleeper.flag()
    }

    pub(super) fn sender_cpu(&self) -> u16 {
        self.cpu.load(Ordering::Relaxed)
    }

    /// Reads a batch into `end`. Gives whether there was anything.
    ///
    /// # Errors
    /// The peer broke the rules. This is said once.
    pub(super) fn read(&self, end: &mut End) -> Result<bool, ProtocolViolation> {
        if end.is_over {
            return Ok(false);
        }
        let read = self.read_records(end);
        end.is_over = read.is_err();
        read
    }

    fn read_records(&self, end: &mut End) -> Result<bool, ProtocolViolation> {
        let mut bytes = 0;
        let mut any = false;
        while end.batch.len() < BATCH_RECORDS && bytes < BATCH_BYTES {
            if let Some(awaited) = end.awaited {
                let Some(frame) = self.pop() else { break };
                end.awaited = None;
                end.take_frame(awaited, frame)?;
                any = true;
                continue;
            }
            // Before looking at the ring: a frame's record is written before it is sent.
            let unannounced = self.glance.frames.load(Ordering::Acquire) > 0;
            match end.read_one(self).map_err(violation)? {
                Some(len) => bytes += len,
                None if unannounced => {
                    return Err(ProtocolViolation("a frame that no record speaks of"));
                }
                None => break,
            }
            any = true;
        }
        end.reader.set_cpu(current_cpu());
        if end.reader.has_much_to_release() {
            end.to_ring |= end.reader.release();
        }
        Ok(any)
    }
}

impl State {
    fn is_quiet(&mut self) -> bool {
        let frames = self.marked.len();
        let Some(end) = &mut self.end else { return true };
        match end.awaited {
            _ if end.is_over => true,
            Some(_) => frames == 0,
            // What breaks the rules is something to read, too.
            None => matches!(end.reader.has_more(), Ok(false)) && frames == 0,
        }
    }
}

impl End {
    /// What is to be done for the peer, apart from what was read: whether it waits for room, and whether the link has
    /// something to send.
    pub(super) fn take_errands(&mut self) -> (bool, bool) {
        (std::mem::take(&mut self.to_ring), std::mem::take(&mut self.to_send))
    }

    /// Reads one record. Gives its size, if there was one.
    fn read_one(&mut self, inlet: &Inlet) -> Result<Option<usize>, RingBroken> {
        let Some(record) = self.reader.next()? else { return Ok(None) };
        let (tag, len) = (record.tag(), record.len());
        let mut size = len + 64;
        match tag.kind {
            Kind::Inline => {
                inlet.cpu.store(tag.cpu, Ordering::Relaxed);
                let split = tag.split as usize;
                let mut body = Vec::new();
                self.head.clear();
                record.append_to(0, split, &mut self.head)?;
                record.append_to(split, len - split, &mut body)?;
                self.batch.push(frames::message_of(&self.head, body.into(), Vec::new()));
            }
            Kind::Block => {
                inlet.cpu.store(tag.cpu, Ordering::Relaxed);
                let block = Block::decode(bytes_at(&record, tag.split as usize)?);
                if block.len as usize > MAX_PAYLOAD {
                    return Err(RingBroken("a payload that is too large"));
                }
                self.head.clear();
                record.append_to(0, tag.split as usize, &mut self.head)?;
                let view = self.received.receive(block)?;
                let body = if self.received.is_crowded() {
                    // Or else who reads nothing would keep others from being sent anything.
                    size += block.len as usize;
                    Data::Own(view.to_vec())
                } else {
                    Data::received(view)
                };
                self.batch.push(frames::message_of(&self.head, body, Vec::new()));
            }
            Kind::Marker => self.awaited = Some(Awaited::Message),
            Kind::AddRegion => {
                let index = u32::from_le_bytes(bytes_at(&record, 0)?);
                self.awaited = Some(Awaited::Region(index));
            }
            Kind::DropRegion => {
                let index = u32::from_le_bytes(bytes_at(&record, 0)?);
                self.received.drop_region(index)?;
            }
            Kind::HandBack => {
                self.head.clear();
                record.append_to(0, len, &mut self.head)?;
                self.sent.take_back(&self.head)?;
                self.to_send = true;
            }
            Kind::Want => self.to_send |= self.received.wanted(),
            Kind::Pad => return Err(RingBroken("a pad that leads nowhere")),
        }
        Ok(Some(size))
    }

    fn take_frame(&mut self, awaited: Awaited, frame: Frame) -> Result<(), ProtocolViolation> {
        match (awaited, LinkMessage::decode(&frame.head)) {
            (Awaited::Message, None) => {
                self.batch.push(frames::into_message(frame));
                Ok(())
            }
            (Awaited::Region(index), Some(Ok(LinkMessage::Region(named)))) if index == named => {
                self.add_region(index, frame.attachments)
            }
            _ => Err(ProtocolViolation("a frame that does not fit its record")),
        }
    }

    fn add_region(
        &mut self,
        index: u32,
        attachments: Vec<Attachment>,
    ) -> Result<(), ProtocolViolation> {
        let Ok([Attachment::Region(region)]) = <[Attachment; 1]>::try_from(attachments) else {
            return Err(ProtocolViolation("a region that is missing"));
        };
        if region.num_bytes() as u64 > self.received.left() {
            return Err(ProtocolViolation("a region beyond what was agreed on"));
        }
        // Without room to map it, this node cannot read what it is sent.
        let memory =
            region.map().map_err(|_| ProtocolViolation("a region that cannot be mapped"))?;
        let span = Span { len: memory.len(), memory: Arc::new(memory), base: 0 };
        self.received.add_region(index, span).map_err(violation)
    }
}

fn bytes_at<const N: usize>(record: &Record<'_, Memory>, at: usize) -> Result<[u8; N], RingBroken> {
    if record.len() != at + N {
        return Err(RingBroken("a record of the wrong size"));
    }
    let mut bytes = [0; N];
    record.read_at(at, &mut bytes)?;
    Ok(bytes)
}

fn violation(broken: RingBroken) -> ProtocolViolation {
    ProtocolViolation(broken.0)
}

const _: () = assert!(BLOCK_BYTES == 12);
