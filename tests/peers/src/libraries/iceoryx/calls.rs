//! Request and response: one service for each function.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::time::Instant;

use iceoryx2::pending_response::PendingResponse;
use iceoryx2::port::client::Client;
use iceoryx2::prelude::*;
use iceoryx2::service::port_factory::PortFactory as _;
use iceoryx2::service::port_factory::request_response::PortFactory;

use super::{Waiting, begin, meet, service_name, with_node};
use crate::bench::{Bench, Mode};
use crate::columns::Column;
use crate::flow;
use crate::meter::{Sample, prepared};
use crate::work::{LARGE, OUTSTANDING, Work};

/// The arguments of `add`.
#[derive(Clone, Copy, Debug, ZeroCopySend)]
#[repr(C)]
struct Pair {
    a: u64,
    b: u64,
}

/// No argument of a row: the server shall stop.
const STOP: Pair = Pair { a: u64::MAX, b: u64::MAX };
const STOP_ECHO: [u8; 32] = [0; 32];
const STOP_SUM: [u8; 1] = [0];

type Service<Q, A> = PortFactory<ipc::Service, Q, (), A, ()>;

fn values<Q, A>(base: &str) -> Service<Q, A>
where
    Q: Debug + ZeroCopySend + 'static,
    A: Debug + ZeroCopySend + 'static,
{
    with_node(|node| {
        node.service_builder(&service_name(base, "call"))
            .request_response::<Q, A>()
            .max_clients(1)
            .max_servers(1)
            .max_active_requests_per_client(OUTSTANDING + 2)
            .open_or_create()
            .expect("a service")
    })
}

/// The same with a slice for argument.
fn slices(base: &str) -> Service<[u8], u64> {
    with_node(|node| {
        node.service_builder(&service_name(base, "call"))
            .request_response::<[u8], u64>()
            .max_clients(1)
            .max_servers(1)
            .open_or_create()
            .expect("a service")
    })
}

/// Sends a request.
fn send<Q, A>(
    client: &Client<ipc::Service, Q, (), A, ()>,
    wait: &Waiting,
    arguments: Q,
) -> PendingResponse<ipc::Service, Q, (), A, ()>
where
    Q: Debug + ZeroCopySend + 'static,
    A: Debug + ZeroCopySend + 'static,
{
    let request = client.loan_uninit().expect("room").write_payload(arguments);
    let pending = request.send().expect("a server");
    wait.wake();
    pending
}

/// Waits for the response.
fn receive<Q, A>(pending: &PendingResponse<ipc::Service, Q, (), A, ()>, wait: &Waiting) -> A
where
    Q: Debug + ZeroCopySend + 'static,
    A: Debug + ZeroCopySend + Copy + 'static,
{
    *wait.until(|| pending.receive().expect("a server"))
}

pub(super) fn measure(
    bench: &Bench,
    column: Column,
    work: Work,
    base: &str,
    wait: &Waiting,
) -> Sample {
    match work {
        Work::Echo32 => {
            let service = values::<[u8; 32], [u8; 32]>(base);
            let client = service.client_builder().create().expect("a client");
            begin(bench, column, work, base);
            meet(|| service.dynamic_config().number_of_servers() == 1);
            let sample = bench.latency(Mode::Hot, || {
                assert_eq!(receive(&send(&client, wait, [5; 32]), wait), [5; 32]);
            });
            send(&client, wait, STOP_ECHO);
            bench.library(column).done();
            sample
        }
        Work::Bytes => sums(bench, column, base, wait),
        _ => {
            let service = values::<Pair, u64>(base);
            let client = service.client_builder().create().expect("a client");
            begin(bench, column, work, base);
            meet(|| service.dynamic_config().number_of_servers() == 1);
            let sample = match work {
                Work::Outstanding => outstanding(bench, &client, wait),
                _ => bench.latency(Mode::Hot, || {
                    assert_eq!(receive(&send(&client, wait, Pair { a: 3, b: 4 }), wait), 7);
                }),
            };
            send(&client, wait, STOP);
            bench.library(column).done();
            sample
        }
    }
}

fn outstanding(
    bench: &Bench,
    client: &Client<ipc::Service, Pair, (), u64, ()>,
    wait: &Waiting,
) -> Sample {
    let mut calls = VecDeque::with_capacity(OUTSTANDING);
    bench.rate(|time| {
        let (start, mut count) = (Instant::now(), 0);
        while start.elapsed() < time {
            for _ in 0..OUTSTANDING {
                if calls.len() == OUTSTANDING {
                    let oldest = calls.pop_front().expect("the oldest");
                    assert_eq!(receive(&oldest, wait), 7);
                }
                calls.push_back(send(client, wait, Pair { a: 3, b: 4 }));
            }
            count += OUTSTANDING as u64;
        }
        count
    })
}

fn sums(bench: &Bench, column: Column, base: &str, wait: &Waiting) -> Sample {
    let service = slices(base);
    let builder = service.client_builder().initial_max_slice_len(LARGE);
    let client = builder.create().expect("a client");
    begin(bench, column, Work::Bytes, base);
    meet(|| service.dynamic_config().number_of_servers() == 1);
    let send = |bytes: &[u8]| {
        let request = client.loan_slice_uninit(bytes.len()).expect("room");
        let pending = request.write_from_slice(bytes).send().expect("a server");
        wait.wake();
        pending
    };
    let round = |bytes: Vec<u8>| {
        let pending = send(&bytes);
        std::hint::black_box(*wait.until(|| pending.receive().expect("a server")));
        Instant::now()
    };
    let sample = prepared(bench.plan.slice(Mode::Hot), || vec![1; LARGE], round);
    send(&STOP_SUM);
    bench.library(column).done();
    sample
}

pub(super) fn serve(work: Work, base: &str, wait: &Waiting) {
    match work {
        Work::Echo32 => {
            serve_values(base, wait, |bytes: &[u8; 32]| (*bytes != STOP_ECHO).then_some(*bytes))
        }
        Work::Bytes => serve_sums(base, wait),
        _ => serve_values(base, wait, |pair: &Pair| {
            (pair.a != STOP.a).then(|| pair.a.wrapping_add(pair.b))
        }),
    }
}

/// Answers until there is no answer.
fn serve_values<Q, A>(base: &str, wait: &Waiting, answer: impl Fn(&Q) -> Option<A>)
where
    Q: Debug + ZeroCopySend + 'static,
    A: Debug + ZeroCopySend + Copy + 'static,
{
    let server = values::<Q, A>(base).server_builder().create().expect("a server");
    loop {
        let request = wait.until(|| server.receive().expect("a client"));
        let Some(answer) = answer(request.payload()) else { return };
        let response = request.loan_uninit().expect("room").write_payload(answer);
        response.send().expect("a client");
        wait.wake();
    }
}

fn serve_sums(base: &str, wait: &Waiting) {
    let server = slices(base).server_builder().create().expect("a server");
    loop {
        let request = wait.until(|| server.receive().expect("a client"));
        if request.payload() == STOP_SUM {
            return;
        }
        let response = request.loan_uninit().expect("room");
        response.write_payload(flow::sum(request.payload())).send().expect("a client");
        wait.wake();
    }
}
