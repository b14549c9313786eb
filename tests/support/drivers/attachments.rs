//! Handles, transports and regions go across.

use std::fs::{self, File};
use std::io::{self, PipeReader, Read, Write};
use std::os::unix::fs::MetadataExt;

use ipcz::OsHandle;
use ipcz::driver::{Attachment, Driver, Frame, Transport, TransportClosed};

use super::harness::*;

fn handle(frame: &mut Frame) -> OsHandle {
    match frame.attachments.remove(0) {
        Attachment::Handle(handle) => handle,
        other => panic!("no handle: {other:?}"),
    }
}

fn transport(frame: &mut Frame) -> Box<dyn Transport> {
    match frame.attachments.remove(0) {
        Attachment::Transport(transport) => transport,
        other => panic!("no transport: {other:?}"),
    }
}

pub(crate) fn handles_arrive_with_their_frame(driver: &dyn Driver) {
    const COUNT: usize = 60;
    let (a, b) = connected(driver);
    let mut writers = Vec::new();
    let mut pipe = || {
        let (reader, writer) = io::pipe().unwrap();
        writers.push(writer);
        Attachment::Handle(reader.into())
    };
    let frames: Vec<Frame> = (0..COUNT)
        .map(|number| Frame {
            attachments: (0..number % 4).map(|_| pipe()).collect(),
            ..numbered(number)
        })
        .collect();
    // Some at once, some alone.
    let mut frames = frames.into_iter();
    a.send(frames.by_ref().take(COUNT / 2));
    frames.for_each(|frame| a.send([frame]));
    for (number, mut writer) in writers.into_iter().enumerate() {
        writer.write_all(&number.to_le_bytes()).unwrap();
    }
    let mut expected = 0usize;
    for (index, mut frame) in receive(driver, &b, COUNT).into_iter().enumerate() {
        assert_eq!(number(&frame), index);
        assert_eq!(frame.attachments.len(), index % 4);
        while !frame.attachments.is_empty() {
            let mut text = Vec::new();
            let mut reader = PipeReader::try_from(handle(&mut frame)).unwrap();
            reader.read_to_end(&mut text).unwrap();
            assert_eq!(text, expected.to_le_bytes());
            expected += 1;
        }
    }
}

pub(crate) fn a_thousand_handles_travel_in_one_frame(driver: &dyn Driver) {
    raise_descriptor_limit();
    let (a, b) = connected(driver);
    let (reader, writer) = io::pipe().unwrap();
    let null = File::open("/dev/null").unwrap();
    let files = [OsHandle::from(reader), OsHandle::from(writer), OsHandle::from(null)];
    let which = |index: usize| index * index % 7 % 3;
    let attachments = (0..1000)
        .map(|index| Attachment::Handle(files[which(index)].try_clone().unwrap()))
        .collect();
    let crowded = Frame { attachments, body: noise(300_000, 5), ..numbered(1) };
    let lone = Frame {
        attachments: vec![Attachment::Handle(files[2].try_clone().unwrap())],
        ..numbered(2)
    };
    a.send([numbered(0), crowded, lone, numbered(3)]);
    let mut frames = receive(driver, &b, 4);
    assert!(frames.iter().map(number).eq(0..4));
    assert!(frames[1].body == noise(300_000, 5));
    assert_eq!(frames[1].attachments.len(), 1000);
    let identity = |handle: OsHandle| {
        let metadata = File::try_from(handle).unwrap().metadata().unwrap();
        (metadata.dev(), metadata.ino(), metadata.mode())
    };
    let identities = files.map(identity);
    for (index, attachment) in frames[1].attachments.drain(..).enumerate() {
        let Attachment::Handle(handle) = attachment else { panic!("no handle") };
        let mine = identity(handle);
        assert_eq!(mine, identities[which(index)], "handle {index}");
    }
    assert_eq!(identity(handle(&mut frames[2])), identities[2]);
}

pub(crate) fn a_transport_travels_with_what_was_sent_into_it(driver: &dyn Driver) {
    let (a, b) = connected(driver);
    let (near, far) = dormant(driver);
    near.activate();
    near.send((0..50).map(numbered));
    // Over two connections in turn.
    a.send([carrying(vec![Attachment::Transport(far.transport)])]);
    near.send((50..100).map(numbered));
    let mut frame = receive(driver, &b, 1).remove(0);
    b.send([carrying(vec![Attachment::Transport(transport(&mut frame))])]);
    near.send((100..150).map(numbered));
    let mut frame = receive(driver, &a, 1).remove(0);
    let far = End::new(transport(&mut frame));
    far.send([numbered(1)]);
    far.activate();
    assert!(receive(driver, &far, 150).iter().map(number).eq(0..150));
    assert_eq!(number(&receive(driver, &near, 1)[0]), 1);
    near.send([numbered(2)]);
    assert_eq!(number(&receive(driver, &far, 1)[0]), 2);
    drop(far);
    pump_until(driver, "the close", || near.seen.closed().is_some());
}

pub(crate) fn a_transport_lost_on_the_way_closes(driver: &dyn Driver) {
    let (a, b) = connected(driver);
    let (near, far) = dormant(driver);
    near.activate();
    b.transport.deactivate();
    // Whether it is refused or lost behind the close, it is gone.
    let _ = a.try_send([carrying(vec![Attachment::Transport(far.transport)])]);
    drop((a, b));
    pump_until(driver, "the close", || near.seen.closed().is_some());
    assert_eq!(near.seen.closed(), Some(TransportClosed::PeerGone));
}

pub(crate) fn a_region_is_shared(driver: &dyn Driver) {
    let (a, b) = connected(driver);
    assert!(driver.allocate_region(0).is_err());
    let region = driver.allocate_region(10_000).unwrap();
    let here = region.map().unwrap();
    a.send([carrying(vec![Attachment::Region(region)])]);
    let mut frame = receive(driver, &b, 1).remove(0);
    let Attachment::Region(region) = frame.attachments.remove(0) else { panic!("no region") };
    assert_eq!(region.num_bytes(), 10_000);
    let there = region.map().unwrap();
    drop(region);
    let mut got = [1; 4];
    there.copy_out(9_000, &mut got).unwrap();
    assert_eq!(got, [0; 4]);
    here.copy_in(9_000, b"ping").unwrap();
    there.copy_out(9_000, &mut got).unwrap();
    assert_eq!(&got, b"ping");
    there.copy_in(0, b"pong").unwrap();
    here.copy_out(0, &mut got).unwrap();
    assert_eq!(&got, b"pong");
}

pub(crate) fn active_transports_are_refused(driver: &dyn Driver) {
    let (a, b) = connected(driver);
    let (active, _other) = connected(driver);
    let attachment = Attachment::Transport(active.transport);
    let refused = TransportClosed::Os(io::ErrorKind::InvalidInput);
    assert_eq!(a.try_send([carrying(vec![attachment])]), Err(refused));
    pump_until(driver, "the close", || b.seen.closed().is_some());
    assert_eq!(b.seen.num_frames(), 0);
}

/// Everything at once, and then the descriptors are as many as before.
pub(crate) fn no_descriptor_is_leaked(driver: &dyn Driver) {
    let count = || fs::read_dir("/proc/self/fd").unwrap().count();
    // The first use may open something for good.
    let _ = driver.create_transports().unwrap();
    let before = count();
    a_transport_travels_with_what_was_sent_into_it(driver);
    a_transport_lost_on_the_way_closes(driver);
    a_region_is_shared(driver);
    handles_arrive_with_their_frame(driver);
    a_thousand_handles_travel_in_one_frame(driver);
    active_transports_are_refused(driver);
    // Handles in every state: queued, in flight, arrived and not taken.
    let (a, b) = connected(driver);
    for _ in 0..200 {
        let null = File::open("/dev/null").unwrap();
        let attachments = vec![Attachment::Handle(null.into())];
        a.send([Frame { body: vec![0; 10_000], ..carrying(attachments) }]);
    }
    pump_until(driver, "some frame", || b.seen.num_frames() > 0);
    drop((a, b));
    assert_eq!(count(), before);
}
