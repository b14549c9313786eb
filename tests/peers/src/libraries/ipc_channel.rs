//! ipc-channel: channels of bytes, and channels of serde's types.

use ipc_channel::ipc::IpcOneShotServer;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::order;
use crate::bench::Bench;
use crate::columns::Column;
use crate::work::Work;

/// Has the other side begin, and waits for what it sends first: its ends of new channels.
fn begin<T: Serialize + DeserializeOwned>(bench: &Bench, column: Column, work: Work) -> T {
    let (server, name) = IpcOneShotServer::new().expect("a server");
    order(bench, column, work, &name, None);
    let (_, ends) = server.accept().expect("a worker that connects");
    ends
}

/// Channels of bytes.
pub(super) mod bytes {
    use std::time::Instant;

    use ipc_channel::ipc::{IpcBytesReceiver, IpcBytesSender, IpcSender, bytes_channel};

    use crate::bench::{Bench, Mode};
    use crate::columns::Column;
    use crate::flow::{self, Inlet, Outlet, Taken};
    use crate::meter::{Sample, prepared};
    use crate::work::{BALL, LARGE, Work, window};

    type Ends = (IpcBytesSender, IpcBytesReceiver);

    pub(crate) fn measure(bench: &Bench, work: Work) -> Sample {
        let ends = super::begin(bench, Column::IpcChannelBytes, work);
        let sample = rows(bench, work, ends);
        bench.library(Column::IpcChannelBytes).done();
        sample
    }

    /// The other side is done when the channels are gone.
    fn rows(bench: &Bench, work: Work, (sender, receiver): Ends) -> Sample {
        match work {
            Work::Stream { size } => {
                let mut outlet = Stream { sender, receiver, message: vec![7; size] };
                bench.rate(|time| flow::produce(&mut outlet, window(size), time))
            }
            Work::RoundTrip | Work::Asleep => {
                let mut ball = vec![7; BALL];
                bench.latency(work.mode(), || {
                    sender.send(&ball).expect("a receiver");
                    ball = receiver.recv().expect("an answer");
                })
            }
            _ => prepared(
                bench.plan.slice(Mode::Hot),
                || vec![1; LARGE],
                |bytes| {
                    sender.send(&bytes).expect("a receiver");
                    std::hint::black_box(receiver.recv().expect("a sum"));
                    Instant::now()
                },
            ),
        }
    }

    pub(crate) fn serve(work: Work, name: &str) {
        let (sender, receiver) = bytes_channel().expect("a channel");
        let (back, forth) = bytes_channel().expect("a channel");
        let first = IpcSender::connect(name.to_owned()).expect("a server");
        first.send((sender, forth)).expect("a server");
        let mut sink = Sink { sender: back, receiver };
        match work {
            Work::Stream { size } => flow::consume(&mut sink, window(size)),
            Work::RoundTrip | Work::Asleep => {
                while let Ok(ball) = sink.receiver.recv() {
                    if sink.sender.send(&ball).is_err() {
                        break;
                    }
                }
            }
            _ => {
                while let Ok(bytes) = sink.receiver.recv() {
                    if sink.sender.send(&flow::sum(&bytes).to_le_bytes()).is_err() {
                        break;
                    }
                }
            }
        }
    }

    struct Stream {
        sender: IpcBytesSender,
        receiver: IpcBytesReceiver,
        message: Vec<u8>,
    }

    impl Outlet for Stream {
        fn put(&mut self, is_last: bool) {
            let message = if is_last { &[] } else { self.message.as_slice() };
            self.sender.send(message).expect("a receiver");
        }

        fn returned(&mut self) -> u64 {
            let credits = self.receiver.recv().expect("credits");
            u64::from_le_bytes(credits.try_into().expect("a number"))
        }
    }

    struct Sink {
        sender: IpcBytesSender,
        receiver: IpcBytesReceiver,
    }

    impl Inlet for Sink {
        fn take(&mut self) -> Option<Taken> {
            Some(Taken::read(&self.receiver.recv().ok()?))
        }

        fn give_back(&mut self, credits: u64) {
            let _ = self.sender.send(&credits.to_le_bytes());
        }
    }
}

/// Channels of serde's types, with calls made of two messages.
pub(super) mod typed {
    use std::collections::VecDeque;
    use std::time::Instant;

    use ipc_channel::ipc::{IpcReceiver, IpcSender, IpcSharedMemory, channel};
    use serde::{Deserialize, Serialize};

    use crate::bench::{Bench, Mode};
    use crate::columns::Column;
    use crate::flow::{self, Inlet, Outlet, Taken};
    use crate::meter::{Sample, prepared};
    use crate::work::{BALL, LARGE, OUTSTANDING, Work, window};

    #[derive(Serialize, Deserialize)]
    enum Request {
        Add(u64, u64),
        Echo32([u8; 32]),
        /// 64 bytes there and back, as two arrays: serde knows none of that length.
        Ball([[u8; 32]; 2]),
        /// The same, one way.
        Small([[u8; 32]; 2]),
        /// The bytes of a stream.
        Block(IpcSharedMemory),
        Sum(Vec<u8>),
        SumShared(IpcSharedMemory),
        Endpoint(IpcSender<u64>),
        /// All credits are wanted.
        Last,
    }

    #[derive(Serialize, Deserialize)]
    enum Answer {
        Number(u64),
        Bytes32([u8; 32]),
        Ball([[u8; 32]; 2]),
    }

    struct Client {
        sender: IpcSender<Request>,
        receiver: IpcReceiver<Answer>,
    }

    impl Client {
        fn send(&self, request: Request) {
            self.sender.send(request).expect("a receiver");
        }

        fn number(&self) -> u64 {
            match self.receiver.recv().expect("an answer") {
                Answer::Number(number) => number,
                _ => panic!("the answer to another question"),
            }
        }
    }

    pub(crate) fn measure(bench: &Bench, work: Work) -> Sample {
        let (sender, receiver) = super::begin(bench, Column::IpcChannelSerde, work);
        let sample = rows(bench, work, Client { sender, receiver });
        bench.library(Column::IpcChannelSerde).done();
        sample
    }

    /// The other side is done when the channels are gone.
    fn rows(bench: &Bench, work: Work, client: Client) -> Sample {
        match work {
            Work::Stream { size } => {
                let mut outlet = Stream { client, message: vec![7; size] };
                bench.rate(|time| flow::produce(&mut outlet, window(size), time))
            }
            Work::Endpoints => {
                let mut outlet = Transfers { client, kept: VecDeque::new() };
                bench.rate(|time| flow::produce(&mut outlet, OUTSTANDING as u64, time))
            }
            Work::Outstanding => outstanding(bench, &client),
            Work::Vector | Work::Bytes => large(bench, work, &client),
            _ => bench.latency(work.mode(), || {
                client.send(match work {
                    Work::Add => Request::Add(3, 4),
                    Work::Echo32 => Request::Echo32([5; 32]),
                    _ => Request::Ball([[7; 32]; 2]),
                });
                match client.receiver.recv().expect("an answer") {
                    Answer::Number(sum) => assert_eq!(sum, 7),
                    Answer::Bytes32(bytes) => assert_eq!(bytes, [5; 32]),
                    Answer::Ball(ball) => assert_eq!(ball, [[7; 32]; 2]),
                }
            }),
        }
    }

    fn outstanding(bench: &Bench, client: &Client) -> Sample {
        let mut under_way = 0;
        bench.rate(|time| {
            let (start, mut count) = (Instant::now(), 0);
            while start.elapsed() < time {
                for _ in 0..OUTSTANDING {
                    if under_way == OUTSTANDING {
                        assert_eq!(client.number(), 7);
                        under_way -= 1;
                    }
                    client.send(Request::Add(3, 4));
                    under_way += 1;
                }
                count += OUTSTANDING as u64;
            }
            count
        })
    }

    fn large(bench: &Bench, work: Work, client: &Client) -> Sample {
        let round = |bytes: Vec<u8>| {
            client.send(match work {
                Work::Vector => Request::Sum(bytes),
                _ => Request::SumShared(IpcSharedMemory::from_bytes(&bytes)),
            });
            std::hint::black_box(client.number());
            Instant::now()
        };
        prepared(bench.plan.slice(Mode::Hot), || vec![1; LARGE], round)
    }

    pub(crate) fn serve(work: Work, name: &str) {
        let (sender, receiver) = channel::<Request>().expect("a channel");
        let (back, forth) = channel::<Answer>().expect("a channel");
        let first = IpcSender::connect(name.to_owned()).expect("a server");
        first.send((sender, forth)).expect("a server");
        let mut sink = Sink { sender: back, receiver };
        match work {
            Work::Stream { size } => flow::consume(&mut sink, window(size)),
            Work::Endpoints => flow::consume(&mut sink, OUTSTANDING as u64),
            _ => answer(&sink),
        }
    }

    fn answer(sink: &Sink) {
        while let Ok(request) = sink.receiver.recv() {
            let answer = match request {
                Request::Add(a, b) => Answer::Number(a.wrapping_add(b)),
                Request::Echo32(bytes) => Answer::Bytes32(bytes),
                Request::Ball(ball) => Answer::Ball(ball),
                Request::Sum(bytes) => Answer::Number(flow::sum(&bytes)),
                Request::SumShared(bytes) => Answer::Number(flow::sum(&bytes)),
                _ => panic!("no request of a call"),
            };
            if sink.sender.send(answer).is_err() {
                break;
            }
        }
    }

    struct Stream {
        client: Client,
        message: Vec<u8>,
    }

    impl Outlet for Stream {
        fn put(&mut self, is_last: bool) {
            self.client.send(match self.message.len() {
                _ if is_last => Request::Last,
                BALL => Request::Small([[7; 32]; 2]),
                _ => Request::Block(IpcSharedMemory::from_bytes(&self.message)),
            });
        }

        fn returned(&mut self) -> u64 {
            self.client.number()
        }
    }

    struct Transfers {
        client: Client,
        kept: VecDeque<IpcReceiver<u64>>,
    }

    impl Outlet for Transfers {
        fn put(&mut self, is_last: bool) {
            if is_last {
                return self.client.send(Request::Last);
            }
            let (far, near) = channel().expect("a channel");
            self.client.send(Request::Endpoint(far));
            self.kept.push_back(near);
            if self.kept.len() > OUTSTANDING {
                self.kept.pop_front();
            }
        }

        fn returned(&mut self) -> u64 {
            self.client.number()
        }
    }

    struct Sink {
        sender: IpcSender<Answer>,
        receiver: IpcReceiver<Request>,
    }

    impl Inlet for Sink {
        fn take(&mut self) -> Option<Taken> {
            Some(match self.receiver.recv().ok()? {
                Request::Small(bytes) => Taken::read(bytes.as_flattened()),
                Request::Block(bytes) => Taken::read(&bytes),
                Request::Endpoint(_) => Taken::Message,
                _ => Taken::Last,
            })
        }

        fn give_back(&mut self, credits: u64) {
            let _ = self.sender.send(Answer::Number(credits));
        }
    }
}
