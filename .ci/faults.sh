# What happens to a run of the trainer, at length. Sourced by .ci/run, which has what is not defined here.

# Two hundred kills and two hundred disks that are full, each at another moment; `cargo test` has 20 and 12. Every run goes on
# and ends with the bits of one that was left alone.
soak_faults() {
    IM2COL_KILLS=200 IM2COL_FULL_DISKS=200 cargo test -p im2col-train --test trainer -- --nocapture kill:: |&
        tee "$scratch/faults"
    if grep '^SKIPPED' "$scratch/faults"; then
        fail 'a fault could not be made'
    fi
    sed -nE 's/^(kills|full disks): /soak: &/p' "$scratch/faults"
}
