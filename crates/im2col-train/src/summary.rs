//! The table of a network's layers.

use im2col::Network;

/// One line for each layer, with its output's shape, parameters and multiply-adds; and their totals. No wider
/// than 80 columns.
#[must_use]
pub(crate) fn table<const L: usize>(network: &Network<L>) -> String {
    let mut rows = vec![["layer", "output shape", "parameters", "multiply-adds"].map(str::to_owned)];
    let mut total = (0, 0);
    for layer in network.layers() {
        let dims: Vec<String> = layer.output_dims().iter().map(usize::to_string).collect();
        total = (total.0 + layer.params, total.1 + layer.multiply_adds);
        rows.push([
            format!("{:>2} {}", layer.index, layer.name),
            format!("({})", dims.join(", ")),
            grouped(layer.params),
            grouped(layer.multiply_adds),
        ]);
    }
    rows.push(["total".to_owned(), String::new(), grouped(total.0), grouped(total.1)]);
    aligned(&rows, 2)
}

/// The rows as columns two spaces apart: the first `left` to the left, the others to the right.
pub(crate) fn aligned<const C: usize>(rows: &[[String; C]], left: usize) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; C] = std::array::from_fn(width);
    let mut table = String::new();
    for row in rows {
        let cells = row.iter().zip(widths).enumerate().map(|(column, (cell, width))| {
            if column < left { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        table += cells.collect::<Vec<_>>().join("  ").trim_end();
        table.push('\n');
    }
    table
}

/// Dimensions with an x between them: `6x28x28`.
#[must_use]
pub(crate) fn dims_text(dims: &[usize]) -> String {
    dims.iter().map(usize::to_string).collect::<Vec<_>>().join("x")
}

/// A number with a comma after each third digit.
#[must_use]
pub(crate) fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;
    use im2col::lenet::LENET;

    #[test]
    fn lenet_as_in_the_lecture() {
        let network = Network::plan(LENET, 1, [1, 28, 28]).unwrap();
        assert_eq!(
            table(&network),
            "\
layer         output shape     parameters  multiply-adds
 0 Conv2d     (1, 6, 28, 28)          156        117,600
 1 Sigmoid    (1, 6, 28, 28)            0              0
 2 AvgPool2d  (1, 6, 14, 14)            0              0
 3 Conv2d     (1, 16, 10, 10)       2,416        240,000
 4 Sigmoid    (1, 16, 10, 10)           0              0
 5 AvgPool2d  (1, 16, 5, 5)             0              0
 6 Flatten    (1, 400)                  0              0
 7 Linear     (1, 120)             48,120         48,000
 8 Sigmoid    (1, 120)                  0              0
 9 Linear     (1, 84)              10,164         10,080
10 Sigmoid    (1, 84)                   0              0
11 Linear     (1, 10)                 850            840
total                              61,706        416,520
"
        );
    }

    #[test]
    fn numbers_are_grouped() {
        let numbers = [0, 999, 1000, 61_706, 1_000_000].map(grouped);
        assert_eq!(numbers, ["0", "999", "1,000", "61,706", "1,000,000"]);
    }
}
