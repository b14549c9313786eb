//! A world's routes as a graph, in the language of Graphviz.
//!
//! ```text
//! terminal (with its portal)  ──link──  (proxy)  ╌╌decaying link╌╌  terminal
//! ```
//!
//! A node is a cluster. An end whose link has no other end yet, or any more, leads to what is under way.

use std::collections::BTreeMap;
use std::fmt::Write;

use ipcz_core::{RouterLink, Station, StationEnd};

use super::world::World;

/// What both ends of a link call it.
type LinkKey = (u8, u8, u64);

/// What is known of a link: the router at each end that was found, and whether it decays there.
type LinkEnds = Vec<(String, bool)>;

impl World {
    /// The routers of all nodes and the links between them.
    #[must_use]
    pub fn dot(&self) -> String {
        let mut text = String::from("graph routes {\n");
        let mut links: BTreeMap<LinkKey, LinkEnds> = BTreeMap::new();
        for index in 0..self.nodes.len() as u8 {
            if self.node(index).alive {
                self.dot_node(index, &mut text, &mut links);
            }
        }
        for (number, (link, ends)) in links.iter().enumerate() {
            dot_link(number, *link, ends, &mut text);
        }
        text + "}\n"
    }

    fn dot_node(&self, index: u8, text: &mut String, links: &mut BTreeMap<LinkKey, LinkEnds>) {
        let portals: BTreeMap<_, _> =
            self.model.open().map(|(ep, at, id)| ((at, id), ep)).collect();
        let _ = writeln!(text, "    subgraph cluster_{index} {{\n        label=\"node {index}\";");
        for Station { router, is_proxy, ends } in self.node(index).engine.stations() {
            let name = format!("r{index}_{}", router.to_bits());
            let (label, shape) = match portals.get(&(index, router)) {
                Some(ep) => (format!("p{ep}"), "box"),
                None if is_proxy => ("proxy".into(), "circle"),
                None => ("closed".into(), "box"),
            };
            let _ = writeln!(text, "        {name} [label=\"{label}\", shape={shape}];");
            for end in ends {
                links
                    .entry(self.link_key(index, end))
                    .or_default()
                    .push((name.clone(), end.decays));
            }
        }
        text.push_str("    }\n");
    }

    fn link_key(&self, index: u8, end: StationEnd) -> LinkKey {
        match end.far {
            RouterLink::Here(far) => (index, index, end.id.min(far)),
            RouterLink::There { node, link, .. } => {
                let far = node.map_or(index, Self::index_of);
                (index.min(far), index.max(far), link.0)
            }
        }
    }
}

fn dot_link(number: usize, (a, b, id): LinkKey, ends: &LinkEnds, text: &mut String) {
    let decays = ends.iter().any(|(_, decays)| *decays);
    let style = if decays { "dashed" } else { "solid" };
    let what = if decays { "decaying link" } else { "link" };
    let label = format!("label=\"{what} {a}-{b} {}\", style={style}", id & !(1 << 63));
    let _ = match &ends[..] {
        [(one, _), (other, _)] => writeln!(text, "    {one} -- {other} [{label}];"),
        // The other end has yet to hear of the link, or has forgotten it.
        _ => {
            let (one, _) = &ends[0];
            let under_way = format!("w{number}");
            let _ = writeln!(text, "    {under_way} [label=\"under way\", shape=plaintext];");
            writeln!(text, "    {one} -- {under_way} [{label}];")
        }
    };
}
