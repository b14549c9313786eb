//! Shared memory: who asked for it, who is to make it, which of it is somewhere.

use std::collections::BTreeSet;

use ipcz_core::{AllocateFailed, AllocateRefused, AllocationId, MemoryId, Message};

use super::conn::Packet;
use super::step::Applied;
use super::world::{Violation, World};

/// All requests for memory, and all memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Memory {
    /// Whether each node that connects takes the other one for its delegate.
    pub(super) delegating: bool,
    last: u64,
    /// What was made and has neither arrived nor been dropped.
    live: BTreeSet<MemoryId>,
    /// The requests of applications that have no answer.
    wanted: BTreeSet<(u8, AllocationId)>,
    /// Whether some node was told that there is none.
    refused: bool,
}

/// The memory in a packet, if some is in it.
fn memory_in(packet: &Packet) -> Option<MemoryId> {
    match packet {
        Packet::Message(Message::Network(message)) => message.memory(),
        _ => None,
    }
}

impl World {
    pub(super) fn allocate(&mut self, node: u8, size: u64) -> Applied {
        if !self.node(node).alive {
            return Ok(false);
        }
        match self.engine(node).allocate(size) {
            Ok(request) => {
                self.memory.wanted.insert((node, request));
            }
            Err(AllocateRefused::NoDelegate) if self.memory.delegating => return Ok(false),
            Err(refused) => {
                let detail = format!("node {node}: {refused:?}");
                return Err(Violation::new("who may ask for memory does", detail));
            }
        }
        self.done(node)
    }

    /// Makes the memory that a node was asked for first, or says that there is none.
    pub(super) fn provide(&mut self, node: u8, grant: bool) -> Applied {
        if self.node(node).to_allocate.is_empty() {
            return Ok(false);
        }
        let request = self.node_mut(node).to_allocate.remove(0);
        let memory = grant.then(|| {
            self.memory.last += 1;
            MemoryId(self.memory.last)
        });
        self.memory.refused |= !grant;
        self.memory.live.extend(memory);
        self.engine(node).handle_memory(request, memory);
        self.done(node)
    }

    /// An application has its answer.
    pub(super) fn allocated(
        &mut self,
        node: u8,
        request: AllocationId,
        memory: Result<MemoryId, AllocateFailed>,
    ) -> Result<(), Violation> {
        let excused = match memory {
            Ok(_) => true,
            Err(AllocateFailed::Refused) => self.memory.refused || self.may_fail(),
            Err(AllocateFailed::DelegateLost(_)) => self.may_fail(),
        };
        if !self.memory.wanted.remove(&(node, request)) || !excused {
            let detail = format!("node {node}, {request:?}: {memory:?}");
            return Err(Violation::new("a request for memory is answered, once", detail));
        }
        memory.map_or(Ok(()), |memory| self.release_memory(memory))
    }

    fn may_fail(&self) -> bool {
        self.troubles.lost || self.has_hostile()
    }

    pub(super) fn release_memory(&mut self, memory: MemoryId) -> Result<(), Violation> {
        if self.memory.live.remove(&memory) || self.has_hostile() {
            return Ok(());
        }
        Err(Violation::new("memory is in one place", format!("{memory:?}")))
    }

    pub(super) fn drop_memory_in(&mut self, packet: &Packet) {
        if let Some(memory) = memory_in(packet) {
            self.memory.live.remove(&memory);
        }
    }

    pub(super) fn forget_memory_of(&mut self, node: u8) {
        self.node_mut(node).to_allocate.clear();
        self.memory.wanted.retain(|&(by, _)| by != node);
    }

    /// Nobody waits for memory once nothing is under way, and none was lost.
    pub(super) fn check_memory(&self) -> Result<(), Violation> {
        let hostile = self.has_hostile();
        let alive = self.nodes.iter().enumerate().filter(|(_, node)| node.alive && !node.hostile);
        for (index, node) in alive {
            let open = node.engine.pending_memory();
            if open > 0 && !hostile {
                let detail = format!("node {index} has {open} requests");
                return Err(Violation::new("requests for memory end", detail));
            }
        }
        if !hostile && (!self.memory.wanted.is_empty() || !self.memory.live.is_empty()) {
            let detail = format!("{:?}", self.memory);
            return Err(Violation::new("memory neither leaks nor keeps anybody waiting", detail));
        }
        Ok(())
    }
}
