# LeNet on emulated microcontrollers. Sourced by .ci/run, which has what is not defined here; `targets.sh` has Debian's compiler.

readonly BOARDS=('mps2-an386 cortex-m4' 'mps2-an500 cortex-m7')
# What LeNet may take to read a digit: instructions optimised for speed; bytes of flash besides parameters and digits,
# optimised for speed and for size; bytes of RAM; bytes of stack.
readonly MOST_INSTRUCTIONS=3000000 MOST_FLASH=40960 MOST_SMALL_FLASH=28672 MOST_RAM=12288 MOST_STACK=4096
# And RAM to learn.
readonly MOST_LEARNING_RAM=655360

# LeNet, trained now, reads digits and learns others on emulated microcontrollers. Each line that a program prints, bits and
# all, must be what it prints on the host.
firmware() {
    has_packages rustc-web rust-web-src qemu-system-arm || return 0

    local cargo_firmware=(--manifest-path firmware/Cargo.toml) program board
    release_programs
    "$CARGO_TARGET_DIR/release/lenet" train --network lenet --epochs 6 --quiet --out "$scratch/lenet"
    "$CARGO_TARGET_DIR/release/lenet" export --weights "$scratch/lenet/weights.safetensors" --format raw \
        --out firmware/lenet.bin
    cargo clippy "${cargo_firmware[@]}" --target-dir "$CARGO_TARGET_DIR/firmware" -- -D warnings
    for program in classify learn; do
        cargo run "${cargo_firmware[@]}" --target-dir "$CARGO_TARGET_DIR/firmware" --bin "$program" \
            >"$scratch/host_$program"
    done
    build_firmware release --bins
    for board in "${BOARDS[@]}"; do
        run_firmware classify release $board
        run_firmware learn release $board
    done
    compare_bits
}

# The smallest program; it reads digits as the others do.
soak_small_firmware() {
    firmware
    build_firmware small --bins
    local board
    for board in "${BOARDS[@]}"; do
        run_firmware classify small $board
        run_firmware learn small $board
    done
}

# Compiles programs for the boards: PROFILE ARGUMENT...
build_firmware() {
    local profile=$1
    shift
    with_debian_rust cargo build --manifest-path firmware/Cargo.toml --profile "$profile" \
        -Zbuild-std=core,compiler_builtins --target thumbv7em-none-eabihf "$@"
}

# The hashes of what `Isa::SCALAR` computes, which all targets share.
compare_bits() {
    printf -- '-- bits, cortex-m4\n'
    on_board bits release mps2-an386 cortex-m4 >"$scratch/bits"
    diff <(sort crates/im2col/tests/scalar_bits/hashes.txt) <(sort -u "$scratch/bits") || fail 'other bits on a Cortex-M'
    printf 'equal hashes: %d\n' "$(sort -u "$scratch/bits" | wc -l)"
}

firmware_program() {
    printf '%s\n' "$CARGO_TARGET_DIR/debian/thumbv7em-none-eabihf/$2/$1"
}

# Runs a program on a board, a nanosecond for each instruction: PROGRAM PROFILE MACHINE CPU.
on_board() {
    timeout 300 qemu-system-arm -M "$3" -cpu "$4" -nographic -monitor none -serial null -icount shift=0 \
        -semihosting-config enable=on,target=native -kernel "$(firmware_program "$1" "$2")" || fail "exit code $?"
}

# Checks what a program prints on a board, and what it links: PROGRAM PROFILE MACHINE CPU.
run_firmware() {
    local program=$1 profile=$2 machine=$3 cpu=$4
    local elf printed=$scratch/printed
    elf=$(firmware_program "$program" "$profile")
    printf -- '-- %s, %s, %s\n' "$program" "$profile" "$cpu"
    on_board "$@" >"$printed"
    diff "$scratch/host_$program" <(grep -v '^machine: ' "$printed") || fail 'the host prints something else'
    tail -n 1 "$scratch/host_$program"
    grep '^machine: ' "$printed"

    # No allocator, and no way to panic while digits are read. `learn` may only if the core had a fault.
    local panics
    if nm "$elf" | grep -E '__rust_alloc|__rg_alloc|__rustc.*alloc'; then
        fail 'an allocator is linked'
    fi
    panics=$(nm -C "$elf" | grep -c 'core::panicking::\|slice_index_fail\|len_mismatch_fail' || true)
    printf 'functions that panic: %d\n' "$panics"
    if [[ $program == classify ]]; then
        ((panics == 0)) || fail 'a panic is linked'
        at_most 'stack' "$MOST_STACK"
        at_most 'RAM' "$MOST_RAM"
        if [[ $profile == release ]]; then
            at_most 'inference' "$MOST_INSTRUCTIONS"
            at_most 'program in flash' "$MOST_FLASH"
        else
            at_most 'program in flash' "$MOST_SMALL_FLASH"
        fi
    else
        at_most 'RAM' "$MOST_LEARNING_RAM"
    fi
}

# A figure that a program has printed of its machine: NAME MOST.
at_most() {
    local figure
    figure=$(sed -nE "s/^machine: $1: ([0-9]+) .*/\1/p" "$scratch/printed")
    ((${figure:-$2 + 1} <= $2)) || fail "$1: ${figure:-no figure}, at most $2"
}
