//! Parcels as things of their own: within each other, taken apart, taken in part, rejected.

use std::sync::{Arc, Mutex};

use ipcz::driver::inproc::InProcDriver;
use ipcz::driver::{Driver, Frame, Transport, TransportClosed, TransportHandler};
use ipcz::{
    ConnectOptions, DisconnectKind, Handle, Node, Object, Parcel, ParcelSize, PutErrorKind,
    RecvWithinError, Relation, TryRecvError,
};

use crate::nodes::{self, PATIENCE};

fn file() -> Handle {
    let (reader, _writer) = std::io::pipe().unwrap();
    Handle::from(std::os::fd::OwnedFd::from(reader))
}

/// A parcel in so many others.
fn nested(depth: usize, innermost: Handle) -> Parcel {
    (0..depth).fold(Parcel::with_handles("0", vec![innermost]), |inner, level| {
        Parcel::with_handles(format!("{}", level + 1), vec![file(), inner.into(), file()])
    })
}

#[test]
fn parcels_in_parcels_arrive_as_they_were() {
    for pair in [nodes::inproc(), nodes::sockets()] {
        let (near, far) = pair.portals();
        let (kept, sent) = pair.broker.open_portals();
        near.put(nested(15, sent.into())).unwrap();
        near.put(Parcel::with_handles("", vec![Parcel::new("all of the body").into()])).unwrap();
        let mut parcel = far.recv_timeout(PATIENCE).unwrap();
        for level in (1..=15).rev() {
            assert_eq!(parcel.bytes(), level.to_string().as_bytes());
            assert!(parcel.take_os_handle(2).is_some_and(|file| !file.is_empty()));
            assert!(parcel.take_os_handle(0).is_some_and(|file| !file.is_empty()));
            parcel = parcel.take_parcel(0).unwrap();
        }
        kept.put("hello").unwrap();
        let portal = parcel.take_portal(0).unwrap();
        assert_eq!(portal.recv_timeout(PATIENCE).unwrap().bytes(), b"hello");
        let mut parcel = far.recv_timeout(PATIENCE).unwrap();
        assert!(parcel.bytes().is_empty());
        assert_eq!(parcel.take_parcel(0).unwrap().bytes(), b"all of the body");
    }
}

#[test]
fn the_limits_hold_for_the_whole_tree() {
    let node = Node::broker().unwrap();
    let (near, far) = node.open_portals();
    near.put(nested(16, file())).unwrap();
    assert_eq!(near.put(nested(17, file())).unwrap_err().kind(), PutErrorKind::TooDeep);
    // An object will be a parcel.
    near.put(nested(15, Object::new(1).into())).unwrap();
    let refused = near.put(nested(16, Object::new(1).into())).unwrap_err();
    assert_eq!(refused.kind(), PutErrorKind::TooDeep);
    assert_eq!(refused.into_parcel().bytes(), b"16");

    let many = |count| (0..count).map(|_| Parcel::new("").into()).collect::<Vec<Handle>>();
    let tree = |count| Parcel::with_handles("", vec![Parcel::with_handles("", many(count)).into()]);
    near.put(tree(4095)).unwrap();
    let refused = near.put(tree(4096)).unwrap_err();
    assert_eq!(refused.kind(), PutErrorKind::TooManyHandles);
    let mut parcel = refused.into_parcel();
    assert_eq!(parcel.take_parcel(0).unwrap().handles().len(), 4096);

    let half = || Parcel::new(vec![0; 128 << 20]);
    let both = Parcel::with_handles("", vec![half().into(), half().into()]);
    assert!(near.put(both).is_ok());
    let both = Parcel::with_handles("x", vec![half().into(), half().into()]);
    assert_eq!(near.put(both).unwrap_err().kind(), PutErrorKind::TooLarge);
    assert_eq!(far.status().num_parcels, 4);
}

#[test]
fn a_bad_handle_in_a_parcel_is_found_by_the_place_of_that_parcel() {
    let node = Node::broker().unwrap();
    let (near, far) = node.open_portals();
    let foreign = Node::broker().unwrap().open_portals().0;
    let within = |handle: Handle| {
        let (portal, _) = node.open_portals();
        let inner = Parcel::with_handles("", vec![portal.into(), handle]);
        let (portal, _) = node.open_portals();
        Parcel::with_handles("", vec![portal.into(), inner.into()])
    };
    let refused = near.put(within(foreign.into())).unwrap_err();
    assert_eq!(refused.kind(), PutErrorKind::ForeignPortal { index: 1 });
    let refused = near.put(within(far.into())).unwrap_err();
    assert_eq!(refused.kind(), PutErrorKind::OwnRoute { index: 1 });
    let mut parcel = refused.into_parcel();
    let far = parcel.take_parcel(1).unwrap().take_portal(1).unwrap();
    near.put("as it was").unwrap();
    assert_eq!(far.try_recv().unwrap().bytes(), b"as it was");
}

#[test]
fn a_parcel_is_taken_apart() {
    let mut parcel = Parcel::with_handles("text", vec![file(), Object::new('x').into()]);
    parcel.handles_mut().push(Parcel::new("inner").into());
    parcel.bytes_mut().push(b'!');
    assert_eq!(parcel.bytes(), b"text!");
    assert!(parcel.take_portal(0).is_none() && parcel.take_object(0).is_none());
    assert!(parcel.take_os_handle(2).is_none() && parcel.take_parcel(3).is_none());
    assert_eq!(parcel.handles().len(), 3);
    assert!(matches!(parcel.take_handle(0), Some(Handle::Os(_))));
    assert!(parcel.take_object(0).unwrap().is::<char>());
    assert_eq!(parcel.take_parcel(0).unwrap().into_bytes(), b"inner");
    assert!(parcel.take_handle(0).is_none());
    let null = std::fs::File::open("/dev/null").unwrap();
    assert!(matches!(Handle::from(null), Handle::Os(_)));
}

#[test]
fn a_get_takes_what_fits_or_nothing_or_a_part() {
    let node = Node::broker().unwrap();
    let (near, far) = node.open_portals();
    assert_eq!(
        far.try_recv_within(9, 9).unwrap_err(),
        RecvWithinError::NoParcel(TryRecvError::Empty)
    );
    let put = || near.put(Parcel::with_handles("12345", vec![file(), file(), file()])).unwrap();
    put();
    let size = ParcelSize { num_bytes: 5, num_handles: 3 };
    for (bytes, handles) in [(4, 3), (5, 2), (0, 0)] {
        let refused = far.try_recv_within(bytes, handles).unwrap_err();
        assert_eq!(refused, RecvWithinError::TooSmall(size));
    }
    assert_eq!(far.try_recv_within(5, 3).unwrap().handles().len(), 3);

    put();
    let mut buffer = [b'.'; 3];
    let part = far.try_recv_into(&mut buffer, 1).unwrap();
    assert_eq!((part.size, part.num_bytes, part.handles.len(), &buffer), (size, 3, 1, b"123"));
    let rest = part.rest.unwrap();
    assert_eq!((rest.bytes(), rest.handles().len()), (&b"45"[..], 2));
    assert_eq!(far.status().num_parcels, 0);

    put();
    let mut buffer = [b'.'; 7];
    let part = far.try_recv_into(&mut buffer, 9).unwrap();
    assert_eq!((part.num_bytes, part.handles.len(), &buffer), (5, 3, b"12345.."));
    assert!(part.rest.is_none());
    put();
    let rest = far.try_recv_into(&mut buffer, 2).unwrap().rest.unwrap();
    assert_eq!((rest.bytes().len(), rest.handles().len()), (0, 1));
    drop(near);
    assert!(matches!(far.try_recv_into(&mut buffer, 9), Err(TryRecvError::Disconnected(_))));
}

#[test]
fn a_get_that_is_given_up_leaves_the_parcel_and_what_is_in_it() {
    for pair in [nodes::inproc(), nodes::sockets()] {
        let (near, mut far) = pair.portals();
        near.put(nested(2, file())).unwrap();
        nodes::eventually("it arrives", || far.status().num_parcels == 1);
        let before = far.status();
        drop(far.begin_get().unwrap());
        assert_eq!(far.status(), before);
        assert_eq!(far.begin_get().unwrap().commit().unwrap().handles().len(), 3);
    }
}

/// The two-phase get that does not keep others out.
#[test]
fn received_parcels_are_held_open_at_once() {
    for pair in [nodes::inproc(), nodes::sockets()] {
        let (near, far) = pair.portals();
        for number in 0..3_u8 {
            near.put(Parcel::with_handles([number], vec![file()])).unwrap();
        }
        let mut open: Vec<_> = (0..3).map(|_| far.recv_timeout(PATIENCE).unwrap()).collect();
        near.put("more").unwrap();
        assert!(open[2].take_os_handle(0).is_some());
        assert_eq!(far.recv_timeout(PATIENCE).unwrap().bytes(), b"more");
        assert!(open[0].take_os_handle(0).is_some());
        drop(open.remove(0));
        assert_eq!([open[0].bytes(), open[1].bytes()], [[1], [2]]);
        assert_eq!(open[0].handles().len(), 1);
    }
}

#[test]
fn a_parcel_from_here_cannot_be_rejected() {
    let pair = nodes::inproc();
    let (near, far) = pair.portals();
    let refused = Parcel::new("made here").reject("why").unwrap_err();
    assert_eq!(refused.into_parcel().bytes(), b"made here");
    near.put("x").unwrap();
    let came = far.try_recv().unwrap();
    let (a, b) = pair.client.open_portals();
    a.put(came).unwrap();
    let refused = b.try_recv().unwrap().reject("why").unwrap_err();
    assert!(refused.to_string().contains("this node"));
    assert!(pair.to_broker.ended().is_none());
}

#[test]
fn a_rejected_parcel_costs_its_sender_the_connection() {
    for pair in [nodes::inproc(), nodes::sockets()] {
        let (near, far) = pair.portals();
        near.put(Parcel::with_handles("outer", vec![Parcel::new("inner").into()])).unwrap();
        let mut outer = far.recv_timeout(PATIENCE).unwrap();
        outer.take_parcel(0).unwrap().reject("it is about nothing").unwrap();
        for connection in [&pair.to_broker, &pair.to_client] {
            let why = connection.wait_ended(PATIENCE).unwrap();
            assert_eq!(why.kind(), DisconnectKind::Rejected);
            assert_eq!(why.node(), Some(pair.broker.name()));
        }
        for portal in [&near, &far] {
            let why = portal.recv_blocking().unwrap_err();
            assert_eq!(why.kind(), DisconnectKind::Rejected);
            assert!(why.to_string().contains("rejected"));
        }
        // It is over: to reject more of it changes nothing.
        outer.reject("neither is this").unwrap();
    }
}

#[test]
fn a_put_that_fails_does_not_forget_where_its_parcel_came_from() {
    let pair = nodes::inproc();
    let (near, far) = pair.portals();
    near.put("x").unwrap();
    let came = far.try_recv().unwrap();
    let (a, b) = pair.client.open_portals();
    drop(b);
    let refused = a.put(came).unwrap_err();
    refused.into_parcel().reject("why").unwrap();
    assert_eq!(pair.to_client.ended().unwrap().kind(), DisconnectKind::Rejected);
}

/// A transport that keeps what is reported of it.
#[derive(Debug)]
struct Watched(Box<dyn Transport>, Arc<Mutex<Vec<String>>>);

impl Transport for Watched {
    fn activate(&self, handler: Arc<dyn TransportHandler>) -> std::io::Result<()> {
        self.0.activate(handler)
    }

    fn transmit(
        &self,
        frames: &mut std::collections::VecDeque<Frame>,
    ) -> Result<(), TransportClosed> {
        self.0.transmit(frames)
    }

    fn queued_bytes(&self) -> usize {
        self.0.queued_bytes()
    }

    fn deactivate(&self) {
        self.0.deactivate();
    }

    fn report_bad_activity(&self, why: &str) {
        self.1.lock().unwrap().push(why.into());
    }

    fn into_any(self: Box<Self>) -> Box<dyn std::any::Any + Send + Sync> {
        self.0.into_any()
    }
}

#[test]
fn the_driver_hears_what_was_rejected_and_on_which_transport() {
    let driver = Arc::new(InProcDriver::new());
    let broker = Node::with_driver(driver.clone(), true).unwrap();
    let heard: Vec<_> = (0..2).map(|_| Arc::new(Mutex::new(Vec::new()))).collect();
    let options = ConnectOptions::default();
    let clients: Vec<_> = heard
        .iter()
        .map(|heard| {
            let (a, b) = driver.create_transports().unwrap();
            let a = Box::new(Watched(a, Arc::clone(heard)));
            let client = Node::with_driver(driver.clone(), false).unwrap();
            let to_client = broker.connect_transport(a, Relation::Client, &options).unwrap();
            let to_broker = client.connect_transport(b, Relation::Broker, &options).unwrap();
            (client, to_client, to_broker)
        })
        .collect();
    let (_, to_client, to_broker) = &clients[1];
    to_broker.take_portal(0).unwrap().put("bad").unwrap();
    let portal = to_client.take_portal(0).unwrap();
    portal.try_recv().unwrap().reject("too bad").unwrap();
    assert_eq!(*heard[1].lock().unwrap(), ["too bad"]);
    assert!(heard[0].lock().unwrap().is_empty());
    assert!(clients[0].1.ended().is_none() && to_client.ended().is_some());
}
