//! The microkernel: a tile of sums that stay in registers.

use crate::kernel::{Lanes, MulAdd, NR};

/// Three nested loops: how often each runs, the outermost first, and how far a turn of it moves in the weights and
/// in the values. Distances wrap, so they may be negative.
#[derive(Clone, Copy, Debug)]
pub(super) struct Nest {
    pub(super) counts: [usize; 3],
    pub(super) in_weights: [usize; 3],
    pub(super) in_values: [usize; 3],
}

/// What a tile reads.
#[derive(Clone, Copy)]
pub(super) struct Operands<'a> {
    pub(super) weights: &'a [f32],
    /// The first weight of the first row, and from a row to the next.
    pub(super) first_weight: usize,
    pub(super) row_step: usize,
    pub(super) values: &'a [Lanes],
    /// The first value of the first column, from a column to the next, and from a line of columns to the next.
    pub(super) first_value: usize,
    pub(super) column_step: usize,
    pub(super) line_step: usize,
}

/// `sums[i][j] = sum over the nest of weight(i) * value(j)`, in the order of the nest; columns in lines of `WIDTH`.
#[inline(always)]
pub(super) fn sums<const ROWS: usize, const COLUMNS: usize, const WIDTH: usize>(
    nest: &Nest,
    operands: Operands<'_>,
    mul_add: impl MulAdd,
) -> [[Lanes; COLUMNS]; ROWS] {
    if operands.column_step == 1 {
        // Then columns need no addresses of their own.
        sums_at_steps::<ROWS, COLUMNS, WIDTH>(nest, Operands { column_step: 1, ..operands }, mul_add)
    } else {
        sums_at_steps::<ROWS, COLUMNS, WIDTH>(nest, operands, mul_add)
    }
}

/// A single loop that carries its counters: between nested loops the compiler would keep the sums in memory.
#[inline(always)]
fn sums_at_steps<const ROWS: usize, const COLUMNS: usize, const WIDTH: usize>(
    nest: &Nest,
    operands: Operands<'_>,
    mul_add: impl MulAdd,
) -> [[Lanes; COLUMNS]; ROWS] {
    let Operands { weights, first_weight, row_step, values, first_value, column_step, line_step } = operands;
    // Rows and columns of one length, so that one comparison serves for all of them.
    let weight_extent = weights.len() - (ROWS - 1) * row_step;
    let mut rows: [&[f32]; ROWS] = [&[]; ROWS];
    for (i, row) in rows.iter_mut().enumerate() {
        *row = &weights[i * row_step..][..weight_extent];
    }
    let offset = |j: usize| j / WIDTH * line_step + j % WIDTH * column_step;
    let value_extent = values.len() - offset(COLUMNS - 1);
    let mut columns: [&[Lanes]; COLUMNS] = [&[]; COLUMNS];
    for (j, column) in columns.iter_mut().enumerate() {
        *column = &values[offset(j)..][..value_extent];
    }
    let Nest { counts: [outer, middle, inner], in_weights, in_values } = *nest;
    let mut sums = [[[0.0; NR]; COLUMNS]; ROWS];
    if outer * middle * inner == 0 {
        return sums;
    }
    // A turn of the middle loop ends with one of the inner, and so on.
    let turn = |steps: [usize; 3]| {
        let rewound =
            |step: usize, inner_step: usize, count| step.wrapping_sub(inner_step.wrapping_mul(count));
        [rewound(steps[0], steps[1], middle), rewound(steps[1], steps[2], inner), steps[2]]
    };
    let (weight_steps, value_steps) = (turn(in_weights), turn(in_values));
    let (mut weight, mut value) = (first_weight, first_value);
    let (mut left_outer, mut left_middle, mut left_inner) = (outer, middle, inner);
    // Never out of bounds, but what the compiler does not know it would check for each row and column.
    while weight < weight_extent && value < value_extent {
        let mut lanes = [[0.0; NR]; COLUMNS];
        for j in 0..COLUMNS {
            lanes[j] = columns[j][value];
        }
        for i in 0..ROWS {
            for j in 0..COLUMNS {
                sums[i][j] = mul_add(rows[i][weight], lanes[j], sums[i][j]);
            }
        }
        weight = weight.wrapping_add(weight_steps[2]);
        value = value.wrapping_add(value_steps[2]);
        left_inner -= 1;
        if left_inner == 0 {
            left_inner = inner;
            weight = weight.wrapping_add(weight_steps[1]);
            value = value.wrapping_add(value_steps[1]);
            left_middle -= 1;
            if left_middle == 0 {
                left_middle = middle;
                weight = weight.wrapping_add(weight_steps[0]);
                value = value.wrapping_add(value_steps[0]);
                left_outer -= 1;
                if left_outer == 0 {
                    break;
                }
            }
        }
    }
    debug_assert_eq!(left_outer, 0, "the nest left its operands");
    sums
}

/// What loads and counting cost a step of a tile, in multiply-adds.
const OVERHEAD: usize = 8;

/// How a matrix of sums is tiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tile {
    T12x2,
    T12x1,
    T8x3,
    T6x4,
    T6x2,
    T6x1,
    T4x5,
    T4x1,
    T3x5,
    T2x3,
    T2x1,
    T1x8,
    T1x6,
    T1x2,
    T1x1,
}

impl Tile {
    pub(super) const fn rows(self) -> usize {
        self.dims()[0]
    }

    const fn dims(self) -> [usize; 2] {
        match self {
            Self::T12x2 => [12, 2],
            Self::T12x1 => [12, 1],
            Self::T8x3 => [8, 3],
            Self::T6x4 => [6, 4],
            Self::T6x2 => [6, 2],
            Self::T6x1 => [6, 1],
            Self::T4x5 => [4, 5],
            Self::T4x1 => [4, 1],
            Self::T3x5 => [3, 5],
            Self::T2x3 => [2, 3],
            Self::T2x1 => [2, 1],
            Self::T1x8 => [1, 8],
            Self::T1x6 => [1, 6],
            Self::T1x2 => [1, 2],
            Self::T1x1 => [1, 1],
        }
    }

    /// The one that covers a matrix of sums in the least time, of those that fit the registers. `turns(width)` is
    /// how often the loops of all tiles of a row turn, if they have so many columns.
    #[inline(always)]
    pub(super) fn best<const PANELS: usize, const REGISTER_ROWS: usize>(
        rows: usize,
        columns: usize,
        turns: impl Fn(usize) -> usize,
    ) -> Self {
        use Tile::{
            T1x1, T1x2, T1x6, T1x8, T2x1, T2x3, T3x5, T4x1, T4x5, T6x1, T6x2, T6x4, T8x3, T12x1, T12x2,
        };
        // 32 registers of a vector each; 16 of half a vector or 32 of a quarter; 16 of a quarter.
        let tiles: &[Self] = match (PANELS, REGISTER_ROWS) {
            (2.., _) => &[T6x4, T4x5, T8x3, T12x2, T12x1, T3x5, T6x2, T6x1, T1x8, T1x1],
            (_, 6..) => &[T6x1, T4x1, T2x3, T1x6, T2x1, T1x1],
            _ => &[T2x1, T1x2, T1x1],
        };
        let cost = |tile: &Self| {
            let [tile_rows, tile_columns] = tile.dims();
            rows.div_ceil(tile_rows) * turns(tile_columns) * (tile_rows * tile_columns + OVERHEAD)
        };
        let fits = |tile: &&Self| tile.dims()[0] <= rows && tile.dims()[1] <= columns;
        tiles.iter().filter(fits).min_by_key(|tile| cost(tile)).copied().unwrap_or(T1x1)
    }
}

/// Calls `$self.$method::<ROWS, COLUMNS>(arguments)` for a tile.
macro_rules! with_tile {
    ($tile:expr, $self:ident.$method:ident($($argument:expr),*)) => {
        match $tile {
            Tile::T12x2 => $self.$method::<12, 2>($($argument),*),
            Tile::T12x1 => $self.$method::<12, 1>($($argument),*),
            Tile::T8x3 => $self.$method::<8, 3>($($argument),*),
            Tile::T6x4 => $self.$method::<6, 4>($($argument),*),
            Tile::T6x2 => $self.$method::<6, 2>($($argument),*),
            Tile::T6x1 => $self.$method::<6, 1>($($argument),*),
            Tile::T4x5 => $self.$method::<4, 5>($($argument),*),
            Tile::T4x1 => $self.$method::<4, 1>($($argument),*),
            Tile::T3x5 => $self.$method::<3, 5>($($argument),*),
            Tile::T2x3 => $self.$method::<2, 3>($($argument),*),
            Tile::T2x1 => $self.$method::<2, 1>($($argument),*),
            Tile::T1x8 => $self.$method::<1, 8>($($argument),*),
            Tile::T1x6 => $self.$method::<1, 6>($($argument),*),
            Tile::T1x2 => $self.$method::<1, 2>($($argument),*),
            Tile::T1x1 => $self.$method::<1, 1>($($argument),*),
        }
    };
}
pub(super) use with_tile;
