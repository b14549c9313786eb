//! The process at the other side, seen from the one that measures, and the socket between them:
//! none of the libraries that are measured.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, Stdio};

use ipcz::OsHandle;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};

use crate::order::Order;
use crate::placement::Placement;
use crate::worker;

/// Longer than any order.
const LONGEST: usize = 4096;
/// More descriptors than any order comes with.
const MOST: usize = 4;

/// A worker. It does one thing at a time.
pub(crate) struct Peer {
    control: OwnedFd,
    pub(crate) placement: Placement,
    process: Child,
}

impl Peer {
    /// Runs a worker on the CPU that is meant for it.
    pub(crate) fn spawn(placement: Placement) -> Self {
        let kind = SocketType::SEQPACKET;
        let pair = socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None);
        let (control, far) = pair.expect("a pair of sockets");
        let program = std::env::current_exe().expect("this program has a path");
        let mut command = Command::new(program);
        command.arg(worker::ROLE).args(placement.there.map(|cpu| cpu.to_string()));
        let process = command.stdin(Stdio::from(far)).spawn().expect("a worker");
        Self { control, placement, process }
    }

    /// Has the worker begin something.
    pub(crate) fn order(&self, order: &Order, descriptors: &[OwnedFd]) {
        let text = serde_json::to_vec(order).expect("an order in words");
        let borrowed: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !borrowed.is_empty() {
            assert!(ancillary.push(SendAncillaryMessage::ScmRights(&borrowed)), "too many");
        }
        sendmsg(&self.control, &[IoSlice::new(&text)], &mut ancillary, SendFlags::empty())
            .expect("a worker that listens");
    }

    /// The same as the anchors want it.
    pub(crate) fn descriptors(&self, order: Order, handles: Vec<OsHandle>) {
        let taken = handles.into_iter().map(|handle| handle.into_fd().expect("a handle"));
        self.order(&order, &taken.collect::<Vec<_>>());
    }

    /// Waits until the worker is done with its order.
    pub(crate) fn done(&self) {
        let mut answer = [0; worker::DONE.len()];
        let read = rustix::io::retry_on_intr(|| rustix::io::read(&self.control, &mut answer));
        assert_eq!(read, Ok(answer.len()), "the worker is gone");
        assert_eq!(&answer, worker::DONE);
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The worker's side: the next order, or none if there is nobody left to give one.
pub(crate) fn next(control: impl AsFd) -> Option<(Order, Vec<OwnedFd>)> {
    let mut text = [0; LONGEST];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = rustix::io::retry_on_intr(|| {
        let buffers = &mut [IoSliceMut::new(&mut text)];
        recvmsg(&control, buffers, &mut ancillary, RecvFlags::CMSG_CLOEXEC)
    });
    let num_bytes = received.ok()?.bytes;
    if num_bytes == 0 {
        return None;
    }
    let mut descriptors = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    Some((serde_json::from_slice(&text[..num_bytes]).expect("an order"), descriptors))
}
