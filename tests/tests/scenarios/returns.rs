//! Scenarios in which connections are lost and made again.

use ipcz_tests::scenarios::{Network, Place, Talk, soak};

use crate::bodies::mesh;

/// A new route from one node to another, by way of their broker and then directly.
fn meet(net: &mut Network, a: Place, broker: Place, b: Place) -> Talk {
    let mut talk = Talk::open(net, a);
    talk.say_loaded(net, 0);
    for place in [broker, b] {
        talk.go(net, 1, place);
        talk.say_loaded(net, 1);
    }
    talk.finish(net);
    assert!(net.leads_to(talk.ends[0], b) && net.leads_to(talk.ends[1], a));
    talk
}

pub(crate) fn clients_find_another_broker(net: &mut Network) {
    for _ in 0..3 * soak() {
        let places = mesh(net, 2);
        let (old, a, b) = (places[0], places[1], places[2]);
        let mut kept = meet(net, a, old, b);
        let ends = [a, b].map(|it| (it, net.road(it, old)));
        net.kill(old);
        for (place, road) in ends {
            let why = net.end_of(place, road);
            assert!(net.is_death_of(&why, old), "{why:?}");
        }
        let new = net.add_broker();
        net.reconnect(a, new);
        net.reconnect(b, new);
        meet(net, a, new, b);
        // And whoever the new broker knows.
        let other = net.add_client(new);
        meet(net, other, new, a);
        kept.say(net, 0, 3);
        kept.say(net, 1, 3);
        kept.finish(net);
        [a, b, other, new].into_iter().for_each(|it| net.kill(it));
    }
}

pub(crate) fn a_client_leaves_and_comes_back(net: &mut Network) {
    let places = mesh(net, 2);
    let (broker, a, b) = (places[0], places[1], places[2]);
    for _ in 0..5 * soak() {
        let ends = [(a, net.road(a, broker)), (broker, net.road(broker, a))];
        net.disconnect(a);
        for (place, road) in ends {
            net.end_of(place, road);
        }
        // Only now has the broker noticed.
        net.reconnect(a, broker);
        meet(net, a, broker, b);
    }
}

pub(crate) fn introduced_nodes_meet_again(net: &mut Network) {
    let places = mesh(net, 2);
    let (broker, a, b) = (places[0], places[1], places[2]);
    for round in 0..6 * soak() {
        let (from, to) = if round % 2 == 0 { (b, a) } else { (a, b) };
        let talk = meet(net, a, broker, b);
        let ends = talk.ends;
        net.put(from, ends[usize::from(from == b)].1, 1, 0);
        net.reject(to, ends[usize::from(to == b)].1);
        for (place, portal) in ends {
            assert_eq!(net.end_of(place, portal).kind, "Rejected");
        }
        net.settle();
    }
    meet(net, b, broker, a);
}
