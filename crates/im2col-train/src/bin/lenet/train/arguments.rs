//! What `lenet train` can be asked for.

use std::path::PathBuf;

use clap::{Args, ValueEnum, value_parser};
use im2col_train::checkpoint::Configuration;
use im2col_train::optimiser::Optimiser;
use im2col_train::schedule::Schedule;
use im2col_train::train::Options;

use crate::MOST_THREADS;
use crate::network::NetworkName;

const OUT_DIR: &str = "runs/lenet";

pub(crate) const EXAMPLES: &str = r"Examples:
  lenet train --data digits --epochs 2
  lenet train --resume runs/lenet
  lenet train --data digits --network lenet --batch 256 --lr 0.9 \
      --momentum 0 --schedule constant --out runs/lecture
  lenet train --data digits --optimizer adam --lr 0.001 --warm-up 1 \
      --shift 2 --validation 0.1 --out runs/adam
  lenet train --data digits --stream --epochs 2 --json --out runs/stream

A run can be stopped at any time, also with Ctrl-C: --resume goes on from its
last checkpoint, and ends with the same weights. The folder of a run that is
finished is used again; that of another only with --force.";

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Sigmoid and average pooling (lenet) or ReLU and max pooling (lenet-relu)
    #[arg(long, value_enum, default_value_t)]
    network: NetworkName,
    /// Folder with the four IDX files of MNIST or a relative [default: the built-in digits]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Read images when they are needed, for data larger than memory; the files must not be compressed
    #[arg(long, requires = "data")]
    stream: bool,
    /// How often each image is seen
    #[arg(long, value_name = "N", default_value_t = 15, value_parser = value_parser!(u32).range(1..))]
    epochs: u32,
    /// Images per step
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = value_parser!(u32).range(1..))]
    batch: u32,
    /// What makes a step of a gradient
    #[arg(long, value_enum, default_value_t)]
    optimizer: OptimizerName,
    /// Learning rate
    #[arg(long, value_name = "X", default_value_t = Options::default().rate, value_parser = positive)]
    lr: f64,
    /// How much of a step of sgd goes into the next one, 0 to 1 [default: 0.9]
    #[arg(long, value_name = "X", value_parser = share)]
    momentum: Option<f64>,
    /// Nesterov's momentum, for sgd
    #[arg(long)]
    nesterov: bool,
    /// How strongly weights are drawn to 0
    #[arg(long, value_name = "X", default_value_t = 0.0, value_parser = not_negative)]
    weight_decay: f64,
    /// How the learning rate changes: not at all, in steps, or along half a cosine down to 0
    #[arg(long, value_enum, default_value_t)]
    schedule: ScheduleName,
    /// Epochs in which the rate rises first, for cosine
    #[arg(long, value_name = "N", default_value_t = 0)]
    warm_up: u32,
    /// Epochs between two steps of the rate, for step
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = value_parser!(u32).range(1..))]
    step_every: u32,
    /// What a step multiplies the rate by, for step
    #[arg(long, value_name = "X", default_value_t = 0.1, value_parser = positive)]
    step_factor: f64,
    /// Move images by up to so many pixels each way, anew each time
    #[arg(long, value_name = "PIXELS", default_value_t = 0)]
    shift: u8,
    /// Share of the training images to hold back; the best weights are those that do best on them
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    validation: f64,
    /// Decides the initial weights, which images are held back, their order and their shifts
    #[arg(long, value_name = "S", default_value_t = Options::default().seed)]
    seed: u64,
    /// Folder of the run: checkpoints, weights.safetensors, metrics.jsonl
    #[arg(long, value_name = "DIR", default_value = OUT_DIR)]
    pub(super) out: PathBuf,
    /// Start over where a run is not finished
    #[arg(long)]
    pub(super) force: bool,
    /// Go on with the run in this folder, with its own options
    #[arg(long, value_name = "RUN", conflicts_with_all = REMEMBERED)]
    pub(super) resume: Option<PathBuf>,
    /// Go on from the checkpoint before the last
    #[arg(long, requires = "resume")]
    pub(super) previous: bool,
    /// Seconds between two checkpoints at most; 0: one after each batch
    #[arg(long, value_name = "N", default_value_t = 30)]
    pub(super) checkpoint_seconds: u64,
    /// Threads; the weights do not depend on it [default: one for each core]
    #[arg(long, value_name = "T", value_parser = value_parser!(u16).range(1..=MOST_THREADS))]
    pub(super) threads: Option<u16>,
}

/// What a run that goes on cannot be given again.
const REMEMBERED: [&str; 19] = [
    "network",
    "data",
    "stream",
    "epochs",
    "batch",
    "optimizer",
    "lr",
    "momentum",
    "nesterov",
    "weight_decay",
    "schedule",
    "warm_up",
    "step_every",
    "step_factor",
    "shift",
    "validation",
    "seed",
    "out",
    "force",
];

impl Arguments {
    pub(super) fn configuration(&self) -> Configuration {
        Configuration {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            network: self.network.as_str().to_owned(),
            data: self.data.clone(),
            stream: self.stream,
            options: self.options(),
        }
    }

    fn options(&self) -> Options {
        Options {
            epochs: self.epochs as usize,
            batch: self.batch as usize,
            optimiser: self.optimiser(),
            rate: self.lr,
            schedule: match self.schedule {
                ScheduleName::Constant => Schedule::Constant,
                ScheduleName::Step => {
                    Schedule::Step { every: self.step_every as usize, factor: self.step_factor }
                }
                ScheduleName::Cosine => Schedule::Cosine { warm_up: self.warm_up as usize },
            },
            shift: usize::from(self.shift),
            validation: self.validation,
            seed: self.seed,
        }
    }

    fn optimiser(&self) -> Optimiser {
        let decay = self.weight_decay;
        match (self.optimizer, Optimiser::adam()) {
            (OptimizerName::Adam, Optimiser::Adam { beta1, beta2, epsilon, .. }) => {
                Optimiser::Adam { beta1, beta2, epsilon, weight_decay: decay }
            }
            _ => Optimiser::Sgd {
                momentum: self.momentum.unwrap_or(0.9),
                nesterov: self.nesterov,
                weight_decay: decay,
            },
        }
    }
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum OptimizerName {
    #[default]
    Sgd,
    Adam,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum ScheduleName {
    Constant,
    Step,
    #[default]
    Cosine,
}

/// Also as an f32, which the kernels compute with.
fn positive(text: &str) -> Result<f64, String> {
    in_range(text, |value| value as f32 > 0.0, "greater than 0")
}

fn not_negative(text: &str) -> Result<f64, String> {
    in_range(text, |value| value >= 0.0, "at least 0")
}

fn share(text: &str) -> Result<f64, String> {
    in_range(text, |value| (0.0..1.0).contains(&value), "at least 0 and less than 1")
}

fn in_range(text: &str, contains: fn(f64) -> bool, required: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if (value as f32).is_finite() && contains(value) => Ok(value),
        Ok(_) => Err(format!("must be finite and {required}")),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use im2col_train::metrics::WEIGHTS_FILE;

    #[derive(Debug, Parser)]
    struct Train {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn options(arguments: &[&str]) -> Options {
        Train::parse_from([&["train"], arguments].concat()).arguments.options()
    }

    #[test]
    fn defaults_are_those_of_the_library() {
        let Train { arguments } = Train::parse_from(["train"]);
        assert_eq!(arguments.options(), Options::default());
        assert_eq!(PathBuf::from(crate::WEIGHTS), arguments.out.join(WEIGHTS_FILE));
    }

    #[test]
    fn options_arrive() {
        let given = options(&[
            "--momentum=0.5",
            "--nesterov",
            "--weight-decay=0.01",
            "--schedule=step",
            "--step-every=2",
            "--step-factor=0.5",
            "--shift=2",
            "--validation=0.1",
        ]);
        let optimiser = Optimiser::Sgd { momentum: 0.5, nesterov: true, weight_decay: 0.01 };
        let schedule = Schedule::Step { every: 2, factor: 0.5 };
        let expected = Options { optimiser, schedule, shift: 2, validation: 0.1, ..Options::default() };
        assert_eq!(given, expected);
        assert_eq!(options(&["--optimizer=adam"]).optimiser, Optimiser::adam());
        assert_eq!(options(&["--warm-up=3"]).schedule, Schedule::Cosine { warm_up: 3 });
    }

    #[test]
    fn wrong_values_are_refused() {
        for (option, value) in [
            ("--epochs", "0"),
            ("--batch", "0"),
            ("--batch", "-1"),
            ("--batch", "4294967296"),
            ("--lr", "0"),
            ("--lr", "-0.1"),
            ("--lr", "nan"),
            ("--lr", "inf"),
            ("--lr", "1e39"),
            ("--momentum", "1"),
            ("--momentum", "-0.1"),
            ("--momentum", "nan"),
            ("--weight-decay", "-1"),
            ("--validation", "1"),
            ("--step-every", "0"),
            ("--shift", "256"),
            ("--threads", "0"),
            ("--threads", "257"),
            ("--seed", "-1"),
            ("--schedule", "linear"),
            ("--network", "alexnet"),
        ] {
            let argument = format!("{option}={value}");
            let error = Train::try_parse_from(["train", &argument]).unwrap_err();
            assert!(error.to_string().contains(option), "{error}");
        }
    }

    #[test]
    fn a_run_that_goes_on_has_its_options() {
        for argument in ["--lr=1", "--out=x", "--stream", "--nesterov", "--weight-decay=0"] {
            let error = Train::try_parse_from(["train", "--resume=x", "--data=y", argument]).unwrap_err();
            assert!(error.to_string().contains("--resume"), "{error}");
        }
        Train::try_parse_from(["train", "--resume=x", "--threads=2", "--checkpoint-seconds=0"]).unwrap();
    }
}
