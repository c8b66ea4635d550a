//! The sliding window that convolution and pooling share, lifted to three axes.
//!
//! On one axis, output `o` and tap `k` meet at input `o * stride + k * dilation - padding`;
//! outside `0..input` lies the padding, whose values [`Window::source`] finds. A window of rank 1 or 2 has leading axes of size 1.

#![deny(clippy::arithmetic_side_effects)]

use crate::error::ShapeError;
use crate::padding::PaddingMode;

/// A window's geometry, checked: no coordinate, and no volume of input, kernel or output, overflows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) input: [usize; 3],
    pub(crate) kernel: [usize; 3],
    pub(crate) stride: [usize; 3],
    /// `[before, after]` of each axis.
    pub(crate) padding: [[usize; 2]; 3],
    pub(crate) mode: PaddingMode,
    pub(crate) dilation: [usize; 3],
    pub(crate) output: [usize; 3],
}

impl Window {
    /// Plans the window; `output = (input + padding - dilation (kernel - 1) - 1) / stride + 1`.
    pub(crate) const fn new<const D: usize>(
        input: [usize; D],
        kernel: [usize; D],
        stride: [usize; D],
        padding: [[usize; 2]; D],
        dilation: [usize; D],
    ) -> Result<Self, ShapeError> {
        Self::rounded(input, kernel, stride, padding, dilation, false)
    }

    /// Plans the window as [`new`](Self::new) does, but under `ceil_mode` rounds the quotient up: the last window may then
    /// reach beyond the padding, though all begin before the input ends.
    pub(crate) const fn rounded<const D: usize>(
        input: [usize; D],
        kernel: [usize; D],
        stride: [usize; D],
        padding: [[usize; 2]; D],
        dilation: [usize; D],
        ceil_mode: bool,
    ) -> Result<Self, ShapeError> {
        if D == 0 || D > 3 {
            return Err(ShapeError::Rank { rank: D });
        }
        let mut window = Self {
            input: lift(input, 1),
            kernel: lift(kernel, 1),
            stride: lift(stride, 1),
            padding: lift(padding, [0, 0]),
            mode: PaddingMode::Zeros,
            dilation: lift(dilation, 1),
            output: [1; 3],
        };
        let mut axis = 0;
        while axis < 3 {
            window.output[axis] = match window.output_dim(axis, named_axis(axis, D), ceil_mode) {
                Ok(output) => output,
                Err(error) => return Err(error),
            };
            axis = axis.saturating_add(1);
        }
        let sizes = [window.input, window.kernel, window.output];
        let names = ["input", "kernel", "output"];
        let mut i = 0;
        while i < 3 {
            if volume(sizes[i]).is_none() {
                return Err(ShapeError::Overflow { what: names[i] });
            }
            i = i.saturating_add(1);
        }
        Ok(window)
    }

    #[allow(clippy::arithmetic_side_effects, reason = "the arithmetic follows the checks that make it safe")]
    const fn output_dim(&self, axis: usize, named: usize, ceil_mode: bool) -> Result<usize, ShapeError> {
        let (input, kernel) = (self.input[axis], self.kernel[axis]);
        let (stride, dilation) = (self.stride[axis], self.dilation[axis]);
        if input == 0 {
            return Err(ShapeError::Zero { what: "input" });
        }
        if stride == 0 {
            return Err(ShapeError::Zero { what: "stride" });
        }
        if dilation == 0 {
            return Err(ShapeError::Zero { what: "dilation" });
        }
        let Some(reach) = kernel.checked_sub(1) else {
            return Err(ShapeError::Zero { what: "kernel" });
        };
        let Some(reach) = dilation.checked_mul(reach) else {
            return Err(ShapeError::Overflow { what: "kernel" });
        };
        // Coordinates are computed as `isize`, where the padding before is negative.
        let padded = match checked_sum([input, self.padding[axis][0], self.padding[axis][1]]) {
            Some(padded) if padded <= isize::MAX as usize => padded,
            _ => return Err(ShapeError::Overflow { what: "padded input" }),
        };
        if reach >= padded {
            // Rounded up, a window that is too long by less than the stride is one window.
            if ceil_mode && reach <= isize::MAX as usize && reach - padded < stride - 1 {
                return Ok(1);
            }
            return Err(ShapeError::KernelExceedsInput {
                axis: named,
                kernel_extent: reach.saturating_add(1),
                padded_input: padded,
            });
        }
        // `1 <= padded - reach <= isize::MAX` and `stride >= 1`: nothing wraps.
        let rest = padded - reach - 1;
        if !ceil_mode {
            return Ok(rest / stride + 1);
        }
        // As many windows begin in the input or the padding before it.
        let begin = (input + self.padding[axis][0]).div_ceil(stride);
        let rounded = rest.div_ceil(stride) + 1;
        Ok(min(rounded, begin))
    }

    /// The same window with other values in the padding, if they are defined.
    pub(crate) const fn with_mode(mut self, mode: PaddingMode, rank: usize) -> Result<Self, ShapeError> {
        let mut axis = 0;
        while axis < 3 {
            let named = named_axis(axis, rank);
            if let Err(error) = mode.check(named, self.input[axis], self.padding[axis]) {
                return Err(error);
            }
            axis = axis.saturating_add(1);
        }
        self.mode = mode;
        Ok(self)
    }

    /// The offset in a plane of the value that the window finds at `at`, which wraps around before
    /// the input; none if that is a zero.
    #[inline(always)]
    pub(crate) fn source(&self, at: [usize; 3]) -> Option<usize> {
        let z = self.mode.source(at[0], self.input[0])?;
        let y = self.mode.source(at[1], self.input[1])?;
        let x = self.mode.source(at[2], self.input[2])?;
        // An offset in a plane that exists.
        Some(z.wrapping_mul(self.input[1]).wrapping_add(y).wrapping_mul(self.input[2]).wrapping_add(x))
    }

    /// At most how many values of an axis of the input the windows read: the pairs of position and tap, less those
    /// that read what another pair, of a later position and an earlier tap, reads.
    pub(crate) const fn values_read(&self, axis: usize) -> usize {
        let (output, kernel) = (self.output[axis], self.kernel[axis]);
        let (stride, dilation) = (self.stride[axis], self.dilation[axis]);
        let divisor = greatest_common_divisor(stride, dilation);
        let (Some(positions), Some(taps)) = (dilation.checked_div(divisor), stride.checked_div(divisor))
        else {
            return self.input[axis];
        };
        let again = output.saturating_sub(positions).saturating_mul(kernel.saturating_sub(taps));
        let read = output.saturating_mul(kernel).saturating_sub(again);
        min(read, self.input[axis])
    }

    /// Whether `axis` has one value, one tap, and no padding.
    pub(crate) const fn is_single(&self, axis: usize) -> bool {
        let [before, after] = self.padding[axis];
        self.input[axis] == 1 && self.kernel[axis] == 1 && before | after == 0
    }

    /// The first axis with several positions; the last one, if none has.
    pub(crate) const fn outer_axis(&self) -> usize {
        match self.output {
            [1, 1, _] => 2,
            [1, ..] => 1,
            _ => 0,
        }
    }

    /// The window with its last axis put first. Where that is a single one, all offsets stay.
    pub(crate) const fn turned(&self) -> Self {
        let Self { input: i, kernel: k, stride: s, padding: p, mode, dilation: d, output: o } = *self;
        Self {
            input: [i[2], i[0], i[1]],
            kernel: [k[2], k[0], k[1]],
            stride: [s[2], s[0], s[1]],
            padding: [p[2], p[0], p[1]],
            mode,
            dilation: [d[2], d[0], d[1]],
            output: [o[2], o[0], o[1]],
        }
    }

    /// How many taps the kernel has. Checked in [`Window::new`], as the next two are.
    pub(crate) const fn taps(&self) -> usize {
        unwrap_volume(self.kernel)
    }

    /// Whether any position sees padding.
    pub(crate) const fn is_padded(&self) -> bool {
        let [z, y, x] = self.padding;
        z[0] | z[1] | y[0] | y[1] | x[0] | x[1] != 0
    }

    /// How many positions the window takes in one plane.
    pub(crate) const fn positions(&self) -> usize {
        unwrap_volume(self.output)
    }

    /// How many values one input plane has.
    pub(crate) const fn plane_len(&self) -> usize {
        unwrap_volume(self.input)
    }
}

/// What a user of rank `rank` calls one of the three axes.
const fn named_axis(axis: usize, rank: usize) -> usize {
    axis.saturating_sub(3_usize.saturating_sub(rank))
}

/// The greatest common divisor of two sizes, of which at most one is 0.
const fn greatest_common_divisor(mut a: usize, mut b: usize) -> usize {
    while let Some(rest) = a.checked_rem(b) {
        (a, b) = (b, rest);
    }
    a
}

/// The product of three sizes, if it fits.
pub(crate) const fn volume(dims: [usize; 3]) -> Option<usize> {
    checked_product([dims[0], dims[1], dims[2]])
}

const fn unwrap_volume(dims: [usize; 3]) -> usize {
    dims[0].wrapping_mul(dims[1]).wrapping_mul(dims[2])
}

/// The product of any number of sizes, if it fits.
pub(crate) const fn checked_product<const N: usize>(factors: [usize; N]) -> Option<usize> {
    let mut product = 1_usize;
    let mut i = 0;
    while i < N {
        product = match product.checked_mul(factors[i]) {
            Some(product) => product,
            None => return None,
        };
        i = i.wrapping_add(1);
    }
    Some(product)
}

/// The larger one, in constants.
pub(crate) const fn max(a: usize, b: usize) -> usize {
    if a > b { a } else { b }
}

/// The smaller one, in constants.
pub(crate) const fn min(a: usize, b: usize) -> usize {
    if a < b { a } else { b }
}

/// The sum of any number of sizes, if it fits.
pub(crate) const fn checked_sum<const N: usize>(terms: [usize; N]) -> Option<usize> {
    let mut sum = 0_usize;
    let mut i = 0;
    while i < N {
        sum = match sum.checked_add(terms[i]) {
            Some(sum) => sum,
            None => return None,
        };
        i = i.wrapping_add(1);
    }
    Some(sum)
}

/// Puts the `D` values last of three and `fill` before them.
pub(crate) const fn lift<T: Copy, const D: usize>(values: [T; D], fill: T) -> [T; 3] {
    let mut lifted = [fill; 3];
    let mut i = 0_usize;
    while i < D && i < 3 {
        lifted[3_usize.saturating_sub(D).wrapping_add(i)] = values[i];
        i = i.wrapping_add(1);
    }
    lifted
}

/// The last `D` of three values: the inverse of [`lift`].
pub(crate) const fn unlift<T: Copy, const D: usize>(values: [T; 3]) -> [T; D] {
    let mut unlifted = [values[0]; D];
    let mut i = 0_usize;
    while i < D {
        unlifted[i] = values[3_usize.saturating_sub(D).wrapping_add(i)];
        i = i.wrapping_add(1);
    }
    unlifted
}

/// The value, or else an early `None`: `?` is not const.
macro_rules! checked {
    ($sizes:expr) => {
        match $sizes {
            Some(size) => size,
            None => return None,
        }
    };
}
pub(crate) use checked;
