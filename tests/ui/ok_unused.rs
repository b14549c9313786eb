//! An interface of which a program uses nothing, or one end, is no reason for a warning.

#![deny(warnings)]

#[ipcz::interface]
trait Unused {
    async fn count(&self, text: String) -> u64;
}

#[ipcz::interface]
trait Served {
    fn count(&self, r#type: String) -> u64;
}

struct Server;

impl Served for Server {
    fn count(&self, r#type: String) -> u64 {
        r#type.len() as u64
    }
}

#[ipcz::interface]
trait Called {
    async fn count(&mut self, text: String) -> u64;
}

fn main() {
    let portals = || ipcz::Node::broker().unwrap().open_portals();
    let receiver: ServedReceiver = ipcz::Endpoint::from_portal(portals().0);
    receiver.serve_blocking(Server).unwrap();
    let called: CalledProxy = ipcz::Endpoint::from_portal(portals().0);
    called.count(String::new()).wait().unwrap_err();
}
