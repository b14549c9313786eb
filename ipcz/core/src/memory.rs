//! Shared memory that another node allocates, for a node that may not.
//!
//! ```text
//!   A ──RequestMemory──▶ B ──RequestMemory──▶ C         A's delegate is B, B's is C,
//!     ◀──ProvideMemory──   ◀──ProvideMemory──             C allocates by itself
//! ```
//!
//! A node has one delegate at most, chosen when it connects to it, and says so in its hello. Whoever
//! has none allocates by itself, if it may.

use std::collections::{BTreeMap, VecDeque};

use crate::effect::Effect;
use crate::engine::Engine;
use crate::ids::{AllocationId, MemoryId, PeerId};
use crate::limits;
use crate::message::{Cause, NetworkMessage, Payload, ProtocolViolation, Provided};

/// Why memory was not asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AllocateRefused {
    /// Zero bytes, or more than [`limits::MAX_MEMORY_BYTES`].
    BadSize,
    /// This node may not allocate, and has nobody to do so.
    NoDelegate,
}

/// Why there is no memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AllocateFailed {
    /// Whoever was to allocate it could not.
    Refused,
    /// The connection to the delegate ended, for this reason.
    DelegateLost(Cause),
}

/// What a node knows of the memory that it was asked for, or asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Memory {
    /// The peer that allocates in this node's place.
    pub(crate) delegate: Option<PeerId>,
    requests: BTreeMap<AllocationId, Request>,
    /// Those that the delegate has yet to be asked.
    queued: VecDeque<AllocationId>,
    /// How many it was asked and has not answered.
    sent: usize,
    last: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Request {
    origin: Origin,
    size: u64,
    hops: u16,
    stage: Stage,
}

/// Who gets the memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Origin {
    /// This node.
    Own,
    /// A peer, which calls the request so.
    Peer(PeerId, u64),
    /// Nobody: that peer is gone.
    Nobody,
}

/// How far a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Stage {
    /// The delegate has yet to be asked.
    Queued,
    /// The delegate was asked.
    Sent,
    /// The embedder was asked.
    Here,
}

impl<P: Payload> Engine<P> {
    /// Asks for shared memory: an [`Effect::Allocated`] with the name that is given says what came
    /// of it.
    ///
    /// # Errors
    /// Why not; nothing was asked for.
    pub fn allocate(&mut self, size: u64) -> Result<AllocationId, AllocateRefused> {
        if size == 0 || size > limits::MAX_MEMORY_BYTES {
            return Err(AllocateRefused::BadSize);
        }
        if self.memory.delegate.is_none() && !self.config.may_allocate {
            return Err(AllocateRefused::NoDelegate);
        }
        Ok(self.begin_request(Origin::Own, size, 0))
    }

    /// The answer to [`Effect::Allocate`]: the memory, or `None` if there is none.
    pub fn handle_memory(&mut self, request: AllocationId, memory: Option<MemoryId>) {
        let known = self.memory.requests.get(&request).filter(|it| it.stage == Stage::Here);
        let Some(&Request { origin, size, .. }) = known else {
            self.effects.extend(memory.map(Effect::DropMemory));
            return;
        };
        self.memory.requests.remove(&request);
        let provided = memory.map(|memory| Provided { memory, size });
        self.answer_request(request, origin, provided.ok_or(AllocateFailed::Refused));
    }

    /// How many requests for memory are open, those of peers included.
    #[must_use]
    pub fn pending_memory(&self) -> usize {
        self.memory.requests.len()
    }

    fn begin_request(&mut self, origin: Origin, size: u64, hops: u16) -> AllocationId {
        self.memory.last += 1;
        let id = AllocationId(self.memory.last);
        let queued = self.memory.delegate.is_some();
        let stage = if queued { Stage::Queued } else { Stage::Here };
        self.memory.requests.insert(id, Request { origin, size, hops, stage });
        if queued {
            self.memory.queued.push_back(id);
            self.send_requests();
        } else {
            self.effects.push_back(Effect::Allocate { request: id, size });
        }
        id
    }

    /// Asks the delegate for as much as it answers at a time.
    pub(crate) fn send_requests(&mut self) {
        let delegate = self.memory.delegate.and_then(|id| Some((id, self.peers.get(&id)?)));
        let Some((delegate, _)) = delegate.filter(|(_, peer)| peer.is_connected()) else { return };
        while self.memory.sent < limits::MAX_PENDING_MEMORY {
            let Some(id) = self.memory.queued.pop_front() else { return };
            // It is gone if its peer is.
            let Some(request) = self.memory.requests.get_mut(&id) else { continue };
            request.stage = Stage::Sent;
            let Request { size, hops, .. } = *request;
            self.memory.sent += 1;
            self.tell(delegate, NetworkMessage::RequestMemory { id: id.0, size, hops });
        }
    }

    /// Hands memory to whoever wanted it, or says that there is none.
    fn answer_request(
        &mut self,
        id: AllocationId,
        origin: Origin,
        memory: Result<Provided, AllocateFailed>,
    ) {
        match origin {
            Origin::Own => {
                let memory = memory.map(|provided| provided.memory);
                self.effects.push_back(Effect::Allocated { request: id, memory });
            }
            Origin::Peer(peer, theirs) => {
                if let Some(peer) = self.peers.get_mut(&peer) {
                    peer.requests.remove(&theirs);
                }
                let memory = memory.ok();
                self.tell(peer, NetworkMessage::ProvideMemory { id: theirs, memory });
            }
            Origin::Nobody => {
                self.effects.extend(memory.ok().map(|it| Effect::DropMemory(it.memory)));
            }
        }
    }

    /// A peer asks this node, its delegate, for memory.
    pub(crate) fn handle_memory_request(
        &mut self,
        from: PeerId,
        theirs: u64,
        size: u64,
        hops: u16,
    ) -> Result<(), ProtocolViolation> {
        let Some(peer) = self.peers.get(&from) else { return Ok(()) };
        if !peer.wants_memory {
            return Err(ProtocolViolation("a request for memory to a node that is no delegate"));
        }
        if size == 0 || size > limits::MAX_MEMORY_BYTES {
            return Err(ProtocolViolation("a request for memory of an impossible size"));
        }
        if peer.requests.contains_key(&theirs) || peer.requests.len() >= limits::MAX_PENDING_MEMORY
        {
            return Err(ProtocolViolation("a request for memory that is open, or one too many"));
        }
        if hops >= limits::MAX_DELEGATES
            || (self.memory.delegate.is_none() && !self.config.may_allocate)
        {
            self.tell(from, NetworkMessage::ProvideMemory { id: theirs, memory: None });
            return Ok(());
        }
        let id = self.begin_request(Origin::Peer(from, theirs), size, hops + 1);
        if let Some(peer) = self.peers.get_mut(&from) {
            peer.requests.insert(theirs, id);
        }
        Ok(())
    }

    /// The delegate answers.
    pub(crate) fn handle_memory_answer(
        &mut self,
        from: PeerId,
        id: u64,
        memory: Option<Provided>,
    ) -> Result<(), ProtocolViolation> {
        let id = AllocationId(id);
        let asked = self.memory.delegate == Some(from);
        let known = self.memory.requests.get(&id).filter(|it| asked && it.stage == Stage::Sent);
        let fits = known.is_some_and(|known| memory.is_none_or(|it| it.size >= known.size));
        if !fits {
            self.effects.extend(memory.map(|it| Effect::DropMemory(it.memory)));
            return Err(ProtocolViolation("memory that nobody asked for, or too little of it"));
        }
        self.memory.sent -= 1;
        if let Some(request) = self.memory.requests.remove(&id) {
            self.answer_request(id, request.origin, memory.ok_or(AllocateFailed::Refused));
        }
        self.send_requests();
        Ok(())
    }

    /// A peer is gone, and nobody wants any more what it had asked for.
    pub(crate) fn forget_requests(&mut self, lost: BTreeMap<u64, AllocationId>) {
        for id in lost.into_values() {
            match self.memory.requests.get_mut(&id) {
                Some(request) if request.stage != Stage::Queued => request.origin = Origin::Nobody,
                _ => drop(self.memory.requests.remove(&id)),
            }
        }
        let Memory { queued, requests, .. } = &mut self.memory;
        queued.retain(|id| requests.contains_key(id));
    }

    /// A peer is gone. If it was the delegate, what it was asked for is not to be had.
    pub(crate) fn delegate_lost(&mut self, lost: PeerId, cause: Cause) {
        if self.memory.delegate != Some(lost) {
            return;
        }
        self.memory.delegate = None;
        self.memory.queued.clear();
        self.memory.sent = 0;
        let (here, failed) = std::mem::take(&mut self.memory.requests)
            .into_iter()
            .partition(|(_, request)| request.stage == Stage::Here);
        self.memory.requests = here;
        for (id, request) in failed {
            let why = AllocateFailed::DelegateLost(cause);
            self.answer_request(id, request.origin, Err(why));
        }
    }
}
