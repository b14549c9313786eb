//! Streams: as results and arguments, at the reader's pace, and how they end.

#![warn(clippy::pedantic)]

#[path = "../support/block_on.rs"]
mod block_on;
#[path = "../support/nodes.rs"]
#[allow(dead_code, reason = "some of it is for other tests")]
mod nodes;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use block_on::block_on;
use futures_util::{FutureExt, StreamExt};
use ipcz::{Endpoint, Node, Portal, Stream, StreamError, StreamSender};
use nodes::PATIENCE;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Both {
    numbers: Option<Stream<u64>>,
    texts: Vec<Stream<String>>,
}

#[ipcz::interface]
trait Source {
    async fn count(&self, to: u64) -> Stream<u64>;
    async fn both(&self) -> Result<Both, String>;
    async fn sum(&self, numbers: Stream<u64>) -> Result<u64, String>;
    /// Sends all into `to`, in this process.
    async fn fill(&self, to: StreamSender<u64>);
    async fn again(&self, stream: Stream<u64>) -> Stream<u64>;
    async fn portals(&self) -> Stream<Portal>;
}

#[derive(Clone, Default)]
struct Well {
    made: Arc<AtomicUsize>,
}

impl Source for Well {
    async fn count(&self, to: u64) -> Stream<u64> {
        let made = Arc::clone(&self.made);
        Stream::from_iter((0..to).inspect(move |_| {
            made.fetch_add(1, Ordering::SeqCst);
        }))
    }

    async fn both(&self) -> Result<Both, String> {
        let texts = (0..3).map(|n| Stream::from_iter(vec![n.to_string(); n]));
        Ok(Both { numbers: Some(self.count(5).await), texts: texts.collect() })
    }

    async fn sum(&self, mut numbers: Stream<u64>) -> Result<u64, String> {
        let mut sum = 0;
        while let Some(number) = numbers.next().await {
            sum += number.map_err(|error| error.to_string())?;
        }
        Ok(sum)
    }

    async fn fill(&self, mut to: StreamSender<u64>) {
        for n in 0..1000 {
            to.send(n).await.unwrap();
        }
        to.finish().unwrap();
    }

    async fn again(&self, mut stream: Stream<u64>) -> Stream<u64> {
        // Some of it was read here.
        for _ in 0..100 {
            stream.next().await.unwrap().unwrap();
        }
        stream
    }

    async fn portals(&self) -> Stream<Portal> {
        let (near, far) = ipcz::context().node().unwrap().open_portals();
        near.put("hello").unwrap();
        Stream::from_iter([far])
    }
}

fn serve(receiver: SourceReceiver) -> Arc<AtomicUsize> {
    let well = Well::default();
    let made = Arc::clone(&well.made);
    thread::spawn(move || receiver.serve_blocking(well));
    made
}

/// Proxies of a server in this process, near and behind a socket.
fn everywhere(test: impl Fn(&Node, &SourceProxy, &AtomicUsize)) {
    let (proxy, receiver) = SourceProxy::pair(&Node::broker().unwrap());
    let made = serve(receiver);
    test(&proxy.portal().node(), &proxy, &made);
    let pair = nodes::sockets();
    let (near, far) = pair.portals();
    let made = serve(SourceReceiver::from_portal(far));
    test(&pair.broker, &SourceProxy::from_portal(near), &made);
}

#[test]
fn a_result_streams_in_every_way() {
    everywhere(|_, source, _| {
        let mut stream = source.count(1000).wait().unwrap();
        for n in 0..1000 {
            let item = match n % 3 {
                0 => stream.next_blocking(),
                1 => stream.next_timeout(PATIENCE),
                _ => block_on(stream.next()),
            };
            assert_eq!(item, Some(Ok(n)));
        }
        assert_eq!(stream.next_blocking(), None);
        assert_eq!(stream.next_blocking(), None);

        let all: Vec<_> = block_on(source.count(3000).wait().unwrap().collect());
        assert_eq!(all, (0..3000).map(Ok).collect::<Vec<_>>());
        assert_eq!(source.count(0).wait().unwrap().next_blocking(), None);
    });
}

#[test]
fn streams_are_parts_of_values() {
    everywhere(|_, source, _| {
        let mut both = source.both().wait().unwrap();
        let numbers: Result<Vec<_>, _> = both.numbers.take().unwrap().blocking().collect();
        assert_eq!(numbers.unwrap(), [0, 1, 2, 3, 4]);
        for (n, mut texts) in both.texts.into_iter().enumerate() {
            let texts: Result<Vec<_>, _> = texts.blocking().collect();
            assert_eq!(texts.unwrap(), vec![n.to_string(); n]);
        }
        let mut portals = source.portals().wait().unwrap();
        let portal = portals.next_blocking().unwrap().unwrap();
        assert_eq!(portal.recv_blocking().unwrap().bytes(), b"hello");
    });
}

#[test]
fn a_slow_reader_stops_a_fast_writer() {
    everywhere(|_, source, made| {
        let mut stream = source.count(100_000).wait().unwrap();
        assert_eq!(stream.next_blocking(), Some(Ok(0)));
        // The server goes on with other calls, and comes to a halt with this one.
        let mut last = 0;
        nodes::eventually("the writer waits", || {
            assert_eq!(source.count(0).wait().unwrap().next_blocking(), None);
            thread::sleep(Duration::from_millis(20));
            std::mem::replace(&mut last, made.load(Ordering::SeqCst)) == last
        });
        assert!((256..400).contains(&last), "{last}");
        let all = stream.blocking().take(5000).flatten().count();
        assert_eq!(all, 5000);
        drop(stream);
        // That it was dropped is known: the next one begins with room.
        assert_eq!(source.count(10).wait().unwrap().blocking().count(), 10);
    });
}

#[test]
fn an_argument_streams_too() {
    everywhere(|node, source, _| {
        let (mut sender, stream) = Stream::pair(node);
        let sum = source.sum(stream);
        for n in 0..1000 {
            match n % 3 {
                0 => sender.send_blocking(n).unwrap(),
                1 => block_on(sender.send(n)).unwrap(),
                _ => sender.send_timeout(n, PATIENCE).unwrap(),
            }
        }
        sender.finish().unwrap();
        assert_eq!(sum.wait(), Ok(499_500));

        let (sender, stream) = Stream::pair(node);
        let filled = source.fill(sender);
        let mut stream = stream;
        assert_eq!(stream.blocking().flatten().count(), 1000);
        filled.wait().unwrap();
        let refused = source.sum(Stream::from_iter([1])).wait().unwrap_err().to_string();
        assert!(refused.contains("only a method's result can be that"), "{refused}");
    });
}

#[test]
fn the_ends_are_told_apart() {
    everywhere(|node, source, _| {
        let (sender, stream) = Stream::pair(node);
        let sum = source.sum(stream);
        drop(sender);
        let error = sum.wait().unwrap_err().to_string();
        assert!(error.contains("dropped before the end"), "{error}");

        let (mut sender, stream) = Stream::pair(node);
        let sum = source.sum(stream);
        sender.try_send(1).unwrap();
        sender.fail("out of numbers").unwrap();
        let error = sum.wait().unwrap_err().to_string();
        assert!(error.contains("the writer failed: out of numbers"), "{error}");

        let (mut sender, stream) = Stream::<u64>::pair(node);
        stream.stop("enough");
        assert_eq!(block_on(sender.closed()), StreamError::Stopped("enough".into()));
        assert_eq!(sender.try_send(1), Err(StreamError::Stopped("enough".into())));

        let (mut sender, stream) = Stream::<u64>::pair(node);
        drop(stream);
        assert_eq!(block_on(sender.closed()), StreamError::Unread);
        assert_eq!(sender.send_blocking(1), Err(StreamError::Unread));
    });
}

#[test]
fn a_sender_can_wait_or_not() {
    let node = Node::broker().unwrap();
    let (mut sender, mut stream) = Stream::pair(&node);
    let sent = (0..10_000).take_while(|n| sender.try_send(*n).is_ok()).count();
    assert_eq!(sent, 256);
    assert_eq!(sender.try_send(0), Err(StreamError::WouldBlock));
    let late = sender.send_timeout(0, Duration::from_millis(10));
    assert_eq!(late, Err(StreamError::TimedOut));
    assert!(sender.send(0).now_or_never().is_none());
    assert_eq!(stream.next_timeout(Duration::from_millis(1)), Some(Ok(0)));
    let taken = stream.blocking().take(200).flatten().count();
    assert_eq!(taken, 200);
    sender.try_send(256).unwrap();
    // By bytes as well.
    let (mut sender, _stream) = Stream::pair(&node);
    let sent = (0..10_000).take_while(|_| sender.try_send("x".repeat(1 << 20)).is_ok()).count();
    assert_eq!(sent, 3);
}

#[test]
fn credit_moves_with_both_ends() {
    let near = nodes::sockets();
    let (a, b) = near.portals();
    let source = SourceProxy::from_portal(a);
    serve(SourceReceiver::from_portal(b));
    let (mut sender, mut stream) = Stream::pair(&near.broker);
    let feeder = thread::spawn(move || {
        for n in 0..20_000_u64 {
            sender.send_blocking(n).unwrap();
        }
        sender.finish()
    });
    let mut next = 0;
    for _ in 0..20 {
        stream = source.again(stream).wait().unwrap();
        next += 100;
        assert_eq!(stream.next_blocking(), Some(Ok(next)));
        next += 1;
    }
    assert_eq!(stream.blocking().flatten().count() as u64, 20_000 - next);
    feeder.join().unwrap().unwrap();
}

#[test]
fn a_hostile_writer_is_found_out() {
    let node = Node::broker().unwrap();
    for message in
        [&b"\x10\0\0\0\0\0\0\0"[..], b"", b"\x10\0\0\0\0\0\0\0\x01\x02", b"\x11\0\0\0\0\0\0\0\0"]
    {
        let (near, far) = node.open_portals();
        near.put(message).unwrap();
        let mut stream = stream_on(far);
        assert!(matches!(stream.next_blocking(), Some(Err(StreamError::Malformed(_)))));
        assert_eq!(stream.next_blocking(), None);
        assert!(near.put("more").is_err());
    }
    let (near, far) = node.open_portals();
    for _ in 0..2000 {
        near.put(b"\x10\0\0\0\0\0\0\0\x01").unwrap();
    }
    let mut stream = stream_on(far);
    let error = stream.blocking().find_map(Result::err).unwrap().to_string();
    assert!(error.contains("more than it had credit for"), "{error}");
}

#[ipcz::interface]
trait Handing {
    fn hand(&self, stream: Stream<u64>) -> Stream<u64>;
    fn portal(&self, portal: (Portal, u32, u64));
}

/// The stream that a server makes of `portal`, which whoever sent it says is one.
fn stream_on(portal: Portal) -> Stream<u64> {
    let (near, far) = portal.node().open_portals();
    let call = HandingProxy::from_portal(near).portal((portal, 0, 0));
    let mut request = far.recv_blocking().unwrap();
    drop(call);
    let method = ipcz_codegen::names::method_id("hand")
        ^ ipcz_codegen::names::method_id(HandingProxy::INTERFACE);
    request.bytes_mut()[8..16].copy_from_slice(&method.to_le_bytes());
    let (near, far) = far.node().open_portals();
    near.put(request).unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    let server = Keeps(std::sync::Mutex::new(tell));
    thread::spawn(move || HandingReceiver::from_portal(far).serve_blocking(server));
    told.recv().unwrap()
}

struct Keeps(std::sync::Mutex<std::sync::mpsc::Sender<Stream<u64>>>);

impl Handing for Keeps {
    fn hand(&self, stream: Stream<u64>) -> Stream<u64> {
        self.0.lock().unwrap().send(stream).unwrap();
        Stream::from_iter([])
    }

    fn portal(&self, _: (Portal, u32, u64)) {}
}
