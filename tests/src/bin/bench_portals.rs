//! How long a put and the get of it take, in one process and through a socket.
//!
//! `cargo run --release -p ipcz-tests --bin bench_portals`: nanoseconds, the best of some runs.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Instant;

use ipcz::driver::unix::UnixDriver;
use ipcz::{ConnectOptions, Node, Portal, Relation};

type Outcome = Result<(), Box<dyn std::error::Error>>;

const RUNS: usize = 20;

/// Runs `round` many times and prints what one takes.
fn measure(what: &str, rounds: u32, mut round: impl FnMut() -> Outcome) -> Outcome {
    let mut best = f64::INFINITY;
    for _ in 0..RUNS {
        let started = Instant::now();
        for _ in 0..rounds {
            round()?;
        }
        best = best.min(started.elapsed().as_nanos() as f64 / f64::from(rounds));
    }
    println!("{what}: {best:.0} ns");
    Ok(())
}

fn echo(portal: &Portal) {
    while let Ok(parcel) = portal.recv_blocking() {
        if portal.put(parcel).is_err() {
            return;
        }
    }
}

fn main() -> Outcome {
    let node = Node::broker()?;
    let (near, far) = node.open_portals();
    let mut bytes = vec![0; 64];
    measure("local put and get of 64 B", 100_000, || {
        near.put(std::mem::take(&mut bytes))?;
        bytes = far.try_recv()?.into_bytes();
        Ok(())
    })?;
    let thread = std::thread::spawn(move || echo(&far));
    measure("local round trip between two threads", 2_000, || {
        near.put(&[0; 64])?;
        near.recv_blocking()?;
        Ok(())
    })?;
    drop(near);
    thread.join().map_err(|_| "the echo panicked")?;

    let driver = UnixDriver::new()?;
    let client = Node::with_driver(driver.clone(), false)?;
    let brokers = UnixDriver::new()?;
    let broker = Node::with_driver(brokers.clone(), true)?;
    let (a, b) = UnixStream::pair()?;
    let options = ConnectOptions::default();
    let (a, b) = (brokers.transport(OwnedFd::from(a))?, driver.transport(OwnedFd::from(b))?);
    let near = broker.connect_transport(a, Relation::Client, &options)?.take_portal(0)?;
    let far = client.connect_transport(b, Relation::Broker, &options)?.take_portal(0)?;
    let thread = std::thread::spawn(move || echo(&far));
    measure("round trip between two nodes over a socket", 2_000, || {
        near.put(&[0; 64])?;
        near.recv_blocking()?;
        Ok(())
    })?;
    drop(near);
    thread.join().map_err(|_| "the echo panicked")?;
    Ok(())
}
