//! Traps: each condition, once, on the pump's thread, under no lock.

use std::sync::{Arc, Mutex, mpsc};

use ipcz::{Conditions, Handle, Node, Parcel, TrapEvent, TrapFlags};

use crate::nodes::{self, PATIENCE, eventually};

fn new_parcel() -> Conditions {
    Conditions { new_parcel: true, ..Conditions::default() }
}

/// Sets a trap that tells a channel.
fn tell(portal: &ipcz::Portal, conditions: Conditions) -> mpsc::Receiver<TrapEvent> {
    let (tell, told) = mpsc::channel();
    portal.trap(conditions, move |event| tell.send(event).unwrap()).unwrap();
    told
}

#[test]
fn each_condition_fires_when_it_is_met() {
    let node = Node::broker().unwrap();
    let (near, far) = node.open_portals();
    let above = tell(&far, Conditions { above_parcels: Some(1), ..Conditions::default() });
    let bytes = tell(&far, Conditions { above_bytes: Some(3), ..Conditions::default() });
    let arrived = tell(&far, new_parcel());
    near.put("ab").unwrap();
    assert!(arrived.recv_timeout(PATIENCE).unwrap().flags.new_parcel);
    near.put("cd").unwrap();
    let event = above.recv_timeout(PATIENCE).unwrap();
    assert!(event.flags.above_parcels && event.status.num_parcels == 2);
    assert!(bytes.recv_timeout(PATIENCE).unwrap().flags.above_bytes);
    let closed = tell(&far, Conditions { peer_closed: true, ..Conditions::default() });
    let dead = tell(&far, Conditions { dead: true, ..Conditions::default() });
    drop(near);
    let event = closed.recv_timeout(PATIENCE).unwrap();
    assert!(event.flags.peer_closed && !event.status.dead);
    far.try_recv().unwrap();
    far.try_recv().unwrap();
    assert!(dead.recv_timeout(PATIENCE).unwrap().flags.dead);
    assert!(arrived.recv().is_err(), "a trap fires once");
}

#[test]
fn a_met_condition_sets_no_trap() {
    let (near, far) = Node::broker().unwrap().open_portals();
    near.put("x").unwrap();
    let conditions = Conditions { above_parcels: Some(0), ..Conditions::default() };
    let refused = far.trap(conditions, |_| unreachable!()).unwrap_err();
    assert!(refused.0.flags.above_parcels);
    assert_eq!(refused.0.status.num_bytes, 1);
}

#[test]
fn closing_and_moving_a_portal_fires_its_traps() {
    let pair = nodes::sockets();
    let (near, _far) = pair.portals();
    let removed = TrapFlags { removed: true, ..TrapFlags::default() };
    let (one, two) = pair.broker.open_portals();
    let on_close = tell(&one, new_parcel());
    let on_move = tell(&two, new_parcel());
    near.put(Parcel::with_handles("", vec![Handle::from(two)])).unwrap();
    assert_eq!(on_move.recv_timeout(PATIENCE).unwrap().flags, removed);
    drop(one);
    assert_eq!(on_close.recv_timeout(PATIENCE).unwrap().flags, removed);
}

#[test]
fn a_callback_may_set_the_next_trap_on_the_same_portal() {
    /// Answers everything that comes, for as long as the portal lives.
    fn answer(portal: &Arc<ipcz::Portal>) {
        let conditions = Conditions { above_parcels: Some(0), ..Conditions::default() };
        loop {
            while let Ok(parcel) = portal.try_recv() {
                portal.put(parcel).unwrap();
            }
            let again = Arc::clone(portal);
            let callback = move |event: TrapEvent| {
                if !event.flags.removed {
                    answer(&again);
                }
            };
            if portal.trap(conditions, callback).is_ok() {
                return;
            }
        }
    }
    let node = Node::broker().unwrap();
    let (near, far) = node.open_portals();
    answer(&Arc::new(far));
    for number in 0..500_u32 {
        near.put(number.to_le_bytes().to_vec()).unwrap();
        assert_eq!(near.recv_timeout(PATIENCE).unwrap().bytes(), number.to_le_bytes());
    }
    node.shut_down(PATIENCE);
}

#[test]
fn a_callback_that_panics_stops_nothing() {
    let pair = nodes::sockets();
    let (near, far) = pair.portals();
    far.trap(new_parcel(), |_| panic!("on purpose: a callback")).unwrap();
    let later = tell(&far, new_parcel());
    near.put("one").unwrap();
    assert_eq!(far.recv_timeout(PATIENCE).unwrap().bytes(), b"one");
    assert!(later.recv_timeout(PATIENCE).unwrap().flags.new_parcel);
    near.put("two").unwrap();
    assert_eq!(far.recv_timeout(PATIENCE).unwrap().bytes(), b"two");
    let gone = tell(&far, new_parcel());
    assert!(pair.client.shut_down(PATIENCE));
    assert!(gone.recv_timeout(PATIENCE).unwrap().flags.removed);
}

#[test]
fn a_callback_that_panics_in_a_put_does_not_reach_the_caller() {
    let pair = nodes::inproc();
    let (near, far) = pair.portals();
    far.trap(new_parcel(), |_| panic!("on purpose: a callback")).unwrap();
    near.put("one").unwrap();
    near.put("two").unwrap();
    assert_eq!(far.try_recv().unwrap().bytes(), b"one");
    assert_eq!(far.try_recv().unwrap().bytes(), b"two");
}

#[test]
fn callbacks_that_make_each_other_due_leave_room_for_arrivals() {
    fn bounce(near: Arc<ipcz::Portal>, far: Arc<ipcz::Portal>) {
        let (a, b) = (Arc::clone(&near), Arc::clone(&far));
        let again = move |event: TrapEvent| {
            if !event.flags.removed {
                let _ = a.try_recv();
                bounce(b, a);
            }
        };
        if near.trap(new_parcel(), again).is_ok() {
            let _ = far.put("x");
        }
    }
    let pair = nodes::sockets();
    let (near, far) = pair.portals();
    let (a, b) = pair.client.open_portals();
    bounce(Arc::new(a), Arc::new(b));
    near.put("still served").unwrap();
    assert_eq!(far.recv_timeout(PATIENCE).unwrap().bytes(), b"still served");
    pair.client.shut_down(PATIENCE);
}

#[test]
fn a_callback_that_takes_the_users_lock_is_not_run_by_a_waiter() {
    let pair = nodes::sockets();
    let (near, far) = pair.portals();
    let (other_near, other_far) = pair.client.open_portals();
    let users = Arc::new(Mutex::new(0));
    let (in_callback, done) = (Arc::clone(&users), tell(&other_far, new_parcel()));
    other_far.trap(new_parcel(), move |_| *in_callback.lock().unwrap() += 1).unwrap();
    let held = users.lock().unwrap();
    other_near.put("x").unwrap();
    done.recv_timeout(PATIENCE).unwrap();
    drop(held);
    near.put("y").unwrap();
    assert_eq!(far.recv_timeout(PATIENCE).unwrap().bytes(), b"y");
    eventually("the callback ran", || *users.lock().unwrap() == 1);
}
