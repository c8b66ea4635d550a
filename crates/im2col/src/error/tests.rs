use super::ShapeError;

/// Every variant with `n` for its numbers, and what it says, as `core::fmt` writes it.
fn every_error(n: usize) -> Vec<(ShapeError, String)> {
    let what = "kernel";
    let (axis, layer, limit) = (n, n, n);
    let exceeds = ShapeError::KernelExceedsInput { axis, kernel_extent: n, padded_input: n };
    let spans = format!("axis {n}: the dilated kernel spans {n}, the padded input has {n}");
    let given = if n == 0 { "none: a Flatten is missing or misplaced".to_owned() } else { n.to_string() };
    vec![
        (ShapeError::Rank { rank: n }, format!("rank {n}: only 1, 2 and 3 are supported")),
        (ShapeError::Zero { what }, "kernel is 0 and must be at least 1".to_owned()),
        (ShapeError::Overflow { what }, "kernel does not fit in usize".to_owned()),
        (exceeds, spans.clone()),
        (
            ShapeError::Groups { what, channels: n, groups: n },
            format!("kernel = {n} is not a multiple of groups = {n}"),
        ),
        (
            ShapeError::PaddingExceedsInput { axis, padding: n, most: n },
            format!("axis {n}: padding {n}, the padding mode is defined for at most {n}"),
        ),
        (
            ShapeError::PaddingExceedsOutput { axis, padding: n, unpadded: n },
            format!("axis {n}: padding takes {n} away from an output of {n}"),
        ),
        (
            ShapeError::OutputPadding { axis, output_padding: n, limit },
            format!("axis {n}: output padding {n} must be less than {n}, the larger of stride and dilation"),
        ),
        (
            ShapeError::Inapplicable { option: "stride", operation: "adaptive pooling" },
            "stride does not apply to adaptive pooling".to_owned(),
        ),
        (
            ShapeError::Unsupported { algorithm: "Winograd" },
            "the algorithm Winograd does not support this shape".to_owned(),
        ),
        (
            ShapeError::Length { operand: what, required: n, given: n },
            format!("kernel: {n} values required, {n} given"),
        ),
        (
            ShapeError::Layer { layer, required: n, given: n },
            format!("layer {n} takes {n} channels or features and is given {given}"),
        ),
        (exceeds.in_layer(n), format!("layer {n}: {spans}")),
        (
            ShapeError::ScratchLimit { least: n, limit },
            format!("a limit of {n} values of scratch is less than the {n} that layers hand on"),
        ),
        (
            ShapeError::InputStrides { channel: n, last: n },
            format!("input strides: {n} for channels and {n} for the last axis, one of which must be 1"),
        ),
    ]
}

/// The place of a variant in `every_error`: one that is missing there does not compile here.
const fn place(error: &ShapeError) -> usize {
    match error {
        ShapeError::Rank { .. } => 0,
        ShapeError::Zero { .. } => 1,
        ShapeError::Overflow { .. } => 2,
        ShapeError::KernelExceedsInput { .. } => 3,
        ShapeError::Groups { .. } => 4,
        ShapeError::PaddingExceedsInput { .. } => 5,
        ShapeError::PaddingExceedsOutput { .. } => 6,
        ShapeError::OutputPadding { .. } => 7,
        ShapeError::Inapplicable { .. } => 8,
        ShapeError::Unsupported { .. } => 9,
        ShapeError::Length { .. } => 10,
        ShapeError::Layer { .. } => 11,
        ShapeError::InLayer { .. } => 12,
        ShapeError::ScratchLimit { .. } => 13,
        ShapeError::InputStrides { .. } => 14,
    }
}

#[test]
fn constants_say_what_display_writes() {
    for n in [0, 1, 9, 10, 99, 12_345, usize::MAX] {
        let errors = every_error(n);
        assert_eq!(errors.len(), 15);
        for (index, (error, expected)) in errors.into_iter().enumerate() {
            assert_eq!(place(&error), index);
            assert_eq!(error.message().as_str(), expected);
            assert_eq!(error.to_string(), expected);
            let names_a_layer = matches!(error, ShapeError::Layer { .. } | ShapeError::InLayer { .. });
            let expected = if names_a_layer { expected } else { format!("layer {n}: {expected}") };
            assert_eq!(error.in_layer(n).to_string(), expected);
        }
    }
    const LARGEST: ShapeError =
        ShapeError::KernelExceedsInput { axis: 0, kernel_extent: usize::MAX, padded_input: 1 }.in_layer(2);
    const TEXT: &str = LARGEST.message().as_str();
    let expected =
        format!("layer 2: axis 0: the dilated kernel spans {}, the padded input has 1", usize::MAX);
    assert_eq!(TEXT, expected);
}

/// Each sentence with several numbers, with different ones.
#[test]
fn numbers_stand_in_their_places() {
    let says = |error: ShapeError, expected: &str| assert_eq!(error.to_string(), expected);
    says(
        ShapeError::KernelExceedsInput { axis: 1, kernel_extent: 5, padded_input: 4 },
        "axis 1: the dilated kernel spans 5, the padded input has 4",
    );
    says(
        ShapeError::Groups { what: "out_channels", channels: 6, groups: 4 },
        "out_channels = 6 is not a multiple of groups = 4",
    );
    says(
        ShapeError::PaddingExceedsInput { axis: 2, padding: 7, most: 3 },
        "axis 2: padding 7, the padding mode is defined for at most 3",
    );
    says(
        ShapeError::PaddingExceedsOutput { axis: 0, padding: 8, unpadded: 6 },
        "axis 0: padding takes 8 away from an output of 6",
    );
    says(
        ShapeError::OutputPadding { axis: 1, output_padding: 3, limit: 2 },
        "axis 1: output padding 3 must be less than 2, the larger of stride and dilation",
    );
    says(
        ShapeError::Layer { layer: 3, required: 400, given: 256 },
        "layer 3 takes 400 channels or features and is given 256",
    );
    says(
        ShapeError::ScratchLimit { least: 20, limit: 10 },
        "a limit of 10 values of scratch is less than the 20 that layers hand on",
    );
    says(
        ShapeError::InputStrides { channel: 2, last: 3 },
        "input strides: 2 for channels and 3 for the last axis, one of which must be 1",
    );
}

#[test]
fn an_error_that_names_its_layer_keeps_it() {
    for error in
        [ShapeError::Layer { layer: 1, required: 2, given: 3 }, ShapeError::Rank { rank: 4 }.in_layer(1)]
    {
        assert_eq!(error.in_layer(5), error);
    }
}

#[test]
fn long_names_are_cut_between_characters() {
    let what: &str = Box::leak("ä{}".repeat(100).into_boxed_str());
    for start in 0..4 {
        let error = ShapeError::Zero { what: &what[start * 4..] };
        assert_eq!(error.message().as_str(), error.to_string());
        assert_eq!(error.to_string(), what[start * 4..][..256]);
    }
    let what: &str = Box::leak(format!("a{}", "ä".repeat(200)).into_boxed_str());
    // The last byte has no room for half of a character.
    assert_eq!(ShapeError::Overflow { what }.to_string(), format!("{} ", &what[..255]));
    assert_eq!(
        ShapeError::Unsupported { algorithm: "{}" }.to_string(),
        "the algorithm {} does not support this shape"
    );
}
