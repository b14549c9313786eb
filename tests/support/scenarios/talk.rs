//! Conversations: numbered parcels both ways, each once, in order, wherever the two ends go.

use super::network::{Network, Place};
use super::order::{Answer, Getting, Name, Order, Putting};

/// A route whose two ends talk.
pub struct Talk {
    /// Where the ends are, and what they are called.
    pub ends: [(Place, Name); 2],
    said: [u64; 2],
    heard: [u64; 2],
}

impl Talk {
    /// Opens a pair of portals.
    pub fn open(net: &mut Network, place: Place) -> Self {
        let (near, far) = net.open(place, 1);
        Self::between([(place, near), (place, far)])
    }

    /// Has these portals talk, which were not used before.
    #[must_use]
    pub fn between(ends: [(Place, Name); 2]) -> Self {
        Self { ends, said: [0; 2], heard: [0; 2] }
    }

    /// Puts `count` parcels at one end.
    pub fn say(&mut self, net: &mut Network, side: usize, count: u64) {
        let ((place, first), number) = (self.ends[side], self.said[side]);
        net.tell(place, Order::Put { first, portals: 1, number, count });
        self.said[side] += count;
    }

    /// Puts a parcel at one end that holds memory and a handle besides. Taking it looks at them.
    pub fn say_loaded(&mut self, net: &mut Network, side: usize) {
        let ((place, portal), number) = (self.ends[side], self.said[side]);
        net.tell(place, Order::PutLoaded { portal, number });
        self.said[side] += 1;
    }

    /// Puts two parcels at one end, in this way.
    pub fn say_so(&mut self, net: &mut Network, side: usize, way: Putting) {
        let ((place, portal), number) = (self.ends[side], self.said[side]);
        net.tell(place, Order::PutSo { portal, number, way });
        self.said[side] += 2;
    }

    /// Takes two parcels at one end, in this way.
    pub fn hear_so(&mut self, net: &mut Network, side: usize, way: Getting) {
        let ((place, portal), number) = (self.ends[side], self.heard[side]);
        net.tell(place, Order::GetSo { portal, number, way });
        self.heard[side] += 2;
    }

    /// Has the node of one end put back whatever comes there, until the other end is closed.
    pub fn serve(&self, net: &mut Network, side: usize) {
        let (place, portal) = self.ends[side];
        net.tell(place, Order::Serve(portal));
    }

    /// Takes at one end what the other, which serves, has put back of what was said here.
    pub fn hear_back(&mut self, net: &mut Network, side: usize) {
        self.said[1 - side] = self.said[side];
        self.hear(net, side);
    }

    /// Closes this end of a route whose other end serves: that has got all that was said.
    pub fn dismiss(self, net: &mut Network, side: usize) {
        let (place, portal) = self.ends[side];
        net.close(place, portal, 1);
        match net.ask(self.ends[1 - side].0, Order::Served) {
            Answer::Count(count) => assert_eq!(count, self.said[side]),
            other => panic!("node {}: {other:?}", self.ends[1 - side].0),
        }
    }

    /// Takes everything at one end that was said at the other.
    pub fn hear(&mut self, net: &mut Network, side: usize) {
        let ((place, first), number) = (self.ends[side], self.heard[side]);
        let count = self.said[1 - side] - number;
        net.tell(place, Order::Get { first, portals: 1, number, count });
        self.heard[side] += count;
    }

    /// Takes what has arrived at one end.
    pub fn drain(&mut self, net: &mut Network, side: usize) {
        let ((place, portal), number) = (self.ends[side], self.heard[side]);
        match net.ask(place, Order::Drain { portal, number }) {
            Answer::Count(count) => self.heard[side] += count,
            other => panic!("node {place}: {other:?}"),
        }
    }

    /// Puts an end on its way to a place. It is nobody's until [`Talk::arrive`].
    pub fn leave(&self, net: &mut Network, side: usize, to: Place) {
        let (from, name) = self.ends[side];
        if from != to {
            net.send(name, 1, from, to);
        }
    }

    /// Takes the end that was put on its way there.
    pub fn arrive(&mut self, net: &mut Network, side: usize, to: Place) {
        let (from, name) = self.ends[side];
        if from != to {
            net.take(name, 1, from, to);
            self.ends[side].0 = to;
        }
    }

    /// Moves an end.
    pub fn go(&mut self, net: &mut Network, side: usize, to: Place) {
        self.leave(net, side, to);
        self.arrive(net, side, to);
    }

    /// Both ends hear everything, a last word each way included, and the route is one link.
    pub fn finish(&mut self, net: &mut Network) {
        for side in [0, 1] {
            self.say(net, side, 1);
        }
        for side in [0, 1] {
            self.hear(net, side);
        }
        net.settle();
        net.until_no_proxies();
        for side in [0, 1] {
            let other = self.ends[1 - side].0;
            assert!(net.leads_to(self.ends[side], other), "end {side} of {:?}", self.ends);
        }
    }
}
