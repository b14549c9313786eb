//! Calls that go wrong: each tells its caller what happened, and spares what it can.

use std::thread;

use ipcz::{CallError, Endpoint, Node, ServeError};

#[ipcz::interface]
trait Fragile {
    async fn divide(&self, by: u32) -> u32;
    async fn echo(&self, text: String) -> String;
}

/// As `Fragile`, with other types: what a peer of another version may take it for.
#[ipcz::interface(name = "typed_failures.Fragile")]
trait Other {
    async fn echo(&self, number: u64) -> u64;
}

#[ipcz::interface(name = "typed_failures.Fragile")]
trait Renamed {
    async fn echo(&self, text: String, again: String) -> String;
}

#[ipcz::interface]
trait Alone {
    async fn divide(&mut self, by: u32) -> u32;
}

struct Server;

impl Fragile for Server {
    async fn divide(&self, by: u32) -> u32 {
        100_u32.checked_div(by).expect("a divisor that is not zero")
    }

    async fn echo(&self, text: String) -> String {
        text
    }
}

impl Other for Server {
    async fn echo(&self, number: u64) -> u64 {
        number
    }
}

impl Alone for Server {
    async fn divide(&mut self, by: u32) -> u32 {
        Fragile::divide(self, by).await
    }
}

#[test]
fn a_panic_costs_its_caller_the_call_and_nobody_else_anything() {
    let (fragile, receiver) = FragileProxy::pair(&Node::broker().unwrap());
    let server = thread::spawn(move || receiver.serve_blocking(Server));
    let (bad, good) = (fragile.divide(0), fragile.divide(4));
    assert_eq!(bad.wait(), Err(CallError::Panicked("Fragile::divide")));
    assert_eq!(good.wait(), Ok(25));
    drop(fragile);
    assert_eq!(server.join().unwrap(), Ok(()));
}

#[test]
fn a_server_of_one_call_at_a_time_survives_a_panic_too() {
    let (alone, receiver) = AloneProxy::pair(&Node::broker().unwrap());
    let server = thread::spawn(move || receiver.serve_blocking(Server));
    assert_eq!(alone.divide(0).wait(), Err(CallError::Panicked("Alone::divide")));
    assert_eq!(alone.divide(5).wait(), Ok(20));
    drop(alone);
    assert_eq!(server.join().unwrap(), Ok(()));
}

#[test]
fn another_interface_is_told_apart_by_its_name() {
    let (fragile, receiver) = FragileProxy::pair(&Node::broker().unwrap());
    let server = thread::spawn(move || receiver.serve_blocking(Server));
    // It has a method of that name, and belongs to somebody else.
    let other = OtherProxy::from_portal(fragile.into_portal().unwrap());
    let error = other.echo(7).wait().unwrap_err();
    assert_eq!(error, CallError::UnknownMethod("Other::echo"));
    assert!(error.to_string().contains("another interface"), "{error}");
    drop(other);
    assert_eq!(server.join().unwrap(), Ok(()));
}

#[test]
fn a_call_that_makes_no_sense_is_refused_with_the_reason() {
    let (other, receiver) = OtherProxy::pair(&Node::broker().unwrap());
    let server = thread::spawn(move || receiver.serve_blocking(Server));
    let renamed = RenamedProxy::from_portal(other.into_portal().unwrap());
    let error = renamed.echo("a".repeat(300), String::new()).wait().unwrap_err();
    let CallError::Malformed(method, why) = error else { panic!("{error:?}") };
    assert_eq!(method, "Renamed::echo");
    assert!(why.contains("`Other::echo`"), "{why}");
    assert!(matches!(server.join().unwrap(), Err(ServeError::BadRequest(_))));
}
