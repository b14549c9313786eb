//! An engine whose parcels hold things that are made ready before they leave, or that cannot.

use ipcz_core::{
    CauseKind, Effect, Engine, Message, Parcel, Payload, PeerId, PortalId, Relation, Ticket,
};

use super::{config, hello};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Thing {
    pub ready: bool,
    pub leaves: bool,
    pub size: usize,
}

pub const READY: Thing = Thing { ready: true, leaves: true, size: 1 };
pub const OBJECT: Thing = Thing { ready: false, ..READY };
pub const FIXED: Thing = Thing { ready: false, leaves: false, size: 1 };
/// More than the other node says that it takes.
pub const LARGE: Thing = Thing { size: 1000, ..READY };

impl Payload for Thing {
    fn num_bytes(&self) -> usize {
        self.size
    }

    fn is_ready(&self) -> bool {
        self.ready
    }

    fn can_leave(&self) -> bool {
        self.leaves
    }
}

pub type HandedOut = (Ticket, Parcel<Thing>);
pub type Answer = Result<Parcel<Thing>, Parcel<Thing>>;

/// A broker named 5, and a client named 7 that the test plays.
pub struct Bench {
    pub engine: Engine<Thing>,
    pub peer: PeerId,
    /// Portals whose peers are at the client, on links 0 to 2.
    pub there: Vec<PortalId>,
    /// What came back to be dropped.
    pub discarded: Vec<Thing>,
}

impl Bench {
    pub fn before_hello() -> Self {
        let mut engine = Engine::new(config(5, true));
        let (peer, there) = engine.connect(Relation::Client, 3).unwrap();
        while engine.poll_effect().is_some() {}
        Self { engine, peer, there, discarded: Vec::new() }
    }

    pub fn new() -> Self {
        let mut bench = Self::before_hello();
        bench.greet();
        bench
    }

    pub fn greet(&mut self) {
        self.engine.handle_message(self.peer, Message::Hello(hello(7, 3))).unwrap();
        while self.engine.poll_effect().is_some() {}
    }

    pub fn put(&mut self, via: usize, thing: Thing, portals: Vec<PortalId>) {
        self.engine.put(self.there[via], Parcel::new(thing, portals)).unwrap();
        self.engine.audit().unwrap();
    }

    /// What the engine sent, and what it wants made ready.
    pub fn asked(&mut self) -> (Vec<Message<Thing>>, Vec<HandedOut>) {
        let (mut sent, mut out) = (Vec::new(), Vec::new());
        while let Some(effect) = self.engine.poll_effect() {
            match effect {
                Effect::Send { message, .. } => sent.push(message),
                Effect::Serialize { ticket, parcel } => out.push((ticket, parcel)),
                Effect::Discard(thing) => self.discarded.push(thing),
                Effect::Disconnect { .. } | Effect::Connected(_) => {}
                other => panic!("{other:?}"),
            }
        }
        (sent, out)
    }

    /// The one parcel that is to be made ready.
    pub fn handed_out(&mut self) -> HandedOut {
        let (sent, mut out) = self.asked();
        assert_eq!((sent.len(), out.len()), (0, 1), "{sent:?}");
        out.remove(0)
    }

    pub fn answer(&mut self, ticket: Ticket, answer: Answer) {
        self.engine.handle_serialized(ticket, answer);
        self.engine.audit().unwrap();
    }

    pub fn cause(&self, via: usize) -> Option<CauseKind> {
        self.engine.cause(self.there[via]).map(|cause| cause.kind)
    }

    pub fn is_closed(&self, portal: PortalId) -> bool {
        self.engine.status(portal).unwrap().peer_closed
    }
}

pub fn sequences(sent: &[Message<Thing>]) -> Vec<u64> {
    let parcels = sent.iter().filter_map(|message| match message {
        Message::Parcel { sequence, .. } => Some(*sequence),
        _ => None,
    });
    parcels.collect()
}

pub fn ready(parcel: Parcel<Thing>) -> Answer {
    Ok(Parcel { payload: READY, ..parcel })
}
