//! Networks of engines under a scheduler that tries everything.

use ipcz_core::{Descriptor, LinkId, Message, RouteMessage, Secret, TrapConditions};
use ipcz_tests::sim::explore::{PLOTS, explore};
use ipcz_tests::sim::run::{replay, run_seed, shrink};
use ipcz_tests::sim::script::Stage;
use ipcz_tests::sim::{ConnId, Profile, Step, Tag, Trace, Wanted, World};

/// The shortest traces that break wrong rules of the protocol, with the rule.
const TRACES: [(&str, &str); 14] = [
    ("no arbitration", "M(0,1) D01 M(0,0) D01 D10 D10 D10"),
    ("proxies also grant", "M(0,2) M(1,0) D10 D10 D01 D10"),
    ("BypassMe sent outward", "M(0,2) D01 D12 D21"),
    ("start with decaying ends", "M(0,2) D02 D02 M(0,0) D20 D20 D01 D10"),
    ("executor sends Fin at once", "M(0,2) D02 D02 D20 D01"),
    ("Closed not resent on Accept", "M(0,1) D01 C(1) D01"),
    ("BypassMe obeyed after Closed", "M(0,1) D01 C(0) D01"),
    ("Fin forwarded before decaying ends finish", "M(0,1) D01 P0 D01 D10 C(0) M(1,0) D01"),
    ("unknown Accept unanswered", "M(0,2) D02 D02 C(1) D10 D02 D10 D02 D20 D01 D21 D21"),
    ("unknown Accept answered by Disc", "M(0,2) D02 D02 C(1) D10 D02 D10 D02 D20 D01 D21 D12 D21"),
    ("peer-closed terminal sends no Fin", "C(0) D01 D01"),
    ("Disc on primaries only", "M(0,1) D01 D01 D10 M(0,2) X(2) D20 D21 D01"),
    ("closed terminal destroyed at once", "P0 C(1) D01"),
    ("local swap with the loopback undrained", "M(0,1) D01 D01 D10 D01 C(1) M(0,0)"),
];

#[test]
fn traces_that_break_wrong_rules() {
    for (rule, trace) in TRACES {
        for opened_at in [0, 1] {
            for seed in 0..16 {
                let mut stage = Stage::new(opened_at, seed % 4).unwrap();
                stage.play(trace).unwrap_or_else(|broken| panic!("{rule}: {broken:?}"));
                let broken = stage.finish(seed).violation;
                assert_eq!(broken, None, "{rule}, opened at {opened_at}, seed {seed}");
            }
        }
    }
}

fn holds_for(seeds: std::ops::Range<u64>, wanted: Wanted) {
    for seed in seeds {
        let outcome = run_seed(seed, wanted);
        if outcome.violation.is_some() {
            let start = Profile::of_seed(seed, wanted).start(seed);
            let shrunk = shrink(&start.world(), &outcome);
            let trace = Trace { start, steps: shrunk.trace };
            panic!("seed {seed} {wanted:?}: {:?}\n{trace}", shrunk.violation);
        }
    }
}

#[test]
fn random_worlds() {
    holds_for(0..500, Wanted::default());
}

/// What once failed, as traces that say what they were kept for.
#[test]
fn regressions() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/regressions");
    let mut replayed = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let trace: Trace = std::fs::read_to_string(&path).unwrap().parse().unwrap();
        for ending in 0..16 {
            let outcome = trace.replay(ending);
            assert_eq!(outcome.violation, None, "{path:?}, ending {ending}:\n{:?}", outcome.trace);
        }
        // Some steps were possible only because of the defect; a trace of impossible ones tests nothing.
        let mut world = trace.start.world();
        let possible = trace.steps.iter().filter(|step| world.apply(step).unwrap()).count();
        assert!(possible * 4 >= trace.steps.len() * 3, "{path:?}: {possible} steps are possible");
        replayed += 1;
    }
    assert!(replayed > 0);
}

#[test]
fn a_trace_is_read_as_it_was_written() {
    for seed in 0..200 {
        let wanted = Wanted { hostile: seed % 2 == 1, ..Wanted::default() };
        let start = Profile::of_seed(seed, wanted).start(seed);
        let trace = Trace { start, steps: run_seed(seed, wanted).trace };
        assert_eq!(trace.to_string().parse(), Ok(trace), "seed {seed}");
    }
    let start = Profile::of_seed(0, Wanted::default()).start(0);
    let commented = format!("# Why\n\n  {start}\n  Get{{at=3}} # and this\n");
    let trace = Trace { start, steps: vec![Step::Get { at: 3 }] };
    assert_eq!(commented.parse(), Ok(trace));
    for wrong in
        ["", "Get{at=3}", &format!("{commented}Get{{at=x}}"), &format!("{commented}Get{{}}")]
    {
        assert!(wrong.parse::<Trace>().is_err(), "{wrong}");
    }
}

#[test]
fn small_busy_worlds() {
    holds_for(0..100, Wanted { nodes: Some(2), steps: Some(80), ..Wanted::default() });
    holds_for(0..100, Wanted { nodes: Some(3), steps: Some(80), ..Wanted::default() });
}

#[test]
fn long_runs() {
    holds_for(0..4, Wanted { nodes: Some(5), steps: Some(2000), ..Wanted::default() });
}

#[test]
fn the_same_seed_makes_the_same_run() {
    let [one, two] = [7, 7].map(|seed| run_seed(seed, Wanted::default()));
    assert_eq!(one.trace, two.trace);
}

/// The connection that the broker has with a node.
fn to_broker(node: u8) -> ConnId {
    ConnId { nodes: [0, node], nth: 0 }
}

fn connect(node: u8, first: u32) -> Step {
    Step::Connect { to: 0, node, portals: [1, 1], first }
}

fn plays(nodes: u8, steps: &[Step]) {
    for seed in 0..64 {
        let world = World::new(nodes, false, seed % 4);
        let outcome = replay(&world, steps, seed);
        assert_eq!(outcome.violation, None, "seed {seed}: {:?}", outcome.trace);
    }
}

#[test]
fn a_node_lost_while_it_is_introduced() {
    // A portal of a route to node 2 arrives at node 1, which asks for node 2; then that crashes.
    let mut steps = vec![connect(1, 0), connect(2, 2)];
    let deliver = |node, side| Step::Deliver { conn: to_broker(node), side };
    steps.extend([deliver(1, 0), deliver(1, 1), deliver(2, 0), deliver(2, 1)]);
    steps.push(Step::Put { via: 0, size: 0, moved: vec![2] });
    steps.extend([deliver(1, 1), deliver(1, 1), deliver(1, 1), deliver(1, 0), deliver(1, 0)]);
    for made in 0..6 {
        let mut steps = steps.clone();
        steps.extend((0..made).flat_map(|_| [deliver(1, 1), deliver(1, 0), deliver(2, 0)]));
        steps.push(Step::Crash { node: 2, keep: 0 });
        plays(3, &steps);
    }
}

#[test]
fn a_cut_after_the_peer_closed_and_before_it_finished() {
    let deliver = |side| Step::Deliver { conn: to_broker(1), side };
    let cut = |delivered| {
        let mut steps = vec![connect(1, 0), deliver(1), deliver(0), Step::Close { ep: 0 }];
        steps.extend((0..delivered).map(|_| deliver(1)));
        steps.push(Step::Drop { conn: to_broker(1), keep: [0, 0] });
        steps.push(deliver(1));
        steps
    };
    for delivered in 0..4 {
        let merged = [Step::Open { node: 1, first: 10 }, Step::Merge { a: 10, b: 1 }];
        plays(2, &[cut(delivered), merged.to_vec()].concat());
    }
}

#[test]
fn traps_on_a_route_that_was_cut() {
    let conditions = TrapConditions { peer_closed: true, ..TrapConditions::default() };
    let drop = Step::Drop { conn: to_broker(1), keep: [1, 1] };
    plays(2, &[connect(1, 0), Step::Trap { ep: 0, conditions }, drop]);
}

#[test]
fn every_interleaving_of_small_worlds() {
    for plot in PLOTS.iter().filter(|plot| plot.quick) {
        for opened_at in if plot.joins() { 0..1 } else { 0..2 } {
            let found = explore(plot, opened_at, 0, 10_000);
            assert_eq!(found.violation, None, "{}, opened at {opened_at}", plot.name);
            assert!(!found.cut_short && found.ends > 0, "{}: {found:?}", plot.name);
        }
    }
}

/// Lets what the last node of a world would never say arrive, and then anything happen.
fn hostile(steps: &[Step]) {
    for seed in 0..16 {
        let world = World::new(2, true, seed % 4);
        let outcome = replay(&world, steps, seed);
        assert_eq!(outcome.violation, None, "seed {seed}: {:?}", outcome.trace);
    }
}

fn forge(message: Message<Tag>) -> Step {
    Step::Forge { conn: to_broker(1), side: 1, message: Box::new(message) }
}

#[test]
fn a_parcel_on_the_link_of_a_portal_in_it() {
    for link in [LinkId(5000), LinkId(1 << 63 | 5000)] {
        let secret = Secret(7);
        let portal = Descriptor { link, secret, next_in: 1, next_out: 0, owner: true };
        let payload = Tag { from: u32::MAX, ..Tag::default() };
        let parcel = Message::Parcel {
            link,
            sequence: 1,
            hops: 1,
            relayed: None,
            payload,
            portals: vec![portal],
        };
        hostile(&[connect(1, 0), forge(parcel)]);
    }
}

#[test]
fn a_link_that_ends_short_of_the_length_of_its_route() {
    let closed = Message::Route(LinkId(0), RouteMessage::Closed(2));
    let fin = Message::Route(LinkId(0), RouteMessage::Fin(0));
    hostile(&[connect(1, 0), forge(closed), forge(fin)]);
}

#[test]
fn a_shutdown_before_the_other_node_said_hello() {
    let deliver = |node, side| Step::Deliver { conn: to_broker(node), side };
    let mut steps = vec![connect(1, 0), deliver(1, 0), connect(2, 2)];
    steps.push(Step::Put { via: 0, size: 0, moved: vec![2] });
    steps.push(Step::ShutDown { node: 0 });
    plays(3, &steps);
}

#[test]
fn ring() {
    // Both nodes merge the two routes that they have: nobody holds a portal of what remains.
    let connect = Step::Connect { to: 0, node: 1, portals: [2, 2], first: 0 };
    plays(2, &[connect, Step::Merge { a: 0, b: 2 }, Step::Merge { a: 1, b: 3 }]);
}

/// Steps after which both portals of a route are at node 1, and the way between them leads over
/// node 0 and back, for as long as nothing more is delivered.
fn there_and_back() -> Vec<Step> {
    let deliver = |side| Step::Deliver { conn: to_broker(1), side };
    let carry = |via| Step::Put { via, size: 0, moved: vec![11] };
    let mut steps = vec![Step::Connect { to: 0, node: 1, portals: [2, 2], first: 0 }];
    steps.extend([deliver(0), deliver(1), Step::Open { node: 1, first: 10 }]);
    steps.extend([carry(1), deliver(0), Step::Get { at: 0 }]);
    steps.extend([carry(2), deliver(1), Step::Get { at: 3 }]);
    steps
}

#[test]
fn a_portal_that_leaves_in_the_step_that_closes_its_peer() {
    // A merge passes p30 on to node 1, with a parcel that it has not read, and drops p31, its peer.
    let deliver = |side| Step::Deliver { conn: to_broker(1), side };
    let open = |first| Step::Open { node: 0, first };
    let put = |via, moved| Step::Put { via, size: 0, moved };
    let mut steps = vec![connect(1, 0), deliver(0), deliver(1), open(10), open(20), open(30)];
    steps.extend([put(31, vec![]), put(11, vec![30]), Step::Close { ep: 11 }, put(21, vec![31])]);
    steps.extend([put(0, vec![21]), Step::Merge { a: 10, b: 20 }]);
    plays(2, &steps);
}

#[test]
fn a_portal_that_chases_itself() {
    let mut steps = there_and_back();
    steps.push(Step::Put { via: 10, size: 0, moved: vec![11] });
    plays(2, &steps);
}

#[test]
fn worlds_with_a_hostile_node() {
    holds_for(0..300, Wanted { hostile: true, ..Wanted::default() });
}

/// The names of what a graph declares, and the lines that are links.
fn parse_dot(dot: &str) -> (std::collections::BTreeSet<&str>, Vec<&str>) {
    let mut depth = 0;
    let (mut names, mut links) = (std::collections::BTreeSet::new(), Vec::new());
    assert!(dot.starts_with("graph routes {\n") && dot.ends_with("}\n"), "{dot}");
    for line in dot.lines().map(str::trim) {
        depth += line.matches('{').count() as i32 - line.matches('}').count() as i32;
        assert!(depth >= 0 && line.matches('"').count() % 2 == 0, "{line}");
        let is_statement = line.ends_with("];") && line.matches('[').count() == 1;
        match line.split_once(" [") {
            Some((ends, _)) if is_statement && ends.contains(" -- ") => links.push(line),
            Some((name, _)) if is_statement => assert!(names.insert(name), "{name} twice"),
            _ => assert!(line.ends_with(['{', '}', ';']), "{line}"),
        }
    }
    assert_eq!(depth, 0);
    (names, links)
}

#[test]
fn routes_as_a_graph() {
    // While one end moves: a proxy with its links, then old links that decay, then a direct one.
    let mut stage = Stage::new(0, 0).unwrap();
    stage.play("M(0,2)").unwrap();
    let mut seen = Vec::new();
    for word in ["D02", "D02", "D20", "D01", "D12", "D21", "D10", "D01", "D20", "D02", "D12", "D21"]
    {
        let dot = stage.world.dot();
        let (names, links) = parse_dot(&dot);
        for link in links {
            let (ends, _) = link.split_once(" [").unwrap();
            for name in ends.split(" -- ") {
                assert!(names.contains(name), "{name} of {link}\n{dot}");
            }
        }
        seen.push(dot);
        stage.play(word).unwrap();
    }
    for what in ["label=\"proxy\", shape=circle", "decaying link", "style=dashed", "under way"] {
        assert!(seen.iter().any(|dot| dot.contains(what)), "{what}: {}", seen.join("\n"));
    }
    for what in ["cluster_3", "shape=box", "label=\"link "] {
        assert!(seen.iter().all(|dot| dot.contains(what)), "{what}: {}", seen.join("\n"));
    }
}
