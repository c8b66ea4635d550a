# Training in several processes. Sourced by .ci/run, which has what is not defined here.

# Open MPI, and what reads its header when the crate `mpi` is built.
readonly MPI_PACKAGES=(libopenmpi-dev openmpi-bin libclang1)
# The last one has no headers of a compiler's own.
BINDGEN_EXTRA_CLANG_ARGS=-I$(gcc -print-file-name=include)
export BINDGEN_EXTRA_CLANG_ARGS
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
# A job that hangs is one that has failed.
readonly MPI_SECONDS=240

# The same bits from 1, 2 and 4 processes as from threads; errors are told once and end all processes; a run goes on after
# the death of any of them.
mpi() {
    has_packages "${MPI_PACKAGES[@]}" || return 0
    cargo build --release --workspace --bin lenet
    cp "$CARGO_TARGET_DIR/release/lenet" "$scratch/lenet_alone"
    cargo build --release --workspace --bin lenet --features im2col-train/mpi
    cp "$CARGO_TARGET_DIR/release/lenet" "$scratch/lenet_mpi"

    mkdir "$scratch/mpi"
    (
        cd "$scratch/mpi"
        mpi_bits 32
        mpi_bits 256
        mpi_errors
        mpi_deaths
    )
}

# Processes on this machine, connected through its memory. Who waits lets others work, and on any core: another row of steps
# runs beside this one.
run_mpi() {
    timeout "$MPI_SECONDS" mpirun --oversubscribe --bind-to none --mca mpi_yield_when_idle 1 --mca btl self,vader "$@"
}

# What must not depend on processes: the weights, and the records without times.
outcome() {
    sha256sum <"$1/weights.safetensors"
    sed -E '/"kind":"start"/d; s/,"seconds":[^}]*//' "$1/metrics.jsonl" | sha256sum
}

# Prints the digest of a run's weights, and fails if its outcome is not that of the first: FIRST RUN
same_outcome() {
    printf '%-24s weights %.16s\n' "$2" "$(sha256sum <"$2/weights.safetensors")"
    [[ $(outcome "$2") == "$(outcome "$1")" ]] || fail "$2 is another run than $1"
}

# One process with any number of threads, and any number of processes: BATCH
mpi_bits() {
    # Images are held back, moved, and left over in a last batch.
    local options=(train --quiet --batch "$1" --epochs 1 --validation 0.123 --shift 1 --nesterov --warm-up 1)
    local first=threads_1_batch_$1 number run
    for number in 1 2; do
        run=threads_${number}_batch_$1
        "$scratch/lenet_alone" "${options[@]}" --threads "$number" --out "$run" >/dev/null
        same_outcome "$first" "$run"
    done
    # Without mpirun, a program that could.
    "$scratch/lenet_mpi" "${options[@]}" --threads 2 --out "no_mpirun_batch_$1" >/dev/null
    same_outcome "$first" "no_mpirun_batch_$1"
    for number in 1 2 4; do
        run=processes_${number}_batch_$1
        run_mpi -n "$number" "$scratch/lenet_mpi" "${options[@]}" --threads 1 --out "$run" >/dev/null
        same_outcome "$first" "$run"
    done
    run_mpi -n 2 "$scratch/lenet_mpi" "${options[@]}" --threads 2 --out "processes_2x2_batch_$1" >/dev/null
    same_outcome "$first" "processes_2x2_batch_$1"
}

# A job fails with this exit code and says this, once: CODE TEXT ARGUMENT...
mpi_fails() {
    local code=$1 text=$2 status=0
    shift 2
    run_mpi "$@" &>job || status=$?
    grep -F "$text" job || fail "mpirun $*: does not say \"$text\": $(cat job)"
    ((status == code && $(grep -c '^error: ' job) == 1)) || fail "mpirun $*: exit code $status, not $code, or not one error: $(cat job)"
}

mpi_errors() {
    local run=("$scratch/lenet_mpi" train --quiet --out errors)
    mpi_fails 2 "error: unexpected argument '--wrong'" -n 4 "${run[@]}" --wrong
    mpi_fails 1 'error: nowhere: ' -n 4 "${run[@]}" --data nowhere
    mpi_fails 1 'error: rank 1: nowhere: ' -n 1 "${run[@]}" : -n 1 "${run[@]}" --data nowhere
    mpi_fails 1 'error: rank 1: kernels is "scalar" here, but ' -n 1 "${run[@]}" : -n 1 "${run[@]}" --isa scalar
    mpi_fails 1 'error: rank 2: seed is 2 here, but 1 in rank 0' -n 2 "${run[@]}" : -n 1 "${run[@]}" --seed 2
    [[ ! -e errors ]] || fail 'a run began that could not'
    mpi_fails 1 'error: the loss is NaN in epoch 1' -n 4 "${run[@]}" --lr 1e30
    mpi_fails 1 'errors: a run that is not finished' -n 4 "${run[@]}"
    mpi_fails 1 'error: 3 processes were started together' -n 3 "$scratch/lenet_alone" "${run[@]:1}"

    # The images of the second process are gone when it needs them.
    local folder
    for folder in first second; do
        write_zeros "$folder"
    done
    run=("$scratch/lenet_mpi" train --quiet --out cut --stream --epochs 1000 --batch 64 --data)
    (wait_for cut/metrics.jsonl && truncate --size 16 second/train-images-idx3-ubyte) &
    mpi_fails 1 'error: rank 1: second/train-images-idx3-ubyte: ' -n 1 "${run[@]}" first : -n 1 "${run[@]}" second
}

# 2,000 black images of the digit 0, to learn and to be judged by: FOLDER
write_zeros() {
    local part
    mkdir "$1"
    for part in train t10k; do
        { printf '\0\0\10\3\0\0\7\320\0\0\0\34\0\0\0\34' && head -c 1568000 /dev/zero; } >"$1/$part-images-idx3-ubyte"
        { printf '\0\0\10\1\0\0\7\320' && head -c 2000 /dev/zero; } >"$1/$part-labels-idx1-ubyte"
    done
}

# Until a file of records has so many parts of an epoch, or one: FILE [COUNT]
wait_for() {
    local tries
    for ((tries = 0; tries < MPI_SECONDS * 50; tries++)); do
        if [[ -e $1 ]] && (($(grep -c '"kind":"progress"' "$1") >= ${2:-1})); then
            return
        fi
        sleep 0.02
    done
    fail "$1 does not grow"
}

# A run of four processes loses the third, goes on as two, loses the first, which writes the files, goes on as three and is
# told to end, and goes on as four to the end of its epoch. It ends with the bits of one process.
mpi_deaths() {
    local options=(train --quiet --shift 1 --nesterov --schedule constant) epochs
    end_process 4 2 KILL "${options[@]}" --epochs 1000 --out killed --checkpoint-seconds 0
    grep 'process rank 2 .* exited on signal 9' job || fail "mpirun does not say who has died: $(cat job)"
    end_process 2 0 KILL train --quiet --resume killed --checkpoint-seconds 0
    grep 'process rank 0 .* exited on signal 9' job || fail "mpirun does not say who has died: $(cat job)"
    # mpirun passes the signal on after these seconds, and waits as long for the processes to end: one is little on a machine
    # with other work.
    OMPI_MCA_odls_base_sigkill_timeout=2 end_process 3 mpirun TERM train --quiet --resume killed
    grep 'interrupted and saved; to go on: lenet train --resume killed' job || fail "nothing was saved: $(cat job)"

    epochs=$(($(grep -c '"kind":"epoch"' killed/metrics.jsonl || true) + 1))
    run_mpi -n 4 "$scratch/lenet_mpi" train --quiet --resume killed --epochs "$epochs" >/dev/null
    "$scratch/lenet_alone" "${options[@]}" --epochs "$epochs" --out whole >/dev/null
    printf 'after %d epochs:\n' "$epochs"
    same_outcome whole killed
    run_mpi -n 2 "$scratch/lenet_mpi" train --resume killed | grep -F 'killed: the run is finished'
}

# The numbers of a process's children, oldest first: NUMBER
children_of() {
    local children
    children=$(<"/proc/$1/task/$1/children")
    printf '%s\n' "${children% }"
}

# Sends a signal to a process of a job that has made some progress, which must end the job: PROCESSES RANK|mpirun SIGNAL ARGUMENT...
end_process() {
    local processes=$1 rank=$2 signal=$3 records=killed/metrics.jsonl done=0 job process children status=0
    shift 3
    [[ ! -e $records ]] || done=$(grep -c '"kind":"progress"' "$records")
    run_mpi -n "$processes" "$scratch/lenet_mpi" "$@" &>job &
    job=$!
    wait_for "$records" $((done + 2))
    # The job is a shell, whose child is `timeout`, whose child is `mpirun`.
    process=$(children_of "$(children_of "$job")")
    if [[ $rank != mpirun ]]; then
        children=($(children_of "$process"))
        process=${children[rank]}
    fi
    kill -s "$signal" "$process"
    wait "$job" || status=$?
    ((status != 0 && status != 124)) || fail "$signal to $rank of $processes: exit code $status: $(cat job)"
    printf '%s to %s of %d processes: exit code %d\n' "$signal" "$rank" "$processes" "$status"
}
