//! remoc over a Unix socket, in tasks of one thread, with its slim codec.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use remoc::codec::PostbagSlim;
use remoc::rch::{base, bin, mpsc};
use remoc::rtc::{CallError, ServerShared};
use remoc::{Cfg, Connect, RemoteSend, rtc};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::order;
use crate::bench::{Bench, Mode};
use crate::columns::Column;
use crate::flow;
use crate::meter::Sample;
use crate::tasks::{latency, outstanding, prepared, run, sockets, stream};
use crate::work::{BALL, LARGE, MIB, OUTSTANDING, Work};

#[rtc::remote]
trait Service {
    async fn add(&self, a: u64, b: u64) -> Result<u64, CallError>;
    async fn echo32(&self, bytes: [u8; 32]) -> Result<[u8; 32], CallError>;
    async fn sum(&self, bytes: Vec<u8>) -> Result<u64, CallError>;
    async fn sum_bytes(&self, bytes: ByteBuf) -> Result<u64, CallError>;
}

struct Server;

impl Service for Server {
    async fn add(&self, a: u64, b: u64) -> Result<u64, CallError> {
        Ok(a.wrapping_add(b))
    }

    async fn echo32(&self, bytes: [u8; 32]) -> Result<[u8; 32], CallError> {
        Ok(bytes)
    }

    async fn sum(&self, bytes: Vec<u8>) -> Result<u64, CallError> {
        Ok(flow::sum(&bytes))
    }

    async fn sum_bytes(&self, bytes: ByteBuf) -> Result<u64, CallError> {
        Ok(flow::sum(&bytes))
    }
}

type Client = ServiceClient<PostbagSlim>;

/// What the side that measures says.
#[derive(Serialize, Deserialize)]
enum There {
    /// Raw bytes will come and go.
    Raw { forth: bin::Receiver, back: bin::Sender },
    /// An endpoint that is sent away.
    Endpoint(mpsc::Sender<u64, PostbagSlim>),
}

/// What the side that serves says.
#[derive(Serialize, Deserialize)]
enum Back {
    Client(Client),
    Credits(u64),
}

/// Room for what is under way at any time, and for a message of a mebibyte.
fn configuration() -> Cfg {
    let mut configuration = Cfg::default();
    configuration.max_data_size = 4 * MIB;
    configuration.port_receive_buffer = 4 * MIB as u32;
    configuration
}

async fn connect<Tx: RemoteSend, Rx: RemoteSend>(
    socket: OwnedFd,
) -> (base::Sender<Tx, PostbagSlim>, base::Receiver<Rx, PostbagSlim>) {
    let (reader, writer) = stream(socket).into_split();
    let connected = Connect::io(configuration(), reader, writer).await;
    let (connection, sender, receiver) = connected.expect("a connection");
    tokio::spawn(connection);
    (sender, receiver)
}

pub(super) fn serve(work: Work, socket: OwnedFd) {
    run(async {
        let (mut sender, mut receiver) = connect::<Back, There>(socket).await;
        let (server, client) = ServiceServerShared::<_, PostbagSlim>::new(Arc::new(Server));
        assert!(sender.send(Back::Client(client)).await.is_ok(), "nobody to serve");
        tokio::spawn(server.serve());
        let mut taken = 0;
        while let Ok(Some(message)) = receiver.recv().await {
            match message {
                There::Raw { forth, back } if matches!(work, Work::Stream { .. }) => {
                    sink(forth, back).await;
                }
                There::Raw { forth, back } => echo(forth, back).await,
                There::Endpoint(_) => taken += 1,
            }
            let is_last = taken == OUTSTANDING as u64 / 4;
            if is_last && sender.send(Back::Credits(taken)).await.is_err() {
                break;
            }
            taken = if is_last { 0 } else { taken };
        }
    });
}

/// Sends back what comes.
async fn echo(mut forth: bin::Receiver, mut back: bin::Sender) {
    let forth = forth.get().await.expect("a connection");
    let back = back.get().await.expect("a connection");
    while let Ok(Some(ball)) = forth.recv().await {
        if back.send(Bytes::from(ball)).await.is_err() {
            break;
        }
    }
}

/// Reads what comes, and answers what is shorter than a message.
async fn sink(mut forth: bin::Receiver, mut back: bin::Sender) {
    let forth = forth.get().await.expect("a connection");
    let back = back.get().await.expect("a connection");
    while let Ok(Some(mut message)) = forth.recv().await {
        if message.remaining() < BALL {
            if back.send(Bytes::from_static(b"all")).await.is_err() {
                break;
            }
        }
        // In pieces, as it came.
        while message.has_remaining() {
            let piece = message.chunk();
            std::hint::black_box(flow::sum(piece));
            let num_bytes = piece.len();
            message.advance(num_bytes);
        }
    }
}

pub(super) fn measure(bench: &Bench, work: Work) -> Sample {
    let (near, far) = sockets();
    order(bench, Column::Remoc, work, "", Some(far));
    let sample = run(async {
        let (sender, mut receiver) = connect::<There, Back>(near).await;
        let Ok(Some(Back::Client(client))) = receiver.recv().await else { panic!("no client") };
        match work {
            Work::RoundTrip | Work::Asleep | Work::Stream { .. } => raw(bench, work, sender).await,
            Work::Endpoints => endpoints(bench, sender, receiver).await,
            _ => calls(bench, work, &client).await,
        }
    });
    bench.library(Column::Remoc).done();
    sample
}

async fn raw(bench: &Bench, work: Work, mut sender: base::Sender<There, PostbagSlim>) -> Sample {
    let ((mut forth, there), (back, mut here)) = (bin::channel(), bin::channel());
    let message = There::Raw { forth: there, back };
    assert!(sender.send(message).await.is_ok(), "nobody there");
    let forth = forth.get().await.expect("a connection");
    let here = here.get().await.expect("a connection");
    let Work::Stream { size } = work else {
        let mut ball = Bytes::from_static(&[7; BALL]);
        return latency(bench, work.mode(), async || {
            forth.send(std::mem::take(&mut ball)).await.expect("a receiver");
            ball = here.recv().await.expect("a sender").expect("an answer").into();
        })
        .await;
    };
    let message = Bytes::from(vec![7; size]);
    let mut run = async |time: Duration| {
        let (start, mut count) = (Instant::now(), 0_u64);
        let rarely = if size > BALL { 1 } else { 64 };
        while !count.is_multiple_of(rarely) || start.elapsed() < time {
            forth.send(message.clone()).await.expect("a receiver");
            count += 1;
        }
        forth.send(Bytes::from_static(b"all?")).await.expect("a receiver");
        here.recv().await.expect("a sender").expect("an answer");
        count
    };
    let slice = bench.plan.slice(Mode::Hot);
    run(slice / 10).await;
    let start = Instant::now();
    let count = run(slice).await;
    Sample::rate(count, start.elapsed())
}

async fn endpoints(
    bench: &Bench,
    mut sender: base::Sender<There, PostbagSlim>,
    mut receiver: base::Receiver<Back, PostbagSlim>,
) -> Sample {
    let mut kept = VecDeque::new();
    let mut credits = OUTSTANDING as u64;
    let mut run = async |time: Duration| {
        let (start, mut count) = (Instant::now(), 0_u64);
        while start.elapsed() < time {
            while credits == 0 {
                match receiver.recv().await {
                    Ok(Some(Back::Credits(more))) => credits += more,
                    _ => panic!("no credits"),
                }
            }
            let (far, near) = mpsc::channel();
            assert!(sender.send(There::Endpoint(far)).await.is_ok(), "nobody there");
            kept.push_back(near);
            if kept.len() > OUTSTANDING {
                kept.pop_front();
            }
            credits -= 1;
            count += 1;
        }
        count
    };
    let slice = bench.plan.slice(Mode::Hot);
    run(slice / 10).await;
    let start = Instant::now();
    let count = run(slice).await;
    Sample::rate(count, start.elapsed())
}

async fn calls(bench: &Bench, work: Work, client: &Client) -> Sample {
    let add = async || assert_eq!(client.add(3, 4).await.expect("a sum"), 7);
    match work {
        Work::Add => latency(bench, Mode::Hot, add).await,
        Work::Echo32 => {
            latency(bench, Mode::Hot, async || {
                assert_eq!(client.echo32([5; 32]).await.expect("an echo"), [5; 32]);
            })
            .await
        }
        Work::Outstanding => outstanding(bench, OUTSTANDING, add).await,
        Work::Vector => {
            let sum = async |bytes: Vec<u8>| {
                std::hint::black_box(client.sum(bytes).await.expect("a sum"));
            };
            prepared(bench, || vec![1; LARGE], sum).await
        }
        _ => {
            let sum = async |bytes: ByteBuf| {
                std::hint::black_box(client.sum_bytes(bytes).await.expect("a sum"));
            };
            prepared(bench, || ByteBuf::from([1].repeat(LARGE)), sum).await
        }
    }
}
