//! Links between nodes that may make no shared memory: their delegate does. Each test counts the mappings of its
//! own process.

#[path = "../support/links/alone.rs"]
mod alone;
#[allow(dead_code, reason = "shared with other tests, which use all of it")]
#[path = "../support/nodes.rs"]
mod nodes;
#[allow(dead_code, reason = "shared with other tests, which use all of it")]
#[path = "../support/links/pairs.rs"]
mod pairs;

use alone::{mappings, run_alone};
use ipcz::{ConnectOptions, Handle, NodeOptions, Parcel, Portal, Route};
use nodes::{PATIENCE, eventually};
use pairs::{Joined, Member, join_with, member};

fn sandboxed() -> NodeOptions {
    NodeOptions::default().without_allocation()
}

/// A client of a broker, which makes memory for it if it may ask.
fn client_of(broker: &Member, options: &NodeOptions, has_delegate: bool) -> (Member, Joined) {
    let client = member(options, false);
    let mut connect = ConnectOptions::portals(1);
    connect.delegates_allocation = has_delegate;
    let joined = join_with(broker, &client, 1, &connect);
    (client, joined)
}

/// What became of two clients that their broker introduces to each other.
struct Introduced {
    near: Portal,
    far: Portal,
    _nodes: [Member; 3],
    _joined: [Joined; 2],
}

/// The options of two clients, and whether each has a delegate.
fn introduced(clients: [(&NodeOptions, bool); 2]) -> Introduced {
    let broker = member(&NodeOptions::default(), true);
    let [(first, to_first), (second, to_second)] =
        clients.map(|(options, delegate)| client_of(&broker, options, delegate));
    let (near, far) = first.node.open_portals();
    let (down, up) = to_first.portals(0);
    let (over, under) = to_second.portals(0);
    up.put(Parcel::with_handles("", vec![Handle::from(far)])).unwrap();
    let (_, handles) = down.recv_timeout(PATIENCE).unwrap().into_parts();
    over.put(Parcel::with_handles("", handles)).unwrap();
    let far = under.recv_timeout(PATIENCE).unwrap().take_portal(0).unwrap();
    eventually("the route is direct", || near.route() == Route::Remote(second.node.name()));
    eventually("from both ends", || far.route() == Route::Remote(first.node.name()));
    Introduced { near, far, _nodes: [broker, first, second], _joined: [to_first, to_second] }
}

impl Introduced {
    /// Parcels of all sizes cross both ways, several at a time.
    fn talk(&self) {
        let sizes = [0, 1, 100, 4095, 4097, 70_000, 300_000, (1 << 20) + 1, 3 << 20, 5];
        for (from, to) in [(&self.near, &self.far), (&self.far, &self.near)] {
            for round in 0..3_u8 {
                for &size in &sizes {
                    from.put(vec![round.wrapping_add(size as u8); size]).unwrap();
                }
                for &size in &sizes {
                    let parcel = to.recv_timeout(PATIENCE).unwrap();
                    assert!(parcel.bytes() == vec![round.wrapping_add(size as u8); size]);
                }
            }
        }
    }
}

/// Each link is mapped by both of its ends, which are both here: those of the broker's two links, and
/// those of the link between the clients.
const WITHOUT: usize = 4;
const WITH: usize = 6;

#[test]
fn a_delegate_makes_the_memory_of_links() {
    run_alone("by_itself_a_delegate_makes_the_memory_of_links");
}

#[test]
#[ignore = "counts what its process maps; the one above runs it"]
fn by_itself_a_delegate_makes_the_memory_of_links() {
    // Names are random, so either of the two may be the first that is to ask. Its links to the broker do not
    // grow before the first payload.
    for (first, second) in [(true, true), (true, false), (false, true)] {
        let options = sandboxed();
        let world = introduced([(&options, first), (&options, second)]);
        eventually("the link is over memory", || mappings() == WITH);
        world.talk();
        // What the delegate adds to an arena takes the place of the transport.
        let ways = [(&world.near, &world.far, first), (&world.far, &world.near, second)];
        let growing: Vec<_> =
            ways.into_iter().filter(|(_, _, has_delegate)| *has_delegate).collect();
        eventually("arenas grow", || {
            for (from, to, _) in &growing {
                (0..4).for_each(|_| from.put(vec![7; 1 << 20]).unwrap());
                (0..4).for_each(|_| drop(to.recv_timeout(PATIENCE).unwrap()));
            }
            mappings() >= WITH + 2 * growing.len()
        });
        world.talk();
        drop(world);
        eventually("everything is given back", || mappings() == 0);
    }
}

#[test]
fn who_may_not_send_memory_leaves_it_to_who_may() {
    run_alone("by_itself_who_may_not_send_memory_leaves_it_to_who_may");
}

#[test]
#[ignore = "counts what its process maps; the one above runs it"]
fn by_itself_who_may_not_send_memory_leaves_it_to_who_may() {
    let (sandboxed, relaying) = (sandboxed(), sandboxed().with_relayed_handles());
    for _ in 0..4 {
        let world = introduced([(&sandboxed, true), (&relaying, true)]);
        eventually("the link is over memory", || mappings() == WITH);
        world.talk();
        drop(world);
        eventually("everything is given back", || mappings() == 0);
    }
    let all_relay = [(&relaying, true), (&relaying, true)];
    for clients in [[(&sandboxed, false), (&sandboxed, false)], all_relay] {
        let world = introduced(clients);
        world.talk();
        assert_eq!(mappings(), WITHOUT, "nobody has memory for the link");
        drop(world);
        eventually("everything is given back", || mappings() == 0);
    }
}
