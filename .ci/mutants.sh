# Mutation testing. Sourced by .ci/run, which has what is not defined here.
#
# cargo-mutants makes one small fault after the other, and a fault that no test finds is a missing test. Which modules:
# .cargo/mutants.toml. What remains, and why: docs/mutants.md.

# The least percentage of the faults that is found.
readonly MUTANTS_SCORE=90
# A sample: MUTANTS_SHARD=0/9 is every ninth mutant. Without it, all.
readonly MUTANTS_SHARD=${MUTANTS_SHARD:-0/1}
# Where the copy stays, to be used again.
readonly MUTANTS_FOLDER=${MUTANTS_FOLDER:-}
# Long sums, all tails and times tell nothing of geometry, and take most of the time of the properties.
readonly MUTANTS_SKIPPED=(lattice cost:: long_sums pool_sums error_on_layers longer_than_the_stage windows_of_3x3
    pool_shapes::rank loss:: every_chain every_tail long_chains fewer_images nothing_but)

# In a copy that keeps what was compiled, where a mutant takes seconds. Tests that take a moment come first; the mutants
# that they miss meet slower ones.
soak_mutants() {
    cargo mutants --version || cargo install --locked cargo-mutants
    local mutants=${MUTANTS_FOLDER:-$scratch/mutants}
    mutants_copy
    export CARGO_TARGET_DIR=$mutants/target
    # Optimised across codegen units, all of them would change with any line.
    export CARGO_INCREMENTAL=1 CARGO_PROFILE_TEST_LTO=off CARGO_PROFILE_TEST_OPT_LEVEL=1
    # A failing case needs no shrinking here, and no backtrace; less optimised, it needs more stack.
    export PROPTEST_CASES=10 PROPTEST_MAX_SHRINK_ITERS=0 PROPTEST_DISABLE_FAILURE_PERSISTENCE=1
    export RUST_BACKTRACE=0 RUST_MIN_STACK=67108864
    local core=(-p im2col --features 'rayon,matrixmultiply') trainer=(-p im2col-train)
    local shard=(--sharding round-robin --shard "$MUTANTS_SHARD")
    mutants_run core "${core[@]}" "${shard[@]}" --cargo-arg=--lib --cargo-arg=--test=lengths -- -- --skip math:: --skip sum:: \
        --skip activation --skip depthwise --skip interleaved
    mutants_again core_again core "${core[@]}" --cargo-arg=--test=properties --cargo-arg=--test=network -- -- \
        "${MUTANTS_SKIPPED[@]/#/--skip=}"
    mutants_run trainer "${trainer[@]}" "${shard[@]}" --cargo-arg=--lib -- -- picture weights::
    mutants_again trainer_again trainer "${trainer[@]}" --cargo-arg=--test=trainer -- -- idx:: checkpoint weights:: dataset:: \
        resumed runs:: run_folders paths destinations saved:: predict:: sheets
    mutants_score
}

# AVX-512 takes a third of the time to compile, and is the same source as AVX2.
mutants_copy() {
    local simd=$mutants/tree/crates/im2col/src/simd
    mkdir -p "$mutants/tree"
    git ls-files -z | tar -c --null -T - | tar -x -C "$mutants/tree"
    sed -i 's/Kind::Avx512F if K::USES_AVX512 =>/Kind::Avx512F if false \&\& K::USES_AVX512 =>/' "$simd.rs"
    sed -i 's/^    avx512f::get()$/    false/' "$simd/x86_64.rs"
}

# Tries mutants: NAME ARGUMENT...
mutants_run() {
    local name=$1 status=0
    shift
    # 2 and 3 are mutants that were missed or took too long, which the score judges.
    cargo mutants -d "$mutants/tree" --in-place -o "$mutants/$name" --timeout 60 --colors never "$@" || status=$?
    ((status == 0 || status == 2 || status == 3)) || fail "cargo-mutants: $status"
}

# Tries what another run missed: NAME OTHER ARGUMENT...
mutants_again() {
    local name=$1 missed=$mutants/$2/mutants.out/missed.txt line exact=()
    shift 2
    while IFS= read -r line; do
        exact+=(--re "^$(sed 's/[][\.*^$(){}?+|/]/\\&/g' <<<"$line")\$")
    done <"$missed"
    if ((${#exact[@]} > 0)); then
        mutants_run "$name" "${exact[@]}" "$@"
    else
        mkdir -p "$mutants/$name/mutants.out"
        touch "$mutants/$name"/mutants.out/{caught,timeout,missed}.txt
    fi
}

# The figures of each module and of all. What both runs missed is missed. (Deleted fields run again whatever is asked for.)
mutants_score() {
    local name of_run
    for name in core trainer; do
        of_run=$mutants/$name/mutants.out
        grep -Fxf "$of_run/missed.txt" "$mutants/${name}_again/mutants.out/missed.txt" >"$scratch/missed_$name" || true
        sed 's/^/missed:/' "$scratch/missed_$name"
        cat "$of_run"/{caught,timeout,missed}.txt | grep -vFxf "$scratch/missed_$name" | sed 's/^/caught:/'
    done >"$scratch/mutants"
    grep '^missed' "$scratch/mutants" || true
    awk -F: -v least="$MUTANTS_SCORE" -v shard="$MUTANTS_SHARD" '
        { all[$2]++; total++ }
        $1 == "caught" { caught[$2]++; sum++ }
        END {
            for (file in all) printf "%4d of %4d caught  %s\n", caught[file], all[file], file
            printf "soak: mutants: %d of %d caught (%.1f %%), shard %s\n", sum, total, 100 * sum / total, shard
            exit !(100 * sum >= least * total)
        }' "$scratch/mutants" || fail "less than $MUTANTS_SCORE % of the mutants were caught"
}
