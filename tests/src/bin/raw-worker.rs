//! A program of several nodes, for tests with real processes and raw portals.
//!
//! `raw-worker broker` spawns two workers, gives each one end of a route, says when it has no part in
//! that any more, and waits to be killed.
//! Without an argument it is a worker: it takes orders from its parent's portal. `raw-worker sleepy` is one whose
//! thread sleeps whenever it waits.
//!
//! | order | what it does |
//! | --- | --- |
//! | `echo` | sends the parcel back, handles and all |
//! | `ping` + portal | puts a number and waits for it, over and over; says how it goes |
//! | `pong` + portal | sends back what comes |
//! | `spawn` + portal | runs another worker, which sends back what comes |
//! | `write` + memory | writes `theirs` into it if it may, and answers how that went, with the memory |
//! | `route` + portal | answers with the name of the node that the portal leads to, and sends it back |

use std::process::{Command, ExitCode};
use std::time::Duration;

use ipcz::{
    Child, ConnectOptions, Connection, Handle, Node, NodeOptions, Parcel, Portal, Route,
    SharedMemory, TryRecvError,
};

/// Rounds after the broker's end was seen, to show that the conversation goes on.
const ROUNDS_ALONE: u32 = 1000;

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    let role = std::env::args().nth(1);
    let outcome = match role.as_deref() {
        Some("broker") => broker(),
        Some("connect") => connect(),
        Some("sleepy") => worker(NodeOptions::default().without_spinning()),
        _ => worker(NodeOptions::default()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("raw-worker: {error}");
            ExitCode::FAILURE
        }
    }
}

fn broker() -> Outcome {
    let node = Node::broker()?;
    let program = std::env::current_exe()?;
    let first = node.spawn(Command::new(&program))?;
    let second = node.spawn(Command::new(&program))?;
    for child in [&first, &second] {
        // From here on, what is put leaves at once, and a portal in it leaves its proxy at once.
        child.wait_connected(Duration::from_secs(10))?.ok_or("a worker does not say hello")?;
    }
    let (left, right) = node.open_portals();
    let to_first = first.take_portal(0)?;
    let to_second = second.take_portal(0)?;
    to_first.put(Parcel::with_handles("ping", vec![Handle::from(left)]))?;
    to_second.put(Parcel::with_handles("pong", vec![Handle::from(right)]))?;
    // Until here, a parcel may be on its way through this process: whoever takes that away cuts the
    // route, even if both workers send on their own link already.
    while node.topology().proxies > 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    println!("out of the way");
    // Whoever runs this kills it.
    let _ = to_first.recv_blocking();
    Ok(())
}

/// Connects to the path given as the second argument, and sends back what comes.
fn connect() -> Outcome {
    let path = std::env::args().nth(2).ok_or("no path")?;
    let (_node, connection) = Node::connect_with(path, &ConnectOptions::portals(2))?;
    let portal = connection.take_portal(0)?;
    while let Ok(parcel) = portal.recv_blocking() {
        portal.put(parcel)?;
    }
    Ok(())
}

fn worker(options: NodeOptions) -> Outcome {
    let (node, parent) = options.from_parent(&ConnectOptions::default())?;
    let mut children = Vec::new();
    let orders = parent.take_portal(0)?;
    while let Ok(order) = orders.recv_blocking() {
        let (text, mut handles) = order.into_parts();
        match (text.as_slice(), handles.pop()) {
            (b"ping", Some(Handle::Portal(portal))) => return ping(&parent, &portal),
            (b"pong", Some(Handle::Portal(portal))) => return pong(&portal),
            (b"spawn", Some(Handle::Portal(portal))) => children.push(spawn(&node, portal)?),
            (b"write", Some(Handle::Memory(memory))) => write(&orders, memory)?,
            (b"route", Some(Handle::Portal(portal))) => tell_route(&orders, portal)?,
            (_, last) => {
                handles.extend(last);
                orders.put(Parcel::with_handles(text, handles))?;
            }
        }
    }
    Ok(())
}

/// Runs a worker of this worker, and has it send back what comes.
fn spawn(node: &Node, portal: Portal) -> Result<Child, Box<dyn std::error::Error>> {
    let mut child = node.spawn(Command::new(std::env::current_exe()?))?;
    child.kill_on_drop(true);
    child.take_portal(0)?.put(Parcel::with_handles("pong", vec![Handle::from(portal)]))?;
    Ok(child)
}

/// Tries to write memory, and tells what is in it.
fn write(orders: &Portal, memory: SharedMemory) -> Outcome {
    let outcome = match memory.map() {
        Ok(mapping) => mapping.copy_in(0, b"theirs").map(|()| "written".to_string())?,
        Err(error) => format!("{:?}", error.kind()),
    };
    let seen = memory.map_read_only()?.to_vec(0, 6)?;
    let text = format!("{outcome} {} {}", memory.is_writable(), String::from_utf8_lossy(&seen));
    orders.put(Parcel::with_handles(text, vec![Handle::Memory(memory)]))?;
    Ok(())
}

fn ping(parent: &Connection, portal: &Portal) -> Outcome {
    let mut told_link = false;
    let mut rounds_alone = 0;
    for round in 0_u32.. {
        portal.put(round.to_le_bytes().to_vec())?;
        let back = portal.recv_timeout(Duration::from_secs(10))?;
        if back.bytes() != round.to_le_bytes() {
            return Err("an answer out of turn".into());
        }
        let direct =
            matches!(portal.route(), Route::Remote(name) if Some(name) != parent.peer_name());
        if direct && !told_link {
            told_link = true;
            println!("linked");
        }
        if let Some(why) = parent.ended() {
            if rounds_alone == 0 {
                println!("broker lost: {why}");
            }
            rounds_alone += 1;
        }
        if rounds_alone == ROUNDS_ALONE {
            println!("went on");
            return Ok(());
        }
    }
    Ok(())
}

fn pong(portal: &Portal) -> Outcome {
    loop {
        match portal.recv_timeout(Duration::from_secs(10)) {
            Ok(parcel) => portal.put(parcel)?,
            Err(TryRecvError::Disconnected(why)) => {
                println!("other side ended: {why}");
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn tell_route(orders: &Portal, portal: Portal) -> Outcome {
    let route = match portal.route() {
        Route::Remote(name) => name.to_string(),
        other => format!("{other:?}"),
    };
    let proxies = portal.node().topology().proxies;
    let text = format!("{route} {proxies}");
    orders.put(Parcel::with_handles(text, vec![Handle::from(portal)]))?;
    Ok(())
}
