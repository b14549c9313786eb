//! Measures which type of Unix-domain socket carries frames better.
//!
//! Both are driven as a transport drives them: a header before each message, several queued
//! messages in one `sendmsg`, an `epoll_wait` before and a control buffer with every `recvmsg`, and
//! bodies read to where they belong. A stream sends as much as fits and reads on; a packet socket
//! splits what is larger than a packet.
//!
//! Run it with `cargo run --release -p ipcz-tests --bin socket_type`. It prints, for each load, the
//! median of interleaved rounds for both, and their ratio. Pin it to one CPU to see what the system
//! calls cost; without that, where the scheduler puts the two threads decides more than the type.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::epoll;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvFlags, SendAncillaryBuffer, SendFlags, SocketFlags,
    SocketType, recvmsg, sendmsg, socketpair,
};

const HEADER: usize = 16;
/// What a packet holds at most: as much as is read at once, and well below a default send buffer.
const PACKET: usize = 64 << 10;
const ROUNDS: usize = 15;
/// How many small messages wait when the sender gets to send: one, or a few.
const BATCHES: [usize; 2] = [1, 16];

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Stream,
    Packet,
}

struct Socket {
    kind: Kind,
    fd: OwnedFd,
    /// Reports that something can be read.
    epoll: OwnedFd,
}

fn pair(kind: Kind) -> (Socket, Socket) {
    let socket_type = match kind {
        Kind::Stream => SocketType::STREAM,
        Kind::Packet => SocketType::SEQPACKET,
    };
    let (a, b) = socketpair(AddressFamily::UNIX, socket_type, SocketFlags::CLOEXEC, None).unwrap();
    let socket = |fd: OwnedFd| {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
        let data = epoll::EventData::new_u64(1);
        epoll::add(&epoll, &fd, data, epoll::EventFlags::IN).unwrap();
        Socket { kind, fd, epoll }
    };
    (socket(a), socket(b))
}

impl Socket {
    fn send(&self, parts: &[IoSlice<'_>]) -> usize {
        let mut none = SendAncillaryBuffer::default();
        sendmsg(&self.fd, parts, &mut none, SendFlags::NOSIGNAL).unwrap()
    }

    fn receive(&self, parts: &mut [IoSliceMut<'_>]) -> usize {
        let mut events = [MaybeUninit::uninit(); 64];
        epoll::wait(&self.epoll, &mut events, None).unwrap();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(253))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let got =
            recvmsg(&self.fd, parts, &mut control, RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT)
                .unwrap();
        assert!(got.bytes > 0);
        got.bytes
    }

    /// Sends `count` messages of a header and `body`, which were queued together.
    fn send_messages(&self, header: &[u8], body: &[u8], count: usize) {
        let size = header.len() + body.len();
        if size * count <= PACKET {
            let parts: Vec<IoSlice<'_>> =
                (0..count).flat_map(|_| [IoSlice::new(header), IoSlice::new(body)]).collect();
            assert_eq!(self.send(&parts), size * count);
            return;
        }
        for _ in 0..count {
            self.send_large(header, body);
        }
    }

    fn send_large(&self, header: &[u8], body: &[u8]) {
        let limit = match self.kind {
            Kind::Stream => usize::MAX,
            Kind::Packet => PACKET,
        };
        let first = body.len().min(limit - header.len());
        let sent = self.send(&[IoSlice::new(header), IoSlice::new(&body[..first])]);
        let mut rest = &body[sent - header.len()..];
        while !rest.is_empty() {
            let sent = self.send(&[IoSlice::new(&rest[..rest.len().min(limit)])]);
            rest = &rest[sent..];
        }
    }

    /// Receives messages of `size` until `total` bytes have come. A large body is read to its place;
    /// what follows it, and small ones, to scratch memory.
    fn receive_messages(&self, size: usize, total: usize) {
        let mut scratch = vec![0; PACKET];
        let mut body = vec![0; size];
        let mut got = 0;
        while got < total {
            let missing = size - got % size;
            let direct = if missing > 16 << 10 && missing < size { missing } else { 0 };
            // Of a packet, all must fit, and none follows: a short one leaves its window unused.
            let window = &mut body[..direct];
            let mut parts = [IoSliceMut::new(window), IoSliceMut::new(&mut scratch)];
            let count = self.receive(&mut parts);
            let behind = count.saturating_sub(direct);
            // What went to scratch is copied to its place.
            let to = behind.min(size);
            body[..to].copy_from_slice(&scratch[..to]);
            got += count;
        }
        assert_eq!(got, total);
    }
}

/// One message there and one back, `count` times.
fn ping_pong(kind: Kind, body: usize, count: usize) -> Duration {
    let (near, far) = pair(kind);
    let size = HEADER + body;
    let (header, body) = (vec![1; HEADER], vec![2; body]);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut scratch = vec![0; PACKET];
            for _ in 0..count {
                assert_eq!(far.receive(&mut [IoSliceMut::new(&mut scratch)]), size);
                far.send_messages(&header, &body, 1);
            }
        });
        let mut scratch = vec![0; PACKET];
        let start = Instant::now();
        for _ in 0..count {
            near.send_messages(&header, &body, 1);
            assert_eq!(near.receive(&mut [IoSliceMut::new(&mut scratch)]), size);
        }
        start.elapsed()
    })
}

/// `count` messages one way, `batch` of them queued at a time.
fn one_way(kind: Kind, body: usize, count: usize, batch: usize) -> Duration {
    let (near, far) = pair(kind);
    let size = HEADER + body;
    let (header, body) = (vec![1; HEADER], vec![2; body]);
    thread::scope(|scope| {
        let start = Instant::now();
        scope.spawn(|| {
            for _ in 0..count / batch {
                near.send_messages(&header, &body, batch);
            }
        });
        far.receive_messages(size, size * (count / batch * batch));
        start.elapsed()
    })
}

fn median(mut durations: Vec<Duration>) -> f64 {
    durations.sort();
    durations[durations.len() / 2].as_secs_f64()
}

/// Measures one load over both types in turn.
fn compare(name: &str, count: usize, load: impl Fn(Kind) -> Duration) {
    let (mut stream, mut packet) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        // In both orders, so that none always has the warmer machine.
        for kind in
            if round % 2 == 0 { [Kind::Stream, Kind::Packet] } else { [Kind::Packet, Kind::Stream] }
        {
            match kind {
                Kind::Stream => stream.push(load(kind)),
                Kind::Packet => packet.push(load(kind)),
            }
        }
    }
    let each = |median: f64| median / count as f64 * 1e6;
    let (stream, packet) = (median(stream), median(packet));
    println!(
        "{name:<34} stream {:>9.3} us  packet {:>9.3} us  packet/stream {:.2}",
        each(stream),
        each(packet),
        packet / stream
    );
}

fn main() {
    println!("time for each message; a ratio above 1 speaks for the stream");
    compare("round trip, 64 B", 20_000, |kind| ping_pong(kind, 64, 20_000));
    for batch in BATCHES {
        let name = format!("one way, 64 B, {batch} queued");
        compare(&name, 200_000, |kind| one_way(kind, 64, 200_000, batch));
    }
    compare("one way, 64 KiB", 5_000, |kind| one_way(kind, 64 << 10, 5_000, 1));
    compare("one way, 1 MiB", 400, |kind| one_way(kind, 1 << 20, 400, 1));
}
