# What happens to files and runs of the trainer, at length. Sourced by .ci/run, which has what is not defined here.

# Two hundred kills at random moments, a disk for each page that a run writes, and each call that changes a disk failing and
# being the last before a kill; `cargo test` has a few of each. Every run goes on and ends with the bits of one that was left
# alone.
soak_faults() {
    IM2COL_KILLS=200 IM2COL_FULL_DISKS=500 IM2COL_CALLS=1000 \
        cargo test -p im2col-train --test trainer -- --nocapture faults:: |& tee "$scratch/faults"
    if grep '^SKIPPED' "$scratch/faults"; then
        fail 'a fault could not be made'
    fi
    sed -nE 's/^(kills|full disks|failed calls).*: [0-9]+, .*unreadable/soak: &/p' "$scratch/faults"
}

# All hostile files, of which `cargo test` leaves some out.
soak_files() {
    IM2COL_SOAK=1 cargo test -p im2col-train --test hostile_files -- --nocapture |& tee "$scratch/files"
    sed -nE 's/^hostile files: /soak: &/p' "$scratch/files" | grep . || fail 'no hostile file was tried'
}
