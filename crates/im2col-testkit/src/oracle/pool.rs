//! Pooling in `f64`.

use super::{Sum, pad, padded, volume};

/// A pooling of rank 3; of lower rank where the leading axes are trivial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolCase {
    /// How many images.
    pub batch: usize,
    /// How many channels; each is pooled by itself.
    pub channels: usize,
    /// Input size per axis.
    pub input: [usize; 3],
    /// Window size per axis.
    pub window: [usize; 3],
    /// Stride per axis.
    pub stride: [usize; 3],
    /// Padding per axis, `[before, after]`.
    pub padding: [[usize; 2]; 3],
    /// Dilation per axis.
    pub dilation: [usize; 3],
    /// Whether an average counts the padding in its divisor.
    pub count_include_pad: bool,
    /// Whether the output size is rounded up.
    pub ceil_mode: bool,
    /// What an average divides by, whatever it sees.
    pub divisor: Option<usize>,
    /// The output size, where the windows follow from it instead of sliding; window, stride,
    /// padding, dilation and what follows them mean nothing then.
    pub adaptive: Option<[usize; 3]>,
}

/// Where a window's maximum is in the input; `None` if the window sees nothing but padding.
pub type Argmax = Option<usize>;

impl PoolCase {
    /// Output size per axis: how many windows lie in the padded input; rounded up, also a window that
    /// lies in it after less than a stride back, if it begins in the input or the padding before.
    #[must_use]
    pub fn output(&self) -> [usize; 3] {
        if let Some(output) = self.adaptive {
            return output;
        }
        let padded = padded(self.input, self.padding);
        std::array::from_fn(|axis| {
            let stride = self.stride[axis];
            let extent = self.dilation[axis] * (self.window[axis] - 1) + 1;
            let back = if self.ceil_mode { stride - 1 } else { 0 };
            let counts = |start: &usize| {
                let begins_inside = *start < self.padding[axis][0] + self.input[axis];
                start + extent <= padded[axis] + back && (begins_inside || !self.ceil_mode)
            };
            (0..).map(|o| o * stride).take_while(counts).count()
        })
    }

    /// How many values the input has.
    #[must_use]
    pub fn input_len(&self) -> usize {
        self.planes() * volume(self.input)
    }

    /// How many values the output has.
    #[must_use]
    pub fn output_len(&self) -> usize {
        self.planes() * volume(self.output())
    }

    /// How many values a window sees at most, and how many windows see a value at most.
    #[must_use]
    pub fn products(&self) -> usize {
        match self.adaptive {
            None => volume(self.window),
            Some(output) => {
                let either = |axis: usize| {
                    let (input, output): (usize, usize) = (self.input[axis], output[axis]);
                    input.div_ceil(output).max(output.div_ceil(input)) + 1
                };
                volume([either(0), either(1), either(2)])
            }
        }
    }

    /// The mean of each window.
    #[must_use]
    pub fn average(&self, input: &[f32]) -> Vec<Sum> {
        let mean = |window: Vec<Tap>| {
            let mut sum = Sum::default();
            seen(&window).for_each(|(_, i)| sum.add(f64::from(input[i])));
            let divisor = self.divisor_of(&window);
            Sum { value: sum.value / divisor, magnitude: sum.magnitude / divisor }
        };
        self.windows().map(mean).collect()
    }

    /// The gradient of the input of [`average`](Self::average).
    #[must_use]
    pub fn average_grad_input(&self, grad_output: &[f32]) -> Vec<Sum> {
        let mut sums = vec![Sum::default(); self.input_len()];
        for (window, &grad) in self.windows().zip(grad_output) {
            let divisor = self.divisor_of(&window);
            seen(&window).for_each(|(_, i)| sums[i].add(f64::from(grad) / divisor));
        }
        sums
    }

    /// Where each window's maximum is: the first of the largest, or the last NaN, as in `PyTorch`.
    #[must_use]
    pub fn argmax(&self, input: &[f32]) -> Vec<Argmax> {
        self.taps_of_argmax(input).into_iter().map(|winner| winner.map(|(_, i)| i)).collect()
    }

    /// The same as `PyTorch` gives it, counted within each plane; -1 for `None`.
    #[must_use]
    pub fn indices(&self, input: &[f32]) -> Vec<i64> {
        let in_plane = |i: usize| i64::try_from(i % volume(self.input)).unwrap_or(i64::MAX);
        self.argmax(input).into_iter().map(|i| i.map_or(-1, in_plane)).collect()
    }

    /// Which tap of each window its maximum is; 0 if it sees nothing but padding.
    #[must_use]
    pub fn winning_taps(&self, input: &[f32]) -> Vec<usize> {
        self.taps_of_argmax(input).into_iter().map(|winner| winner.map_or(0, |(tap, _)| tap)).collect()
    }

    /// The maximum of each window; minus infinity where it sees nothing but padding.
    #[must_use]
    pub fn max(&self, input: &[f32]) -> Vec<f32> {
        self.argmax(input).into_iter().map(|i| i.map_or(f32::NEG_INFINITY, |i| input[i])).collect()
    }

    /// The gradient of the input of [`max`](Self::max).
    #[must_use]
    pub fn max_grad_input(&self, input: &[f32], grad_output: &[f32]) -> Vec<Sum> {
        let mut sums = vec![Sum::default(); self.input_len()];
        for (argmax, &grad) in self.argmax(input).into_iter().zip(grad_output) {
            if let Some(i) = argmax {
                sums[i].add(f64::from(grad));
            }
        }
        sums
    }

    fn planes(&self) -> usize {
        self.batch * self.channels
    }

    fn taps_of_argmax(&self, input: &[f32]) -> Vec<Option<(usize, usize)>> {
        let argmax = |window: Vec<Tap>| {
            let nan = seen(&window).filter(|&(_, i)| input[i].is_nan()).last();
            let largest = seen(&window).map(|(_, i)| input[i]).reduce(f32::max);
            nan.or_else(|| seen(&window).find(|&(_, i)| Some(input[i]) == largest))
        };
        self.windows().map(argmax).collect()
    }

    fn divisor_of(&self, window: &[Tap]) -> f64 {
        let in_padding = window.iter().filter(|&&tap| tap == Tap::Padding).count();
        let counted = seen(window).count() + if self.count_include_pad { in_padding } else { 0 };
        // A window that sees nothing sums nothing.
        self.divisor.unwrap_or(counted.max(1)) as f64
    }

    /// What each window sees, window by window.
    fn windows(&self) -> impl Iterator<Item = Vec<Tap>> {
        let windows = self.adaptive.map_or_else(|| self.sliding(), |output| self.adapting(output));
        let plane_len = volume(self.input);
        (0..self.planes()).flat_map(move |plane| {
            let shift = |tap: &Tap| match *tap {
                Tap::Input(i) => Tap::Input(plane * plane_len + i),
                outside => outside,
            };
            let shifted: Vec<Vec<Tap>> =
                windows.iter().map(|window| window.iter().map(shift).collect()).collect();
            shifted
        })
    }

    /// The windows of one plane, from a padded copy of its offsets.
    fn sliding(&self) -> Vec<Vec<Tap>> {
        let offsets: Vec<Tap> = (0..volume(self.input)).map(Tap::Input).collect();
        let offsets = pad(&offsets, 1, self.input, self.padding, Tap::Padding);
        let padded = padded(self.input, self.padding);
        let tap = |o: [usize; 3], k: [usize; 3]| {
            let [z, y, x] = [0, 1, 2].map(|axis| o[axis] * self.stride[axis] + k[axis] * self.dilation[axis]);
            let inside = z < padded[0] && y < padded[1] && x < padded[2];
            if inside { offsets[(z * padded[1] + y) * padded[2] + x] } else { Tap::Beyond }
        };
        points(self.output()).map(|o| points(self.window).map(|k| tap(o, k)).collect()).collect()
    }

    /// The windows of one plane if input and output are laid over each other and an output sees every
    /// input that it overlaps.
    fn adapting(&self, output: [usize; 3]) -> Vec<Vec<Tap>> {
        let overlap = |axis: usize, i: usize, o: usize| {
            let (input, output) = (self.input[axis], output[axis]);
            i * output < (o + 1) * input && o * input < (i + 1) * output
        };
        let sees = |i: [usize; 3], o: [usize; 3]| (0..3).all(|axis| overlap(axis, i[axis], o[axis]));
        let window = |o| {
            let inputs = points(self.input).enumerate();
            inputs.filter(|&(_, i)| sees(i, o)).map(|(offset, _)| Tap::Input(offset)).collect()
        };
        points(output).map(window).collect()
    }
}

/// What one value of a window is.
#[derive(Clone, Copy, PartialEq)]
enum Tap {
    Input(usize),
    Padding,
    /// Behind the padding, where only a window of an output that was rounded up reaches.
    Beyond,
}

/// The taps that see the input, by number, each with the offset of what it sees.
fn seen(window: &[Tap]) -> impl Iterator<Item = (usize, usize)> {
    window.iter().enumerate().filter_map(|(tap, &what)| match what {
        Tap::Input(i) => Some((tap, i)),
        Tap::Padding | Tap::Beyond => None,
    })
}

fn points([d, h, w]: [usize; 3]) -> impl Iterator<Item = [usize; 3]> {
    (0..d).flat_map(move |z| (0..h).flat_map(move |y| (0..w).map(move |x| [z, y, x])))
}
