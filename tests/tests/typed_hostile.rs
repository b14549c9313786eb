//! Both ends of a typed connection against a peer that says what it likes.

#[path = "../support/block_on.rs"]
mod block_on;

use std::thread::{self, JoinHandle};
use std::time::Duration;

use block_on::block_on;
use ipcz::{CallError, Endpoint, Handle, Node, OsHandle, Parcel, Portal, ServeError};
use ipcz_codegen::names;

#[ipcz::interface]
trait Sums {
    async fn add(&self, numbers: Vec<u64>, label: String) -> Result<u64, String>;
    #[oneway]
    fn note(&self, what: String);
    async fn give(&self, portal: Portal) -> Portal;
    #[id(7)]
    fn tick(&self);
}

struct Server;

impl Sums for Server {
    async fn add(&self, numbers: Vec<u64>, label: String) -> Result<u64, String> {
        numbers.into_iter().try_fold(0_u64, u64::checked_add).ok_or(label)
    }

    fn note(&self, _: String) {}

    async fn give(&self, portal: Portal) -> Portal {
        portal
    }

    fn tick(&self) {}
}

/// What names a method of `Sums` in a message.
fn method_id(name: &str) -> u64 {
    explicit_id(names::method_id(name))
}

fn explicit_id(id: u64) -> u64 {
    id ^ names::method_id(SumsProxy::INTERFACE)
}

/// A portal whose messages a server takes.
fn server() -> (Portal, JoinHandle<Result<(), ServeError>>) {
    let (near, far) = Node::broker().unwrap().open_portals();
    let receiver = SumsReceiver::from_portal(far);
    (near, thread::spawn(move || receiver.serve_blocking(Server)))
}

/// A request as a C program would write it.
fn request(call: u32, method: u64, arguments: &[u8]) -> Vec<u8> {
    let kind = if call == 0 { 2_u32 } else { 1 };
    let mut message = kind.to_le_bytes().to_vec();
    message.extend(call.to_le_bytes());
    message.extend(method.to_le_bytes());
    message.extend(arguments);
    message
}

fn bad_request(near: Portal, server: JoinHandle<Result<(), ServeError>>) -> String {
    let error = server.join().unwrap().unwrap_err();
    // A caller is told, by a failure of code 4, before the server closes its end.
    while let Ok(told) = near.recv_blocking() {
        assert_eq!((told.bytes()[0], told.bytes()[8]), (4, 4));
    }
    assert!(matches!(error, ServeError::BadRequest(_)), "{error}");
    error.to_string()
}

#[test]
fn a_server_understands_what_is_documented() {
    let (near, server) = server();
    near.put(request(5, method_id("add"), b"\x02\x01\xac\x02\x01x")).unwrap();
    near.put(request(0, method_id("note"), b"\x00")).unwrap();
    near.put(request(9, explicit_id(7), b"")).unwrap();
    let replies = [near.recv_blocking().unwrap(), near.recv_blocking().unwrap()];
    // Ok, 301; then nothing.
    assert_eq!(replies[0].bytes(), b"\x03\0\0\0\x05\0\0\0\x00\xad\x02");
    assert_eq!(replies[1].bytes(), b"\x03\0\0\0\x09\0\0\0");
    // An error of the application.
    let overflow = [b"\x02".as_slice(), &[0xff; 9], b"\x01\x01\x02no"].concat();
    near.put(request(6, method_id("add"), &overflow)).unwrap();
    assert_eq!(near.recv_blocking().unwrap().bytes(), b"\x03\0\0\0\x06\0\0\0\x01\x02no");
    drop(near);
    server.join().unwrap().unwrap();
}

#[test]
fn an_unknown_method_is_answered_and_one_way_ignored() {
    let (near, server) = server();
    near.put(request(1, 99, b"whatever")).unwrap();
    near.put(request(0, 99, b"whatever")).unwrap();
    near.put(request(2, explicit_id(7), b"")).unwrap();
    assert_eq!(near.recv_blocking().unwrap().bytes(), b"\x04\0\0\0\x01\0\0\0\x01");
    assert_eq!(near.recv_blocking().unwrap().bytes(), b"\x03\0\0\0\x02\0\0\0");
    drop(near);
    server.join().unwrap().unwrap();
}

#[test]
fn a_malformed_request_ends_the_connection() {
    let huge = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
    for (message, said) in [
        (vec![], "shorter than its head"),
        (vec![1; 15], "reserved bytes"),
        (vec![9, 0, 0, 0, 1, 0, 0, 0], "kind 9 stands where a request should"),
        (request(1, method_id("add"), b""), "argument `numbers` of `Sums::add`: the message ends"),
        (request(1, method_id("add"), &huge), "elements are announced"),
        (
            request(1, method_id("add"), b"\x00\x01\xff"),
            "argument `label` of `Sums::add`: a string",
        ),
        (request(1, method_id("add"), b"\x00\x00\x00"), "arguments of `Sums::add`: 1 bytes follow"),
        (
            request(0, method_id("note"), b"\x05"),
            "argument `what` of `Sums::note`: the message ends",
        ),
        (request(1, method_id("give"), b"\x00"), "handle 0 is named, but 0 came along"),
    ] {
        let (near, server) = server();
        near.put(message).unwrap();
        let error = bad_request(near, server);
        assert!(error.contains(said), "{error}");
    }
}

#[test]
fn a_handle_of_the_wrong_kind_is_refused() {
    let (near, server) = server();
    let file: OsHandle = std::fs::File::open("/dev/null").unwrap().into();
    let message = request(1, method_id("give"), b"\x00");
    near.put(Parcel::with_handles(message, vec![Handle::Os(file)])).unwrap();
    let error = bad_request(near, server);
    assert!(error.contains("another kind stands where a portal should"), "{error}");
}

#[test]
fn a_result_that_cannot_travel_fails_its_call_only() {
    let (near, far) = Node::broker().unwrap().open_portals();
    let stranger = Node::broker().unwrap();
    /// Gives a portal of another node, which cannot travel here.
    struct Stranger(Node);
    impl Sums for Stranger {
        async fn add(&self, _: Vec<u64>, _: String) -> Result<u64, String> {
            Ok(1)
        }
        fn note(&self, _: String) {}
        async fn give(&self, _: Portal) -> Portal {
            self.0.open_portals().0
        }
        fn tick(&self) {}
    }
    let server =
        thread::spawn(move || SumsReceiver::from_portal(far).serve_blocking(Stranger(stranger)));
    let (some, _other) = near.node().open_portals();
    let sums = SumsProxy::from_portal(near);
    let error = sums.give(some).wait().unwrap_err();
    assert!(matches!(error, CallError::BadReply(_)));
    assert!(error.to_string().contains("a portal of another node"), "{error}");
    assert_eq!(sums.add(vec![], String::new()).wait(), Ok(1));
    drop(sums);
    server.join().unwrap().unwrap();
}

/// A proxy, and the portal that its calls arrive at.
fn client() -> (SumsProxy, Portal) {
    let (near, far) = Node::broker().unwrap().open_portals();
    (SumsProxy::from_portal(near), far)
}

#[test]
fn a_malformed_result_fails_its_call_only() {
    let (sums, far) = client();
    let [first, second, third] = [(); 3].map(|()| sums.add(vec![], String::new()));
    far.put(b"\x03\0\0\0\x01\0\0\0\x02").unwrap();
    far.put(b"\x03\0\0\0\x02\0\0\0\x00\x01\x00").unwrap();
    far.put(b"\x03\0\0\0\x03\0\0\0\x00\x05").unwrap();
    let said = first.wait().unwrap_err().to_string();
    assert!(said.contains("Sums::add: the tag of a Result is 2"), "{said}");
    let said = block_on(second).unwrap_err().to_string();
    assert!(said.contains("1 bytes follow"), "{said}");
    assert_eq!(third.wait(), Ok(5));
}

#[test]
fn a_malformed_reply_fails_the_client() {
    for reply in [
        b"".as_slice(),
        b"\x03\0\0\0\x01",
        b"\x03\0\x01\0\x01\0\0\0\x00\x00",
        b"\x01\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0",
        b"\x04\0\0\0\x01\0\0\0",
        b"\x03\0\0\0\x63\0\0\0\x00\x00",
    ] {
        let (sums, far) = client();
        let waited = sums.add(vec![], String::new());
        let awaited = sums.add(vec![], String::new());
        let thread = thread::spawn(move || block_on(awaited));
        far.put(reply).unwrap();
        for result in
            [waited.wait(), thread.join().unwrap(), sums.add(vec![], String::new()).wait()]
        {
            assert!(matches!(result, Err(CallError::BadReply(_))), "{result:?}");
        }
        // The client does not listen any more.
        while far.recv_timeout(Duration::from_secs(5)).is_ok() {}
        assert!(far.put(b"anybody?").is_err());
    }
}

#[test]
fn an_answer_that_comes_twice_fails_the_client() {
    let (sums, far) = client();
    let call = sums.tick();
    let later = sums.tick();
    far.put(b"\x03\0\0\0\x01\0\0\0").unwrap();
    far.put(b"\x03\0\0\0\x01\0\0\0").unwrap();
    assert!(matches!(later.wait(), Err(CallError::BadReply(_))));
    // What came first is kept.
    assert_eq!(call.wait(), Ok(()));
}

#[test]
fn failures_are_told_apart() {
    let (sums, far) = client();
    let [unknown, bad, newer] = [(); 3].map(|()| sums.tick());
    far.put(b"\x04\0\0\0\x01\0\0\0\x01").unwrap();
    far.put(b"\x04\0\0\0\x02\0\0\0\x02told \x07you").unwrap();
    far.put(b"\x04\0\0\0\x03\0\0\0\xee\xff").unwrap();
    let error = unknown.wait().unwrap_err();
    assert_eq!(error, CallError::UnknownMethod("Sums::tick"));
    let error = bad.wait().unwrap_err().to_string();
    assert_eq!(error, "the server's reply is malformed: Sums::tick: told \\u{7}you");
    assert!(matches!(newer.wait(), Err(CallError::BadReply(_))));
}

#[test]
fn garbage_ends_connections_and_nothing_else() {
    // xorshift64*
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    };
    for _ in 0..300 {
        let (near, server) = server();
        let (sums, far) = client();
        let call = sums.add(vec![1], "label".into());
        for _ in 0..4 {
            let length = random() % 40;
            let mut message: Vec<u8> = (0..length).map(|_| random().to_le_bytes()[7]).collect();
            if random() % 2 == 0 {
                // With a head that is understood, so that what follows is looked at.
                let method = [method_id("add"), method_id("note"), explicit_id(7)]
                    [usize::from(random() as u8 % 3)];
                let _ = near.put(request(random() as u32 % 3, method, &message));
                message.splice(0..0, *b"\x03\0\0\0\x01\0\0\0");
            } else {
                let _ = near.put(message.clone());
            }
            let _ = far.put(message);
        }
        drop((near, far));
        let _ = server.join().expect("no panic");
        let _ = call.wait();
    }
}
