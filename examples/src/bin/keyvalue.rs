//! A store that any program may connect to, with many clients, subscriptions and a listing.
//!
//! `cargo run --bin keyvalue` runs a server that listens at a path, subscribes to what begins with `fruit/`, and
//! runs four more clients, which write. It prints how many changes it was told of, how the subscription ends, the
//! beginning of a listing, what the store says of a key too long, and what is seen once the server has ended.
//!
//! - Each connection serves `Services`, by which a client finds the `Store`. One thread serves the stores of all
//!   clients, in a `ReceiverSet`.
//! - A subscription is an endpoint of the subscriber's. It ends when that stops serving it.
//! - A listing is a stream: what the client does not read is never sent.
//! - A subscriber that does not keep up is dropped (`now`), so it delays nobody.

use std::collections::BTreeMap;
use std::error::Error;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{self, Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use ipcz::{CallError, Connection, Listener, Node, Receiver, ReceiverSet, Services, Stream};
use serde::{Deserialize, Serialize};

const WRITERS: usize = 4;
const WRITES: usize = 250;
const LONGEST_KEY: usize = 64;
const PATIENCE: Duration = Duration::from_secs(10);

#[ipcz::interface(name = "example.Store")]
trait Store {
    /// Gives what was there before.
    async fn put(&self, key: &str, value: String) -> Result<Option<String>, KeyTooLong>;
    async fn get(&self, key: &str) -> Option<String>;
    /// All that begins with `prefix`, as it is now.
    async fn list(&self, prefix: &str) -> Stream<(String, String)>;
    /// Tells `watcher` of what is put under `prefix` from now on.
    async fn watch(&self, prefix: String, watcher: WatcherProxy);
    /// How many subscriptions there are.
    async fn watchers(&self) -> usize;
}

#[ipcz::interface(name = "example.Watcher")]
trait Watcher {
    #[oneway]
    fn changed(&mut self, key: &str, value: &str);
}

#[derive(Debug, Serialize, Deserialize)]
struct KeyTooLong {
    limit: usize,
}

impl std::fmt::Display for KeyTooLong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a key has {} bytes at most", self.limit)
    }
}

impl Error for KeyTooLong {}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        [] => {
            let path = std::env::temp_dir().join(format!("ipcz-keyvalue-{}", process::id()));
            story(&path)
        }
        ["server", path] => serve(Path::new(path)),
        ["writer", path, name] => write(Path::new(path), name),
        _ => Err("without arguments, this program tells its story".into()),
    }
}

fn story(path: &Path) -> Result<(), Box<dyn Error>> {
    let mut server = start(&["server".as_ref(), path.as_os_str()], Stdio::piped())?;
    // It says a line when it listens, and ends when nobody holds its standard input any more.
    let said = server.stdout.take().ok_or("the server has no output")?;
    BufReader::new(said).read_line(&mut String::new())?;
    let (node, _connection, store) = connect(path)?;
    watch_writers(&node, &store, path)?;
    look_around(&store)?;
    drop(server.stdin.take());
    println!("the server ended: {}", server.wait()?);
    let why = store.get("any").wait().expect_err("nobody is there");
    println!("and then: {why}");
    Ok(())
}

/// Is told of what other clients write, and then of nothing any more.
fn watch_writers(node: &Node, store: &StoreProxy, path: &Path) -> Result<(), Box<dyn Error>> {
    let (watcher, mut receiver) = WatcherProxy::pair(node);
    let unsubscribe = receiver.stopper();
    let (tell, told) = mpsc::channel();
    let watching = thread::spawn(move || receiver.serve_blocking(Told(tell)));
    store.watch("fruit/".into(), watcher).wait()?;

    let name = |number: usize| format!("writer-{number}");
    let start_writer = |number| {
        start(&["writer".as_ref(), path.as_os_str(), name(number).as_ref()], Stdio::null())
    };
    let writers: Vec<_> = (0..WRITERS).map(start_writer).collect::<Result<_, _>>()?;
    for mut writer in writers {
        println!("a client that wrote {WRITES} keys ended: {}", writer.wait()?);
    }
    let changes = (0..WRITERS * WRITES / 2).map_while(|_| told.recv_timeout(PATIENCE).ok());
    println!("told of {} changes under fruit/", changes.count());

    unsubscribe.stop();
    watching.join().expect("watching does not panic")?;
    store.put("fruit/last", "unseen".into()).wait()?;
    println!("told of {} changes after the end", told.iter().count());
    println!("subscriptions left: {}", store.watchers().wait()?);
    Ok(())
}

fn look_around(store: &StoreProxy) -> Result<(), Box<dyn Error>> {
    println!("fruit/writer-2/8 is {:?}", store.get("fruit/writer-2/8").wait()?);
    let mut listing = store.list("stone/").wait()?;
    let first: Vec<_> = listing.blocking().take(3).collect::<Result<_, _>>()?;
    println!("the listing begins with {first:?}");
    drop(listing); // The rest is never sent.
    match store.put(&"k".repeat(LONGEST_KEY + 1), String::new()).wait() {
        Err(CallError::Application(error)) => println!("the store says: {error}"),
        other => return Err(format!("a long key was taken: {other:?}").into()),
    }
    Ok(())
}

/// Runs this program in another role. It is not given a connection: it connects by itself.
fn start(arguments: &[&OsStr], output: Stdio) -> std::io::Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(arguments).stdin(Stdio::piped()).stdout(output).spawn()
}

fn connect(path: &Path) -> Result<(Node, Connection, StoreProxy), Box<dyn Error>> {
    let (node, connection) = Node::connect(path)?;
    let store = connection.find()?.deadline(PATIENCE).wait()?;
    Ok((node, connection, store))
}

/// Passes on what it is told.
struct Told(mpsc::Sender<String>);

impl Watcher for Told {
    fn changed(&mut self, key: &str, value: &str) {
        // Nobody may listen any more.
        let _ = self.0.send(format!("{key}={value}"));
    }
}

/// A client that writes. Its calls are all under way at once: none waits for the one before.
fn write(path: &Path, name: &str) -> Result<(), Box<dyn Error>> {
    let (_node, _connection, store) = connect(path)?;
    let kind = |number: usize| if number.is_multiple_of(2) { "fruit" } else { "stone" };
    let key = |number: usize| format!("{}/{name}/{number}", kind(number));
    let puts: Vec<_> = (0..WRITES).map(|n| store.put(&key(n), format!("number {n}"))).collect();
    for put in puts {
        put.wait()?;
    }
    Ok(())
}

fn serve(path: &Path) -> Result<(), Box<dyn Error>> {
    let listener = Listener::bind(path)?;
    let (stores, services) = (ReceiverSet::new(), Services::new());
    let (shared, set) = (Shelf::default(), stores.clone());
    services.offer(move |receiver: StoreReceiver| set.add(receiver.serve(shared.clone())));
    thread::spawn(move || stores.run_blocking());
    let listener = Arc::new(listener);
    thread::spawn({
        let listener = Arc::clone(&listener);
        move || accept(&listener, &services)
    });
    println!("listening");
    std::io::stdin().read_to_end(&mut Vec::new())?;
    std::fs::remove_file(listener.path())?;
    listener.node().shut_down(Duration::from_secs(1));
    Ok(())
}

fn accept(listener: &Listener, services: &Services) {
    while let Ok(connection) = listener.accept() {
        let services = services.clone();
        thread::spawn(move || services.serve_blocking(&connection));
    }
}

#[derive(Clone, Default)]
struct Shelf(Arc<Mutex<Contents>>);

#[derive(Default)]
struct Contents {
    values: BTreeMap<String, String>,
    watchers: Vec<(String, WatcherProxy)>,
}

impl Shelf {
    fn contents(&self) -> MutexGuard<'_, Contents> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for Shelf {
    async fn put(&self, key: &str, value: String) -> Result<Option<String>, KeyTooLong> {
        if key.len() > LONGEST_KEY {
            return Err(KeyTooLong { limit: LONGEST_KEY });
        }
        let mut contents = self.contents();
        // Whoever is gone, or too far behind, is told no more.
        contents.watchers.retain(|(prefix, watcher)| {
            !key.starts_with(prefix.as_str()) || watcher.changed(key, &value).now().is_ok()
        });
        Ok(contents.values.insert(key.to_owned(), value))
    }

    async fn get(&self, key: &str) -> Option<String> {
        self.contents().values.get(key).cloned()
    }

    async fn list(&self, prefix: &str) -> Stream<(String, String)> {
        let contents = self.contents();
        let entries = contents.values.range(prefix.to_owned()..);
        let entries = entries.take_while(|(key, _)| key.starts_with(prefix));
        Stream::from_iter(entries.map(|(k, v)| (k.clone(), v.clone())).collect::<Vec<_>>())
    }

    async fn watch(&self, prefix: String, watcher: WatcherProxy) {
        self.contents().watchers.push((prefix, watcher));
    }

    async fn watchers(&self) -> usize {
        self.contents().watchers.len()
    }
}
