# The commands of CONTRIBUTING.md by short names.

# Everything that is checked.
test *arguments:
    cargo test --workspace {{ arguments }}

# Format and lints, as the gate wants them.
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --locked -- --deny warnings

# Three processes, one story.
tour *arguments:
    cargo run --release --bin tour -- {{ arguments }}

# The simulator over many seeds.
sim seeds="0..100000" *arguments:
    cargo run --release --package ipcz-tests --bin sim -- --seeds {{ seeds }} {{ arguments }}

# What it costs: rows, and what they are compared to.
bench *arguments:
    cargo run --release --package ipcz-tests --bin bench -- {{ arguments }}

# The same work by other libraries.
peers *arguments:
    cd tests/peers && cargo run --release -- {{ arguments }}

# The documentation, opened.
docs:
    cargo doc --workspace --no-deps --open

# Licences, sources and duplicates of the dependencies (needs cargo-deny).
deny:
    cargo deny check bans licenses sources

# What the gate runs.
ci:
    .ci/run

# Mutants of the core, in shards that can be resumed: `just mutants 3/16`, or all of them.
mutants *arguments:
    tests/mutants/shards {{ arguments }}

# Protocol defects, each applied to a copy, and what catches it.
defects *names:
    tests/mutants/run {{ names }}
