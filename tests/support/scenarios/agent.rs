//! One node, and the portals that it holds.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::Receiver;

use ipcz::{
    Child, ConnectOptions, Connection, Handle, Listener, Node, NodeOptions, Parcel, Portal, Route,
    TryRecvError,
};

use super::network::PATIENCE;
use super::order::{Answer, Ended, Leads, Name, Nature, Order, Seen};
use super::ways::{self, check, check_load};

/// Portals that travel in one parcel.
const TOGETHER: u64 = 1000;

type Outcome = Result<Answer, Box<dyn std::error::Error>>;

/// A node that obeys.
#[derive(Default)]
pub(super) struct Agent {
    nature: Nature,
    node: Option<Node>,
    listener: Option<Listener>,
    connections: Vec<Connection>,
    children: Vec<Child>,
    portals: BTreeMap<Name, Portal>,
    /// Where it is told how many parcels were served.
    served: Vec<Receiver<u64>>,
}

impl Agent {
    /// An agent with a node of this process.
    pub(super) fn of(node: Node) -> Self {
        Self { node: Some(node), ..Self::default() }
    }

    /// Does as it is told.
    pub(super) fn obey(&mut self, order: Order) -> Answer {
        let text = format!("{order:?}");
        self.try_obey(order).unwrap_or_else(|why| Answer::Failed(format!("{text}: {why}")))
    }

    fn try_obey(&mut self, order: Order) -> Outcome {
        match order {
            Order::Be(nature) => self.nature = nature,
            Order::BeBroker => self.node = Some(Node::broker()?),
            Order::Listen(path) => self.listener = Some(self.node().listen(path)?),
            Order::Connect(path, name) => {
                let connected = self.node_options().connect(path, &self.connect_options())?;
                self.be_connected(connected, name)?;
            }
            Order::BeSpawned(name) => {
                let connected = self.node_options().from_parent(&self.connect_options())?;
                self.be_connected(connected, name)?;
            }
            Order::Reconnect(path, name) => {
                self.keep(self.node().reconnect(path, &self.connect_options())?, name)?;
            }
            Order::Disconnect => self.connections.drain(..).for_each(|it| it.disconnect()),
            Order::Join(path, name) => self.keep(self.node().join(path)?, name)?,
            Order::Accept(name) => self.keep(self.listener()?.accept()?, name)?,
            Order::AcceptBroker(name) => {
                let options = ConnectOptions::default();
                self.keep(self.listener()?.accept_broker(&options)?, name)?;
            }
            Order::Spawn { program, control, name } => self.spawn(&program, &control, name)?,
            Order::Open { first, count } => self.open(first, count),
            Order::Send { road, first, count } => self.send(road, first, count)?,
            Order::Take { road, first, count } => self.take(road, first, count)?,
            Order::End(portal) => return self.end(portal),
            Order::Merge(a, b) => self.remove(a)?.merge(self.remove(b)?)?,
            Order::Close { first, count } => {
                (first..first + count).try_for_each(|name| self.remove(name).map(drop))?;
            }
            Order::Route(portal) => return Ok(Answer::Leads(self.leads(portal)?)),
            Order::Look => return Ok(Answer::Seen(self.look()?)),
            Order::Die => {
                self.node().shut_down(std::time::Duration::ZERO);
                self.portals.clear();
            }
            about_parcels => return self.exchange(about_parcels),
        }
        Ok(Answer::Done)
    }

    /// Puts and takes parcels, as it is told.
    fn exchange(&mut self, order: Order) -> Outcome {
        match order {
            Order::Put { first, portals, number, count } => {
                self.put(first..first + portals, number..number + count)?;
            }
            Order::PutLoaded { portal, number } => self.put_loaded(portal, number)?,
            Order::PutSo { portal, number, way } => {
                ways::put(self.node(), self.portal(portal)?, number, way)?;
            }
            Order::GetSo { portal, number, way } => {
                let portal = self.portals.get_mut(&portal).ok_or("that portal is not here")?;
                ways::get(portal, number, way)?;
            }
            Order::Serve(portal) => {
                let served = ways::serve(self.remove(portal)?);
                self.served.push(served);
            }
            Order::Served => {
                let served = self.served.pop().ok_or("it serves nobody")?;
                return Ok(Answer::Count(served.recv_timeout(PATIENCE)?));
            }
            Order::Get { first, portals, number, count } => {
                self.get(first..first + portals, number..number + count)?;
            }
            Order::Drain { portal, number } => return self.drain(portal, number),
            Order::GetOrEnd { portal, number } => return self.get_or_end(portal, number),
            Order::TryPut { portal, number } => return self.try_put(portal, number),
            Order::Reject(portal) => {
                self.portal(portal)?.recv_timeout(PATIENCE)?.reject("as the test wants")?;
            }
            other => return Err(format!("nobody knows how to {other:?}").into()),
        }
        Ok(Answer::Done)
    }

    fn node_options(&self) -> NodeOptions {
        let Nature { delegates, relays } = self.nature;
        let options = NodeOptions::default();
        let options = if delegates { options.without_allocation() } else { options };
        if relays { options.with_relayed_handles() } else { options }
    }

    fn connect_options(&self) -> ConnectOptions {
        let options = ConnectOptions::default();
        if self.nature.delegates { options.delegate_allocation() } else { options }
    }

    pub(super) fn node(&self) -> &Node {
        self.node.as_ref().expect("it was told what to be")
    }

    fn listener(&self) -> Result<&Listener, String> {
        self.listener.as_ref().ok_or_else(|| "it does not listen".to_owned())
    }

    fn portal(&self, name: Name) -> Result<&Portal, String> {
        self.portals.get(&name).ok_or_else(|| format!("portal {name} is not here"))
    }

    fn remove(&mut self, name: Name) -> Result<Portal, String> {
        self.portals.remove(&name).ok_or_else(|| format!("portal {name} is not here"))
    }

    fn be_connected(
        &mut self,
        (node, connection): (Node, Connection),
        name: Name,
    ) -> Result<(), ipcz::Error> {
        self.node = Some(node);
        self.keep(connection, name)
    }

    /// Keeps a connection, and its first portal by this name.
    pub(super) fn keep(&mut self, connection: Connection, name: Name) -> Result<(), ipcz::Error> {
        self.portals.insert(name, connection.take_portal(0)?);
        self.connections.push(connection);
        Ok(())
    }

    fn spawn(&mut self, program: &Path, control: &Path, name: Name) -> Result<(), ipcz::Error> {
        let mut command = Command::new(program);
        command.arg(control);
        let child = self.node().spawn(command)?;
        self.portals.insert(name, child.take_portal(0)?);
        self.children.push(child);
        Ok(())
    }

    fn open(&mut self, first: Name, count: u64) {
        for name in first..first + count {
            let (near, far) = self.node().open_portals();
            self.portals.insert(name, near);
            self.portals.insert(name + count, far);
        }
    }

    fn send(
        &mut self,
        road: Name,
        first: Name,
        count: u64,
    ) -> Result<(), Box<dyn std::error::Error>> {
        let mut rest = first..first + count;
        while !rest.is_empty() {
            let some = rest.by_ref().take(TOGETHER as usize);
            let handles: Result<Vec<_>, _> =
                some.map(|name| self.remove(name).map(Handle::from)).collect();
            self.portal(road)?.put(Parcel::with_handles("", handles?))?;
        }
        Ok(())
    }

    fn take(
        &mut self,
        road: Name,
        first: Name,
        count: u64,
    ) -> Result<(), Box<dyn std::error::Error>> {
        let mut names = first..first + count;
        while !names.is_empty() {
            let (_, handles) = self.portal(road)?.recv_timeout(PATIENCE)?.into_parts();
            if handles.is_empty() {
                return Err("a parcel without portals".into());
            }
            for handle in handles {
                let Handle::Portal(portal) = handle else { return Err("another handle".into()) };
                let name = names.next().ok_or("more portals than were sent")?;
                self.portals.insert(name, portal);
            }
        }
        Ok(())
    }

    fn put(
        &self,
        portals: std::ops::Range<Name>,
        numbers: std::ops::Range<u64>,
    ) -> Result<(), Box<dyn std::error::Error>> {
        for name in portals {
            let portal = self.portal(name)?;
            numbers.clone().try_for_each(|number| portal.put(number.to_le_bytes().to_vec()))?;
        }
        Ok(())
    }

    fn put_loaded(&self, portal: Name, number: u64) -> Result<(), Box<dyn std::error::Error>> {
        Ok(self.portal(portal)?.put(ways::loaded(self.node(), number)?)?)
    }

    fn get(
        &self,
        portals: std::ops::Range<Name>,
        numbers: std::ops::Range<u64>,
    ) -> Result<(), Box<dyn std::error::Error>> {
        for name in portals {
            let portal = self.portal(name)?;
            for number in numbers.clone() {
                let parcel = portal.recv_timeout(PATIENCE);
                let parcel = parcel.map_err(|why| format!("instead of number {number}: {why}"))?;
                check(&parcel, number)?;
                check_load(parcel, number)?;
            }
        }
        Ok(())
    }

    fn drain(&self, portal: Name, number: u64) -> Outcome {
        let portal = self.portal(portal)?;
        let mut next = number;
        loop {
            match portal.try_recv() {
                Ok(parcel) => {
                    check(&parcel, next)?;
                    check_load(parcel, next)?;
                }
                Err(TryRecvError::Empty) => return Ok(Answer::Count(next - number)),
                Err(why) => return Err(why.into()),
            }
            next += 1;
        }
    }

    fn get_or_end(&self, portal: Name, number: u64) -> Outcome {
        match self.portal(portal)?.recv_timeout(PATIENCE) {
            Ok(parcel) => check(&parcel, number)?,
            Err(TryRecvError::Disconnected(why)) => return Ok(Answer::Ended(why.into())),
            Err(why) => return Err(why.into()),
        }
        Ok(Answer::Done)
    }

    fn try_put(&self, portal: Name, number: u64) -> Outcome {
        let put = self.portal(portal)?.put(number.to_le_bytes().to_vec());
        match put.map_err(|refused| refused.kind()) {
            Ok(()) => Ok(Answer::Done),
            Err(ipcz::PutErrorKind::Disconnected(why)) => Ok(Answer::Ended(why.into())),
            Err(why) => Err(format!("{why}").into()),
        }
    }

    fn end(&self, portal: Name) -> Outcome {
        let portal = self.portal(portal)?;
        loop {
            match portal.recv_timeout(PATIENCE) {
                Ok(_) => {}
                Err(TryRecvError::Disconnected(why)) => return Ok(Answer::Ended(Ended::from(why))),
                Err(TryRecvError::Empty) => return Err("the route goes on".into()),
            }
        }
    }

    fn leads(&self, portal: Name) -> Result<Leads, String> {
        Ok(match self.portal(portal)?.route() {
            Route::Local => Leads::Here,
            Route::Remote(name) => Leads::To(name.0),
            _ => Leads::Nowhere,
        })
    }

    fn look(&self) -> std::io::Result<Seen> {
        let count = |folder| std::fs::read_dir(folder).map(Iterator::count);
        let topology = self.node().topology();
        let peers = topology.peers.iter().map(|peer| (peer.name.0, peer.links));
        Ok(Seen {
            name: topology.name.0,
            peers: peers.collect(),
            terminals: topology.terminals,
            proxies: topology.proxies,
            descriptors: count("/proc/self/fd")?,
            threads: count("/proc/self/task")?,
        })
    }
}
