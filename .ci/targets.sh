# The core on other processors. Sourced by .ci/run, which has what is not defined here.
#
# The tests are compiled by Debian's rustc (package rustc-web). Its standard library is Debian's for the other processor, or, where
# Debian has none, compiled from source (rust-web-src). QEMU or Node runs them.

# How many cases each property has under an emulator, where a case takes about twenty times as long; of long lists of
# cases it is the percentage.
readonly EMULATED_CASES=16
# Where a case does not take much longer than on the host.
readonly CASES=100
# Products of four numbers in the kernels, of which there would be none if they were not compiled to vectors.
readonly LEAST_PRODUCTS=500

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
    # Only the core is hot. What it has only for other targets must say so.
    config=(--config 'profile.test.package."*".opt-level=0' -Zprofile-rustflags
        --config "profile.test.package.im2col.rustflags=['-Ddead_code', '-Dunused_imports', $flags]"
        --config "profile.test.package.wide.rustflags=[$flags]")
    printf -- '-- %s: %d cases of each property, cost::* is skipped\n' "$name" "$cases"
    PROPTEST_CASES=$cases with_debian_rust cargo test -p im2col --no-fail-fast --target "$target" "${config[@]}" \
        "$@" --skip=cost:: |& tee "$scratch/tests_$name"
    awk -v name="$name" '
        /^test result: ok/ { passed += $4; ignored += $8 }
        END { printf "%s: %d tests passed, %d ignored\n", name, passed, ignored; exit !passed }
    ' "$scratch/tests_$name" || fail "no test ran: $name"
}

# Unpacks the standard library that belongs to the installed rustc-web, for another of Debian's architectures, into a folder:
# ARCHITECTURE FOLDER
unpack_std() {
    local package=libstd-rust-web-dev version url
    version=$(dpkg-query -W -f '${Version}' rustc-web)
    # It is there from an earlier run.
    [[ $(cat "$2/version" 2>/dev/null) != "$version" ]] || return 0
    url=$(apt-get --print-uris download "$package=$version" | sed -nE "s/^'([^']*)_$(dpkg --print-architecture)\.deb'.*/\1_$1.deb/p")
    [[ -n $url ]] || fail "no address of $package"
    mkdir -p "$2"
    curl -sSf "$url" -o "$2/std.deb" || fail "cannot download $url"
    dpkg-deb -x "$2/std.deb" "$2"
    printf '%s\n' "$version" >"$2/version"
}

# Under QEMU: ARCHITECTURE ARGUMENT...
test_emulated() {
    local arch=$1 cases=$EMULATED_CASES qemu=$1 package=$1
    shift
    case $arch in
    aarch64) package=arm64 ;;
    i686) package=i386 qemu=i386 ;;
    esac
    has_packages rustc-web curl qemu-user "gcc-$arch-linux-gnu" "libc6-dev-$package-cross" || return 0
    local std=$CARGO_TARGET_DIR/debian/std_$package
    unpack_std "$package" "$std"

    local root=/usr/$arch-linux-gnu variable=CARGO_TARGET_${arch^^}_UNKNOWN_LINUX_GNU
    local runner="qemu-$qemu -L $root" loader=$root/lib/ld-linux.so.2 skipped=(long_sums pool_shapes pool_sums)
    if [[ $arch == i686 ]] && "$loader" --version &>/dev/null; then
        # Most kernels of x86-64 run its programs.
        runner="$loader --library-path $root/lib" cases=$CASES skipped=()
    else
        # They run on i686, if that needs no emulator, and in WebAssembly.
        printf 'skipped: %s, which take long\n' "${skipped[*]}"
    fi
    export "${variable}_LINKER=$arch-linux-gnu-gcc" "${variable}_RUNNER=$runner"
    export "${variable}_RUSTFLAGS=-L$std/usr/lib/rustlib/$arch-unknown-linux-gnu/lib"
    test_core "$arch" "$arch-unknown-linux-gnu" "$cases" '' "$@" "${skipped[@]/#/--skip=}"
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
    local simd name counts
    for simd in - +; do
        name=wasm32${simd/-/_scalar} name=${name/+/_simd128}
        # A panic ends the program, so messages must not be held back.
        test_core "$name" wasm32-wasip1 "$cases" "$flags, '-Ctarget-feature=${simd}simd128'" \
            -Zbuild-std=std,panic_abort "$@" --nocapture
        counts=$(count_vectors "$scratch/tests_$name")
        printf '%s: %d vector instructions, in kernels %d products\n' "$name" $counts
        if [[ $simd == + ]]; then
            ((${counts#* } >= LEAST_PRODUCTS)) || fail 'the kernels do not use simd128'
        else
            ((${counts% *} == 0)) || fail 'vector instructions without simd128'
        fi
    done
}

# How many instructions of 128 bits are in the program that ran last, by the output of cargo; and how many of them multiply,
# in the kernels of `Isa::SCALAR`, which without fused instructions are those of `Isa::WIDE`.
count_vectors() {
    local program
    program=$(sed -nE 's/^ +Running .*\((.*\.wasm)\)$/\1/p' "$1" | tail -n 1)
    wasm-objdump -d "$program" | awk '
        / func\[[0-9]+\] </ { is_kernel = /6im2col4simd6scalar3run/ }
        /\| +(v128|[if](8x16|16x8|32x4|64x2))\./ { all++ }
        /\| +f32x4\.mul/ && is_kernel { products++ }
        END { print all + 0, products + 0 }
    '
}

# --- in every run ---

# aarch64 with NEON: unit tests, and the bits of the scalar instruction set. Without the longest test.
emulated() {
    test_emulated aarch64 --lib --test scalar_bits -- --skip=depthwise::tests::all_heights
}

# --- the long half: .ci/soak ---

readonly CORE_TESTS=(--lib --test properties --test network --test scalar_bits)

soak_aarch64() {
    test_emulated aarch64 "${CORE_TESTS[@]}" --test stack --
}

# 32 bits.
soak_i686() {
    test_emulated i686 "${CORE_TESTS[@]}" --test stack --
}

# The highest byte first.
soak_s390x() {
    test_emulated s390x "${CORE_TESTS[@]}" --test stack --
}

soak_wasm() {
    test_wasm "$CASES" "${CORE_TESTS[@]}" --
}
