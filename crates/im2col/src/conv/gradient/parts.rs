//! The positions of a plane, cut into parts that are summed in a chain each.

/// Positions, or vectors of them, cut into parts that follow each other in memory.
#[derive(Clone, Copy)]
pub(in crate::conv) struct Parts {
    dims: [usize; 3],
    /// Of a part; the last of an axis may be smaller.
    pub(super) size: [usize; 3],
}

/// A part of the positions.
#[derive(Clone, Copy)]
pub(in crate::conv) struct Part {
    pub(in crate::conv) start: [usize; 3],
    pub(in crate::conv) size: [usize; 3],
}

impl Parts {
    /// The fewest parts of at most `most` positions, of sizes as equal as they can be.
    pub(in crate::conv) const fn new(dims: [usize; 3], most: usize) -> Self {
        let [_, height, width] = dims;
        let mut size = dims;
        let mut axis = 0;
        // How many positions a step on the axis covers.
        let mut step = height * width;
        while step > most {
            size[axis] = 1;
            axis += 1;
            step /= dims[axis];
        }
        size[axis] = dims[axis].div_ceil(dims[axis].div_ceil(most / step));
        Self { dims, size }
    }

    const fn counts(&self) -> [usize; 3] {
        let Self { dims: [z, y, x], size } = *self;
        [z.div_ceil(size[0]), y.div_ceil(size[1]), x.div_ceil(size[2])]
    }

    pub(in crate::conv) const fn count(&self) -> usize {
        let [z, y, x] = self.counts();
        z * y * x
    }

    #[inline(always)]
    pub(in crate::conv) fn iter(&self) -> impl Iterator<Item = Part> {
        let (Self { dims, size }, [_, y, x]) = (*self, self.counts());
        (0..self.count()).map(move |i| {
            let (index, mut part) = ([i / x / y, i / x % y, i % x], Part { start: [0; 3], size });
            for axis in 0..3 {
                part.start[axis] = index[axis] * size[axis];
                part.size[axis] = size[axis].min(dims[axis] - part.start[axis]);
            }
            part
        })
    }
}
