//! Pooling in `f64`.

use super::{Sum, output, pad, padded, volume};

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
    /// Padding per axis, `[before, after]`, at most half the window.
    pub padding: [[usize; 2]; 3],
    /// Dilation per axis.
    pub dilation: [usize; 3],
    /// Whether an average counts the padding in its divisor.
    pub count_include_pad: bool,
}

/// Where a window's maximum is in the input; `None` if the window sees nothing but padding.
pub type Argmax = Option<usize>;

impl PoolCase {
    /// Output size per axis.
    #[must_use]
    pub fn output(&self) -> [usize; 3] {
        output(padded(self.input, self.padding), self.window, self.stride, self.dilation)
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
        volume(self.window)
    }

    /// The mean of each window.
    #[must_use]
    pub fn average(&self, input: &[f32]) -> Vec<Sum> {
        let mean = |window: Vec<usize>| {
            let mut sum = Sum::default();
            window.iter().for_each(|&i| sum.add(f64::from(input[i])));
            let divisor = self.divisor(&window);
            Sum { value: sum.value / divisor, magnitude: sum.magnitude / divisor }
        };
        self.windows().map(mean).collect()
    }

    /// The gradient of the input of [`average`](Self::average).
    #[must_use]
    pub fn average_grad_input(&self, grad_output: &[f32]) -> Vec<Sum> {
        let mut sums = vec![Sum::default(); self.input_len()];
        for (window, &grad) in self.windows().zip(grad_output) {
            let divisor = self.divisor(&window);
            window.iter().for_each(|&i| sums[i].add(f64::from(grad) / divisor));
        }
        sums
    }

    /// Where each window's maximum is: the first of the largest, or the last NaN, as in `PyTorch`.
    #[must_use]
    pub fn argmax(&self, input: &[f32]) -> Vec<Argmax> {
        let argmax = |window: Vec<usize>| {
            if let Some(&nan) = window.iter().rfind(|&&i| input[i].is_nan()) {
                return Some(nan);
            }
            let largest = window.iter().map(|&i| input[i]).reduce(f32::max)?;
            window.into_iter().find(|&i| input[i] == largest)
        };
        self.windows().map(argmax).collect()
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

    fn divisor(&self, window: &[usize]) -> f64 {
        (if self.count_include_pad { volume(self.window) } else { window.len() }) as f64
    }

    /// The offsets in the input that each window sees, window by window.
    fn windows(&self) -> impl Iterator<Item = Vec<usize>> {
        // One plane's offsets, padded; its windows serve all planes.
        let offsets: Vec<Option<usize>> = (0..volume(self.input)).map(Some).collect();
        let offsets = pad(&offsets, 1, self.input, self.padding, None);
        let [_, height, width] = padded(self.input, self.padding);
        let (output, stride, dilation) = (self.output(), self.stride, self.dilation);
        let mut windows = Vec::new();
        for [oz, oy, ox] in points(output) {
            let mut window = Vec::new();
            for [kz, ky, kx] in points(self.window) {
                let z = oz * stride[0] + kz * dilation[0];
                let y = oy * stride[1] + ky * dilation[1];
                let x = ox * stride[2] + kx * dilation[2];
                window.extend(offsets[(z * height + y) * width + x]);
            }
            windows.push(window);
        }
        let plane_len = volume(self.input);
        (0..self.planes()).flat_map(move |plane| {
            let shifted: Vec<Vec<usize>> =
                windows.iter().map(|window| window.iter().map(|i| plane * plane_len + i).collect()).collect();
            shifted
        })
    }
}

fn points([d, h, w]: [usize; 3]) -> impl Iterator<Item = [usize; 3]> {
    (0..d).flat_map(move |z| (0..h).flat_map(move |y| (0..w).map(move |x| [z, y, x])))
}
