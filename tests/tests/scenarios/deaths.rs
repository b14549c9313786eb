//! Scenarios in which nodes die.

use ipcz_tests::scenarios::{Network, Place, Talk, soak};
use ipcz_tests::sim::Rng;

use crate::bodies::mesh;

pub(crate) fn nodes_of_a_mesh_die(net: &mut Network) {
    let mut places = mesh(net, 8);
    let broker = places.remove(0);
    let mut rng = Rng::new(1);
    let mut sent = 0;
    settle(net, places.len());
    let before = [broker, places[0]].map(|it| net.look(it)).map(|it| (it.descriptors, it.threads));
    for _ in 0..6 * soak() {
        let victim = places.remove(rng.below(places.len()));
        // Parcels are under way when it goes.
        for &place in &places {
            let road = net.road(place, victim);
            net.put(place, road, 1, 0);
            net.put(victim, net.road(victim, place), 1, 0);
        }
        net.settle();
        let behind: Vec<_> = places.iter().map(|&it| (it, net.road(it, victim))).collect();
        let brokers = net.road(broker, victim);
        net.kill(victim);
        for (place, road) in behind.into_iter().chain([(broker, brokers)]) {
            let why = net.end_of(place, road);
            assert!(net.is_death_of(&why, victim), "{place} hears {why:?} of {victim}");
            net.close(place, road, 1);
        }
        sent += 1;
        talk_all(net, &places, sent);
        let new = net.add_client(broker);
        for &place in &places {
            net.build_road(new, &[broker, place]);
            greet(net, new, place, sent);
        }
        places.push(new);
        settle(net, places.len());
        // Where all nodes share a process, theirs are not to be told apart.
        let told_apart = net.has_processes();
        net.until("nothing is held for who died", |place, seen| {
            let (descriptors, threads) = before[usize::from(place != broker)];
            !told_apart || (seen.descriptors <= descriptors && seen.threads <= threads)
        });
    }
}

/// Waits until everybody knows everybody.
fn settle(net: &mut Network, clients: usize) {
    net.settle();
    net.until("everybody is known", |_, seen| seen.peers.len() == clients && seen.proxies == 0);
}

/// Brings a new road to where the others are: `count` parcels have gone over those.
fn greet(net: &mut Network, a: Place, b: Place, count: u64) {
    let (near, far) = (net.road(a, b), net.road(b, a));
    for number in 1..=count {
        net.put(a, near, 1, number);
        net.put(b, far, 1, number);
        net.get(a, near, 1, number);
        net.get(b, far, 1, number);
    }
}

/// Everybody talks to everybody.
fn talk_all(net: &mut Network, places: &[Place], number: u64) {
    let pairs = || places.iter().flat_map(|&a| places.iter().map(move |&b| (a, b)));
    for (a, b) in pairs().filter(|(a, b)| a != b) {
        net.put(a, net.road(a, b), 1, number);
    }
    for (a, b) in pairs().filter(|(a, b)| a != b) {
        net.get(a, net.road(a, b), 1, number);
    }
    net.settle();
}

pub(crate) fn a_broker_dies_in_the_middle(net: &mut Network) {
    for round in 0..5 * soak() {
        let places = mesh(net, 4);
        let (broker, clients) = (places[0], &places[1..]);
        let mut settled = Talk::open(net, clients[0]);
        settled.go(net, 1, clients[1]);
        settled.say(net, 0, 1);
        settled.finish(net);
        // Routes that have just come through the broker, and some that end there.
        let mut routes = Vec::new();
        for step in 0..20 {
            let (from, to) = (clients[step % 4], clients[(step + 1 + step / 4 % 3) % 4]);
            let (near, far) = net.open(from, 1);
            net.pass(far, 1, from, broker);
            net.pass(far, 1, broker, to);
            routes.push([(from, near), (to, far)]);
        }
        let (ours, theirs) = net.open(broker, 1);
        net.pass(theirs, 1, broker, clients[0]);
        let _ = ours;
        net.settle();
        net.kill(broker);
        let why = net.end_of(clients[0], theirs);
        assert!(net.is_death_of(&why, broker), "{why:?}");
        for route in routes {
            survive_or_end(net, route, broker);
        }
        settled.say(net, 0, round as u64 + 1);
        settled.hear(net, 1);
        net.settle();
        for &place in clients {
            net.kill(place);
        }
    }
}

/// A route goes on, or ends at both ends with the name of who died.
fn survive_or_end(net: &mut Network, ends: [(Place, u64); 2], dead: Place) {
    let mut ended = Vec::new();
    for (place, name) in ends {
        ended.extend(net.try_put(place, name, 0).err());
    }
    for (place, name) in ends {
        ended.extend(net.get_or_end(place, name, 0).err());
    }
    if !ended.is_empty() {
        ended.extend(ends.map(|(place, name)| net.end_of(place, name)));
    }
    for why in ended {
        assert!(net.is_death_of(&why, dead), "{why:?}");
    }
}
