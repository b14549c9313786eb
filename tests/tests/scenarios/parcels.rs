//! Scenarios about parcels: each way to put and to get them, what is in them, and who is told.

use ipcz_tests::scenarios::{Getting, Network, Putting, Talk};

use crate::bodies::mesh;

pub(crate) fn every_way_to_put_meets_every_way_to_get(net: &mut Network) {
    let places = mesh(net, 2);
    let mut talk = Talk::open(net, places[1]);
    for place in [places[1], places[0], places[2]] {
        talk.go(net, 1, place);
        for putting in Putting::ALL {
            for getting in Getting::ALL {
                talk.say_so(net, 0, putting);
                talk.say_so(net, 1, putting);
                talk.hear_so(net, 0, getting);
                talk.hear_so(net, 1, getting);
            }
        }
    }
    talk.finish(net);
}

pub(crate) fn what_is_in_parcels_travels_unread(net: &mut Network) {
    let places = mesh(net, 2);
    // An object leaves its node when the portal it waits at does, and is a parcel when that moves on.
    for getting in Getting::ALL {
        let mut talk = Talk::open(net, places[1]);
        for place in [places[0], places[2], places[1], places[2]] {
            for putting in Putting::ALL {
                talk.say_so(net, 0, putting);
                talk.say_so(net, 1, putting);
            }
            talk.go(net, 1, place);
        }
        for _ in 0..4 * Putting::ALL.len() {
            talk.hear_so(net, 0, getting);
            talk.hear_so(net, 1, getting);
        }
        talk.finish(net);
    }
}

pub(crate) fn a_servant_lives_of_traps(net: &mut Network) {
    let places = mesh(net, 2);
    for place in [places[1], places[0], places[2]] {
        let mut talk = Talk::open(net, places[1]);
        // Some of it is there before the first trap is set.
        talk.say(net, 0, 3);
        talk.go(net, 1, place);
        talk.serve(net, 1);
        talk.hear_back(net, 0);
        for _ in 0..50 {
            talk.say_so(net, 0, Putting::Nested);
            talk.say(net, 0, 4);
            talk.say_loaded(net, 0);
            talk.hear_back(net, 0);
        }
        talk.say(net, 0, 10);
        talk.dismiss(net, 0);
    }
    net.settle();
    net.until_no_proxies();
}

pub(crate) fn a_rejected_parcel_costs_its_sender_the_connection(net: &mut Network) {
    let places = mesh(net, 2);
    let (broker, a, b) = (places[0], places[1], places[2]);
    let [mut between, mut kept] = [b, broker].map(|place| {
        let mut talk = Talk::open(net, a);
        talk.go(net, 1, place);
        talk.finish(net);
        talk
    });
    // One alone: what is put behind it may come too late.
    between.say_loaded(net, 0);
    net.reject(b, between.ends[1].1);
    for (place, portal) in between.ends {
        let why = net.end_of(place, portal);
        assert_eq!((&why.kind[..], why.node), ("Rejected", Some(net.look(a).name)));
    }
    // And nobody else anything.
    kept.say_so(net, 0, Putting::Objects);
    kept.hear_so(net, 1, Getting::InParts);
    kept.finish(net);
}
