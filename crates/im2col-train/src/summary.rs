//! The tables of a network's layers and of the memory that they take.

use im2col::{Network, ShapeError};
use serde::Serialize;

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

/// How many bytes of flash and RAM a program takes that infers or trains one image with a network.
///
/// Inference takes input, output and scratch. A training step takes the input and the gradient of the output as well, which is as
/// long as the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Memory {
    /// All weights and biases, which inference reads where they lie.
    params: usize,
    input: usize,
    output: usize,
    /// The least that any plan infers in.
    least_inference_scratch: usize,
    /// Without a limit, on a processor of the kind that this program runs on: small ones take less.
    full_speed_inference_scratch: usize,
    least_training: TrainingMemory,
}

/// How many bytes a training step takes besides its input and the gradient of its output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct TrainingMemory {
    params: usize,
    gradients: usize,
    workspace: usize,
    scratch: usize,
    total: usize,
}

impl Memory {
    /// Of a plan for one image, without limits.
    ///
    /// # Errors
    ///
    /// [`ShapeError::Overflow`] if a limited plan takes more memory than there are addresses.
    pub(crate) fn of<const L: usize>(network: &Network<L>) -> Result<Self, ShapeError> {
        let inferring = network.with_scratch_limit(network.least_scratch_len())?;
        let training = network.with_train_scratch_limit(network.least_train_scratch_len())?;
        let params = bytes(network.param_len());
        let (workspace, scratch) = (bytes(training.workspace_len()), bytes(training.train_scratch_len()));
        Ok(Self {
            params,
            input: bytes(network.input_len()),
            output: bytes(network.output_len()),
            least_inference_scratch: bytes(inferring.scratch_len()),
            full_speed_inference_scratch: bytes(network.scratch_len()),
            least_training: TrainingMemory {
                params,
                gradients: params,
                workspace,
                scratch,
                total: 2 * params + workspace + scratch,
            },
        })
    }

    /// One line for each kind of memory. No wider than 80 columns.
    #[must_use]
    pub(crate) fn table(&self) -> String {
        let training = &self.least_training;
        let rows = [
            ("memory", "for one image", "bytes".to_owned()),
            ("flash", "parameters", grouped(self.params)),
            ("RAM", "input", grouped(self.input)),
            ("", "output", grouped(self.output)),
            ("", "inference, least memory: scratch", grouped(self.least_inference_scratch)),
            ("", "inference, full speed: scratch", grouped(self.full_speed_inference_scratch)),
            ("", "training step, least memory", grouped(training.total)),
            ("", "  parameters", grouped(training.params)),
            ("", "  gradients", grouped(training.gradients)),
            ("", "  workspace", grouped(training.workspace)),
            ("", "  scratch", grouped(training.scratch)),
        ];
        aligned(&rows.map(|(place, what, bytes)| [place.to_owned(), what.to_owned(), bytes]), 2)
    }
}

const fn bytes(values: usize) -> usize {
    size_of::<f32>() * values
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
    use im2col::lenet::{LENET, LENET_RELU};

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
    fn memory_of_either_lenet() {
        for layers in [LENET, LENET_RELU] {
            let memory = Memory::of(&Network::plan(layers, 1, [1, 28, 28]).unwrap()).unwrap();
            // All outputs but that of Flatten, twice the longest of them, and what either pooling gives with two lines of each of
            // the six channels before the first.
            let workspace = 4 * (2 * 4_704 + 1_176 + 2 * 1_600 + 400 + 2 * 120 + 2 * 84 + 10);
            let expected = Memory {
                params: 4 * 61_706,
                input: 4 * 784,
                output: 4 * 10,
                least_inference_scratch: 4 * (6 * 14 * 14 + 16 * 5 * 5 + 6 * 2 * 28),
                full_speed_inference_scratch: 74_784,
                least_training: TrainingMemory {
                    params: 4 * 61_706,
                    gradients: 4 * 61_706,
                    workspace,
                    scratch: 4 * 2 * 4_704,
                    total: 589_688,
                },
            };
            assert_eq!(memory, expected);
            assert_eq!(
                memory.table(),
                "\
memory  for one image                       bytes
flash   parameters                        246,824
RAM     input                               3,136
        output                                 40
        inference, least memory: scratch    7,648
        inference, full speed: scratch     74,784
        training step, least memory       589,688
          parameters                      246,824
          gradients                       246,824
          workspace                        58,408
          scratch                          37,632
"
            );
        }
    }

    #[test]
    fn numbers_are_grouped() {
        let numbers = [0, 999, 1000, 61_706, 1_000_000].map(grouped);
        assert_eq!(numbers, ["0", "999", "1,000", "61,706", "1,000,000"]);
    }
}
