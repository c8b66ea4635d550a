//! The microkernel: a tile of sums that stay in registers, and the grid of tiles that a layer is cut into.

use crate::simd::{Isa, Kernel, Lanes, MulAdd, NR, Vectors, dispatch};

/// Three nested loops, and how far an iteration of each moves in the weights and in the values. Distances wrap, so they
/// may be negative.
#[derive(Clone, Copy, Debug)]
pub(super) struct Nest {
    /// Iterations of each loop, the outermost first.
    counts: [usize; 3],
    weight_steps: [usize; 3],
    value_steps: [usize; 3],
}

impl Nest {
    pub(super) const fn new(counts: [usize; 3], in_weights: [usize; 3], in_values: [usize; 3]) -> Self {
        Self { counts, weight_steps: steps(counts, in_weights), value_steps: steps(counts, in_values) }
    }
}

/// What each loop adds to an offset at the end of an iteration: its distance, less what the loop within it has added.
const fn steps([_, middle, inner]: [usize; 3], distances: [usize; 3]) -> [usize; 3] {
    [
        distances[0].wrapping_sub(distances[1].wrapping_mul(middle)),
        distances[1].wrapping_sub(distances[2].wrapping_mul(inner)),
        distances[2],
    ]
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

/// Calls `$self.$method::<ROWS, COLUMNS>(arguments)` for a tile of the instruction set whose registers hold `$rows`
/// by `$panels` sums: 32 registers of a vector each; 16 of half a vector or 32 of a quarter; 16 of a quarter.
macro_rules! with_tile {
    ($rows:expr, $panels:expr, $tile:expr, $self:ident.$method:ident($($argument:expr),*)) => {
        if $panels > 1 {
            with_tile!(@ $tile, $self.$method($($argument),*),
                [6, 4] [4, 5] [12, 2] [12, 1] [6, 1] [1, 8] [1, 1])
        } else if $rows >= 6 {
            with_tile!(@ $tile, $self.$method($($argument),*), [6, 1] [2, 3] [1, 6] [1, 1])
        } else {
            with_tile!(@ $tile, $self.$method($($argument),*), [2, 1] [1, 1])
        }
    };
    (@ $tile:expr, $self:ident.$method:ident $arguments:tt, $([$rows:literal, $columns:literal])*) => {
        match [$tile.rows, $tile.columns] {
            $([$rows, $columns] => with_tile!(@ $self.$method::<$rows, $columns> $arguments),)*
            _ => debug_assert!(false, "a tile of another instruction set"),
        }
    };
    (@ $self:ident.$method:ident::<$rows:literal, $columns:literal>($($argument:expr),*)) => {
        $self.$method::<$rows, $columns>($($argument),*)
    };
}
pub(super) use with_tile;

/// What loads and counting cost a step of a tile, in multiply-adds.
const OVERHEAD: usize = 8;

/// The size of a tile: rows and columns of sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TileSize {
    pub(super) rows: usize,
    pub(super) columns: usize,
}

impl TileSize {
    /// The tile whose columns may be two lines of two.
    pub(super) const SQUARE: Self = Self { rows: 6, columns: 4 };

    /// The tile that covers a grid of sums in the least time, of those that fit the registers. `iterations(columns)`
    /// is how many iterations of the loops the tiles of a row take together, if each is `columns` wide.
    pub(super) fn best(isa: Isa, rows: usize, columns: usize, iterations: impl Fn(usize) -> usize) -> Self {
        let tiles: &[[usize; 2]] = match isa.most_sums() {
            24.. => &[[6, 4], [4, 5], [12, 2], [12, 1], [6, 1], [1, 8], [1, 1]],
            6.. => &[[6, 1], [2, 3], [1, 6], [1, 1]],
            _ => &[[2, 1], [1, 1]],
        };
        let cost = |tile: &Self| {
            rows.div_ceil(tile.rows) * iterations(tile.columns) * (tile.rows * tile.columns + OVERHEAD)
        };
        let fits = |tile: &Self| tile.rows <= rows && tile.columns <= columns;
        let tiles = tiles.iter().map(|&[rows, columns]| Self { rows, columns });
        tiles.filter(fits).min_by_key(cost).unwrap_or(Self { rows: 1, columns: 1 })
    }
}

/// A grid of sums, `rows` by `columns`, computed tile by tile; tiles at its ends overlap those before.
///
/// `output[i * row + j * column] = sum over the nest of weight(i) * value(j)`.
pub(super) struct Grid<'a> {
    pub(super) tile: TileSize,
    pub(super) nest: &'a Nest,
    pub(super) operands: Operands<'a>,
    pub(super) rows: usize,
    /// As many as two lines of two, if the operands' `line_step` is not 0.
    pub(super) columns: usize,
    /// Whether the columns of a row come before the next row.
    pub(super) is_by_rows: bool,
    pub(super) output: &'a mut [Lanes],
    /// From a row to the next in the output, from a column, from a line of columns.
    pub(super) output_steps: [usize; 3],
}

impl Grid<'_> {
    pub(super) fn compute(self, isa: Isa) {
        dispatch(isa, self);
    }
}

impl Kernel for Grid<'_> {
    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        mut self,
        mul_add: impl MulAdd,
        _: impl Vectors,
    ) {
        if PANELS > 1 && self.tile == TileSize::SQUARE && self.operands.line_step > 0 {
            self.cover_by_lines::<{ TileSize::SQUARE.rows }, { TileSize::SQUARE.columns }, 2>(mul_add);
        } else {
            with_tile!(ROWS, PANELS, self.tile, self.cover(mul_add));
        }
    }
}

impl Grid<'_> {
    #[inline(always)]
    fn cover<const ROWS: usize, const COLUMNS: usize>(&mut self, mul_add: impl MulAdd) {
        self.cover_by_lines::<ROWS, COLUMNS, COLUMNS>(mul_add);
    }

    #[inline(always)]
    fn cover_by_lines<const ROWS: usize, const COLUMNS: usize, const WIDTH: usize>(
        &mut self,
        mul_add: impl MulAdd,
    ) {
        let (rows, columns) = (self.rows.div_ceil(ROWS), self.columns.div_ceil(COLUMNS));
        let inner = if self.is_by_rows { columns } else { rows };
        for tile in 0..rows * columns {
            let (outer, inner) = (tile / inner, tile % inner);
            let (row, column) = if self.is_by_rows { (outer, inner) } else { (inner, outer) };
            let (row, column) =
                ((row * ROWS).min(self.rows - ROWS), (column * COLUMNS).min(self.columns - COLUMNS));
            self.tile::<ROWS, COLUMNS, WIDTH>(row, column, mul_add);
        }
    }

    /// Computes and stores the tile whose first sum is at (`row`, `column`).
    #[inline(always)]
    fn tile<const ROWS: usize, const COLUMNS: usize, const WIDTH: usize>(
        &mut self,
        row: usize,
        column: usize,
        mul_add: impl MulAdd,
    ) {
        let first_weight = self.operands.first_weight + row * self.operands.row_step;
        let first_value = self.operands.first_value + column * self.operands.column_step;
        let operands = Operands { first_weight, first_value, ..self.operands };
        let sums = sums::<ROWS, COLUMNS, WIDTH>(self.nest, operands, mul_add);
        let [row_step, column_step, line_step] = self.output_steps;
        for (i, sums) in sums.iter().enumerate() {
            let output = &mut self.output[(row + i) * row_step + column * column_step..];
            for (j, sum) in sums.iter().enumerate() {
                output[j / WIDTH * line_step + j % WIDTH * column_step] = *sum;
            }
        }
    }
}

/// `sums[i][j] = sum over the nest of weight(i) * value(j)`, in the order of the nest; columns in lines of `WIDTH`.
#[inline(always)]
pub(super) fn sums<const ROWS: usize, const COLUMNS: usize, const WIDTH: usize>(
    nest: &Nest,
    operands: Operands<'_>,
    mul_add: impl MulAdd,
) -> [[Lanes; COLUMNS]; ROWS] {
    if (3..=4).contains(&COLUMNS) && operands.column_step == 1 {
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
    let Nest { counts: [outer, middle, inner], weight_steps, value_steps } = *nest;
    let mut sums = [[[0.0; NR]; COLUMNS]; ROWS];
    if outer == 0 || middle == 0 || inner == 0 {
        return sums;
    }
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
    debug_assert_eq!(left_outer, 0, "a sum without its last products");
    sums
}
