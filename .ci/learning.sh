# What the trainer learns from real data. Sourced by .ci/run, which has what is not defined here.

# The least test accuracy on MNIST, and the least accuracy on Fashion-MNIST's training images.
readonly MIN_MNIST_ACCURACY=98.8
readonly MIN_FASHION_TRAIN_ACCURACY=81

# The README's two runs, of 10 epochs each: ReLU and maxima on MNIST, and the lecture's experiment.
soak_learning() {
    local data=${IM2COL_SHARED:-}/data mnist fashion
    if [[ ! -d $data/mnist ]]; then
        [[ ${CI:-} != true ]] || fail 'the data sets are missing: no ../shared/data'
        printf 'skipped: no ../shared/data\n'
        return
    fi
    cargo build --release --bin lenet
    learn --data "$data/mnist" --out "$scratch/mnist"
    mnist=$(sed -nE 's/^test accuracy: ([0-9.]+) %$/\1/p' "$scratch/learned")
    learn --data "$data/fashion-mnist" --network lenet --batch 256 --lr 0.9 --momentum 0 --schedule constant \
        --out "$scratch/fashion"
    fashion=$(sed -nE 's|^epoch 10/10 .* train ([0-9.]+) %.*|\1|p' "$scratch/learned")
    printf 'soak: learning: MNIST, test accuracy %s %%; Fashion-MNIST, training accuracy %s %%\n' "$mnist" "$fashion"
    awk -v got="${mnist:-0}" -v least="$MIN_MNIST_ACCURACY" 'BEGIN { exit !(got >= least) }' ||
        fail "MNIST: less than $MIN_MNIST_ACCURACY %"
    awk -v got="${fashion:-0}" -v least="$MIN_FASHION_TRAIN_ACCURACY" 'BEGIN { exit !(got >= least) }' ||
        fail "Fashion-MNIST: less than $MIN_FASHION_TRAIN_ACCURACY %"
}

# Trains for 10 epochs; what was printed stays in `learned`: OPTION...
learn() {
    "$CARGO_TARGET_DIR/release/lenet" train --epochs 10 "$@" | tee "$scratch/learned"
}
