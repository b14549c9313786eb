//! Types and interfaces that grow: old and new ones understand each other.

#![warn(clippy::pedantic)]
#![allow(unreachable_pub, reason = "as a library would have it")]

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::thread;

use ipcz::{CallError, Endpoint, Message, Node, Portal, Proxy};
use serde::{Deserialize, Serialize};

/// What the first program was built with.
mod old {
    use super::{BTreeMap, Deserialize, Message, Portal, Serialize};

    #[derive(Message, Debug, PartialEq, Clone)]
    pub struct Counts {
        pub lines: u64,
        pub words: u64,
    }

    #[derive(Message, Debug, PartialEq, Clone)]
    pub struct Name(pub String);

    #[derive(Message, Debug, PartialEq, Clone)]
    pub struct Nothing;

    #[derive(Message, Debug, PartialEq, Clone)]
    pub enum Encoding {
        Utf8,
        Latin(u8),
        Named {
            name: String,
            strict: bool,
        },
        #[unknown]
        Other,
    }

    #[derive(Message, Debug)]
    pub struct Holder<T> {
        pub value: T,
        pub portal: Option<Portal>,
    }

    /// It may not grow itself.
    #[derive(Serialize, Deserialize, Debug, PartialEq, Clone)]
    pub struct Plain {
        pub before: u8,
        pub counts: Vec<Counts>,
        pub by_name: BTreeMap<String, (Counts, Encoding)>,
        pub maybe: Option<Encoding>,
        pub name: Name,
        pub nothing: Nothing,
        pub behind: u8,
    }

    #[ipcz::interface(name = "test.Versions")]
    pub trait Versions {
        async fn echo(&self, plain: Plain) -> Result<Plain, Encoding>;
        async fn hold(&self, holder: Holder<Counts>) -> Holder<Counts>;
    }
}

/// What the second program was built with.
mod new {
    use super::{BTreeMap, Deserialize, Message, Portal, Serialize};

    #[derive(Message, Debug, PartialEq, Clone)]
    pub struct Counts {
        pub lines: u64,
        pub words: u64,
        #[since(2)]
        pub longest: Option<String>,
        #[since(3)]
        pub letters: Vec<u64>,
    }

    #[derive(Message, Debug, PartialEq, Clone)]
    pub struct Name(pub String, #[since(2)] pub u32);

    #[derive(Message, Debug, PartialEq, Clone)]
    pub struct Nothing {
        #[since(2)]
        pub something: u32,
    }

    #[derive(Message, Debug, PartialEq, Clone)]
    pub enum Encoding {
        Utf8,
        Latin(u8, #[since(2)] u8),
        Named {
            name: String,
            strict: bool,
            #[since(2)]
            since: u32,
        },
        #[since(2)]
        Utf16,
        #[unknown]
        Other,
        #[since(3)]
        Custom(Vec<String>),
    }

    #[derive(Message, Debug)]
    pub struct Holder<T> {
        pub value: T,
        pub portal: Option<Portal>,
        #[since(2)]
        pub more: Vec<Portal>,
    }

    #[derive(Serialize, Deserialize, Debug, PartialEq, Clone)]
    pub struct Plain {
        pub before: u8,
        pub counts: Vec<Counts>,
        pub by_name: BTreeMap<String, (Counts, Encoding)>,
        pub maybe: Option<Encoding>,
        pub name: Name,
        pub nothing: Nothing,
        pub behind: u8,
    }

    #[ipcz::interface(name = "test.Versions")]
    pub trait Versions {
        async fn hold(&self, holder: Holder<Counts>) -> Holder<Counts>;
        async fn echo(&self, plain: Plain) -> Result<Plain, Encoding>;
        #[since(2)]
        async fn more(&self) -> u32;
        #[since(4)]
        async fn most(&self) -> u32 {
            4
        }
    }
}

struct Server;

impl old::Versions for Server {
    async fn echo(&self, plain: old::Plain) -> Result<old::Plain, old::Encoding> {
        match plain.maybe {
            Some(why) => Err(why),
            None => Ok(plain),
        }
    }

    async fn hold(&self, holder: old::Holder<old::Counts>) -> old::Holder<old::Counts> {
        holder
    }
}

impl new::Versions for Server {
    async fn echo(&self, plain: new::Plain) -> Result<new::Plain, new::Encoding> {
        match plain.maybe {
            Some(why) => Err(why),
            None => Ok(plain),
        }
    }

    async fn hold(&self, holder: new::Holder<new::Counts>) -> new::Holder<new::Counts> {
        holder
    }

    async fn more(&self) -> u32 {
        2
    }
}

fn old_counts(lines: u64) -> old::Counts {
    old::Counts { lines, words: 2 }
}

fn new_counts(lines: u64) -> new::Counts {
    let longest = Some("longest".into());
    new::Counts { lines, words: 2, longest, letters: vec![1, 2, 3] }
}

fn new_plain(maybe: Option<new::Encoding>) -> new::Plain {
    let counts = (0..5).map(new_counts).collect();
    let latin = new::Encoding::Latin(1, 7);
    let named = new::Encoding::Named { name: "n".into(), strict: true, since: 7 };
    let by_name = [
        ("a", new_counts(1), latin),
        ("b", new_counts(2), new::Encoding::Utf16),
        ("c", new_counts(3), new::Encoding::Custom(vec!["x".into(); 9])),
        ("d", new_counts(4), named),
        ("e", new_counts(5), new::Encoding::Utf8),
    ];
    let by_name = by_name.into_iter().map(|(key, counts, code)| (key.into(), (counts, code)));
    let name = new::Name("name".into(), 7);
    let nothing = new::Nothing { something: 7 };
    new::Plain { before: 1, counts, by_name: by_name.collect(), maybe, name, nothing, behind: 2 }
}

/// Which program this process is, if it was spawned by another test.
const ROLE: &str = "IPCZ_TEST_VERSIONS";

/// No test of its own: what the other process runs.
#[test]
fn the_other_process() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let (_node, parent) = Node::from_parent().unwrap();
    match role.as_str() {
        "old" => parent.bootstrap::<old::VersionsReceiver>().unwrap().serve_blocking(Server),
        _ => parent.bootstrap::<new::VersionsReceiver>().unwrap().serve_blocking(Server),
    }
    .unwrap();
}

/// Runs this program again, as an old or as a new one.
fn spawn(role: &str) -> ipcz::Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "the_other_process"]).env(ROLE, role).stdout(Stdio::null());
    Node::broker().unwrap().spawn(command).unwrap()
}

#[test]
fn old_and_new_processes_understand_each_other() {
    let mut child = spawn("old");
    new_client_of_old_server(&child.bootstrap().unwrap());
    assert!(child.wait().unwrap().success());
    let mut child = spawn("new");
    old_client_of_new_server(&child.bootstrap().unwrap());
    assert!(child.wait().unwrap().success());
}

#[test]
fn an_old_server_skips_what_is_new() {
    let (client, receiver) = new::VersionsProxy::pair(&Node::broker().unwrap());
    let receiver = old::VersionsReceiver::from_portal(receiver.into_portal().unwrap());
    thread::spawn(move || receiver.serve_blocking(Server));
    new_client_of_old_server(&client);
}

fn new_client_of_old_server(client: &new::VersionsProxy) {
    assert_eq!((new::VersionsProxy::VERSION, client.version().wait().unwrap()), (4, 1));
    assert_eq!(client.more().wait(), Err(CallError::UnknownMethod("Versions::more")));

    // What the old server knows comes back, the rest is what it is by default.
    let error = client.echo(new_plain(Some(new::Encoding::Utf8))).wait();
    assert_eq!(error, Err(CallError::Application(new::Encoding::Utf8)));
    let error = client.echo(new_plain(Some(new::Encoding::Latin(3, 4)))).wait();
    assert_eq!(error, Err(CallError::Application(new::Encoding::Latin(3, 0))));
    // It cannot send what it does not know.
    let error = format!("{:?}", client.echo(new_plain(None)).wait().unwrap_err());
    assert!(error.contains("`Other` stands for what this version does not know"), "{error}");
    let mut plain = new_plain(None);
    plain.by_name.remove("b");
    plain.by_name.remove("c");
    let back = client.echo(plain.clone()).wait().unwrap();
    let kept = new::Counts { longest: None, letters: vec![], ..new_counts(3) };
    assert_eq!(back.counts[3], kept);
    assert_eq!(back.by_name["a"].1, new::Encoding::Latin(1, 0));
    assert_eq!((back.before, back.behind, back.by_name.len()), (1, 2, 3));
    assert_eq!(back.name, new::Name("name".into(), 0));
    assert_eq!(back.nothing, new::Nothing { something: 0 });
}

#[test]
fn handles_in_what_is_skipped_are_closed() {
    let node = Node::broker().unwrap();
    let (client, receiver) = new::VersionsProxy::pair(&node);
    let receiver = old::VersionsReceiver::from_portal(receiver.into_portal().unwrap());
    thread::spawn(move || receiver.serve_blocking(Server));
    let (near, far) = node.open_portals();
    let (lost, sent) = node.open_portals();
    let holder = new::Holder { value: new_counts(1), portal: Some(far), more: vec![sent] };
    let back = client.hold(holder).wait().unwrap();
    near.put("hello").unwrap();
    assert_eq!(back.portal.unwrap().recv_blocking().unwrap().bytes(), b"hello");
    assert!(back.more.is_empty());
    lost.recv_blocking().expect_err("nobody has its peer");
}

#[test]
fn a_new_server_fills_in_what_an_old_client_does_not_say() {
    let (client, receiver) = old::VersionsProxy::pair(&Node::broker().unwrap());
    let receiver = new::VersionsReceiver::from_portal(receiver.into_portal().unwrap());
    thread::spawn(move || receiver.serve_blocking(Server));
    old_client_of_new_server(&client);
}

fn old_client_of_new_server(client: &old::VersionsProxy) {
    assert_eq!((old::VersionsProxy::VERSION, client.version().wait().unwrap()), (1, 4));
    let named = old::Encoding::Named { name: "n".into(), strict: false };
    let by_name = [("x".to_string(), (old_counts(1), named))].into();
    let counts = (0..3).map(old_counts).collect();
    let (name, nothing) = (old::Name("name".into()), old::Nothing);
    let plain = old::Plain { before: 1, counts, by_name, maybe: None, name, nothing, behind: 2 };
    assert_eq!(client.echo(plain.clone()).wait().unwrap(), plain);
    let maybe = Some(old::Encoding::Latin(5));
    let error = client.echo(old::Plain { maybe, ..plain }).wait();
    assert_eq!(error, Err(CallError::Application(old::Encoding::Latin(5))));
}

#[test]
fn other_formats_see_the_fields() {
    let counts = new_counts(1);
    let text = serde_json::to_string(&counts).unwrap();
    assert_eq!(text, r#"{"lines":1,"words":2,"longest":"longest","letters":[1,2,3]}"#);
    assert_eq!(serde_json::from_str::<new::Counts>(&text).unwrap(), counts);
    let old: new::Counts = serde_json::from_str(r#"{"lines":1,"words":2}"#).unwrap();
    assert_eq!(old, new::Counts { longest: None, letters: vec![], ..counts });
}

/// Ends of the kinds that a hostile peer may send.
#[test]
fn malformed_messages_are_refused() {
    for (bytes, said) in [
        (&b"\x03\0\0"[..], "ends too early"),
        (b"\xff\xff\xff\xff\x02\x01\x02", "ends too early"),
        (b"\x03\0\0\0\x02\x01\x02\x03", "bytes follow"),
        (b"\x04\0\0\0\x02\x01\x02\x03", "1 bytes follow the last field of a message"),
        (b"\x02\0\0\0\x02\x01", "ends too early"),
        (b"\x02\0\0\0\x01\x01", "length 1"),
        (b"\x00\0\0\0", "ends too early"),
    ] {
        let (near, far) = Node::broker().unwrap().open_portals();
        let id = ipcz_codegen::names::method_id("take")
            ^ ipcz_codegen::names::method_id(TakerProxy::INTERFACE);
        let mut request = vec![1, 0, 0, 0, 1, 0, 0, 0];
        request.extend(id.to_le_bytes());
        request.extend(bytes);
        near.put(request).unwrap();
        let error = TakerReceiver::from_portal(far).serve_blocking(Server).unwrap_err().to_string();
        assert!(error.contains(said), "{bytes:?}: {error}");
    }
}

#[ipcz::interface]
trait Taker {
    fn take(&self, counts: old::Counts);
}

impl Taker for Server {
    fn take(&self, _: old::Counts) {}
}
