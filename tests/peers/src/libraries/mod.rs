//! The libraries: each with both sides of its rows, the side that measures and the one that serves.

mod capnp;
mod iceoryx;
mod ipc_channel;
mod ipcz;
mod remoc;
mod tarpc;

use crate::bench::Bench;
use crate::columns::Column;
use crate::meter::Sample;
use crate::order::Handles;
use crate::placement::Pin;
use crate::work::Work;

/// One repetition of a row, of which the library is capable.
pub(crate) fn measure(column: Column, work: Work, bench: &Bench) -> Sample {
    match column {
        Column::Ipcz => ipcz::measure(bench, work),
        Column::IpcChannelBytes => ipc_channel::bytes::measure(bench, work),
        Column::IpcChannelSerde => ipc_channel::typed::measure(bench, work),
        Column::Iceoryx2Event | Column::Iceoryx2Busy => iceoryx::measure(bench, column, work),
        Column::Tarpc => tarpc::measure(bench, work),
        Column::Remoc => remoc::measure(bench, work),
        Column::Capnp => capnp::measure(bench, work),
    }
}

/// The other side, until the side that measures is done.
pub(crate) fn serve(column: Column, work: Work, pin: Pin, name: &str, handles: &mut Handles) {
    match column {
        Column::Ipcz => ipcz::serve(work, name),
        Column::IpcChannelBytes => ipc_channel::bytes::serve(work, name),
        Column::IpcChannelSerde => ipc_channel::typed::serve(work, name),
        Column::Iceoryx2Event | Column::Iceoryx2Busy => iceoryx::serve(column, work, pin, name),
        Column::Tarpc => tarpc::serve(handles.fd()),
        Column::Remoc => remoc::serve(work, handles.fd()),
        Column::Capnp => capnp::serve(handles.fd()),
    }
}

/// Has the other side begin its part of a row.
fn order(
    bench: &Bench,
    column: Column,
    work: Work,
    name: &str,
    socket: Option<std::os::fd::OwnedFd>,
) {
    let pin = bench.plan.placement.pin;
    let order = crate::order::Order::Serve { column, work, pin, name: name.to_owned() };
    bench.library(column).order(&order, socket.as_slice());
}
