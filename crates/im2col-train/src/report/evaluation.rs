//! What a trained network makes of the test images.

use im2col::{Layer, Network, NetworkWeights, Rounding};

use crate::dataset::Dataset;
use crate::error::TrainError;
use crate::ranks::Ranks;
use crate::runner::Runner;
use crate::samples::Samples;

/// How many mistakes are shown.
const MOST_MISTAKES: usize = 20;

#[derive(Debug)]
pub(super) struct Evaluation {
    /// How many images of a class were taken for a class: `[label][prediction]`.
    pub(super) confusion: Vec<Vec<usize>>,
    /// The mean cross entropy.
    pub(super) loss: f64,
    /// The most confident ones first.
    pub(super) mistakes: Vec<Mistake>,
    /// The first image that the network gets right, or simply the first.
    pub(super) first_right: usize,
}

/// An image that the network gets wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Mistake {
    /// Position in the data set.
    pub(super) image: usize,
    pub(super) label: usize,
    pub(super) prediction: usize,
    /// What the network gives the prediction.
    pub(super) probability: f32,
}

impl Evaluation {
    pub(super) fn new<const L: usize>(
        layers: [Layer; L],
        params: &[f32],
        test: &Dataset,
    ) -> Result<Self, TrainError> {
        let mut runner =
            Runner::new(layers, test.image_dims(), test.len(), None, Rounding::Ordered, Ranks::ALONE)?;
        let classes = runner.classes();
        let mut logits = Vec::with_capacity(test.len() * classes);
        let totals = runner.test(params, test, |some| logits.extend_from_slice(some))?;
        let mut probabilities = vec![0.0; logits.len()];
        im2col::softmax(&logits, classes, &mut probabilities)?;
        let images = logits.chunks_exact(classes).zip(probabilities.chunks_exact(classes));
        let predictions: Vec<_> = images
            .map(|(logits, probabilities)| {
                let class = im2col::argmax(logits).unwrap_or_default();
                (class, probabilities[class])
            })
            .collect();
        Ok(Self { loss: totals.loss(), ..Self::of_predictions(classes, test.labels(), &predictions) })
    }

    /// `predictions`: class and probability of each image.
    fn of_predictions(classes: usize, labels: &[u32], predictions: &[(usize, f32)]) -> Self {
        let mut confusion = vec![vec![0; classes]; classes];
        let mut mistakes = Vec::new();
        let mut first_right = None;
        for (image, (&label, &(prediction, probability))) in labels.iter().zip(predictions).enumerate() {
            let label = label as usize;
            confusion[label][prediction] += 1;
            if label == prediction {
                first_right = first_right.or(Some(image));
            } else {
                mistakes.push(Mistake { image, label, prediction, probability });
            }
        }
        // A stable sort: equals stay in the order of the data set.
        mistakes.sort_by(|a, b| b.probability.total_cmp(&a.probability));
        mistakes.truncate(MOST_MISTAKES);
        Self { confusion, loss: 0.0, mistakes, first_right: first_right.unwrap_or(0) }
    }

    pub(super) fn images(&self) -> usize {
        self.confusion.iter().flatten().sum()
    }

    /// The share of the images that the network gets right.
    pub(super) fn accuracy(&self) -> f64 {
        let right: usize = self.confusion.iter().enumerate().map(|(class, row)| row[class]).sum();
        right as f64 / self.images() as f64
    }

    /// The share of a class's images that the network gets right; `None` if there are none.
    pub(super) fn recall(&self, class: usize) -> Option<f64> {
        let images: usize = self.confusion[class].iter().sum();
        (images > 0).then(|| self.confusion[class][class] as f64 / images as f64)
    }

    /// Label, prediction and count of what is confused most often, up to `most` of them.
    pub(super) fn confusions(&self, most: usize) -> Vec<(usize, usize, usize)> {
        let cells = self.confusion.iter().enumerate().flat_map(|(label, row)| {
            row.iter().enumerate().map(move |(prediction, &count)| (label, prediction, count))
        });
        let mut wrong: Vec<_> =
            cells.filter(|&(label, prediction, count)| label != prediction && count > 0).collect();
        wrong.sort_by_key(|&(_, _, count)| std::cmp::Reverse(count));
        wrong.truncate(most);
        wrong
    }
}

/// One image on its way through the network.
#[derive(Debug)]
pub(super) struct Example {
    /// Position in the data set.
    pub(super) image: usize,
    pub(super) label: usize,
    pub(super) layers: Vec<LayerOutput>,
    pub(super) probabilities: Vec<f32>,
}

#[derive(Debug)]
pub(super) struct LayerOutput {
    pub(super) index: usize,
    pub(super) name: &'static str,
    /// Without the batch.
    pub(super) dims: Vec<usize>,
    pub(super) values: Vec<f32>,
}

impl Example {
    pub(super) fn new<const L: usize>(
        layers: [Layer; L],
        params: &[f32],
        test: &Dataset,
        image: usize,
    ) -> Result<Self, TrainError> {
        let network = Network::plan(layers, 1, test.image_dims())?;
        let mut input = vec![0.0; network.input_len()];
        test.read(image, &mut input)?;
        let mut workspace = vec![0.0; network.workspace_len()];
        let mut scratch = vec![0.0; network.train_scratch_len()];
        network.forward_train(NetworkWeights::Plain(params), &input, &mut workspace, &mut scratch)?;
        let outputs: Vec<LayerOutput> = network
            .layers()
            .map(|layer| LayerOutput {
                index: layer.index,
                name: layer.name,
                dims: layer.output_dims()[1..].to_vec(),
                values: network.layer_output(layer.index, &workspace).unwrap_or(&input).to_vec(),
            })
            .collect();
        let logits = outputs.last().map_or(&[][..], |last| &last.values);
        let mut probabilities = vec![0.0; logits.len()];
        im2col::softmax(logits, logits.len(), &mut probabilities)?;
        Ok(Self { image, label: test.labels()[image] as usize, layers: outputs, probabilities })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use im2col::LinearParams;

    /// Each of three pixels votes for its class.
    const VOTES: [Layer; 2] = [Layer::Flatten, Layer::Linear(LinearParams::new(3, 3))];

    fn votes() -> Vec<f32> {
        let mut params = vec![0.0; 12];
        (0..3).for_each(|class| params[class * 4] = 10.0);
        params
    }

    #[test]
    fn counts_are_those_of_the_predictions() {
        // 33 images: two micro-batches and one image.
        let mut shown: Vec<u32> = (0..33).map(|image| image % 3).collect();
        shown[32] = 1;
        let mut labels = shown.clone();
        (labels[14], labels[31], labels[32]) = (1, 2, 0);
        let mut pixels = vec![0; 99];
        for (image, class) in shown.into_iter().enumerate() {
            pixels[image * 3 + class as usize] = if image == 32 { 255 } else { 51 };
        }
        let test = Dataset::new([1, 1, 3], pixels, labels).unwrap();
        let evaluation = Evaluation::new(VOTES, &votes(), &test).unwrap();
        assert_eq!(evaluation.confusion, [[11, 1, 0], [0, 10, 1], [0, 1, 9]]);
        assert_eq!((evaluation.images(), evaluation.accuracy()), (33, 30.0 / 33.0));
        assert_eq!([0, 2].map(|class| evaluation.recall(class)), [Some(11.0 / 12.0), Some(0.9)]);
        assert_eq!(evaluation.confusions(2), [(0, 1, 1), (1, 2, 1)]);
        let mistakes: Vec<_> = evaluation.mistakes.iter().map(|mistake| mistake.image).collect();
        assert_eq!(mistakes, [32, 14, 31], "the last one is the most confident");
        // e^10 / (e^10 + 2)
        assert!((evaluation.mistakes[0].probability - 0.999_909_2).abs() < 1e-6);
        assert_eq!((evaluation.mistakes[0].label, evaluation.mistakes[0].prediction), (0, 1));
        // -ln of e^2 / (e^2 + 2), 1 / (e^2 + 2) and 1 / (e^10 + 2)
        let expected = (30.0 * 0.239_545 + 2.0 * 2.239_545 + 10.000_091) / 33.0;
        assert!((evaluation.loss - expected).abs() < 1e-5, "{}", evaluation.loss);
        assert_eq!(evaluation.first_right, 0);
    }

    #[test]
    fn the_example_is_what_each_layer_gives() {
        let test = Dataset::new([1, 1, 3], vec![0, 0, 255, 51, 255, 102], vec![2, 1]).unwrap();
        let example = Example::new(VOTES, &votes(), &test, 1).unwrap();
        assert_eq!((example.image, example.label), (1, 1));
        assert_eq!(example.layers[0].values, [0.2, 1.0, 0.4]);
        assert_eq!(example.layers[1].values, [2.0, 10.0, 4.0]);
        assert_eq!((example.layers[1].name, &example.layers[1].dims[..]), ("Linear", &[3][..]));
        assert!(example.probabilities[1] > 0.99);
    }

    #[test]
    fn a_class_without_images_has_no_recall() {
        let evaluation = Evaluation::of_predictions(2, &[0], &[(0, 0.5)]);
        assert_eq!((evaluation.recall(0), evaluation.recall(1)), (Some(1.0), None));
        assert!(evaluation.mistakes.is_empty() && evaluation.confusions(3).is_empty());
    }
}
