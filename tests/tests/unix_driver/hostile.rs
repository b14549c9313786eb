//! A peer that does not keep to the rules loses its transport, and does no other harm.

use std::cell::Cell;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use ipcz::OsHandle;
use ipcz::driver::limits::{MAX_ATTACHMENTS, MAX_BODY_BYTES, MAX_HEAD_BYTES};
use ipcz::driver::unix::UnixDriver;
use ipcz::driver::{Attachment, Driver, Frame, TransportClosed};
use ipcz::shm::Region;

use crate::harness::{self, connected, number, numbered, pump_until};
use crate::raw::{Raw, descriptors, header};

#[test]
fn malformed_headers_are_violations() {
    let driver = UnixDriver::new().unwrap();
    let beyond = |limit: usize| u32::try_from(limit + 1).unwrap();
    let crowd = u16::try_from(MAX_ATTACHMENTS + 1).unwrap();
    let mut reserved = header(0, 0, 0);
    reserved[15] = 1;
    let cases = [
        (b"GET / HTTP/1.1\r\n".to_vec(), "magic"),
        (header(beyond(MAX_HEAD_BYTES), 0, 0), "head"),
        (header(0, beyond(MAX_BODY_BYTES), 0), "body"),
        (header(u32::MAX, u32::MAX, u16::MAX), "head"),
        (header(0, 0, crowd), "attachments"),
        (reserved, "reserved"),
    ];
    for (bytes, what) in cases {
        let raw = Raw::new(&driver);
        // A good frame before it arrives.
        raw.write(&header(0, 1, 0));
        raw.write(b"x");
        raw.write(&bytes);
        assert!(raw.broken_rule().contains(what), "{what}");
        assert_eq!(raw.end.seen.num_frames(), 1);
        // The peer sees that it is cut off.
        assert!(matches!((&raw.socket).read(&mut [0]), Ok(0) | Err(_)));
    }
}

#[test]
fn a_frame_in_single_bytes_arrives_and_one_cut_off_does_not() {
    let driver = UnixDriver::new().unwrap();
    let raw = Raw::new(&driver);
    let mut frame = header(2, 3, 1);
    frame.extend(b"\x01hebod");
    raw.write_with(&frame[..1], &descriptors(1));
    for byte in &frame[1..] {
        raw.write(&[*byte]);
        driver.pump().unwrap().wait(None).unwrap();
    }
    let arrived = harness::receive(&*driver, &raw.end, 1).remove(0);
    assert_eq!((&arrived.head[..], &arrived.body[..]), (&b"he"[..], &b"bod"[..]));
    assert_eq!(arrived.attachments.len(), 1);

    raw.write_with(&frame[..frame.len() - 1], &descriptors(1));
    raw.socket.shutdown(std::net::Shutdown::Both).unwrap();
    assert_eq!(raw.ended(), TransportClosed::PeerGone);
    assert_eq!(raw.end.seen.num_frames(), 0);
}

#[test]
fn what_is_announced_costs_nothing_until_it_comes() {
    let driver = UnixDriver::new().unwrap();
    let size = || -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmSize:"));
        let kib: u64 = line.unwrap().trim_end_matches("kB").trim().parse().unwrap();
        kib << 10
    };
    let before = size();
    let raws: Vec<Raw> = (0..64).map(|_| Raw::new(&driver)).collect();
    for raw in &raws {
        raw.write(&header(MAX_HEAD_BYTES as u32, MAX_BODY_BYTES as u32, 4096));
        raw.write(&[1; 10_000]);
    }
    harness::settle(&*driver);
    // 64 times 272 MiB were announced; other tests of this process may need some.
    assert!(size() < before + (8 << 30));
    for raw in raws {
        raw.socket.shutdown(std::net::Shutdown::Both).unwrap();
        assert_eq!(raw.ended(), TransportClosed::PeerGone);
    }
}

#[test]
fn descriptors_and_frames_must_agree() {
    let driver = UnixDriver::new().unwrap();
    let raw = Raw::new(&driver);
    raw.write_with(&header(0, 0, 0), &descriptors(1));
    assert!(raw.broken_rule().contains("belong to no frame"));

    let raw = Raw::new(&driver);
    raw.write_with(&header(0, 9, 1), &descriptors(2));
    assert!(raw.broken_rule().contains("belong to no frame"));

    let raw = Raw::new(&driver);
    raw.write_with(&[&header(0, 0, 3)[..], &[1, 1, 1]].concat(), &descriptors(2));
    assert!(raw.broken_rule().contains("fewer descriptors"));
    assert_eq!(raw.end.seen.num_frames(), 0);

    // Never a whole header, but descriptors with every byte.
    let raw = Raw::new(&driver);
    for byte in header(0, 0, 0).iter().take(3) {
        raw.write_with(&[*byte], &descriptors(100));
    }
    assert!(raw.broken_rule().contains("belong to no frame"));
}

#[test]
fn attachments_must_be_what_they_say() {
    let driver = UnixDriver::new().unwrap();
    for (kind, rule) in [(0, "kind"), (2, "socket"), (3, "sealed"), (255, "kind")] {
        let raw = Raw::new(&driver);
        raw.write_with(&[&header(0, 0, 1)[..], &[kind]].concat(), &descriptors(1));
        assert!(raw.broken_rule().contains(rule), "kind {kind}");
    }
    let (datagram, _other) = std::os::unix::net::UnixDatagram::pair().unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    for fd in [datagram.into(), listener.into()] {
        let raw = Raw::new(&driver);
        raw.write_with(&[&header(0, 0, 1)[..], &[2]].concat(), &[fd]);
        assert!(raw.broken_rule().contains("socket"));
    }
}

#[test]
fn a_socket_that_was_made_to_report_more_is_refused() {
    let driver = UnixDriver::new().unwrap();
    let (socket, other) = UnixStream::pair().unwrap();
    // The peer keeps a duplicate of what it gives away, and the option is of the open file.
    rustix::net::sockopt::set_socket_passcred(other.try_clone().unwrap(), true).unwrap();
    let raw = Raw::over(&driver, socket, other);
    raw.write_with(&[&header(0, 0, 1)[..], &[1]].concat(), &descriptors(1));
    assert!(raw.broken_rule().contains("more than descriptors"));
}

#[test]
fn a_flood_starves_nobody() {
    let driver = UnixDriver::new().unwrap();
    let floods: Vec<Raw> = (0..3).map(|_| Raw::new(&driver)).collect();
    let (a, b) = connected(&*driver);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        for flood in &floods {
            let bytes = header(0, 0, 0).repeat(4000);
            scope.spawn(|| {
                let bytes = bytes;
                // Ends with an error if the other side ended first.
                let mut written = Ok(());
                while !over.load(Ordering::SeqCst) && written.is_ok() {
                    written = (&flood.socket).write_all(&bytes);
                }
            });
        }
        for round in 0..50 {
            a.send([numbered(round)]);
            let waits = Cell::new(0);
            pump_until(&*driver, "the frame", || {
                waits.set(waits.get() + 1);
                b.seen.num_frames() > 0
            });
            assert_eq!(number(&b.seen.take_frames()[0]), round);
            assert!(waits.get() <= 5, "starved for {waits:?} waits");
        }
        over.store(true, Ordering::SeqCst);
        floods.iter().for_each(|flood| flood.end.transport.deactivate());
    });
}

#[test]
fn a_peer_that_went_is_no_signal() {
    let driver = UnixDriver::new().unwrap();
    let raw = Raw::new(&driver);
    raw.socket.shutdown(std::net::Shutdown::Both).unwrap();
    assert_eq!(raw.end.try_send([numbered(1)]), Err(TransportClosed::PeerGone));
    assert_eq!(raw.ended(), TransportClosed::PeerGone);
}

#[test]
fn a_peer_that_stops_reading_keeps_nothing_from_arriving() {
    let driver = UnixDriver::new().unwrap();
    let raw = Raw::new(&driver);
    let large = || Frame { body: vec![0; 1 << 20], ..Frame::default() };
    raw.end.send((0..4).map(|_| large()));
    assert!(raw.end.transport.queued_bytes() > 3 << 20);
    raw.write(&header(0, 0, 0));
    harness::receive(&*driver, &raw.end, 1);
    // What arrived before the socket broke still comes.
    raw.write(&header(0, 0, 0));
    raw.socket.shutdown(std::net::Shutdown::Both).unwrap();
    assert_eq!(raw.ended(), TransportClosed::PeerGone);
    assert_eq!(raw.end.seen.num_frames(), 1);
    assert_eq!(raw.end.transport.queued_bytes(), 0);
}

#[test]
fn a_transport_sent_with_a_queue_arrives_closed() {
    let driver = UnixDriver::new().unwrap();
    let (a, b) = connected(&*driver);
    let (near, far) = harness::dormant(&*driver);
    let large = Frame { body: vec![0; 4 << 20], ..Frame::default() };
    far.send([numbered(1), large]);
    assert!(far.transport.queued_bytes() > 0);
    a.send([harness::carrying(vec![Attachment::Transport(far.transport)])]);
    harness::receive(&*driver, &b, 1);
    near.activate();
    pump_until(&*driver, "the close", || near.seen.closed().is_some());
    assert_eq!(number(&near.seen.take_frames()[0]), 1);
}

#[test]
fn only_stream_sockets_become_transports() {
    let driver = UnixDriver::new().unwrap();
    let (reader, _writer) = std::io::pipe().unwrap();
    let fd = OsHandle::from(reader).into_fd().unwrap();
    let error = driver.transport(fd).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
}

#[test]
fn a_region_is_what_is_said_of_it() {
    let driver = UnixDriver::new().unwrap();
    let writable = || -> OwnedFd { Region::new(100).unwrap().into() };
    let read_only = || -> OwnedFd { Region::new_read_only(100).unwrap().0.into() };
    // Open for reading, but those that others have are not.
    let only_here = || {
        let fd = writable();
        let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
        OwnedFd::from(std::fs::File::open(path).unwrap())
    };
    let told = |kind: u8, fd: OwnedFd| {
        let raw = Raw::new(&driver);
        let mut frame = header(0, 0, 1);
        frame.push(kind);
        raw.write_with(&frame, &[fd]);
        raw
    };
    for (kind, fd, is_writable) in [(3, writable(), true), (4, read_only(), false)] {
        let arrived = harness::receive(&*driver, &told(kind, fd).end, 1).remove(0);
        let [Attachment::Region(region)] = &arrived.attachments[..] else { panic!("no region") };
        assert_eq!(region.is_writable(), is_writable);
    }
    for (kind, fd) in [(3, read_only()), (4, writable()), (3, only_here()), (4, only_here())] {
        assert!(told(kind, fd).broken_rule().contains("region"), "{kind}");
    }
}
