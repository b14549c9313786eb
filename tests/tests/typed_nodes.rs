//! Typed calls between two nodes that are connected by a socket.

#[path = "../support/block_on.rs"]
mod block_on;

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::thread;

use block_on::block_on;
use ipcz::{CallError, Connection, DisconnectKind, Endpoint, Listener, Node, OsHandle, ServeError};

#[ipcz::interface]
trait Progress {
    #[oneway]
    fn update(&mut self, done: u64);
    async fn seen(&mut self) -> Vec<u64>;
}

#[ipcz::interface]
trait Reader {
    async fn read(&self, file: OsHandle, watcher: ProgressProxy) -> Result<Vec<u8>, String>;
    async fn upper(&self, text: &str) -> String;
    async fn forever(&self) -> u32;
}

#[derive(Default)]
struct Steps(Vec<u64>);

impl Progress for Steps {
    fn update(&mut self, done: u64) {
        self.0.push(done);
    }

    async fn seen(&mut self) -> Vec<u64> {
        self.0.clone()
    }
}

struct Clerk;

impl Reader for Clerk {
    async fn read(&self, file: OsHandle, watcher: ProgressProxy) -> Result<Vec<u8>, String> {
        let mut file = File::try_from(file).map_err(|error| error.to_string())?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(|error| error.to_string())?;
        for step in 0..10 {
            watcher.update(step).await.map_err(|error| error.to_string())?;
        }
        // A call back to where this call came from, while that waits.
        let seen = watcher.seen().await.map_err(|error| error.to_string())?;
        bytes.extend(seen.into_iter().map(|step| step as u8));
        Ok(bytes)
    }

    async fn upper(&self, text: &str) -> String {
        text.to_uppercase()
    }

    async fn forever(&self) -> u32 {
        std::future::pending().await
    }
}

struct Link {
    near: Connection,
    far: Connection,
    path: PathBuf,
}

impl Link {
    fn new() -> Self {
        static LAST: AtomicU32 = AtomicU32::new(0);
        let number = LAST.fetch_add(1, Ordering::Relaxed);
        let name = format!("ipcz-typed-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let listener = Listener::bind(&path).unwrap();
        let accept = thread::spawn(move || listener.accept().unwrap());
        let (_node, near) = Node::connect(&path).unwrap();
        Self { near, far: accept.join().unwrap(), path }
    }

    fn reader(&self) -> (ReaderProxy, ReaderReceiver) {
        let proxy = ReaderProxy::from_portal(self.near.take_portal(0).unwrap());
        (proxy, ReaderReceiver::from_portal(self.far.take_portal(0).unwrap()))
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

#[test]
fn calls_files_and_calls_back() {
    let link = Link::new();
    let (reader, receiver) = link.reader();
    let server = thread::spawn(move || receiver.serve_blocking(Clerk));
    for n in 0..100 {
        let text = format!("text {n}");
        let call = reader.upper(&text);
        let upper = if n % 2 == 0 { call.wait() } else { block_on(call) };
        assert_eq!(upper.unwrap(), text.to_uppercase());
    }

    let (watcher, progress) = ProgressProxy::pair(link.near.node());
    let hears = thread::spawn(move || block_on(progress.serve(Steps::default())));
    let memory = rustix::fs::memfd_create("text", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
    let mut file = File::from(memory);
    file.write_all(b"bytes: ").unwrap();
    file.rewind().unwrap();
    let read = reader.read(file.into(), watcher).wait().unwrap();
    assert_eq!(read, b"bytes: \x00\x01\x02\x03\x04\x05\x06\x07\x08\x09");
    hears.join().unwrap().unwrap();

    drop(reader);
    server.join().unwrap().unwrap();
}

#[test]
fn a_lost_link_fails_both_ends_with_its_reason() {
    let link = Link::new();
    let (reader, receiver) = link.reader();
    let server = thread::spawn(move || receiver.serve_blocking(Clerk));
    assert_eq!(reader.upper("a").wait().unwrap(), "A");
    let waited = reader.forever();
    let awaited = reader.forever();
    // Whether the threads wait already when the link goes makes no difference to what they see.
    let (begins, begun) = mpsc::channel();
    let also_begins = begins.clone();
    let awaits = thread::spawn(move || {
        begins.send(()).unwrap();
        block_on(awaited)
    });
    let waits = thread::spawn(move || {
        also_begins.send(()).unwrap();
        waited.wait()
    });
    begun.iter().take(2).for_each(drop);
    link.far.disconnect();
    let later = || reader.upper("b").wait().map(drop);
    for result in [awaits.join().unwrap().map(drop), waits.join().unwrap().map(drop), later()] {
        let Err(CallError::Disconnected(why)) = result else { panic!("{result:?}") };
        assert_ne!(why.kind(), DisconnectKind::PeerClosed, "{why}");
    }
    assert!(matches!(server.join().unwrap(), Err(ServeError::Disconnected(_))));
}
