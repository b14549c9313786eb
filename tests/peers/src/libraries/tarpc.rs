//! tarpc over a Unix socket, in tasks of one thread, with bincode.

use std::os::fd::OwnedFd;

use futures_util::StreamExt;
use serde_bytes::ByteBuf;
use tarpc::context::{self, Context};
use tarpc::server::{BaseChannel, Channel};
use tarpc::tokio_serde::formats::Bincode;
use tarpc::tokio_util::codec::LengthDelimitedCodec;
use tarpc::{client, serde_transport};

use super::order;
use crate::bench::{Bench, Mode};
use crate::columns::Column;
use crate::flow;
use crate::meter::Sample;
use crate::tasks::{latency, outstanding, prepared, run, sockets, stream};
use crate::work::{BALL, LARGE, OUTSTANDING, Work, window};

#[tarpc::service]
trait Service {
    async fn ball(bytes: ByteBuf) -> ByteBuf;
    async fn add(a: u64, b: u64) -> u64;
    async fn echo32(bytes: [u8; 32]) -> [u8; 32];
    async fn sum(bytes: Vec<u8>) -> u64;
    async fn sum_bytes(bytes: ByteBuf) -> u64;
}

#[derive(Clone)]
struct Server;

impl Service for Server {
    async fn ball(self, _: Context, bytes: ByteBuf) -> ByteBuf {
        bytes
    }

    async fn add(self, _: Context, a: u64, b: u64) -> u64 {
        a.wrapping_add(b)
    }

    async fn echo32(self, _: Context, bytes: [u8; 32]) -> [u8; 32] {
        bytes
    }

    async fn sum(self, _: Context, bytes: Vec<u8>) -> u64 {
        flow::sum(&bytes)
    }

    async fn sum_bytes(self, _: Context, bytes: ByteBuf) -> u64 {
        flow::sum(&bytes)
    }
}

pub(super) fn serve(socket: OwnedFd) {
    run(async {
        let frames = LengthDelimitedCodec::builder().new_framed(stream(socket));
        let transport = serde_transport::new(frames, Bincode::default());
        // In the task that reads: none of the functions waits for anything.
        let calls = BaseChannel::with_defaults(transport).execute(Server.serve());
        calls.for_each_concurrent(None, |call| call).await;
    });
}

pub(super) fn measure(bench: &Bench, work: Work) -> Sample {
    let (near, far) = sockets();
    order(bench, Column::Tarpc, work, "", Some(far));
    let sample = run(async {
        let frames = LengthDelimitedCodec::builder().new_framed(stream(near));
        let transport = serde_transport::new(frames, Bincode::default());
        let client = ServiceClient::new(client::Config::default(), transport).spawn();
        rows(bench, work, &client).await
    });
    bench.library(Column::Tarpc).done();
    sample
}

async fn rows(bench: &Bench, work: Work, client: &ServiceClient) -> Sample {
    let add = async || {
        assert_eq!(client.add(context::current(), 3, 4).await.expect("a sum"), 7);
    };
    let sum = async |bytes: ByteBuf| {
        std::hint::black_box(client.sum_bytes(context::current(), bytes).await.expect("a sum"));
    };
    match work {
        Work::Add => latency(bench, Mode::Hot, add).await,
        Work::Echo32 => {
            latency(bench, Mode::Hot, async || {
                let echo = client.echo32(context::current(), [5; 32]).await;
                assert_eq!(echo.expect("an echo"), [5; 32]);
            })
            .await
        }
        Work::Outstanding => outstanding(bench, OUTSTANDING, add).await,
        Work::Stream { size } => {
            let message = vec![7; size];
            let copied = || sum(ByteBuf::from(message.as_slice()));
            outstanding(bench, window(size) as usize, copied).await
        }
        Work::Vector => {
            let sum = async |bytes: Vec<u8>| {
                let sum = client.sum(context::current(), bytes).await;
                std::hint::black_box(sum.expect("a sum"));
            };
            prepared(bench, || vec![1; LARGE], sum).await
        }
        Work::Bytes => prepared(bench, || ByteBuf::from([1].repeat(LARGE)), sum).await,
        _ => {
            let mut ball = ByteBuf::from([7; BALL]);
            latency(bench, work.mode(), async || {
                let sent = std::mem::take(&mut ball);
                ball = client.ball(context::current(), sent).await.expect("an answer");
            })
            .await
        }
    }
}
