@0xd0f7c2a94be18653;
# What is served over capnp-rpc. `src/libraries/peers_capnp.rs` was made of it, and is kept beside it so that
# nobody needs the tools for that: see `src/libraries/capnp.rs`.

interface Service {
    ball @0 (bytes :Data) -> (bytes :Data);
    add @1 (a :UInt64, b :UInt64) -> (sum :UInt64);
    echo32 @2 (bytes :Data) -> (bytes :Data);
    sum @3 (bytes :Data) -> (sum :UInt64);
    # One way.
    push @4 (bytes :Data) -> stream;
    # Answered when all that was pushed has come.
    flush @5 () -> ();
    keep @6 (endpoint :Endpoint) -> ();
}

# What is sent away.
interface Endpoint {
    use @0 () -> ();
}
