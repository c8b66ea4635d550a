# Fuzzing. Sourced by .ci/run, which has what is not defined here.

# Each target and the least runs of its soak: millions for parsers and plans, a million where numbers are compared.
readonly -A FUZZ_RUNS=(
    [plan]=10000000 [idx]=10000000 [checkpoint]=10000000 [weights]=10000000 [picture]=10000000
    [conv]=1000000 [conv_backward]=1000000 [transposed]=1000000 [pool]=1000000 [network]=1000000 [linear_loss]=1000000
)
readonly FUZZ_HOST=x86_64-unknown-linux-gnu
# Every process runs with these. Inputs are small, and so is what they need; the limit of time is for a machine that is busy.
readonly FUZZ_OPTIONS=(-max_len=4096 -rss_limit_mb=512 -timeout=60 -entropic=0 -print_final_stats=1 -print_funcs=0 -verbosity=0)
# How often a loop of numbers runs says nothing new: TARGET
fuzz_options() {
    case $1 in
    idx | checkpoint | weights | picture) printf -- '-use_counters=1\n' ;;
    *) printf -- '-use_counters=0\n' ;;
    esac
}

fuzz_build() {
    cargo fuzz --version || cargo install --locked cargo-fuzz
    # Comparisons in the loops of kernels take most of the time when they are traced, and tell nothing.
    cargo +nightly fuzz build --target-dir fuzz/target --no-trace-compares "$@"
    # The address sanitizer holds on to freed memory; 32 MiB of it instead of 256 leave the limit to the target.
    # Nor is the stack its subject, where no reference outlives its frame in safe code.
    export ASAN_OPTIONS=quarantine_size_mb=32:detect_stack_use_after_return=0
}

# The targets compile, with what `lints` has checked. `tests` replays their corpora.
fuzz_targets() {
    # Nothing is linked, so any file will do for libFuzzer; always one, or all is checked anew.
    CUSTOM_LIBFUZZER_PATH=$PWD/fuzz/Cargo.toml \
        cargo clippy --manifest-path fuzz/Cargo.toml --target-dir "$CARGO_TARGET_DIR" --bins -- -D warnings
}

# The runs of a target, by its logs on standard input.
fuzz_sum() {
    awk '/^stat::number_of_executed_units:/ { sum += $2 } END { printf "%d\n", sum }'
}

# Each target until it has its runs, two at a time. Logs and what was found stay in the target folder: called again, it
# goes on, and counts again from 0 if the program is another.
soak_fuzz() {
    fuzz_build
    local target folder=$CARGO_TARGET_DIR/fuzz_soak
    mkdir -p "$folder"
    for target in "${!FUZZ_RUNS[@]}"; do
        while (($(jobs -rp | wc -l) >= 2)); do
            wait -n || true
        done
        fuzz_target "$target" "$folder" &
    done
    wait
    fuzz_table "$folder"
}

# A log of the program as it is now, to be followed by a number: TARGET FOLDER
fuzz_log() {
    printf '%s/%s.%.12s\n' "$2" "$1" "$(sha256sum <"fuzz/target/$FUZZ_HOST/release/$1")"
}

# What all of its logs say: LOG
fuzz_logs() {
    cat /dev/null $(compgen -G "$1.*")
}

# Runs a target, a tenth of its runs in each process, so that little is lost with one: TARGET FOLDER
fuzz_target() {
    local target=$1 folder=$2 log runs=${FUZZ_RUNS[$1]} number=1
    log=$(fuzz_log "$target" "$folder")
    mkdir -p "$folder/corpus_$target"
    while (($(fuzz_logs "$log" | fuzz_sum) < runs)); do
        while [[ -e $log.$number ]]; do
            number=$((number + 1))
        done
        "fuzz/target/$FUZZ_HOST/release/$target" "${FUZZ_OPTIONS[@]}" "$(fuzz_options "$target")" \
            -runs=$((runs / 10)) -artifact_prefix="$folder/found_${target}_" \
            "$folder/corpus_$target" "fuzz/corpus/$target" &>"$log.$number" || return 0
    done
}

# What the logs say: FOLDER
fuzz_table() {
    local target log runs found rss rate failed=()
    printf '%-25s %10s %7s %9s %8s\n' '' runs found 'peak MiB' runs/s
    for target in plan idx checkpoint weights picture conv conv_backward transposed pool network linear_loss; do
        log=$(fuzz_log "$target" "$1")
        runs=$(fuzz_logs "$log" | fuzz_sum)
        found=$(find "$1" -name "found_${target}_*-*" | wc -l)
        rss=$(fuzz_logs "$log" | awk '/^stat::peak_rss_mb:/ && $2 > most { most = $2 } END { printf "%d", most }')
        rate=$(fuzz_logs "$log" | awk '/^stat::number_of_executed_units:/ { units = $2; sum += units }
            /^stat::average_exec_per_sec:/ && $2 { seconds += units / $2 } END { printf "%d", seconds ? sum / seconds : 0 }')
        printf 'soak: fuzz %-14s %10d %7d %9d %8d\n' "$target" "$runs" "$found" "$rss" "$rate"
        ((runs >= FUZZ_RUNS[$target] && found == 0)) || failed+=("$target")
    done
    ((${#failed[@]} == 0)) || fail "not all runs, or something found: ${failed[*]}; see $1"
}
