//! Modules import from lower layers only.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::path::Path;

use im2col_testkit::import_order::check;

/// The modules of this crate, lowest layer first. None imports from its own layer or from above.
const LAYERS: &[&[&str]] = &[
    // Vocabulary.
    &["error/message"],
    &["error", "scratch", "weights", "simd/kernel"],
    &["simd/load", "simd/mask", "simd/wide", "simd/x86_64"],
    &["simd/scalar"],
    &["simd"],
    &["math"],
    &["activation", "const_plan", "include", "layout", "padding", "pixels", "sum"],
    &["epilogue", "window"],
    // Products of matrices, and the input as a matrix.
    &["gemm/panels"],
    &["gemm/pack", "gemm/tile"],
    &["gemm"],
    &["gemm/product", "im2col/matrix"],
    &["im2col/panel"],
    &["im2col"],
    // What a convolution is, and what all algorithms share.
    &["conv/params", "conv/rounding", "conv/shape"],
    &["conv/channel_lanes/block", "conv/padded", "conv/pass"],
    &["conv/channel_lanes/pairs", "conv/channel_lanes/stage", "conv/channel_lanes/store"],
    &["conv/channel_lanes/tile"],
    &["conv/channel_lanes"],
    // The algorithms.
    &[
        "conv/algorithm/depthwise/channels",
        "conv/algorithm/depthwise/taps",
        "conv/algorithm/in_place/any_layout",
        "conv/algorithm/winograd/tiling",
    ],
    &["conv/algorithm/winograd/multiply", "conv/algorithm/winograd/transform"],
    &[
        "conv/algorithm/broadcast",
        "conv/algorithm/depthwise",
        "conv/algorithm/direct",
        "conv/algorithm/external",
        "conv/algorithm/im2col",
        "conv/algorithm/in_place",
        "conv/algorithm/pointwise",
        "conv/algorithm/winograd",
    ],
    &["conv/algorithm/in_place/segments", "conv/algorithm/in_place/taps"],
    &["conv/algorithm"],
    &["conv/choice", "conv/threads"],
    // The gradients.
    &["conv/gradient/parts"],
    &["conv/gradient/depthwise"],
    &["conv/gradient/input", "conv/gradient/weight"],
    &["conv/gradient/in_place_input", "conv/gradient/in_place_weight"],
    &["conv/gradient"],
    // Plans.
    &["conv/sizes"],
    &["conv/limit"],
    &["conv/plan"],
    &["conv/backward", "conv/columns", "conv/forward", "conv/requests"],
    &["conv/transposed", "conv/unfold"],
    &["conv"],
    // Other layers, which know nothing of convolutions.
    &["pool/params", "pool/sum"],
    &["pool/windows"],
    &["pool/stage"],
    &["pool/backward", "pool/max3x3", "pool/tiles"],
    &["pool/backward_from", "pool/forward"],
    &["pool/plan"],
    &["pool/argmax", "pool/layout"],
    &["pool/unpool"],
    &["pool"],
    &["linear/dot_products", "linear/params"],
    &["linear"],
    &["linear/backward", "linear/limit"],
    &["loss/classes"],
    &["loss/rows", "loss/softmax"],
    &["loss"],
    &["gradients"],
    // Layers of sixteen images at a time.
    &["interleaved/blocks"],
    &["interleaved/tile"],
    &["interleaved/conv", "interleaved/linear", "interleaved/pool"],
    &["interleaved/conv_grad_input", "interleaved/conv_grad_weight"],
    &["interleaved"],
    // Networks.
    &["network/images", "network/interleaving", "network/layer"],
    &["network/bands", "network/ping_pong"],
    &["network/plan"],
    &["network/interleaved/layer", "network/interleaved/plan"],
    &["network/forward", "network/interleaved", "network/limit", "network/summary"],
    &["network/backward", "network/layout", "network/packed", "network/pixels"],
    &["network/in_place"],
    &["network/by_rows"],
    &["network"],
    // Definitions, examples, and the face of the crate.
    &["naive/loops", "naive/loss"],
    &["naive/dense", "naive/linear", "naive/pixels", "naive/pool", "naive/transpose"],
    &["naive"],
    &["lenet"],
    &["lib"],
];

#[test]
fn imports_point_down() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    if let Err(found) = check(&src, LAYERS) {
        panic!("{}", found.join("\n"));
    }
}
