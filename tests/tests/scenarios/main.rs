//! What networks do, in every configuration: one body each, see `tests/support/scenarios`.

mod bodies;
mod deaths;
mod parcels;
mod returns;

use std::path::Path;

use ipcz_tests::scenarios::{Configuration, Network};

const PROGRAM: &str = env!("CARGO_BIN_EXE_scenario-node");

fn run(scenario: fn(&mut Network), configuration: Configuration) {
    scenario(&mut Network::new(configuration, Path::new(PROGRAM)));
}

macro_rules! scenarios {
    ($($module:ident: $configuration:ident,)* => $tests:tt) => {
        $(mod $module {
            scenarios!(@ $configuration $tests);
        })*
    };
    (@ $configuration:ident { $($file:ident::$scenario:ident,)* }) => {
        $(#[test]
        fn $scenario() {
            crate::run(crate::$file::$scenario, ipcz_tests::scenarios::Configuration::$configuration);
        })*
    };
}

scenarios! {
    synchronous: Synchronous,
    threaded: Threaded,
    processes: Processes,
    delegated: Delegated,
    relayed: Relayed,
    => {
        bodies::many_portals_across_two_nodes,
        bodies::a_portal_goes_around_four_nodes,
        bodies::a_chain_of_proxies_collapses,
        bodies::both_ends_move_at_once,
        bodies::routes_are_merged_with_parcels_in_flight,
        bodies::brokers_join,
        bodies::a_childs_child_shares_the_broker,
        deaths::nodes_of_a_mesh_die,
        deaths::a_broker_dies_in_the_middle,
        returns::clients_find_another_broker,
        returns::a_client_leaves_and_comes_back,
        returns::introduced_nodes_meet_again,
        parcels::every_way_to_put_meets_every_way_to_get,
        parcels::what_is_in_parcels_travels_unread,
        parcels::a_servant_lives_of_traps,
        parcels::a_rejected_parcel_costs_its_sender_the_connection,
    }
}
