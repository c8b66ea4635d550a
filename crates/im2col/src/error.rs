//! What can go wrong: while planning ([`ShapeError`]) and while running ([`RunError`]).

mod message;
#[cfg(test)]
mod tests;

use core::fmt;
use core::ops::Range;
pub use message::ErrorMessage;
use message::Sentence;
use message::Value::{Name, Number};

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
    /// The strides of an input put neither the values of a line next to each other nor the channels.
    InputStrides {
        /// That of channels.
        channel: usize,
        /// That of the last axis.
        last: usize,
    },
    /// The algorithm cannot compute the shape.
    Unsupported {
        /// Its [name](crate::Algorithm::name).
        algorithm: &'static str,
    },
    /// An operand that a constant packs does not have the length that the plan says.
    Length {
        /// The operand's name in the signature.
        operand: &'static str,
        /// The plan's length.
        required: usize,
        /// The operand's length.
        given: usize,
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
    /// A layer of a network cannot be planned.
    InLayer {
        /// The layer's index.
        layer: usize,
        /// What its own plan says.
        error: LayerError,
    },
    /// A network keeps more values between two layers than its limit of scratch allows.
    ScratchLimit {
        /// The least limit that is enough.
        least: usize,
        /// The limit that was asked for.
        limit: usize,
    },
}

/// Why a layer of a network cannot be planned: [in words](ShapeError::message), for [`ShapeError::InLayer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerError(Sentence);

impl ShapeError {
    /// What [`Display`](fmt::Display) writes, in constants too, which cannot format: [`planned!`](crate::planned) says
    /// it. Text of more than 256 bytes is cut.
    ///
    /// ```
    /// use im2col::ShapeError;
    ///
    /// const ERROR: ShapeError = ShapeError::Groups { what: "in_channels", channels: 6, groups: 4 };
    /// const TEXT: &str = ERROR.message().as_str();
    /// assert_eq!(TEXT, "in_channels = 6 is not a multiple of groups = 4");
    /// ```
    #[must_use]
    pub const fn message(&self) -> ErrorMessage {
        let mut message = ErrorMessage::EMPTY;
        if let Self::InLayer { layer, .. } = self {
            message.push(&Sentence::new("layer {}: ", [Number(*layer)]));
        }
        message.push(&self.sentence());
        message
    }

    /// The error of a layer's plan, as the error of a network.
    #[must_use]
    pub const fn in_layer(self, layer: usize) -> Self {
        match self {
            // These say where already.
            Self::Layer { .. } | Self::InLayer { .. } => self,
            _ => Self::InLayer { layer, error: LayerError(self.sentence()) },
        }
    }

    const fn sentence(&self) -> Sentence {
        match *self {
            Self::Rank { rank } => Sentence::new("rank {}: only 1, 2 and 3 are supported", [Number(rank)]),
            Self::Zero { what } => Sentence::new("{} is 0 and must be at least 1", [Name(what)]),
            Self::Overflow { what } => Sentence::new("{} does not fit in usize", [Name(what)]),
            Self::KernelExceedsInput { axis, kernel_extent, padded_input } => Sentence::new(
                "axis {}: the dilated kernel spans {}, the padded input has {}",
                [Number(axis), Number(kernel_extent), Number(padded_input)],
            ),
            Self::Groups { what, channels, groups } => Sentence::new(
                "{} = {} is not a multiple of groups = {}",
                [Name(what), Number(channels), Number(groups)],
            ),
            Self::PaddingExceedsInput { axis, padding, most } => Sentence::new(
                "axis {}: padding {}, the padding mode is defined for at most {}",
                [Number(axis), Number(padding), Number(most)],
            ),
            Self::PaddingExceedsOutput { axis, padding, unpadded } => Sentence::new(
                "axis {}: padding takes {} away from an output of {}",
                [Number(axis), Number(padding), Number(unpadded)],
            ),
            Self::OutputPadding { axis, output_padding, limit } => Sentence::new(
                "axis {}: output padding {} must be less than {}, the larger of stride and dilation",
                [Number(axis), Number(output_padding), Number(limit)],
            ),
            Self::Inapplicable { option, operation } => {
                Sentence::new("{} does not apply to {}", [Name(option), Name(operation)])
            }
            Self::InputStrides { channel, last } => Sentence::new(
                "input strides: {} for channels and {} for the last axis, one of which must be 1",
                [Number(channel), Number(last)],
            ),
            Self::Unsupported { algorithm } => {
                Sentence::new("the algorithm {} does not support this shape", [Name(algorithm)])
            }
            Self::Length { operand, required, given } => Sentence::new(
                "{}: {} values required, {} given",
                [Name(operand), Number(required), Number(given)],
            ),
            Self::Layer { layer, required, given: 0 } => Sentence::new(
                "layer {} takes {} channels or features and is given none: a Flatten is missing or misplaced",
                [Number(layer), Number(required)],
            ),
            Self::Layer { layer, required, given } => Sentence::new(
                "layer {} takes {} channels or features and is given {}",
                [Number(layer), Number(required), Number(given)],
            ),
            Self::InLayer { error: LayerError(sentence), .. } => sentence,
            Self::ScratchLimit { least, limit } => Sentence::new(
                "a limit of {} values of scratch is less than the {} that layers hand on",
                [Number(limit), Number(least)],
            ),
        }
    }
}

impl fmt::Display for ShapeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.message().fmt(f)
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
    /// Channels come last or the input has strides, and the operation takes or gives whole planes, channels first.
    Layout {
        /// The operation: `"backward_input"`, `"im2col"` ...
        operation: &'static str,
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
            Self::Layout { operation } => {
                write!(
                    f,
                    "{operation} takes whole planes with channels first, and the plan has another layout"
                )
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

/// Checks the lengths of a weight and of `N` packed values.
pub(crate) const fn check_packed<const N: usize>(
    weight_len: usize,
    given: usize,
    packed_len: usize,
) -> Result<(), ShapeError> {
    if given != weight_len {
        return Err(ShapeError::Length { operand: "weight", required: weight_len, given });
    }
    if N != packed_len {
        return Err(ShapeError::Length { operand: "packed", required: packed_len, given: N });
    }
    Ok(())
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
