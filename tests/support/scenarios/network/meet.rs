//! How nodes come to be, and meet.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use ipcz::driver::inproc::InProcDriver;
use ipcz::driver::unix::UnixDriver;
use ipcz::driver::{Driver, Transport};
use ipcz::{ConnectOptions, Node, Relation};

use super::super::agent::Agent;
use super::super::order::{Name, Nature, Order};
use super::{Configuration, Member, Network, Place};

impl Network {
    fn start(&mut self, is_broker: bool) -> Place {
        let member = match self.configuration {
            Configuration::Synchronous => {
                let driver: Arc<dyn Driver> = Arc::new(InProcDriver::new());
                let node = Node::with_driver(driver.clone(), is_broker).unwrap();
                Member::Here { agent: Box::new(Agent::of(node)), driver, unix: None }
            }
            Configuration::Threaded => {
                let unix = UnixDriver::new().unwrap();
                let driver: Arc<dyn Driver> = unix.clone();
                let node = Node::with_driver(driver.clone(), is_broker).unwrap();
                Member::Here { agent: Box::new(Agent::of(node)), driver, unix: Some(unix) }
            }
            Configuration::Processes | Configuration::Delegated | Configuration::Relayed => {
                Member::There(Box::new(self.office.run(&self.program).unwrap()))
            }
        };
        self.add_member(member)
    }

    fn add_member(&mut self, member: Member) -> Place {
        self.members.push(member);
        let place = self.members.len() - 1;
        if self.has_processes() {
            let delegates = self.configuration == Configuration::Delegated;
            let relays = self.configuration == Configuration::Relayed;
            self.tell(place, Order::Be(Nature { delegates, relays }));
        }
        place
    }

    /// Two transports that are connected, for the nodes at `a` and `b` of this process.
    fn transports(&self, a: Place, b: Place) -> (Box<dyn Transport>, Box<dyn Transport>) {
        let Member::Here { driver, .. } = &self.members[a] else { panic!("not of this process") };
        let unix = |place: Place| match &self.members[place] {
            Member::Here { unix, .. } => unix.clone(),
            _ => None,
        };
        match (unix(a), unix(b)) {
            (Some(a), Some(b)) => {
                let (left, right) = UnixStream::pair().unwrap();
                let left = a.transport(OwnedFd::from(left)).unwrap();
                (left, b.transport(OwnedFd::from(right)).unwrap())
            }
            _ => driver.create_transports().unwrap(),
        }
    }

    fn connect(&mut self, at: Place, transport: Box<dyn Transport>, to: Relation, name: Name) {
        let Member::Here { agent, .. } = &mut self.members[at] else {
            panic!("not of this process");
        };
        let options = ConnectOptions::default();
        let connection = agent.node().connect_transport(transport, to, &options).unwrap();
        agent.keep(connection, name).unwrap();
    }

    /// Adds a broker.
    pub fn add_broker(&mut self) -> Place {
        let place = self.start(true);
        if self.has_processes() {
            self.tell(place, Order::BeBroker);
        }
        self.learn_name(place);
        place
    }

    fn learn_name(&mut self, place: Place) {
        let name = self.look(place).name;
        self.names.push(name);
        assert_eq!(self.names.len(), place + 1, "names are learnt in the order of places");
    }

    /// Adds a node that is connected to the one at `host`, which is its broker or shares its own.
    pub fn add_client(&mut self, host: Place) -> Place {
        let place = self.add_caller(host);
        self.answer(host);
        place
    }

    /// Adds a node that has called the one at `host`, which has not answered.
    pub fn add_caller(&mut self, host: Place) -> Place {
        self.listen(host);
        let (place, name) = (self.start(false), self.name());
        if self.has_processes() {
            self.tell(place, Order::Connect(self.office.path_of(host), name));
        } else {
            let (transport, call) = self.transports(place, host);
            self.calls.entry(host).or_default().push_back(call);
            self.connect(place, transport, Relation::Broker, name);
        }
        self.callers.entry(host).or_default().push_back((place, name));
        self.learn_name(place);
        place
    }

    fn listen(&mut self, host: Place) {
        if self.has_processes() && !self.listening.contains(&host) {
            self.listening.push(host);
            let path = self.office.path_of(host);
            self.do_now(host, Order::Listen(path));
        }
    }

    /// Has the node at `host` answer who called first.
    pub fn answer(&mut self, host: Place) {
        let (place, far) = self.callers.get_mut(&host).and_then(VecDeque::pop_front).unwrap();
        let near = self.name();
        match self.calls.get_mut(&host).and_then(VecDeque::pop_front) {
            Some(call) => self.connect(host, call, Relation::Client, near),
            None => self.tell(host, Order::Accept(near)),
        }
        self.add_road((host, near), (place, far));
    }

    /// Connects a node that has lost its broker to the one at `host`.
    pub fn reconnect(&mut self, place: Place, host: Place) {
        self.listen(host);
        let (near, far) = (self.name(), self.name());
        if self.has_processes() {
            // Who has connected first is accepted first.
            self.do_now(place, Order::Reconnect(self.office.path_of(host), far));
            self.do_now(host, Order::Accept(near));
        } else {
            let (left, right) = self.transports(place, host);
            self.connect(place, left, Relation::Broker, far);
            self.connect(host, right, Relation::Client, near);
        }
        self.add_road((host, near), (place, far));
    }

    /// Adds a node that the one at `parent` spawns, if it can.
    pub fn add_child(&mut self, parent: Place) -> Place {
        if !self.has_processes() {
            return self.add_client(parent);
        }
        let (near, far) = (self.name(), self.name());
        let (program, control) = (self.program.clone(), self.office.control());
        self.tell(parent, Order::Spawn { program, control, name: near });
        let remote = self.office.await_report(None).unwrap();
        let place = self.add_member(Member::There(Box::new(remote)));
        self.tell(place, Order::BeSpawned(far));
        self.learn_name(place);
        self.add_road((parent, near), (place, far));
        place
    }

    /// Joins two brokers.
    pub fn join(&mut self, a: Place, b: Place) {
        let (near, far) = (self.name(), self.name());
        if self.has_processes() {
            self.listen(b);
            self.tell(a, Order::Join(self.office.path_of(b), near));
            self.tell(b, Order::AcceptBroker(far));
        } else {
            let (left, right) = self.transports(a, b);
            self.connect(a, left, Relation::Broker, near);
            self.connect(b, right, Relation::Broker, far);
        }
        self.add_road((a, near), (b, far));
    }
}
