//! What can go wrong: while planning ([`ShapeError`]) and while running ([`RunError`]).

use core::fmt;
use core::ops::Range;

/// Why a shape cannot be planned.
///
/// Every size is checked here, once; a plan that exists needs no further arithmetic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ShapeError {
    /// Only ranks 1, 2 and 3 exist.
    Rank {
        /// The rank that was asked for.
        rank: usize,
    },
    /// A size that must be at least 1 is 0.
    Zero {
        /// Which size: `"stride"`, `"kernel"`, `"in_channels"` ...
        what: &'static str,
    },
    /// A product or sum of sizes does not fit in `usize`.
    Overflow {
        /// Which size was being computed.
        what: &'static str,
    },
    /// The dilated kernel is larger than the padded input.
    KernelExceedsInput {
        /// The axis, counted from the first spatial one.
        axis: usize,
        /// `dilation * (kernel - 1) + 1`.
        kernel_extent: usize,
        /// `input + padding before + padding after`.
        padded_input: usize,
    },
    /// The channels are not a multiple of the groups.
    Groups {
        /// `"in_channels"` or `"out_channels"`.
        what: &'static str,
        /// How many channels.
        channels: usize,
        /// How many groups.
        groups: usize,
    },
    /// More padding than a padding mode is defined for.
    PaddingExceedsInput {
        /// The axis, counted from the first spatial one.
        axis: usize,
        /// The larger padding of that axis.
        padding: usize,
        /// The most that there may be: the input's size for circular padding, one less for reflection.
        most: usize,
    },
    /// The padding takes away all of a transposed convolution's output, or of an unpooling's.
    PaddingExceedsOutput {
        /// The axis, counted from the first spatial one.
        axis: usize,
        /// The padding of both sides.
        padding: usize,
        /// The output's size without padding.
        unpadded: usize,
    },
    /// The output padding of a transposed convolution must be less than its stride or dilation.
    OutputPadding {
        /// The axis, counted from the first spatial one.
        axis: usize,
        /// The output padding of that axis.
        output_padding: usize,
        /// The larger of stride and dilation.
        limit: usize,
    },
    /// An option was set that means nothing to the operation.
    Inapplicable {
        /// The option: `"stride"`, `"divisor"` ...
        option: &'static str,
        /// What does not have it: `"adaptive pooling"` ...
        operation: &'static str,
    },
    /// The algorithm cannot compute the shape.
    Unsupported {
        /// Its [name](crate::Algorithm::name).
        algorithm: &'static str,
    },
    /// A layer of a network does not take what the layer before it gives.
    Layer {
        /// The layer's index.
        layer: usize,
        /// What the layer needs (channels of a convolution, inputs of a linear layer).
        required: usize,
        /// What arrives; 0 where a `Flatten` is missing or misplaced.
        given: usize,
    },
    /// A network keeps more values between two layers than its limit of scratch allows.
    ScratchLimit {
        /// The least limit that is enough.
        least: usize,
        /// The limit that was asked for.
        limit: usize,
    },
}

impl ShapeError {
    /// The error in fixed words, for contexts that cannot format numbers (constant evaluation).
    #[must_use]
    pub const fn message(&self) -> &'static str {
        match self {
            Self::Rank { .. } => "only ranks 1, 2 and 3 are supported",
            Self::Zero { .. } => "a size that must be at least 1 is 0",
            Self::Overflow { .. } => "a size does not fit in usize",
            Self::KernelExceedsInput { .. } => "the dilated kernel exceeds the padded input",
            Self::Groups { .. } => "the channels are not a multiple of the groups",
            Self::PaddingExceedsInput { .. } => "more padding than the padding mode is defined for",
            Self::PaddingExceedsOutput { .. } => "the padding takes away the whole output",
            Self::OutputPadding { .. } => "the output padding is not less than the stride or the dilation",
            Self::Inapplicable { .. } => "an option does not apply to this operation",
            Self::Unsupported { .. } => "the algorithm does not support this shape",
            Self::Layer { .. } => "a layer does not take what the layer before it gives",
            Self::ScratchLimit { .. } => "a network keeps more between two layers than its limit of scratch",
        }
    }
}

impl fmt::Display for ShapeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Rank { rank } => write!(f, "rank {rank}: only 1, 2 and 3 are supported"),
            Self::Zero { what } => write!(f, "{what} is 0 and must be at least 1"),
            Self::Overflow { what } => write!(f, "{what} does not fit in usize"),
            Self::KernelExceedsInput { axis, kernel_extent, padded_input } => write!(
                f,
                "axis {axis}: the dilated kernel spans {kernel_extent}, the padded input has {padded_input}"
            ),
            Self::Groups { what, channels, groups } => {
                write!(f, "{what} = {channels} is not a multiple of groups = {groups}")
            }
            Self::PaddingExceedsInput { axis, padding, most } => {
                write!(f, "axis {axis}: padding {padding}, the padding mode is defined for at most {most}")
            }
            Self::PaddingExceedsOutput { axis, padding, unpadded } => {
                write!(f, "axis {axis}: padding takes {padding} away from an output of {unpadded}")
            }
            Self::OutputPadding { axis, output_padding, limit } => write!(
                f,
                "axis {axis}: output padding {output_padding} must be less than {limit}, the larger of stride \
                 and dilation"
            ),
            Self::Inapplicable { option, operation } => write!(f, "{option} does not apply to {operation}"),
            Self::Unsupported { algorithm } => {
                write!(f, "the algorithm {algorithm} does not support this shape")
            }
            Self::Layer { layer, required, given } => {
                write!(f, "layer {layer} takes {required} channels or features and is given {given}")
            }
            Self::ScratchLimit { least, limit } => {
                write!(f, "a limit of {limit} values of scratch is less than the {least} that layers hand on")
            }
        }
    }
}

impl core::error::Error for ShapeError {}

/// Why a planned operation did not run. The output is untouched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RunError {
    /// An operand does not have the length that the plan says.
    Length {
        /// The operand's name in the signature.
        operand: &'static str,
        /// The plan's length.
        required: usize,
        /// The slice's length.
        given: usize,
    },
    /// The scratch is shorter than the plan says.
    Scratch {
        /// The least length.
        required: usize,
        /// The slice's length.
        given: usize,
    },
    /// The packed weights were packed for other sizes, or the algorithm takes plain weights only.
    PackedWeights {
        /// The length that this plan packs to.
        required: usize,
        /// The length of the packed weights that were given.
        given: usize,
    },
    /// A range of rows or columns is not in the matrix.
    Range {
        /// `"rows"` or `"columns"`.
        operand: &'static str,
        /// How many there are.
        len: usize,
        /// The range's start and end.
        given: (usize, usize),
    },
    /// A label is not a class.
    Label {
        /// The label's position among all labels.
        position: usize,
        /// How many classes there are.
        classes: usize,
        /// The label; one that no `i128` holds is given as the largest.
        given: i128,
    },
    /// Indices were asked of an average: only a maximum comes from one place.
    NoIndices,
    /// An index of unpooling is neither in its plane nor -1.
    Index {
        /// The index's position among all indices.
        position: usize,
        /// How many values the plane has.
        plane_len: usize,
        /// The index.
        given: i64,
    },
    /// A number in the workspace of a pooling names no tap of its window.
    Tap {
        /// The output whose window it is.
        position: usize,
        /// How many taps the window has.
        taps: usize,
        /// The number.
        given: u64,
    },
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Length { operand, required, given } => {
                write!(f, "{operand}: {required} values required, {given} given")
            }
            Self::Scratch { required, given } => {
                write!(f, "scratch: at least {required} values required, {given} given")
            }
            Self::PackedWeights { required, given } => write!(
                f,
                "packed weights: packed for other sizes or another operation ({required} values required, {given} given), or the \
                 algorithm takes plain weights only"
            ),
            Self::Range { operand, len, given: (start, end) } => {
                write!(f, "{operand}: {start}..{end} is not a range within 0..{len}")
            }
            Self::Label { position, classes, given } => {
                write!(f, "label {position}: {given} is not one of {classes} classes")
            }
            Self::NoIndices => f.write_str("an average has no indices: only a maximum comes from one place"),
            Self::Index { position, plane_len, given } => {
                write!(f, "index {position}: {given} is neither in a plane of {plane_len} values nor -1")
            }
            Self::Tap { position, taps, given } => {
                write!(f, "workspace: output {position}: {given} is not one of {taps} taps")
            }
        }
    }
}

impl core::error::Error for RunError {}

/// Checks that an operand has exactly the planned length.
pub(crate) const fn check_len(operand: &'static str, required: usize, given: usize) -> Result<(), RunError> {
    if given == required { Ok(()) } else { Err(RunError::Length { operand, required, given }) }
}

/// Checks that a range is in order and within `0..len`.
pub(crate) const fn check_range(
    operand: &'static str,
    range: &Range<usize>,
    len: usize,
) -> Result<(), RunError> {
    if range.start <= range.end && range.end <= len {
        Ok(())
    } else {
        Err(RunError::Range { operand, len, given: (range.start, range.end) })
    }
}

/// Checks that a scratch has at least the planned length.
pub(crate) const fn check_scratch(required: usize, given: usize) -> Result<(), RunError> {
    if given >= required { Ok(()) } else { Err(RunError::Scratch { required, given }) }
}
