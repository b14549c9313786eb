//! Child processes: what they inherit, and what they are told if it is not there.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::process::{Command, Output, Stdio};

use ipcz::OsHandle;
use ipcz::driver::unix::{FromParentError, PARENT_VARIABLE, UnixDriver, from_parent};
use ipcz::driver::{Attachment, Frame, TransportClosed};

use crate::harness::{End, number, numbered, pump_until, receive};

fn child(what: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_driver-child"));
    command.arg(what).env_remove(PARENT_VARIABLE);
    command
}

/// What a child of a node prints.
fn spawned(mut command: Command) -> String {
    let driver = UnixDriver::new().unwrap();
    command.stdout(Stdio::piped());
    let (child, _transport) = driver.spawn(command).unwrap();
    text(child.wait_with_output().unwrap())
}

/// What a child of nobody in particular prints.
fn run(mut command: Command) -> String {
    text(command.output().unwrap())
}

fn text(output: Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_child_talks_to_its_parent_until_one_is_gone() {
    let driver = UnixDriver::new().unwrap();
    let (mut child, transport) = driver.spawn(child("echo")).unwrap();
    let end = End::new(transport);
    end.activate();
    let file = File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).unwrap();
    end.send((0..100).map(numbered));
    end.send([Frame {
        attachments: vec![Attachment::Handle(OsHandle::from(file))],
        ..numbered(100)
    }]);
    let mut frames = receive(&*driver, &end, 101);
    assert!(frames.iter().map(number).eq(0..101));
    let Attachment::Handle(handle) = frames[100].attachments.remove(0) else { panic!("no handle") };
    let mut text = String::new();
    File::try_from(handle).unwrap().read_to_string(&mut text).unwrap();
    assert!(text.contains("ipcz-tests"));
    end.transport.deactivate();
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_killed_child_is_gone() {
    let driver = UnixDriver::new().unwrap();
    let (mut child, transport) = driver.spawn(child("echo")).unwrap();
    let end = End::new(transport);
    end.activate();
    end.send([numbered(1)]);
    receive(&*driver, &end, 1);
    child.kill().unwrap();
    pump_until(&*driver, "the close", || end.seen.closed().is_some());
    assert_eq!(end.seen.closed(), Some(TransportClosed::PeerGone));
    child.wait().unwrap();
}

#[test]
fn a_child_that_takes_nothing_is_gone_when_it_exits() {
    let driver = UnixDriver::new().unwrap();
    let mut command = child("descriptors");
    command.stdout(Stdio::null());
    let (mut child, transport) = driver.spawn(command).unwrap();
    let end = End::new(transport);
    end.activate();
    pump_until(&*driver, "the close", || end.seen.closed().is_some());
    child.wait().unwrap();
}

#[test]
fn a_child_inherits_one_descriptor() {
    let lines = |text: String| -> BTreeSet<String> { text.lines().map(String::from).collect() };
    let plain = lines(run(child("descriptors")));
    let ours = lines(spawned(child("descriptors")));
    assert!(ours.is_superset(&plain));
    assert_eq!(ours.difference(&plain).count(), 1);
}

#[test]
fn everything_is_close_on_exec_and_given_back() {
    let expected = "many: true\nclose-on-exec: true\nleaked: 0\npath removed: true\n";
    assert_eq!(run(child("audit")), expected);
}

#[test]
fn a_process_out_of_descriptors_loses_the_transport_and_no_more() {
    let told = run(child("crowd"));
    assert!(told.contains("closed: Some(Violation(\"descriptors were lost"), "{told}");
    assert!(told.ends_with("frames: 1\nleaked: 0\n"), "{told}");
}

#[test]
fn handles_are_handed_out_before_more_are_taken() {
    assert_eq!(run(child("flow")), "arrived: 60\n");
}

#[test]
fn the_connection_is_taken_once() {
    assert_eq!(spawned(child("take-twice")), "first: true\nsecond: AlreadyTaken\n");
}

#[test]
fn a_process_that_no_node_spawned_is_told_so() {
    assert!(run(child("take")).starts_with("NotSpawned: IPCZ_PARENT is not set"));
    let mut command = child("take");
    command.env(PARENT_VARIABLE, "7");
    assert!(run(command).starts_with("Malformed(\"7\"): "));
    // The runner of tests is no child of a node either.
    assert_eq!(from_parent().unwrap_err(), FromParentError::NotSpawned);
}

#[test]
fn a_grandchild_is_told_that_the_variable_is_not_for_it() {
    let told = spawned(child("grandchild-takes"));
    assert!(told.starts_with("NotOpen("), "{told}");
}

/// Runs the child by a shell that first does `before`.
fn by_shell(before: &str) -> Command {
    let mut command = Command::new("sh");
    let script = format!("{before} exec \"$0\" take");
    command.args(["-c", &script, env!("CARGO_BIN_EXE_driver-child")]);
    command
}

#[test]
fn another_descriptor_of_that_number_is_not_taken() {
    let told = run(by_shell("exec 7</dev/null; export IPCZ_PARENT=7:1:2;"));
    assert!(told.starts_with("NotASocket(7): "), "{told}");
    let told = spawned(by_shell("export IPCZ_PARENT=${IPCZ_PARENT%:*}:1;"));
    assert!(told.starts_with("OtherSocket("), "{told}");
    assert_eq!(spawned(by_shell("")), "taken\n");
}
