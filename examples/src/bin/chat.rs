//! A room and its guests, each a process: every endpoint says by itself who is at its other end.
//!
//! `cargo run --bin chat` runs a room and four guests. A guest joins with an endpoint by which it hears, and gets a
//! seat by which it speaks: nobody says who they are twice, and nobody speaks for another. Ada and Grace talk,
//! a second Ada is refused, Grace leaves, and Linus is killed while he listens. What each of them hears is printed
//! behind their name; the order in which the room takes what is said is the same for all.

use std::collections::BTreeMap;
use std::error::Error;
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use ipcz::{CallError, Child, Node, ReceiverSet, ServeError};
use serde::{Deserialize, Serialize};

const PATIENCE: Duration = Duration::from_secs(10);

#[ipcz::interface]
trait Room {
    /// Gives a seat to speak from; whoever drops it has left. `ears` hear what is said from now on.
    async fn join(&self, name: String, ears: EarsProxy) -> Result<SeatProxy, JoinError>;
}

#[ipcz::interface]
trait Seat {
    #[oneway]
    fn say(&self, text: String);
}

#[ipcz::interface]
trait Ears {
    #[oneway]
    fn hear(&mut self, line: &str);
}

#[derive(Debug, Serialize, Deserialize)]
enum JoinError {
    NameTaken(String),
}

impl std::fmt::Display for JoinError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self::NameTaken(name) = self;
        write!(f, "somebody called {name} is here already")
    }
}

impl Error for JoinError {}

fn main() -> Result<(), Box<dyn Error>> {
    match std::env::args().nth(1) {
        None => host(),
        Some(name) => visit(&name),
    }
}

fn host() -> Result<(), Box<dyn Error>> {
    let node = Node::broker()?;
    let room = Hall::default();
    let (tell, told) = mpsc::channel();
    let (host, receiver) = EarsProxy::pair(&node);
    thread::spawn(move || receiver.serve_blocking(Listening(tell)));
    room.guests().insert("the host".into(), host);
    thread::spawn({
        let doors = room.set.clone();
        move || doors.run_blocking()
    });
    let heard = |what: &str| wait_for(&told, "the host", what);

    let ada = room.let_in(&node, "Ada")?;
    heard("Ada joins")?;
    // Refused, says so and ends.
    println!("the second Ada ended: {}", room.let_in(&node, "Ada")?.wait()?);
    let mut linus = room.let_in(&node, "Linus")?;
    heard("Linus joins")?;
    let grace = room.let_in(&node, "Grace")?;
    heard("Linus: I stay")?;
    linus.kill()?;
    heard("Linus is gone: ")?;
    heard("Ada leaves")?;
    for mut guest in [ada, grace] {
        println!("a guest ended: {}", guest.wait()?);
    }
    Ok(())
}

/// A guest. What it says depends on what it hears.
fn visit(name: &str) -> Result<(), Box<dyn Error>> {
    let (node, parent) = Node::from_parent()?;
    let room: RoomProxy = parent.bootstrap()?;
    let (tell, told) = mpsc::channel();
    let (ears, receiver) = EarsProxy::pair(&node);
    thread::spawn(move || receiver.serve_blocking(Listening(tell)));
    let seat = match room.join(name.into(), ears).deadline(PATIENCE).wait() {
        Err(CallError::Application(error)) => {
            println!("{name} is refused: {error}");
            return Ok(());
        }
        other => other?,
    };
    let heard = |what: &str| wait_for(&told, name, what);
    match name {
        "Ada" => {
            heard("Grace joins")?;
            seat.say("Hello Grace".into()).wait()?;
            heard("Linus is gone: ")?;
        }
        "Grace" => {
            heard("Ada: Hello Grace")?;
            seat.say("Hello Ada, and good-bye".into()).wait()?;
            heard("Grace: Hello Ada, and good-bye")?;
        }
        _ => {
            heard("Grace leaves")?;
            seat.say("I stay".into()).wait()?;
            heard("what nobody says")?;
        }
    }
    // Dropping the seat is leaving.
    Ok(())
}

/// Prints what `name` hears, up to a line that begins so.
fn wait_for(told: &mpsc::Receiver<String>, name: &str, what: &str) -> Result<(), Box<dyn Error>> {
    loop {
        let line = told.recv_timeout(PATIENCE)?;
        println!("[{name}] {line}");
        if line.starts_with(what) {
            return Ok(());
        }
    }
}

struct Listening(mpsc::Sender<String>);

impl Ears for Listening {
    fn hear(&mut self, line: &str) {
        // Nobody may listen any more.
        let _ = self.0.send(line.into());
    }
}

#[derive(Clone, Default)]
struct Hall {
    guests: Arc<Mutex<BTreeMap<String, EarsProxy>>>,
    set: ReceiverSet,
}

impl Hall {
    fn guests(&self) -> MutexGuard<'_, BTreeMap<String, EarsProxy>> {
        self.guests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a guest that may join.
    fn let_in(&self, node: &Node, name: &str) -> Result<Child, Box<dyn Error>> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(name);
        let mut child = node.spawn(command)?;
        child.kill_on_drop(true);
        self.set.add(child.bootstrap::<RoomReceiver>()?.serve(self.clone()));
        Ok(child)
    }

    /// Whoever cannot hear any more will be missed when their seat ends.
    fn tell_all(&self, line: &str) {
        self.guests().values().for_each(|ears| drop(ears.hear(line).now()));
    }

    async fn serve_seat(self, name: String, receiver: SeatReceiver) -> Result<(), ServeError> {
        let chair = Chair { hall: self.clone(), name: name.clone() };
        let end = receiver.serve(chair).await;
        self.guests().remove(&name);
        match &end {
            Ok(()) => self.tell_all(&format!("{name} leaves")),
            Err(why) => self.tell_all(&format!("{name} is gone: {why}")),
        }
        end
    }
}

impl Room for Hall {
    async fn join(&self, name: String, ears: EarsProxy) -> Result<SeatProxy, JoinError> {
        let mut guests = self.guests();
        if guests.contains_key(&name) {
            return Err(JoinError::NameTaken(name));
        }
        guests.insert(name.clone(), ears);
        drop(guests);
        self.tell_all(&format!("{name} joins"));
        let (seat, receiver) = SeatProxy::pair(&ipcz::context().node().expect("this is a call"));
        self.set.add(self.clone().serve_seat(name, receiver));
        Ok(seat)
    }
}

/// Where one guest speaks from.
struct Chair {
    hall: Hall,
    name: String,
}

impl Seat for Chair {
    fn say(&self, text: String) {
        self.hall.tell_all(&format!("{}: {text}", self.name));
    }
}
