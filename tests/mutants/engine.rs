//! The tests that drive engines by hand, as `ipcz-tests` has them.

#[path = "../tests/engine_hold.rs"]
mod engine_hold;
#[path = "../tests/engine_hostile.rs"]
mod engine_hostile;
#[path = "../tests/engine_memory.rs"]
mod engine_memory;
#[path = "../tests/engine_networks.rs"]
mod engine_networks;
#[path = "../tests/engine_peers.rs"]
mod engine_peers;
#[path = "../tests/engine_portals.rs"]
mod engine_portals;
#[path = "../tests/engine_relay.rs"]
mod engine_relay;
