//! What a node may come to hold: no more than applications and hostile nodes gave it cause for.
//!
//! Each portal, parcel and connection that an application makes, and each message that a hostile node
//! sends, pays for a little of everything. Who gets a node to keep more than was paid for has found an
//! amplifier, which no limit on messages would contain.

use ipcz_core::{Holdings, Message, NetworkMessage};

use super::model::Tag;
use super::world::{Violation, World};

/// What has been paid for so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Budget {
    /// Portals that were made, and times that one moved, by itself or in a parcel that waited in another.
    pub(super) portals: usize,
    pub(super) parcels: usize,
    /// Nodes, and transports that hostile nodes sent.
    pub(super) peers: usize,
    /// Messages that hostile nodes sent.
    pub(super) messages: usize,
}

impl Budget {
    /// A hostile node sends this.
    pub(super) fn pay(&mut self, message: &Message<Tag>) {
        self.messages += 1;
        match message {
            Message::Parcel { portals, .. } => {
                self.parcels += 1;
                self.portals += portals.len();
            }
            Message::Hello(hello) => self.portals += hello.num_portals as usize,
            // Whoever is asked to introduce somebody makes a connection.
            Message::Network(
                NetworkMessage::Introduce { .. }
                | NetworkMessage::Refer { .. }
                | NetworkMessage::Referred { .. }
                | NetworkMessage::PassIntroduction { .. },
            ) => self.peers += 1,
            // Half a parcel, which waits for the other.
            Message::Relay(_) => self.parcels += 1,
            Message::Route(..) | Message::Accept(_) | Message::Network(_) => {}
        }
    }

    /// The most that one node can hold of everything.
    ///
    /// A portal that moves leaves a proxy, and visits a node several times at most. A router has two
    /// links, and further ones that decay, each of which somebody offered: an honest proxy once, a
    /// hostile node with each message.
    fn most(self, nodes: usize) -> Holdings {
        let routers = 2 * self.portals;
        let ends = 2 * routers + self.messages;
        Holdings {
            routers,
            ends,
            peers: nodes + self.peers,
            introductions: nodes * nodes + self.messages,
            waiting: ends,
            queued: self.parcels,
        }
    }
}

impl World {
    /// No node holds more than was paid for.
    pub(super) fn check_growth(&self, node: u8) -> Result<(), Violation> {
        let held = self.node(node).engine.holdings();
        let most = self.budget.most(self.nodes.len());
        let fits = held.routers <= most.routers
            && held.ends <= most.ends
            && held.peers <= most.peers
            && held.introductions <= most.introductions
            && held.waiting <= held.ends
            && held.queued <= most.queued;
        if fits {
            return Ok(());
        }
        let detail = format!("node {node}: {held:?} of {most:?}");
        Err(Violation::new("a node grows by what it is given only", detail))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::Step;

    /// A broker and a client with two portals each, and a parcel that nobody takes.
    fn world() -> World {
        let mut world = World::new(2, true, 0);
        let connect = Step::Connect { to: 0, node: 1, portals: [2, 2], first: 0 };
        let put = Step::Put { via: 1, size: 0, moved: vec![] };
        let deliver =
            |side| Step::Deliver { conn: crate::sim::ConnId { nodes: [0, 1], nth: 0 }, side };
        for step in [connect, put, deliver(0), deliver(1), deliver(0)] {
            assert_eq!(world.apply(&step), Ok(true), "{step}");
        }
        world
    }

    #[test]
    fn what_was_paid_for_is_held() {
        assert_eq!(world().check_growth(0), Ok(()));
    }

    #[test]
    fn what_nobody_paid_for_is_noticed() {
        let dear = world().budget;
        let none = Budget { parcels: 0, ..dear };
        for budget in [none, Budget { portals: 0, ..dear }, Budget::default()] {
            let mut world = world();
            world.budget = budget;
            assert!(world.check_growth(0).is_err(), "{budget:?}");
        }
    }
}
