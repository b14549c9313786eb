//! Which routes a loss may cut: those that had something under way, and those that move afterwards.

use ipcz_core::{PortalId, RouterLink};

use super::conn::ConnId;
use super::model::Ep;
use super::world::World;

impl World {
    /// Notes that connections are lost: `hit` says whether one between these two nodes is. What is
    /// linked over others, and has everything that was put, must not notice.
    pub(super) fn note_loss(&mut self, hit: impl Fn(u8, u8) -> bool) {
        self.troubles.lost = true;
        let safe =
            |ep: &Ep| self.is_settled(*ep, &hit) && self.is_settled(self.model.peer(*ep), &hit);
        let at_risk: Vec<_> = self.model.eps.keys().copied().filter(|ep| !safe(ep)).collect();
        for ep in at_risk {
            self.model.may_be_lost(ep);
        }
    }

    /// Notes that a connection is lost. Its name does not always say whose it is.
    pub(super) fn note_loss_of(&mut self, id: ConnId) {
        let holders = [0, 1].map(|side| self.receiver(id, side).map(|(node, _)| node));
        let nodes: Vec<_> = holders.into_iter().flatten().chain(id.nodes).collect();
        self.note_loss(|a, b| nodes.contains(&a) && nodes.contains(&b));
    }

    /// Notes that a portal's route changes. What changes after a loss may lead where the loss is yet
    /// to be noticed.
    pub(super) fn note_change(&mut self, ep: Ep) {
        if self.troubles.lost {
            self.model.may_be_lost(ep);
        }
    }

    /// Whether a portal is linked to its peer's and has all that was put there.
    fn is_settled(&self, ep: Ep, hit: impl Fn(u8, u8) -> bool) -> bool {
        let (Some((near, portal)), Some((far, peer))) =
            (self.model.held(ep), self.model.held(self.model.peer(ep)))
        else {
            return false;
        };
        let status = self.node(near).engine.status(portal);
        let here = status.map_or(0, |status| status.num_parcels);
        let arrived = self.model.eps[&ep].taken as usize + here;
        let put = self.model.eps[&self.model.peer(ep)].sent.len();
        let linked = match (self.link_of(near, portal), self.link_of(far, peer)) {
            (Some((id, RouterLink::Here(twin))), Some((other, RouterLink::Here(back)))) => {
                near == far && twin == other && back == id
            }
            (Some((_, to)), Some((_, from))) => {
                let id = |link| match link {
                    RouterLink::There { link, .. } => Some(link),
                    RouterLink::Here(_) => None,
                };
                let names = [to, from].map(|link| match link {
                    RouterLink::There { node, .. } => node.map(Self::index_of),
                    RouterLink::Here(_) => None,
                });
                id(to) == id(from) && names == [Some(far), Some(near)] && !hit(near, far)
            }
            _ => false,
        };
        linked && arrived == put
    }

    /// The link that a portal sends on, and its end of it.
    pub(super) fn link_of(&self, node: u8, portal: PortalId) -> Option<(u64, RouterLink)> {
        let stations = self.node(node).engine.stations();
        let station = stations.into_iter().find(|station| station.router == portal)?;
        let end = station.ends.into_iter().find(|end| !end.decays)?;
        Some((end.id, end.far))
    }
}
