//! The tests that drive engines by hand, as `ipcz-tests` has them.

#[path = "../tests/engine_acquaintances.rs"]
mod engine_acquaintances;
#[path = "../tests/engine_brokers.rs"]
mod engine_brokers;
#[path = "../tests/engine_couriers.rs"]
mod engine_couriers;
#[path = "../tests/engine_heirs.rs"]
mod engine_heirs;
#[path = "../tests/engine_hellos.rs"]
mod engine_hellos;
#[path = "../tests/engine_hold.rs"]
mod engine_hold;
#[path = "../tests/engine_hostile.rs"]
mod engine_hostile;
#[path = "../tests/engine_links.rs"]
mod engine_links;
#[path = "../tests/engine_losses.rs"]
mod engine_losses;
#[path = "../tests/engine_memory.rs"]
mod engine_memory;
#[path = "../tests/engine_networks.rs"]
mod engine_networks;
#[path = "../tests/engine_peers.rs"]
mod engine_peers;
#[path = "../tests/engine_portals.rs"]
mod engine_portals;
#[path = "../tests/engine_reconnect.rs"]
mod engine_reconnect;
#[path = "../tests/engine_relay.rs"]
mod engine_relay;
#[path = "../tests/engine_traps.rs"]
mod engine_traps;
