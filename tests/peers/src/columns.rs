//! What is compared: the libraries, and the ways of using them.

use serde::{Deserialize, Serialize};

use crate::work::Work;

/// A library, used in one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Column {
    Ipcz,
    IpcChannelBytes,
    IpcChannelSerde,
    Iceoryx2Event,
    Iceoryx2Busy,
    Tarpc,
    Remoc,
    Capnp,
}

/// What was resolved, so that no version is written down twice.
const LOCK: &str = include_str!("../Cargo.lock");

impl Column {
    pub(crate) const ALL: [Self; 8] = [
        Self::Ipcz,
        Self::IpcChannelBytes,
        Self::IpcChannelSerde,
        Self::Iceoryx2Event,
        Self::Iceoryx2Busy,
        Self::Tarpc,
        Self::Remoc,
        Self::Capnp,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ipcz => "ipcz",
            Self::IpcChannelBytes => "ipc-channel bytes",
            Self::IpcChannelSerde => "ipc-channel serde",
            Self::Iceoryx2Event => "iceoryx2 event",
            Self::Iceoryx2Busy => "iceoryx2 busy",
            Self::Tarpc => "tarpc",
            Self::Remoc => "remoc",
            Self::Capnp => "capnp-rpc",
        }
    }

    fn package(self) -> &'static str {
        self.name().split(' ').next().unwrap_or_default()
    }

    /// Of the library.
    pub(crate) fn version(self) -> &'static str {
        let entry = format!("name = \"{}\"\nversion = \"", self.package());
        let version = LOCK.split_once(&entry).and_then(|(_, rest)| rest.split('"').next());
        version.unwrap_or("unknown")
    }

    /// The libraries of some columns, each once.
    pub(crate) fn versions(columns: &[Self]) -> String {
        let mut names: Vec<_> = columns
            .iter()
            .map(|column| format!("{} {}", column.package(), column.version()))
            .collect();
        names.dedup();
        names.join(", ")
    }

    /// Why there is no figure, if there is none.
    pub(crate) fn cannot(self, work: Work) -> Option<&'static str> {
        Some(match (self, work) {
            (Self::IpcChannelBytes, Work::Add | Work::Echo32 | Work::Outstanding) => {
                "bytes only, no calls"
            }
            (Self::IpcChannelBytes, Work::Vector) => "bytes only: the row below",
            (Self::IpcChannelBytes, Work::Endpoints) => {
                "messages of bytes carry no endpoints; typed ones do"
            }
            (Self::Iceoryx2Event | Self::Iceoryx2Busy, Work::Endpoints) => {
                "endpoints are found by their service's name, not sent"
            }
            (Self::Iceoryx2Event | Self::Iceoryx2Busy, Work::Vector) => {
                "no heap-owning types in shared memory: the row below"
            }
            (Self::Tarpc, Work::Stream { size: 64 }) => "no messages one way, only calls",
            (Self::Tarpc, Work::Endpoints) => "a client is made of a transport, and cannot be sent",
            _ => return None,
        })
    }

    /// What a figure is of, if that is not what the row says.
    pub(crate) fn remark(self, work: Work) -> Option<&'static str> {
        Some(match (self, work) {
            (Self::IpcChannelSerde, Work::Add | Work::Echo32 | Work::Outstanding) => {
                "no calls of its own: an enum of requests and one of answers, over two channels"
            }
            (Self::IpcChannelSerde, Work::Vector) => {
                "the same; serde takes the vector element by element"
            }
            (Self::IpcChannelSerde, Work::Bytes) => "the same with `IpcSharedMemory`",
            (Self::IpcChannelSerde, Work::Stream { size }) if size > 64 => "`IpcSharedMemory`",
            (Self::IpcChannelBytes, Work::Bytes) => {
                "a message of 1 MiB, answered by one of 8 bytes"
            }
            (
                Self::Iceoryx2Event | Self::Iceoryx2Busy,
                Work::Add | Work::Echo32 | Work::Outstanding | Work::Bytes,
            ) => "its request and response, one service for each function",
            (Self::Tarpc | Self::Capnp, Work::RoundTrip | Work::Asleep) => {
                "no messages of its own: a call that takes 64 bytes and gives them back"
            }
            (Self::Tarpc, Work::Stream { .. }) => "calls, each answered, 4 outstanding",
            (Self::Capnp, Work::Stream { size: 64 }) => "a streaming method",
            (Self::Capnp, Work::Stream { .. }) => "calls, each answered, 4 outstanding",
            (Self::Tarpc, Work::Vector) => "serde takes the vector element by element",
            (Self::Remoc, Work::Vector) => "serde takes the vector element by element",
            (Self::Tarpc | Self::Remoc, Work::Bytes) => "`serde_bytes::ByteBuf`",
            (Self::Remoc, Work::Stream { .. }) => "a channel of bytes with its own flow control",
            _ => return None,
        })
    }
}
