//! capnp-rpc over a Unix socket, in tasks of one thread.
//!
//! `peers_capnp.rs` was made of `schema/peers.capnp` by capnp 0.9.2 and capnpc 0.27.0:
//! `capnp compile -I/usr/include -o capnpc-rust:../src/libraries peers.capnp` in `schema`, with
//! `capnpc-rust` of `cargo install capnpc` (Debian: `capnproto` and `libcapnp-dev`).

use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

use capnp::capability::Promise;
use capnp_rpc::rpc_twoparty_capnp::Side;
use capnp_rpc::{RpcSystem, new_client, twoparty};
use futures_util::io::{BufReader, BufWriter};
use tokio_util::compat::{TokioAsyncReadCompatExt, TokioAsyncWriteCompatExt};

use super::order;
use crate::bench::{Bench, Mode};
use crate::columns::Column;
use crate::flow;
use crate::meter::Sample;
use crate::peers_capnp::{endpoint, service};
use crate::tasks::{latency, outstanding, run, sockets, stream};
use crate::work::{BALL, LARGE, OUTSTANDING, Work, window};

struct Server;

impl service::Server for Server {
    async fn ball(
        self: Rc<Self>,
        parameters: service::BallParams,
        mut results: service::BallResults,
    ) -> Result<(), capnp::Error> {
        results.get().set_bytes(parameters.get()?.get_bytes()?);
        Ok(())
    }

    async fn add(
        self: Rc<Self>,
        parameters: service::AddParams,
        mut results: service::AddResults,
    ) -> Result<(), capnp::Error> {
        let parameters = parameters.get()?;
        results.get().set_sum(parameters.get_a().wrapping_add(parameters.get_b()));
        Ok(())
    }

    async fn echo32(
        self: Rc<Self>,
        parameters: service::Echo32Params,
        mut results: service::Echo32Results,
    ) -> Result<(), capnp::Error> {
        results.get().set_bytes(parameters.get()?.get_bytes()?);
        Ok(())
    }

    async fn sum(
        self: Rc<Self>,
        parameters: service::SumParams,
        mut results: service::SumResults,
    ) -> Result<(), capnp::Error> {
        results.get().set_sum(flow::sum(parameters.get()?.get_bytes()?));
        Ok(())
    }

    async fn push(self: Rc<Self>, parameters: service::PushParams) -> Result<(), capnp::Error> {
        std::hint::black_box(flow::sum(parameters.get()?.get_bytes()?));
        Ok(())
    }

    async fn flush(
        self: Rc<Self>,
        _: service::FlushParams,
        _: service::FlushResults,
    ) -> Result<(), capnp::Error> {
        Ok(())
    }

    async fn keep(
        self: Rc<Self>,
        parameters: service::KeepParams,
        _: service::KeepResults,
    ) -> Result<(), capnp::Error> {
        drop(parameters.get()?.get_endpoint()?);
        Ok(())
    }
}

/// What is sent away.
struct Endpoint;

impl endpoint::Server for Endpoint {}

fn network(socket: OwnedFd, side: Side) -> Box<twoparty::VatNetwork<impl futures_util::AsyncRead>> {
    let (reader, writer) = stream(socket).into_split();
    let (reader, writer) = (BufReader::new(reader.compat()), BufWriter::new(writer.compat_write()));
    Box::new(twoparty::VatNetwork::new(reader, writer, side, Default::default()))
}

pub(super) fn serve(socket: OwnedFd) {
    run(async {
        let service: service::Client = new_client(Server);
        // It ends with the connection, however that does.
        let _ = RpcSystem::new(network(socket, Side::Server), Some(service.client)).await;
    });
}

pub(super) fn measure(bench: &Bench, work: Work) -> Sample {
    let (near, far) = sockets();
    order(bench, Column::Capnp, work, "", Some(far));
    let sample = run(async {
        let mut system = RpcSystem::new(network(near, Side::Client), None);
        let client: service::Client = system.bootstrap(Side::Server);
        let disconnector = system.get_disconnector();
        tokio::task::spawn_local(system);
        let sample = rows(bench, work, &client).await;
        let _ = disconnector.await;
        sample
    });
    bench.library(Column::Capnp).done();
    sample
}

async fn rows(bench: &Bench, work: Work, client: &service::Client) -> Sample {
    match work {
        Work::RoundTrip | Work::Asleep => {
            latency(bench, work.mode(), async || {
                let mut request = client.ball_request();
                request.get().set_bytes(&[7; BALL]);
                let response = request.send().promise.await.expect("an answer");
                let ball = response.get().and_then(|results| results.get_bytes());
                assert_eq!(ball.expect("bytes"), [7; BALL]);
            })
            .await
        }
        Work::Add => latency(bench, Mode::Hot, async || add(client).await).await,
        Work::Echo32 => {
            latency(bench, Mode::Hot, async || {
                let mut request = client.echo32_request();
                request.get().set_bytes(&[5; 32]);
                let response = request.send().promise.await.expect("an answer");
                let echo = response.get().and_then(|results| results.get_bytes());
                assert_eq!(echo.expect("bytes"), [5; 32]);
            })
            .await
        }
        Work::Outstanding => outstanding(bench, OUTSTANDING, || add(client)).await,
        Work::Stream { size: BALL } => pushes(bench, client).await,
        Work::Stream { size } => {
            let message = vec![7; size];
            outstanding(bench, window(size) as usize, || sum(client, &message)).await
        }
        Work::Vector | Work::Bytes => {
            let bytes = vec![1; LARGE];
            latency(bench, Mode::Hot, async || sum(client, &bytes).await).await
        }
        Work::Endpoints => {
            let keep = || {
                let mut request = client.keep_request();
                request.get().set_endpoint(new_client(Endpoint));
                let promise = request.send().promise;
                async { drop(promise.await.expect("an answer")) }
            };
            outstanding(bench, OUTSTANDING, keep).await
        }
    }
}

/// A call of `add`, which is under way at once.
fn add(client: &service::Client) -> impl Future<Output = ()> + use<> {
    let mut request = client.add_request();
    request.get().set_a(3);
    request.get().set_b(4);
    let promise = request.send().promise;
    async {
        let response = promise.await.expect("an answer");
        assert_eq!(response.get().expect("results").get_sum(), 7);
    }
}

fn sum(client: &service::Client, bytes: &[u8]) -> impl Future<Output = ()> + use<> {
    let mut request = client.sum_request();
    request.get().set_bytes(bytes);
    let promise = request.send().promise;
    async {
        let response = promise.await.expect("an answer");
        std::hint::black_box(response.get().expect("results").get_sum());
    }
}

/// Messages one way: how many are under way is the library's business.
async fn pushes(bench: &Bench, client: &service::Client) -> Sample {
    let run = async |time: Duration| {
        let (start, mut count) = (Instant::now(), 0_u64);
        while start.elapsed() < time {
            for _ in 0..64 {
                let mut request = client.push_request();
                request.get().set_bytes(&[7; BALL]);
                let sent: Promise<(), capnp::Error> = Promise::from_future(request.send());
                sent.await.expect("a server");
                count += 1;
            }
        }
        client.flush_request().send().promise.await.expect("an answer");
        count
    };
    let slice = bench.plan.slice(Mode::Hot);
    run(slice / 10).await;
    let start = Instant::now();
    let count = run(slice).await;
    Sample::rate(count, start.elapsed())
}
