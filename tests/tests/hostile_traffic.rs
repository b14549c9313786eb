//! Honest traffic that is changed on its way: it costs one connection, and nobody else anything.

#[allow(dead_code, reason = "shared with other tests, which use all of it")]
#[path = "../support/nodes.rs"]
mod nodes;
#[path = "../support/sim/rng.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the simulator, which uses all of it")]
mod rng;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use ipcz::driver::inproc::InProcDriver;
use ipcz::driver::{Attachment, Driver, Frame, Transport, TransportClosed, TransportHandler};
use ipcz::{
    ConnectOptions, Connection, Disconnect, Handle, Node, OsHandle, Parcel, Portal, Relation,
};
use nodes::{Honest, inproc_broker};

/// Passes frames on between an honest client and a broker, and changes one, or a third of all that
/// follow it.
struct Mutator {
    to: OnceLock<Arc<dyn Transport>>,
    rng: Mutex<rng::Rng>,
    /// How many frames to leave as they are.
    spare: AtomicUsize,
    only_one: bool,
}

impl Mutator {
    fn is_next(&self, rng: &mut rng::Rng) -> bool {
        match self.spare.fetch_sub(1, Ordering::Relaxed) {
            0 => true,
            // It has wrapped.
            left if left > NEVER => !self.only_one && rng.below(3) == 0,
            _ => false,
        }
    }
}

/// More frames than are sent here.
const NEVER: usize = usize::MAX / 2;

impl TransportHandler for Mutator {
    fn on_frames(&self, frames: &mut Vec<Frame>) {
        let mut frames: VecDeque<_> = frames.drain(..).collect();
        for frame in &mut frames {
            let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
            if self.is_next(&mut rng) {
                mutate(frame, &mut rng);
            }
        }
        let _ = self.to.get().unwrap().transmit(&mut frames);
    }

    fn on_drained(&self) {}

    fn on_closed(&self, _: TransportClosed) {
        self.to.get().unwrap().deactivate();
    }
}

fn mutate(frame: &mut Frame, rng: &mut rng::Rng) {
    let length = frame.head.len();
    if length == 0 {
        return;
    }
    let place = rng.below(length);
    match rng.below(8) {
        0 => frame.head[place] ^= 1 << rng.below(8),
        1 => frame.head[place] = [0, 1, 0x7f, 0x80, 0xff][rng.below(5)],
        2 => frame.head.truncate(place),
        3 => frame.head.extend([0; 3]),
        4 => frame.head[0] = [1, 2, 3, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15][rng.below(9)],
        5 => frame.attachments.push(Attachment::Handle(OsHandle::from(std::io::pipe().unwrap().0))),
        6 => drop(frame.attachments.pop()),
        _ => {
            let word = [0, 1, u64::MAX, 1 << 62, (1 << 62) - 1, 1 << 63][rng.below(6)];
            let end = (place + 8).min(length);
            frame.head[place..end].copy_from_slice(&word.to_le_bytes()[..end - place]);
        }
    }
}

/// A client of `broker`, and what changes the frames of one of the two.
fn client_behind_mutator(broker: &Node, seed: u64) -> (Node, Connection, Connection) {
    let driver = InProcDriver::new();
    let mut rng = rng::Rng::new(seed);
    let mut spares = [rng.below(25), NEVER];
    spares.rotate_left(rng.below(2));
    let ((a, b), (c, d)) =
        (driver.create_transports().unwrap(), driver.create_transports().unwrap());
    let (b, c): (Arc<dyn Transport>, Arc<dyn Transport>) = (Arc::from(b), Arc::from(c));
    let handler = |to: &Arc<dyn Transport>, spare| {
        Arc::new(Mutator {
            to: OnceLock::from(Arc::clone(to)),
            rng: Mutex::new(rng::Rng::new(seed)),
            spare: AtomicUsize::new(spare),
            only_one: !seed.is_multiple_of(4),
        })
    };
    let client = Node::with_driver(Arc::new(driver), false).unwrap();
    let options = ConnectOptions::portals(2);
    let to_broker = client.connect_transport(a, Relation::Broker, &options).unwrap();
    let to_client = broker.connect_transport(d, Relation::Client, &options).unwrap();
    b.activate(handler(&c, spares[0])).unwrap();
    c.activate(handler(&b, spares[1])).unwrap();
    (client, to_broker, to_client)
}

/// Conversation of all kinds; whatever fails, fails.
fn talk(client: &Node, ours: &[Portal], broker: &Node, theirs: &[Portal]) -> Option<()> {
    let (kept, sent) = client.open_portals();
    let file = Handle::Os(OsHandle::from(std::io::pipe().unwrap().0));
    kept.put("queued").ok()?;
    let inner = Parcel::with_handles("inner", vec![sent.into(), Parcel::new("innermost").into()]);
    ours[0].put(Parcel::with_handles("one", vec![inner.into(), file])).ok()?;
    let (_, handles) = theirs[0].try_recv().ok()?.into_parts();
    let (other_kept, other_sent) = broker.open_portals();
    theirs[1].put(Parcel::with_handles("two", vec![other_sent.into()])).ok()?;
    kept.put("more").ok()?;
    let (_, mut others) = ours[1].try_recv().ok()?.into_parts();
    let Some(Handle::Portal(other)) = others.pop() else { return None };
    other.put("back").ok()?;
    // And home again, which makes proxies that go.
    ours[1].put(Parcel::with_handles("home", vec![other.into()])).ok()?;
    other_kept.try_recv().ok()?;
    let home = theirs[1].try_recv().ok()?;
    other_kept.put("local").ok()?;
    drop((home, handles, kept));
    ours[0].put("last").ok()?;
    theirs[0].try_recv().ok().map(drop)
}

#[test]
fn mutations_of_honest_traffic_harm_nobody_else() {
    static PANICS: AtomicUsize = AtomicUsize::new(0);
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        PANICS.fetch_add(1, Ordering::Relaxed);
        default(info);
    }));
    let broker = inproc_broker();
    let honest = Honest::client_of(&broker);
    let mut ends = std::collections::BTreeMap::new();
    for seed in 0..3000 {
        let (client, to_broker, to_client) = client_behind_mutator(&broker, seed);
        let take = |connection: &Connection| -> Vec<_> {
            (0..2).map(|index| connection.take_portal(index).unwrap()).collect()
        };
        let (ours, theirs) = (take(&to_broker), take(&to_client));
        for _ in 0..4 {
            let _ = talk(&client, &ours, &broker, &theirs);
        }
        assert_eq!(PANICS.load(Ordering::Relaxed), 0, "seed {seed}");
        honest.check();
        let kind = |why: Option<Disconnect>| why.map(|why| why.kind());
        let end = format!("{:?} {:?}", kind(to_client.ended()), kind(to_broker.ended()));
        *ends.entry(end).or_insert(0) += 1;
        drop((ours, theirs));
        client.shut_down(nodes::PATIENCE);
        assert!(to_client.ended().is_some(), "seed {seed}");
        let left = broker.topology();
        assert_eq!((left.peers.len(), left.terminals, left.proxies), (1, 1, 0), "seed {seed}");
    }
    println!("{ends:?}");
    assert!(ends.contains_key("Some(Violation) Some(Violation)"));
}
