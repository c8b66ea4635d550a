//! Channels last: the channels are one more axis of the windows, of one value each, so that no kernel knows of them.

use super::params::PoolKind;
use super::plan::PoolPlan;
use super::windows::tap_bytes;
use crate::error::ShapeError;
use crate::layout::Layout;
use crate::window::{Window, checked_product, volume};

impl<const D: usize> PoolPlan<D> {
    /// The same pooling of an input with its channels first or last, into an output in the same layout, and so for their gradients.
    ///
    /// Outputs, workspace and gradients are those of channels first in another order, bit for bit but for the sign of a zero;
    /// means of windows of more than 32 taps (the largest, where they adapt) sum otherwise: every value is then a block of its
    /// own. Indices, and those that [`unpool`](Self::unpool) takes, count the values of an image: channel `c` at `[y, x]` is number
    /// `(y * width + x) * channels + c`. Threads divide whole images only.
    ///
    /// Windows of `h` rows and `w` columns cost `h * w` steps of a vector of channels, so that few channels, which fill none, take
    /// many times as long as with channels first.
    ///
    /// ```
    /// use im2col::{Layout, PoolParams};
    ///
    /// // Four pixels of two channels.
    /// let plan = PoolParams::max([2, 2]).plan(1, 2, [2, 2])?.with_layout(Layout::ChannelsLast)?;
    /// let (mut output, mut indices) = ([0.0; 2], [0; 2]);
    /// plan.forward_with_indices(&[1., 20., 2., 10., 4., 30., 3., 40.], &mut output, &mut indices)?;
    /// assert_eq!((output, indices), ([4., 40.], [4, 7]));
    /// # Ok::<(), Box<dyn core::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ShapeError::Inapplicable`] for channels last where `D` is 3, [`ShapeError::Overflow`] if the product of an image's sizes
    /// overflows, which can happen only with a batch of 0.
    pub const fn with_layout(mut self, layout: Layout) -> Result<Self, ShapeError> {
        if D == 3 && layout.is_last() {
            return Err(ShapeError::Inapplicable {
                option: "channels last",
                operation: "pooling of volumes",
            });
        }
        let mut window = self.spatial_window();
        if self.is_turned(layout) {
            // The first axis of one or two is of a single value.
            window = window.turned().turned();
            (window.input[2], window.output[2]) = (self.channels, self.channels);
            let tap_bytes = match self.pooling.kind {
                PoolKind::Max => tap_bytes(window.taps()),
                PoolKind::Average => 1,
            };
            let [height, width, channels] = window.output;
            let workspace = checked_product([height, width, channels, tap_bytes]);
            if workspace.is_none() || volume(window.input).is_none() {
                return Err(ShapeError::Overflow { what: "image" });
            }
        }
        (self.layout, self.pooling.window) = (layout, window);
        Ok(self)
    }

    /// Where the channels are.
    #[must_use]
    pub const fn layout(&self) -> Layout {
        self.layout
    }

    /// Whether the channels are the last axis of the windows, in a layout: if there are several.
    pub(super) const fn is_turned(&self, layout: Layout) -> bool {
        layout.is_last() && self.channels > 1
    }

    /// The windows over the axes of a channel.
    pub(super) const fn spatial_window(&self) -> Window {
        let mut window = self.pooling.window;
        if self.is_turned(self.layout) {
            window = window.turned();
            (window.input[0], window.output[0]) = (1, 1);
        }
        window
    }
}
