//! The table of a network's layers.

use std::fmt::Write;

use im2col::Network;

/// One line for each layer, with its output's shape, parameters and multiply-adds; and their totals.
#[must_use]
pub fn table<const L: usize>(network: &Network<L>) -> String {
    let mut table = String::new();
    let mut total = (0, 0);
    for layer in network.layers() {
        let dims: Vec<String> = layer.output_dims().iter().map(usize::to_string).collect();
        total = (total.0 + layer.params, total.1 + layer.multiply_adds);
        let head = format!("{:>2} {:<9} output shape: ({})", layer.index, layer.name, dims.join(", "));
        write_row(&mut table, &head, layer.params, layer.multiply_adds);
    }
    write_row(&mut table, "total", total.0, total.1);
    table
}

fn write_row(table: &mut String, head: &str, params: usize, multiply_adds: usize) {
    let (params, multiply_adds) = (grouped(params), grouped(multiply_adds));
    // Writing to a string does not fail.
    let _ = writeln!(table, "{head:<44}{params:>8} parameters {multiply_adds:>9} multiply-adds");
}

/// A number with a comma after each third digit.
#[must_use]
pub fn grouped(number: usize) -> String {
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
            concat!(
                " 0 Conv2d    output shape: (1, 6, 28, 28)        156 parameters   117,600 multiply-adds\n",
                " 1 Sigmoid   output shape: (1, 6, 28, 28)          0 parameters         0 multiply-adds\n",
                " 2 AvgPool2d output shape: (1, 6, 14, 14)          0 parameters         0 multiply-adds\n",
                " 3 Conv2d    output shape: (1, 16, 10, 10)     2,416 parameters   240,000 multiply-adds\n",
                " 4 Sigmoid   output shape: (1, 16, 10, 10)         0 parameters         0 multiply-adds\n",
                " 5 AvgPool2d output shape: (1, 16, 5, 5)           0 parameters         0 multiply-adds\n",
                " 6 Flatten   output shape: (1, 400)                0 parameters         0 multiply-adds\n",
                " 7 Linear    output shape: (1, 120)           48,120 parameters    48,000 multiply-adds\n",
                " 8 Sigmoid   output shape: (1, 120)                0 parameters         0 multiply-adds\n",
                " 9 Linear    output shape: (1, 84)            10,164 parameters    10,080 multiply-adds\n",
                "10 Sigmoid   output shape: (1, 84)                 0 parameters         0 multiply-adds\n",
                "11 Linear    output shape: (1, 10)               850 parameters       840 multiply-adds\n",
                "total                                         61,706 parameters   416,520 multiply-adds\n",
            )
        );
    }

    #[test]
    fn numbers_are_grouped() {
        let numbers = [0, 999, 1000, 61_706, 1_000_000].map(grouped);
        assert_eq!(numbers, ["0", "999", "1,000", "61,706", "1,000,000"]);
    }
}
