//! Puts and gets, in one phase and two, and what they leave when they fail.

use std::os::fd::AsRawFd;

use ipcz::{Handle, Node, OsHandle, Parcel, PutErrorKind, TryRecvError};

use crate::nodes::{self, PATIENCE};

#[test]
fn an_empty_parcel_is_one_too() {
    let (near, mut far) = Node::broker().unwrap().open_portals();
    near.begin_put(0).unwrap().commit().unwrap();
    near.put("").unwrap();
    let get = far.begin_get().unwrap();
    assert!(get.is_empty());
    drop(get);
    let parcel = far.begin_get().unwrap().commit().unwrap();
    assert!(parcel.bytes().is_empty());
    far.try_recv().unwrap();
    assert_eq!(far.begin_get().unwrap_err(), TryRecvError::Empty);
}

#[test]
fn a_put_that_is_too_large_is_refused_before_memory_is_taken() {
    let (near, _far) = Node::broker().unwrap().open_portals();
    for num_bytes in [(256 << 20) + 1, usize::MAX] {
        assert_eq!(near.begin_put(num_bytes).unwrap_err().kind(), PutErrorKind::TooLarge);
    }
}

#[test]
fn a_dropped_put_puts_nothing_and_a_cut_one_puts_less() {
    let (near, far) = Node::broker().unwrap().open_portals();
    drop(near.begin_put(3).unwrap());
    let mut first = near.begin_put(4).unwrap();
    let mut second = near.begin_put(4).unwrap();
    first.copy_from_slice(b"late");
    second.copy_from_slice(b"soon");
    second.truncate(100);
    second.commit().unwrap();
    first.truncate(2);
    first.commit_with(Vec::new()).unwrap();
    assert_eq!(far.try_recv().unwrap().bytes(), b"soon");
    assert_eq!(far.try_recv().unwrap().bytes(), b"la");
    assert!(matches!(far.try_recv(), Err(TryRecvError::Empty)));
}

#[test]
fn a_get_leaves_or_takes_the_handles_with_the_bytes() {
    let node = Node::broker().unwrap();
    let (near, mut far) = node.open_portals();
    let (left, right) = node.open_portals();
    near.put(Parcel::with_handles("text", vec![Handle::from(right)])).unwrap();
    let get = far.begin_get().unwrap();
    assert_eq!(&get[..], b"text");
    drop(get);
    assert_eq!(far.status().num_bytes, 4);
    let parcel = far.begin_get().unwrap().commit().unwrap();
    assert_eq!((parcel.bytes(), parcel.handles().len()), (b"text".as_slice(), 1));
    drop(parcel);
    assert!(left.put("nobody").is_err());
}

#[test]
fn a_get_goes_on_while_more_arrives_and_the_peer_goes() {
    let (near, mut far) = Node::broker().unwrap().open_portals();
    near.put("one").unwrap();
    let get = far.begin_get().unwrap();
    near.put("two").unwrap();
    drop(near);
    assert_eq!(get.commit().unwrap().bytes(), b"one");
    assert_eq!(far.try_recv().unwrap().bytes(), b"two");
}

#[test]
fn commits_after_the_nodes_end_say_so() {
    let node = Node::broker().unwrap();
    let (near, mut far) = node.open_portals();
    near.put("text").unwrap();
    let get = far.begin_get().unwrap();
    let put = near.begin_put(1).unwrap();
    assert!(node.shut_down(PATIENCE));
    assert!(matches!(get.commit(), Err(TryRecvError::Disconnected(_))));
    let refused = put.commit().unwrap_err();
    assert!(matches!(refused.kind(), PutErrorKind::Disconnected(_)));
    assert_eq!(refused.into_parcel().bytes(), [0]);
}

fn pipe() -> (OsHandle, i32) {
    let (reader, _) = std::io::pipe().unwrap();
    let fd = reader.as_raw_fd();
    (OsHandle::from(reader), fd)
}

#[test]
fn handles_of_a_refused_put_come_back_in_their_places() {
    let node = Node::broker().unwrap();
    let (near, far) = node.open_portals();
    let (one, two) = node.open_portals();
    let foreign = Node::broker().unwrap().open_portals().0;
    let ((first, first_fd), (last, last_fd)) = (pipe(), pipe());
    let names = [format!("{one:?}"), format!("{foreign:?}"), format!("{far:?}")];
    let handles = vec![first.into(), one.into(), foreign.into(), last.into(), two.into()];
    let refused = near.put(Parcel::with_handles("text", handles)).unwrap_err();
    assert_eq!(refused.kind(), PutErrorKind::ForeignPortal { index: 2 });
    let (text, mut handles) = refused.into_parcel().into_parts();
    assert_eq!(text, b"text");
    let foreign = std::mem::replace(&mut handles[2], Handle::from(far));
    check(&handles, &[None, Some(&names[0]), Some(&names[2])], [first_fd, last_fd]);
    assert!(matches!(foreign, Handle::Portal(foreign) if format!("{foreign:?}") == names[1]));
    // The engine refuses this one.
    let refused = near.put(Parcel::with_handles("", handles)).unwrap_err();
    assert_eq!(refused.kind(), PutErrorKind::OwnRoute { index: 2 });
    let (_, handles) = refused.into_parcel().into_parts();
    check(&handles, &[None, Some(&names[0]), Some(&names[2])], [first_fd, last_fd]);
}

/// Checks which portals and which descriptors stand where.
fn check(handles: &[Handle], portals: &[Option<&String>; 3], fds: [i32; 2]) {
    for (handle, name) in handles.iter().zip(portals) {
        match (handle, name) {
            (Handle::Portal(portal), Some(name)) => assert_eq!(&&format!("{portal:?}"), name),
            (Handle::Os(_), None) => {}
            other => panic!("{other:?}"),
        }
    }
    for (handle, fd) in [&handles[0], &handles[3]].into_iter().zip(fds) {
        let Handle::Os(handle) = handle else { panic!("a descriptor was here") };
        assert_eq!(handle.with_fd(AsRawFd::as_raw_fd).unwrap(), fd);
    }
}

#[test]
fn too_many_handles_come_back_too() {
    let pair = nodes::inproc();
    let (near, far) = pair.portals();
    let handles: Vec<_> = (0..4097).map(|_| Handle::from(pair.broker.open_portals().0)).collect();
    let refused = near.put(Parcel::with_handles("", handles)).unwrap_err();
    assert_eq!(refused.kind(), PutErrorKind::TooManyHandles);
    let (_, mut handles) = refused.into_parcel().into_parts();
    assert_eq!(handles.len(), 4097);
    handles.truncate(4096);
    near.put(Parcel::with_handles("", handles)).unwrap();
    assert_eq!(far.try_recv().unwrap().handles().len(), 4096);
}
