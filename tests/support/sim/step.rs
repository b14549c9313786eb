//! What can happen to a world, and how it is carried out.

use ipcz_core::{Message, TrapConditions};

use super::conn::{ConnId, Packet, Side};
use super::model::{Ep, Load, Tag};
use super::objects::Verdict;
use super::world::{Violation, World};

/// Something that happens. Steps name everything, so that some can be left out of a trace, and are
/// printed as text that can be read back.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "they are what `text` prints")]
pub enum Step {
    Deliver { conn: ConnId, side: Side },
    Open { node: u8, first: Ep },
    Put { via: Ep, size: u8, moved: Vec<Ep> },
    PutObject { via: Ep, moved: Vec<Ep>, fixed: bool },
    Serialize { node: u8, nth: u8, verdict: Verdict },
    Get { at: Ep },
    GetWithin { at: Ep, most: u8 },
    BeginGet { at: Ep },
    EndGet { at: Ep, commit: bool },
    Close { ep: Ep },
    Merge { a: Ep, b: Ep },
    Trap { ep: Ep, conditions: TrapConditions },
    ClearTrap { trap: u64 },
    Garble { conn: ConnId, side: Side },
    Connect { to: u8, node: u8, portals: [u8; 2], first: Ep },
    Crash { node: u8, keep: u8 },
    Drop { conn: ConnId, keep: [u8; 2] },
    Disconnect { conn: ConnId, side: Side },
    Reject { conn: ConnId, side: Side },
    ShutDown { node: u8 },
    Answer { node: u8, grant: bool },
    Allocate { node: u8, size: u64 },
    Provide { node: u8, grant: bool },
    Forge { conn: ConnId, side: Side, message: Box<Message<Tag>> },
    Withhold { conn: ConnId, side: Side },
}

/// Whether a step was possible, or what it broke.
pub(super) type Applied = Result<bool, Violation>;

impl World {
    /// Carries out a step, and checks what must hold after each. Gives whether it was possible.
    ///
    /// # Errors
    /// What did not hold.
    pub fn apply(&mut self, step: &Step) -> Result<bool, Violation> {
        match *step {
            Step::Deliver { conn, side } => self.deliver(conn, side),
            Step::Open { node, first } => self.open(node, first),
            Step::Put { via, size, ref moved } => self.put(via, size, Load::Plain, moved),
            Step::PutObject { via, ref moved, fixed } => {
                self.put(via, 0, if fixed { Load::Fixed } else { Load::Object }, moved)
            }
            Step::Serialize { node, nth, verdict } => self.serialize(node, nth, verdict),
            Step::Get { at } => self.get(at),
            Step::GetWithin { at, most } => self.get_within(at, most),
            Step::BeginGet { at } => self.begin_get(at),
            Step::EndGet { at, commit } => self.end_get(at, commit),
            Step::Close { ep } => self.close(ep),
            Step::Merge { a, b } => self.merge(a, b),
            Step::Trap { ep, conditions } => self.set_trap(ep, conditions),
            Step::ClearTrap { trap } => self.clear_trap(trap),
            Step::Garble { conn, side } => self.garble(conn, side),
            Step::Connect { to, node, portals, first } => self.connect([to, node], portals, first),
            Step::Crash { node, keep } => self.crash(node, keep),
            Step::Drop { conn, keep } => self.drop_conn(conn, keep),
            Step::Disconnect { conn, side } => self.disconnect(conn, side),
            Step::Reject { conn, side } => self.reject(conn, side),
            Step::ShutDown { node } => self.shut_down(node),
            Step::Answer { node, grant } => self.answer(node, grant),
            Step::Allocate { node, size } => self.allocate(node, size),
            Step::Provide { node, grant } => self.provide(node, grant),
            Step::Withhold { conn, side } => self.withhold(conn, side),
            Step::Forge { conn, side, ref message } => self.forge(conn, side, message),
        }
    }

    /// Ends a step of one node.
    pub(super) fn done(&mut self, node: u8) -> Applied {
        self.carry_out(node)?;
        self.check_node(node)?;
        Ok(true)
    }

    fn deliver(&mut self, id: ConnId, side: Side) -> Applied {
        let Some((node, peer)) = self.receiver(id, side) else { return Ok(false) };
        let packet = self.conns.get_mut(&id).and_then(|conn| conn.queues[side].pop_front());
        match packet {
            None => return Ok(false),
            Some(Packet::Lost) => {
                self.close_end(id, side);
                self.engine(node).handle_lost(peer);
            }
            Some(Packet::Message(mut message)) => {
                self.age(&mut message);
                let honest = self.conns.get(&id).is_some_and(|conn| !conn.hostile);
                self.overhear(node, &message);
                let result = self.engine(node).handle_message(peer, message.clone());
                if let Err(violation) = result
                    && honest
                {
                    let detail = format!("{id} to {node}: {violation}: {message:?}");
                    return Err(Violation::new("honest nodes keep the protocol", detail));
                }
            }
        }
        self.done(node)
    }
}
