//! Scenarios in which nobody dies.

use ipcz_tests::scenarios::{Network, Place, Talk, soak};
use ipcz_tests::sim::Rng;

/// A broker and some clients, with roads between all of them.
pub(crate) fn mesh(net: &mut Network, clients: usize) -> Vec<Place> {
    let broker = net.add_broker();
    let mut places = vec![broker];
    for _ in 0..clients {
        let place = net.add_client(broker);
        for &other in &places[1..] {
            net.build_road(place, &[broker, other]);
        }
        places.push(place);
    }
    net.settle();
    // Before the hellos, what stands for the other side's portals counts too.
    net.until("everybody said hello", |place, seen| {
        let peers = if place == broker { clients } else { 1 };
        seen.peers.len() >= peers && seen.proxies == 0
    });
    places
}

pub(crate) fn many_portals_across_two_nodes(net: &mut Network) {
    const PORTALS: u64 = 100_000;
    let places = mesh(net, 1);
    let (a, b) = (places[0], places[1]);
    for _ in 0..soak() {
        let before = [net.look(a), net.look(b)];
        let (near, far) = net.open(a, PORTALS);
        net.pass(far, PORTALS, a, b);
        net.put(a, near, PORTALS, 1);
        net.put(b, far, PORTALS, 2);
        net.get(a, near, PORTALS, 2);
        net.get(b, far, PORTALS, 1);
        net.settle();
        net.until_no_proxies();
        // When the mesh has just been made, what made it may still be open.
        let mut descriptors = before.each_ref().map(|it| it.descriptors);
        for (place, before) in [(a, &before[0]), (b, &before[1])] {
            let seen = net.look(place);
            assert_eq!(seen.terminals, before.terminals + PORTALS as usize);
            assert_eq!(seen.peers[0].1, before.peers[0].1 + PORTALS as usize);
            let least = &mut descriptors[usize::from(place == b)];
            *least = seen.descriptors.min(*least);
        }
        // Half of them at either end first.
        net.close(a, near, PORTALS / 2);
        net.close(b, far + PORTALS / 2, PORTALS / 2);
        net.close(a, near + PORTALS / 2, PORTALS / 2);
        net.close(b, far, PORTALS / 2);
        net.settle();
        net.until("everything is as before", |place, seen| {
            let before = &before[usize::from(place == b)];
            let counts = |it: &ipcz_tests::scenarios::Seen| (it.peers.clone(), it.terminals);
            counts(seen) == counts(before) && seen.proxies == 0
        });
        if net.has_processes() {
            net.until("no descriptor is left over", |place, seen| {
                seen.descriptors <= descriptors[usize::from(place == b)]
            });
        }
    }
}

pub(crate) fn a_portal_goes_around_four_nodes(net: &mut Network) {
    let places = mesh(net, 3);
    let mut talk = Talk::open(net, places[0]);
    for step in 1..=10_000 * soak() {
        talk.say(net, 0, 1);
        talk.say(net, 1, 1);
        talk.go(net, 1, places[step % 4]);
        // What the portal has not read travels with it, again and again.
        if step % 20 == 0 {
            talk.say_loaded(net, 0);
            talk.say_loaded(net, 1);
            talk.hear(net, 0);
            talk.hear(net, 1);
        }
    }
    talk.go(net, 1, places[2]);
    talk.finish(net);
}

/// Introductions are held back by a broker that does not answer.
pub(crate) fn a_chain_of_proxies_collapses(net: &mut Network) {
    const PROXIES: usize = 50;
    let broker = net.add_broker();
    let mut line = vec![net.add_caller(broker)];
    for _ in 0..=PROXIES {
        let last = line[line.len() - 1];
        line.push(net.add_client(last));
    }
    let mut talk = Talk::open(net, line[0]);
    for &place in &line[1..] {
        talk.say(net, 0, 1);
        talk.say(net, 1, 1);
        talk.go(net, 1, place);
    }
    // Through all of them, and there is no other way.
    talk.hear(net, 0);
    talk.hear(net, 1);
    net.settle();
    let proxies: usize = line.iter().map(|&place| net.look(place).proxies).sum();
    assert!(proxies >= PROXIES, "{proxies}");
    assert!(net.leads_to(talk.ends[0], line[1]));
    talk.say(net, 0, 100);
    talk.say(net, 1, 100);
    net.answer(broker);
    talk.finish(net);
}

pub(crate) fn both_ends_move_at_once(net: &mut Network) {
    let places = mesh(net, 4);
    for seed in 0..soak() as u64 {
        let mut rng = Rng::new(seed);
        let mut place = || places[rng.below(places.len())];
        let mut talks: Vec<_> = (0..4).map(|_| Talk::open(net, place())).collect();
        for _ in 0..300 {
            let goals: Vec<_> = talks.iter().map(|_| [place(), place()]).collect();
            for (talk, goals) in talks.iter_mut().zip(&goals) {
                for side in [0, 1] {
                    talk.say(net, side, 2);
                    if goals[side] == places[1] {
                        talk.say_loaded(net, side);
                    }
                    talk.leave(net, side, goals[side]);
                }
            }
            for (talk, goals) in talks.iter_mut().zip(&goals) {
                [0, 1].into_iter().for_each(|side| talk.arrive(net, side, goals[side]));
            }
            let one = &mut talks[goals[0][0] % 4];
            one.drain(net, goals[0][1] % 2);
        }
        talks.iter_mut().for_each(|talk| talk.finish(net));
        for talk in talks {
            talk.ends.iter().for_each(|&(place, name)| net.close(place, name, 1));
        }
    }
}

pub(crate) fn routes_are_merged_with_parcels_in_flight(net: &mut Network) {
    let places = mesh(net, 4);
    let mut rng = Rng::new(7);
    for _ in 0..100 * soak() {
        let mut place = || places[rng.below(places.len())];
        let (middle, left, right) = (place(), place(), place());
        let (near, a) = net.open(middle, 1);
        let (b, far) = net.open(middle, 1);
        let mut talk = Talk::between([(middle, near), (middle, far)]);
        talk.say(net, 0, 3);
        talk.go(net, 1, right);
        talk.say(net, 1, 3);
        talk.leave(net, 0, left);
        net.merge(middle, a, b);
        talk.arrive(net, 0, left);
        talk.say(net, 0, 3);
        talk.go(net, 1, place());
        talk.finish(net);
        // Closed while parcels are under way: they still arrive.
        talk.say(net, 0, 3);
        net.close(talk.ends[0].0, near, 1);
        talk.hear(net, 1);
        net.close(talk.ends[1].0, far, 1);
    }
}

pub(crate) fn brokers_join(net: &mut Network) {
    let (x, y) = (net.add_broker(), net.add_broker());
    let (b, d) = (net.add_client(x), net.add_client(y));
    net.join(x, y);
    let mut talk = Talk::open(net, b);
    for place in [x, y, d] {
        talk.say_loaded(net, 0);
        talk.go(net, 1, place);
        talk.say_loaded(net, 1);
    }
    talk.finish(net);
    // A third broker that joins one of them joins both.
    let z = net.add_broker();
    let e = net.add_client(z);
    net.join(z, y);
    // Whoever is looked for before that is not found, and its proxies stay.
    net.until("all brokers know each other", |place, seen| {
        ![x, y, z].contains(&place) || seen.peers.len() >= 3
    });
    for place in [y, z, e] {
        talk.say_loaded(net, 0);
        talk.go(net, 1, place);
        talk.say_loaded(net, 1);
    }
    talk.finish(net);
}

pub(crate) fn a_childs_child_shares_the_broker(net: &mut Network) {
    let broker = net.add_broker();
    let (child, other) = (net.add_child(broker), net.add_child(broker));
    let grandchild = net.add_child(child);
    let great = net.add_child(grandchild);
    let mut talk = Talk::open(net, great);
    for place in [grandchild, child, broker, other] {
        talk.say_loaded(net, 0);
        talk.say_loaded(net, 1);
        talk.go(net, 1, place);
    }
    talk.finish(net);
}
