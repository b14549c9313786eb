//! What the three processes say to each other.

use ipcz::OsHandle;
use serde::{Deserialize, Serialize};

/// What is in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Counts {
    pub(crate) lines: u64,
    pub(crate) words: u64,
    pub(crate) bytes: u64,
    pub(crate) sha256: [u8; 32],
}

/// Why B could not do what it was asked to, in words.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum CountError {
    /// The file is to blame.
    Unreadable(String),
    /// Something else is.
    Other(String),
}

impl std::fmt::Display for CountError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unreadable(why) => write!(f, "B could not read: {why}"),
            Self::Other(why) => write!(f, "B could not go on: {why}"),
        }
    }
}

impl std::error::Error for CountError {}

/// Where a process stands in the network, as it reports itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Position {
    /// The process's own node.
    pub(crate) name: String,
    /// The nodes it is linked to, and how many routes pass over each of these links.
    pub(crate) peers: Vec<(String, u64)>,
    /// The routers that only pass on what comes.
    pub(crate) proxies: u64,
    /// The node at the other end of its link for progress, where it holds that end.
    pub(crate) progress_leads_to: Option<String>,
}

/// How long it takes a message to go there and back, in nanoseconds.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct RoundTrips {
    pub(crate) typed_ns: u64,
    pub(crate) socketpair_ns: u64,
}

/// How a process learned that another was lost.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Loss {
    pub(crate) reason: String,
    /// When, by [`crate::clock`].
    pub(crate) at: u64,
}

/// B: counts what is in a file.
#[ipcz::interface(name = "tour.Counter")]
pub(crate) trait Counter {
    /// Counts what is in `file`. `progress` is an endpoint: it is called directly, wherever it is.
    async fn count(&self, file: OsHandle, progress: ProgressProxy) -> Result<Counts, CountError>;
    /// Times calls to the endpoint that the last count reported to, and a socket that leads to the
    /// same process.
    async fn compare(&self, socket: OsHandle) -> Result<RoundTrips, CountError>;
    /// Where B stands.
    async fn position(&self) -> Position;
}

/// Where progress is reported to.
#[ipcz::interface(name = "tour.Progress")]
pub(crate) trait Progress {
    /// So many bytes are done, of so many, where that is known.
    #[oneway]
    fn update(&self, done: u64, total: Option<u64>);
    /// All is done. The answer comes when everything is drawn.
    async fn finish(&self, done: u64);
    /// Gives back what it got.
    async fn echo(&self, number: u64) -> u64;
}

/// C: draws progress.
#[ipcz::interface(name = "tour.Painter")]
pub(crate) trait Painter {
    /// An endpoint to report progress to.
    async fn open(&self) -> ProgressProxy;
    /// Sends back whatever comes over a socket.
    #[oneway]
    fn echo_over(&self, socket: OsHandle);
    /// Where C stands.
    async fn position(&self) -> Position;
    /// How C learned that whoever reported progress was lost: waits until that is so.
    async fn loss(&self) -> Option<Loss>;
}

impl Position {
    /// Where `node` stands, and where `progress` leads.
    pub(crate) fn of(node: &ipcz::Node, progress: Option<&ipcz::Portal>) -> Self {
        let topology = node.topology();
        Self {
            name: topology.name.to_string(),
            peers: topology
                .peers
                .iter()
                .map(|peer| (peer.name.to_string(), peer.links as u64))
                .collect(),
            proxies: topology.proxies as u64,
            progress_leads_to: progress.and_then(|portal| match portal.route() {
                ipcz::Route::Remote(node) => Some(node.to_string()),
                _ => None,
            }),
        }
    }
}

impl Position {
    /// How many routes pass over this node's link to the node of that name.
    pub(crate) fn routes_to(&self, name: &str) -> u64 {
        self.peers.iter().find(|(peer, _)| peer == name).map_or(0, |(_, routes)| *routes)
    }
}
