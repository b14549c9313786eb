//! Paths in the file system.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::thread;

use ipcz::driver::unix::{Credentials, UnixDriver};
use rustix::event::{PollFd, PollFlags, poll};

use crate::harness::{End, number, numbered, receive};

/// A folder of its own for one test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let name = format!("ipcz-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Folder(path)
    }

    fn path(&self) -> PathBuf {
        self.0.join("node")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn me() -> Credentials {
    Credentials {
        pid: Some(std::process::id()),
        uid: rustix::process::geteuid().as_raw(),
        gid: rustix::process::getegid().as_raw(),
    }
}

/// The error names the path.
fn refused<T>(result: io::Result<T>, path: &Path) -> io::Error {
    let error = result.err().expect("not refused");
    let text = error.to_string();
    assert!(text.contains(&path.display().to_string()), "{text}");
    error
}

#[test]
fn both_sides_learn_who_the_other_is() {
    let folder = Folder::new("who");
    let driver = UnixDriver::new().unwrap();
    let listener = driver.listen(folder.path()).unwrap();
    assert_eq!(listener.path(), folder.path());
    let (connected, listening) = driver.connect(folder.path()).unwrap();
    let (accepted, connecting) = listener.accept().unwrap();
    assert_eq!((listening, connecting), (me(), me()));
    let (a, b) = (End::new(connected), End::new(accepted));
    a.activate();
    b.activate();
    a.send([numbered(1)]);
    assert_eq!(number(&receive(&*driver, &b, 1)[0]), 1);
    b.send([numbered(2)]);
    assert_eq!(number(&receive(&*driver, &a, 1)[0]), 2);
}

#[test]
fn connections_can_be_polled_and_waited_for() {
    let folder = Folder::new("poll");
    let driver = UnixDriver::new().unwrap();
    let listener = driver.listen(folder.path()).unwrap();
    assert!(listener.try_accept().unwrap().is_none());
    let _one = driver.connect(folder.path()).unwrap();
    let fd = listener.as_fd();
    assert_eq!(poll(&mut [PollFd::new(&fd, PollFlags::IN)], None), Ok(1));
    assert!(listener.try_accept().unwrap().is_some());
    assert!(listener.try_accept().unwrap().is_none());
    thread::scope(|scope| {
        let waiter = scope.spawn(|| listener.accept().unwrap().1);
        let _two = driver.connect(folder.path()).unwrap();
        assert_eq!(waiter.join().unwrap(), me());
    });
}

#[test]
fn a_socket_that_nobody_listens_at_is_replaced() {
    let folder = Folder::new("stale");
    let path = folder.path();
    let driver = UnixDriver::new().unwrap();
    // The standard library leaves its socket behind, as a killed process does.
    drop(UnixListener::bind(&path).unwrap());
    let error = refused(driver.connect(&path), &path);
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    let listener = driver.listen(&path).unwrap();
    driver.connect(&path).unwrap();
    listener.accept().unwrap();
    drop(listener);
    assert!(!path.exists());
}

#[test]
fn what_is_in_use_is_not_replaced() {
    let folder = Folder::new("used");
    let path = folder.path();
    let driver = UnixDriver::new().unwrap();
    let listener = driver.listen(&path).unwrap();
    let error = refused(driver.listen(&path), &path);
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    driver.connect(&path).unwrap();

    // It is not removed if it is another by now.
    fs::remove_file(&path).unwrap();
    fs::write(&path, "precious").unwrap();
    drop(listener);
    let error = refused(driver.listen(&path), &path);
    assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(fs::read(&path).unwrap(), b"precious");
}

#[test]
fn impossible_paths_are_refused() {
    let folder = Folder::new("paths");
    let driver = UnixDriver::new().unwrap();
    let path = folder.0.join("no/such/folder");
    let error = refused(driver.listen(&path), &path);
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
    let error = refused(driver.connect(&path), &path);
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
    let path = folder.0.join("x".repeat(200));
    let error = refused(driver.listen(&path), &path);
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    refused(driver.connect(&path), &path);
}
