//! Every way to put and to get, and a servant that lives of traps.

use std::io::{Read, Write};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use ipcz::{
    Conditions, Handle, Node, Object, OsHandle, Parcel, ParcelSize, Portal, RecvWithinError,
    TryRecvError,
};

use super::network::PATIENCE;
use super::order::{Getting, Putting};

type Done<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// A pipe from which a number can be read.
fn pipe(number: u64) -> std::io::Result<Handle> {
    let (reader, mut writer) = std::io::pipe()?;
    writer.write_all(&number.to_le_bytes())?;
    Ok(Handle::from(OsHandle::from(reader)))
}

/// A parcel with memory and a pipe that say its number, too.
pub(super) fn loaded(node: &Node, number: u64) -> Done<Parcel> {
    let bytes = number.to_le_bytes();
    let memory = node.allocate_memory(8192).wait_timeout(PATIENCE)?;
    memory.map()?.copy_in(8192 - bytes.len(), &bytes)?;
    Ok(Parcel::with_handles(bytes, vec![Handle::from(memory), pipe(number)?]))
}

/// An object that is a number, or a parcel of that number with a pipe once it has left.
fn object(number: u64) -> Handle {
    let serialize =
        |number: u64| Some(Parcel::with_handles(number.to_le_bytes(), vec![pipe(number).ok()?]));
    Handle::from(Object::with_serializer(number, serialize))
}

/// Puts two parcels.
pub(super) fn put(node: &Node, portal: &Portal, number: u64, way: Putting) -> Done {
    let next = (number + 1).to_le_bytes();
    match way {
        Putting::TwoPhases => {
            let (mut first, mut second) = (portal.begin_put(8)?, portal.begin_put(4096)?);
            let mut third = portal.begin_put(8)?;
            third.copy_from_slice(b"given up");
            second[..8].copy_from_slice(&number.to_le_bytes());
            first.copy_from_slice(&next);
            second.truncate(8);
            second.commit_with(vec![pipe(number)?])?;
            drop(third);
            first.commit()?;
        }
        Putting::Objects => {
            portal.put(Parcel::with_handles(number.to_le_bytes(), vec![object(number)]))?;
            portal.put(&next)?;
        }
        Putting::Nested => {
            let inner = loaded(node, number)?;
            let outer =
                Parcel::with_handles(number.to_le_bytes(), vec![pipe(number)?, inner.into()]);
            portal.put(Parcel::with_handles(
                number.to_le_bytes(),
                vec![outer.into(), pipe(number)?],
            ))?;
            let inner = Parcel::with_handles(next, vec![object(number + 1)]);
            portal.put(Parcel::with_handles(next, vec![inner.into()]))?;
        }
    }
    Ok(())
}

/// Takes two parcels and checks what they are.
pub(super) fn get(portal: &mut Portal, number: u64, way: Getting) -> Done {
    if let Getting::Overlapped = way {
        let first = portal.recv_timeout(PATIENCE)?;
        let second = portal.recv_timeout(PATIENCE)?;
        check_all(second, number + 1)?;
        return check_all(first, number);
    }
    for number in [number, number + 1] {
        wait(portal)?;
        let parcel = get_one(portal, way)?;
        check_all(parcel, number)?;
    }
    Ok(())
}

/// Takes the next parcel, which is there.
fn get_one(portal: &mut Portal, way: Getting) -> Done<Parcel> {
    match way {
        Getting::Within => {
            let Err(RecvWithinError::TooSmall(size)) = portal.try_recv_within(7, usize::MAX) else {
                return Err("a parcel of eight bytes was taken for one of seven".into());
            };
            let ParcelSize { num_bytes, num_handles } = size;
            Ok(portal.try_recv_within(num_bytes, num_handles)?)
        }
        Getting::InParts => {
            let mut buffer = [0; 3];
            let part = portal.try_recv_into(&mut buffer, 1)?;
            let (bytes, handles) = part.rest.ok_or("there is no rest")?.into_parts();
            let handles = part.handles.into_iter().chain(handles).collect();
            Ok(Parcel::with_handles([&buffer[..], &bytes].concat(), handles))
        }
        Getting::TwoPhases => {
            let lent = portal.begin_get()?;
            let bytes = lent.to_vec();
            let parcel = lent.commit()?;
            let same = parcel.bytes() == bytes;
            same.then_some(parcel).ok_or_else(|| "another parcel was taken".into())
        }
        Getting::GivenUp => {
            let bytes = portal.begin_get()?.to_vec();
            let parcel = portal.try_recv()?;
            let same = parcel.bytes() == bytes;
            same.then_some(parcel).ok_or_else(|| "another parcel was left".into())
        }
        Getting::Overlapped => Ok(portal.recv_timeout(PATIENCE)?),
    }
}

/// Waits for a parcel, as traps tell of it.
fn wait(portal: &Portal) -> Done {
    let (tell, told) = channel();
    let conditions = Conditions { above_parcels: Some(0), dead: true, ..Conditions::default() };
    let status = match portal.trap(conditions, move |event| {
        let _ = tell.send(event.status);
    }) {
        Ok(()) => told.recv_timeout(PATIENCE)?,
        Err(satisfied) => satisfied.0.status,
    };
    if status.num_parcels == 0 { Err(format!("nothing comes: {status:?}").into()) } else { Ok(()) }
}

/// Puts back whatever comes. Says how many parcels that were once the route is over.
pub(super) fn serve(portal: Portal) -> Receiver<u64> {
    let (tell, told) = channel();
    Arc::new(Servant { portal, count: Mutex::new(0), tell }).work();
    told
}

struct Servant {
    portal: Portal,
    count: Mutex<u64>,
    tell: Sender<u64>,
}

impl Servant {
    /// Puts back what is there, and sets the next trap: after the first time within a callback.
    fn work(self: Arc<Self>) {
        loop {
            match self.portal.try_recv() {
                Ok(parcel) => {
                    *self.count.lock().expect("no callback panics") += 1;
                    // Whoever put it may be gone by now.
                    drop(self.portal.put(parcel));
                    continue;
                }
                Err(TryRecvError::Disconnected(_)) => {
                    let count = *self.count.lock().expect("no callback panics");
                    // Unless nobody asks any more.
                    let _ = self.tell.send(count);
                    return;
                }
                Err(TryRecvError::Empty) => {}
            }
            let again = Arc::clone(&self);
            let conditions =
                Conditions { above_parcels: Some(0), dead: true, ..Conditions::default() };
            let armed = self.portal.trap(conditions, move |event| {
                if !event.flags.removed {
                    again.work();
                }
            });
            if armed.is_ok() {
                return;
            }
        }
    }
}

/// The bytes of a parcel are its number.
pub(super) fn check(parcel: &Parcel, number: u64) -> Result<(), String> {
    let bytes = parcel.bytes();
    match bytes.try_into().map(u64::from_le_bytes) {
        Ok(found) if found == number => Ok(()),
        Ok(found) => Err(format!("number {found} instead of {number}")),
        Err(_) => Err(format!("{bytes:?} instead of number {number}")),
    }
}

fn check_all(parcel: Parcel, number: u64) -> Done {
    check(&parcel, number)?;
    check_load(parcel, number)
}

/// What is in a parcel besides its number says the same number.
pub(super) fn check_load(parcel: Parcel, number: u64) -> Done {
    for handle in parcel.into_parts().1 {
        let mut found = [0; 8];
        match handle {
            Handle::Memory(memory) => memory.map()?.copy_out(memory.len() - 8, &mut found)?,
            Handle::Os(pipe) => std::io::PipeReader::try_from(pipe)?.read_exact(&mut found)?,
            Handle::Parcel(inner) => {
                check_all(*inner, number)?;
                continue;
            }
            Handle::Object(object) => match object.downcast::<u64>() {
                Ok(value) => found = value.to_le_bytes(),
                Err(other) => return Err(format!("{other:?} with number {number}").into()),
            },
            other => return Err(format!("{other:?} with number {number}").into()),
        }
        if u64::from_le_bytes(found) != number {
            return Err(format!("{found:?} with number {number}").into());
        }
    }
    Ok(())
}
