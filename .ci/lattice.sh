# Numbers at their full size. Sourced by .ci/run, which has what is not defined here.

# Of all 2^32 inputs, the largest error of each function.
soak_math() {
    local name worst summary=''
    for name in exp_is_within_2_ulp ln_is_within_2_ulp ln_1p_is_within_3_ulp tanh_is_within_2_ulp sigmoid_is_within_2_ulp; do
        IM2COL_EXHAUSTIVE=1 cargo test -p im2col --lib -- --exact --nocapture "math::tests::$name" |& tee "$scratch/math"
        worst=$(awk '/worst error/ { for (i = 1; i < NF; i++) if ($i == "error" && $(i + 1) > worst) worst = $(i + 1) } END { print worst }' \
            "$scratch/math")
        [[ -n $worst ]] || fail "$name has not run"
        summary+=", ${name%_is_within*} $worst"
    done
    printf 'soak: all 2^32 inputs, largest error in ULP: %s\n' "${summary#, }"
}

# The properties of the core with the numbers of cases that nobody waits for.
soak_properties() {
    soak_cases 1000000 conv_forward::equals_naive
    soak_cases 100000 conv_forward::error_bound conv_backward::error_bound
    soak_cases 100000 adjoint::
    # More than a million calls.
    soak_cases 25000 hostile_calls::
    soak_cases 10000 non_finite
    soak_cases 10000 scratch::
    soak_cases 10000 lattice::
}

# Runs the tests with these names, each with so many cases: CASES NAME...
soak_cases() {
    local cases=$1
    shift
    PROPTEST_CASES=$cases cargo test -p im2col --test properties -- "$@" |& tee "$scratch/properties"
    awk -v cases="$cases" -v names="$*" '
        /^test result: ok/ { passed += $4 }
        END { printf "soak: %s: %d tests of %d cases each, 0 failures\n", names, passed, cases; exit !passed }
    ' "$scratch/properties" || fail "no test ran: $*"
}
