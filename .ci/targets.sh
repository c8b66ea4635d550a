# The core on other processors. Sourced by .ci/run, which has what is not defined here.
#
# The tests are compiled by Debian's rustc (package rustc-web), whose standard library comes as source (rust-web-src), so
# that cargo can compile it for any target. QEMU or Node runs them.

# How many cases each property has there: emulated, a case takes about twenty times as long.
readonly EMULATED_CASES=16
# Half of the arithmetic of a network is in its kernels: a program with fewer vector instructions than this has none there.
readonly LEAST_V128=10000

# Whether Debian's packages are installed; in CI they become so.
has_packages() {
    local package missing=()
    for package in "$@"; do
        dpkg -s "$package" &>/dev/null || missing+=("$package")
    done
    if ((${#missing[@]} > 0)); then
        if [[ ${CI:-} != true ]]; then
            printf 'skipped: no package %s\n' "${missing[*]}"
            return 1
        fi
        apt-get update -qq || fail 'apt-get update'
        apt-get install -y -qq --no-install-recommends "${missing[@]}" || fail "cannot install ${missing[*]}"
    fi
}

# Runs a command with Debian's compiler, and cargo and rust-lld of the stable toolchain.
with_debian_rust() {
    local tools
    tools=$(rustup run stable rustc --print target-libdir)/../bin
    env PATH="$tools:$PATH" RUSTC=/usr/bin/rustc RUSTDOC=/usr/bin/rustdoc RUSTC_BOOTSTRAP=1 \
        CARGO_TARGET_DIR="$CARGO_TARGET_DIR/debian" "$@"
}

# Tests of the core for a target: NAME TARGET CASES FLAGS ARGUMENT... The flags are the compiler's, and for the core alone
# (and what it inlines), in quotes with commas between. The rest are arguments of cargo test.
# Left out are the tests of how time grows: an emulator's clock measures the emulator.
test_core() {
    local name=$1 target=$2 cases=$3 flags=$4 config=()
    shift 4
    # Only the core is hot. A warning that it has for another target is an error.
    config=(--config 'profile.test.package."*".opt-level=0' -Zprofile-rustflags
        --config "profile.test.package.im2col.rustflags=['-Dunused', $flags]"
        --config "profile.test.package.wide.rustflags=[$flags]")
    printf -- '-- %s: %d cases of each property, cost::* is skipped\n' "$name" "$cases"
    PROPTEST_CASES=$cases with_debian_rust cargo test -p im2col --target "$target" "${config[@]}" "$@" \
        --skip cost:: |& tee "$scratch/tests_$name"
    awk -v name="$name" '
        /^test result: ok/ { passed += $4; ignored += $8 }
        END { printf "%s: %d tests passed, %d ignored\n", name, passed, ignored; exit !passed }
    ' "$scratch/tests_$name" || fail "no test ran: $name"
}

# Under QEMU: ARCHITECTURE CASES ARGUMENT...
test_emulated() {
    local arch=$1 cases=$2 qemu=$1 package=$1
    shift 2
    case $arch in
    aarch64) package=arm64 ;;
    i686) package=i386 qemu=i386 ;;
    esac
    has_packages rustc-web rust-web-src qemu-user "gcc-$arch-linux-gnu" "libc6-dev-$package-cross" || return 0

    local root=/usr/$arch-linux-gnu variable=CARGO_TARGET_${arch^^}_UNKNOWN_LINUX_GNU
    local runner="qemu-$qemu -L $root" loader=$root/lib/ld-linux.so.2
    if [[ $arch == i686 ]] && "$loader" --version &>/dev/null; then
        # Most kernels run its programs themselves.
        runner="$loader --library-path $root/lib"
    fi
    export "${variable}_LINKER=$arch-linux-gnu-gcc" "${variable}_RUNNER=$runner"
    test_core "$arch" "$arch-unknown-linux-gnu" "$cases" '' -Zbuild-std "$@"
}

# In Node, without and with vectors: CASES ARGUMENT... The programs must be what they are called.
test_wasm() {
    local cases=$1 libc=/usr/lib/wasm32-wasi
    shift
    has_packages rustc-web rust-web-src wasi-libc wabt || return 0

    export CARGO_TARGET_WASM32_WASIP1_LINKER=rust-lld
    export CARGO_TARGET_WASM32_WASIP1_RUNNER="node --no-warnings $PWD/.ci/wasi.mjs"
    # Debian's C library in place of rustup's. Strategies of proptest take more than the usual megabyte of stack.
    local flags="'-Clink-self-contained=no', '-Lnative=$libc', '-Clink-arg=$libc/crt1-command.o',
        '-Clink-arg=--import-undefined', '-Clink-arg=-zstack-size=16777216'"
    local simd name v128
    for simd in - +; do
        name=wasm32${simd/-/_scalar} name=${name/+/_simd128}
        # A panic ends the program, so messages must not be held back.
        test_core "$name" wasm32-wasip1 "$cases" "$flags, '-Ctarget-feature=${simd}simd128'" \
            -Zbuild-std=std,panic_abort "$@" --nocapture
        v128=$(vector_instructions "$scratch/tests_$name")
        printf '%s: %d vector instructions\n' "$name" "$v128"
        if [[ $simd == + ]]; then
            ((v128 >= LEAST_V128)) || fail "simd128 is not used: $v128 vector instructions"
        else
            ((v128 == 0)) || fail "vector instructions without simd128: $v128"
        fi
    done
}

# How many instructions of 128 bits are in the last program that was run, by the output of cargo.
vector_instructions() {
    local program
    program=$(sed -nE 's/^ +Running .*\((.*\.wasm)\)$/\1/p' "$1" | tail -n 1)
    wasm-objdump -d "$program" | grep -cE '\| (v128|[if](8x16|16x8|32x4|64x2))\.' || true
}

# --- the quick half ---

# aarch64 with NEON: unit tests, and the bits of the scalar instruction set.
emulated() {
    test_emulated aarch64 "$EMULATED_CASES" --lib --test scalar_bits --
}

# Without the tests that take longest, whose numbers of cases are fixed.
wasm() {
    test_wasm "$EMULATED_CASES" --test properties -- --skip gemm_tails --skip long_sums --skip small_shapes
}

# --- the long half: .ci/soak ---

readonly CORE_TESTS=(--lib --test properties --test network --test scalar_bits)

soak_aarch64() {
    test_emulated aarch64 "$EMULATED_CASES" "${CORE_TESTS[@]}" --test stack --
}

# 32 bits.
soak_i686() {
    test_emulated i686 "$EMULATED_CASES" "${CORE_TESTS[@]}" --test stack --
}

# The highest byte first.
soak_s390x() {
    test_emulated s390x "$EMULATED_CASES" "${CORE_TESTS[@]}" --test stack --
}

soak_wasm() {
    test_wasm "$EMULATED_CASES" "${CORE_TESTS[@]}" --
}
