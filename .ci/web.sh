# The page of web/. Sourced by .ci/run, which has what is not defined here; `targets.sh` has Debian's packages.

# Bytes: of each engine; of the page without digits and weights, as a browser loads it: with one engine, compressed; of all of it.
readonly MOST_ENGINE=153600 MOST_PAGE=307200 MOST_WITH_DIGITS=2621440
# How the page trains, unless its reader asks for something else.
readonly PAGE_TRAINING=(--network lenet-relu --batch 32 --lr 0.02 --schedule constant --epochs 5 --seed 1)

# Builds the page and uses it in a browser, chapter by chapter; it reads digits, and learns them with the bits of this machine.
web() {
    has_packages rustc-web rust-web-src binaryen chromium fonts-wqy-microhei || return 0

    web/build |& tee "$scratch/web_build"
    if grep '^warning' "$scratch/web_build"; then
        fail 'warnings'
    fi
    web_sizes

    node web/tests/page.mjs web/index.html "$scratch/web"
    node web/tests/digits.mjs

    release_programs
    local lenet=$CARGO_TARGET_DIR/release/lenet
    "$lenet" train --isa scalar "${PAGE_TRAINING[@]}" --quiet --out "$scratch/native"
    node web/tests/training.mjs "$scratch/web" "$scratch/native/weights.safetensors"
    "$lenet" eval --weights "$scratch/web/weights.safetensors" | tee "$scratch/web_eval"
    diff <("$lenet" eval --weights "$scratch/native/weights.safetensors") "$scratch/web_eval" ||
        fail 'weights from the page give other results'
}

# The page is broken in ways that its tests must find.
web_self_test() {
    has_packages rustc-web rust-web-src binaryen chromium fonts-wqy-microhei || return 0
    web/build
    node web/tests/page.mjs --self-test
}

web_sizes() {
    local name size engines
    engines=$(sed -nE 's/^engine: ([0-9]+) bytes with simd128, ([0-9]+) without$/\1 \2/p' "$scratch/web_build")
    [[ -n $engines ]] || fail 'web/build said nothing of the engines'
    for size in $engines; do
        ((size <= MOST_ENGINE)) || fail "an engine has $size bytes, at most $MOST_ENGINE"
    done

    local files=(web/*.html web/*.css web/*.js web/chapters/*.js) page all
    ((${#files[@]} > 20)) || fail 'a part of the page is missing'
    page=$(cat "${files[@]}" web/built/simd128.js | wc -c)
    all=$(cat "${files[@]}" web/built/*.js | wc -c)
    printf 'web: %d bytes without digits and weights, as it is loaded, at most %d\n' "$page" "$MOST_PAGE"
    printf 'web: %d bytes of HTML, CSS and JavaScript as written\n' "$(cat "${files[@]}" | wc -c)"
    printf 'web: %d bytes in all, at most %d\n' "$all" "$MOST_WITH_DIGITS"
    ((page <= MOST_PAGE && all <= MOST_WITH_DIGITS)) || fail 'the page is too large'
}
