//! What `lenet train` can be asked for.

mod values;

use std::env;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{Args, ValueEnum, value_parser};

use self::values::{isa, not_negative, positive, share};
use crate::checkpoint::Configuration;
use crate::cli::network::NetworkName;
use crate::cli::threads::MOST_THREADS;
use crate::optimiser::Optimiser;
use crate::schedule::Schedule;
use crate::train::{IsaName, Options};

const EXAMPLES: &str = r"Examples:
  lenet train --data digits --epochs 2
  lenet train --resume runs/lenet
  lenet train --data digits --network lenet --batch 256 --lr 0.9 \
      --momentum 0 --schedule constant --out runs/lecture
  lenet train --data digits --optimizer adam --lr 0.001 --warm-up 1 \
      --shift 2 --validation 0.1 --out runs/adam
  lenet train --data digits --stream --epochs 2 --json --out runs/stream
  lenet train --resume runs/stream --epochs 3
  lenet train --data digits --weights runs/lenet/weights.safetensors --epochs 1

A run can be stopped at any time, also with Ctrl-C: --resume goes on from its
last checkpoint, and ends with the same weights. With --epochs, a run that is
finished goes on too; its schedule is then that of the new number of epochs.
A run never takes another's place unless --force says so, and then when it is
complete.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Sigmoid and average pooling (lenet) or ReLU and max pooling (lenet-relu) [default: that of --weights, or
    /// lenet-relu]
    #[arg(long, value_enum)]
    pub(super) network: Option<NetworkName>,
    /// Folder with the four IDX files of MNIST or a relative; with --resume, where they are now [default: the built-in
    /// digits]
    #[arg(long, value_name = "DIR")]
    pub(super) data: Option<PathBuf>,
    /// Read images when they are needed, for data larger than memory; the files must not be compressed
    #[arg(long, requires = "data")]
    stream: bool,
    /// Safetensors file with the weights to start from, with PyTorch's names [default: random ones]
    #[arg(long, value_name = "FILE")]
    pub(super) weights: Option<PathBuf>,
    /// How often each image is seen, before and after --resume [default: 15]
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..))]
    pub(super) epochs: Option<u32>,
    /// Images per step
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = value_parser!(u32).range(1..))]
    batch: u32,
    /// What makes a step of a gradient [default: sgd; adam for lenet, unless there is --momentum or --nesterov]
    #[arg(long, value_enum)]
    optimizer: Option<OptimizerName>,
    /// Learning rate [default: sgd 0.02; adam 0.001, and 0.005 for lenet]
    #[arg(long, value_name = "X", value_parser = positive)]
    lr: Option<f64>,
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
    /// Epochs in which the rate rises first, for cosine [default: 0]
    #[arg(long, value_name = "N")]
    warm_up: Option<u32>,
    /// Epochs between two steps of the rate, for step [default: 5]
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..))]
    step_every: Option<u32>,
    /// What a step multiplies the rate by, for step [default: 0.1]
    #[arg(long, value_name = "X", value_parser = positive)]
    step_factor: Option<f64>,
    /// Move images by up to so many pixels each way, anew each time
    #[arg(long, value_name = "PIXELS", default_value_t = 0)]
    shift: u8,
    /// Share of the training images to hold back; the best weights are those that do best on them
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    validation: f64,
    /// Decides the initial weights, which images are held back, their order and their shifts
    #[arg(long, value_name = "S", default_value_t = Options::default().seed)]
    seed: u64,
    /// Instruction set of the kernels: scalar makes the same bits on every CPU, with --optimizer sgd and --schedule constant
    /// [default: the best that the CPU has]
    #[arg(long, value_name = "ISA", value_parser = isa())]
    isa: Option<IsaName>,
    /// Folder of the run: checkpoints, weights.safetensors, metrics.jsonl [default: the first free one of runs/lenet,
    /// runs/lenet-2, runs/lenet-3 ...]
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,
    /// Take the place of the run that is there, when this one is complete
    #[arg(long)]
    pub(super) force: bool,
    /// Go on with the run in this folder, with its own options, to the end or to --epochs
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
    "stream",
    "weights",
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
    "isa",
    "out",
    "force",
];

impl Arguments {
    /// What is asked for, of `network`.
    pub(super) fn configuration(&self, network: NetworkName) -> Configuration {
        Configuration {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            network: network.as_str().to_owned(),
            data: self.data.clone(),
            data_sha256: None,
            stream: self.stream,
            weights: self.weights.clone(),
            called_in: env::current_dir().ok(),
            options: self.options(network),
        }
    }

    /// Refuses what would have no effect.
    pub(super) fn check(&self, network: NetworkName) -> Result<(), clap::Error> {
        let (optimizer, options) = (self.optimizer(network), self.options(network));
        let is_adam = matches!(optimizer, OptimizerName::Adam);
        let is_cosine = matches!(self.schedule, ScheduleName::Cosine);
        let is_step = matches!(self.schedule, ScheduleName::Step);
        let (epochs, warm_up) = (options.epochs, self.warm_up.unwrap_or_default() as usize);
        let has_no_momentum = matches!(options.optimiser, Optimiser::Sgd { momentum: 0.0, .. });
        let problem = if is_adam && self.momentum.is_some() {
            "--momentum is for --optimizer sgd, not for adam".to_owned()
        } else if is_adam && self.nesterov {
            "--nesterov is for --optimizer sgd, not for adam".to_owned()
        } else if has_no_momentum && self.nesterov {
            "--nesterov needs a --momentum above 0".to_owned()
        } else if !is_cosine && self.warm_up.is_some() {
            "--warm-up is for --schedule cosine".to_owned()
        } else if !is_step && self.step_every.is_some() {
            "--step-every is for --schedule step".to_owned()
        } else if !is_step && self.step_factor.is_some() {
            "--step-factor is for --schedule step".to_owned()
        } else if warm_up > epochs {
            format!("--warm-up {warm_up}: the rate would not reach --lr in {epochs} epochs")
        } else {
            match options.schedule {
                Schedule::Step { every, .. } if every >= epochs => {
                    format!("--step-every {every}: there would be no step in {epochs} epochs")
                }
                _ => return Ok(()),
            }
        };
        Err(clap::Error::raw(ErrorKind::ArgumentConflict, problem + "\n"))
    }

    fn options(&self, network: NetworkName) -> Options {
        Options {
            epochs: self.epochs.map_or(Options::default().epochs, |epochs| epochs as usize),
            batch: self.batch as usize,
            optimiser: self.optimiser(network),
            rate: self.rate(network),
            schedule: match self.schedule {
                ScheduleName::Constant => Schedule::Constant,
                ScheduleName::Step => Schedule::Step {
                    every: self.step_every.unwrap_or(5) as usize,
                    factor: self.step_factor.unwrap_or(0.1),
                },
                ScheduleName::Cosine => Schedule::Cosine { warm_up: self.warm_up.unwrap_or(0) as usize },
            },
            shift: usize::from(self.shift),
            validation: self.validation,
            seed: self.seed,
            isa: self.isa,
            any_rounding: false,
        }
    }

    /// Sigmoids in a row pass little of a gradient on: at rates from 0.02 to 0.7, sgd does not leave chance in 15 epochs
    /// of the built-in digits, where Adam comes to 97 %.
    fn optimizer(&self, network: NetworkName) -> OptimizerName {
        let is_sgd = self.momentum.is_some() || self.nesterov || network == NetworkName::LenetRelu;
        self.optimizer.unwrap_or(if is_sgd { OptimizerName::Sgd } else { OptimizerName::Adam })
    }

    fn rate(&self, network: NetworkName) -> f64 {
        self.lr.unwrap_or(match (self.optimizer(network), network) {
            (OptimizerName::Sgd, _) => Options::default().rate,
            (OptimizerName::Adam, NetworkName::Lenet) => 0.005,
            (OptimizerName::Adam, NetworkName::LenetRelu) => 0.001,
        })
    }

    fn optimiser(&self, network: NetworkName) -> Optimiser {
        let decay = self.weight_decay;
        match (self.optimizer(network), Optimiser::adam()) {
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

#[derive(Clone, Copy, Debug, ValueEnum)]
enum OptimizerName {
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

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Train {
        #[command(flatten)]
        arguments: Arguments,
    }

    const RELU: NetworkName = NetworkName::LenetRelu;

    fn arguments(arguments: &[&str]) -> Arguments {
        Train::parse_from([&["train"], arguments].concat()).arguments
    }

    fn options(given: &[&str]) -> Options {
        arguments(given).options(RELU)
    }

    #[test]
    fn defaults_are_those_of_the_library() {
        assert_eq!(options(&[]), Options::default());
    }

    #[test]
    fn every_network_has_defaults_of_its_own() {
        let of = |network, given: &[&str]| {
            let options = arguments(given).options(network);
            (options.optimiser, options.rate)
        };
        let lenet = NetworkName::Lenet;
        assert_eq!(of(lenet, &[]), (Optimiser::adam(), 0.005));
        assert_eq!(of(lenet, &["--lr=0.5"]), (Optimiser::adam(), 0.5));
        assert_eq!(of(lenet, &["--momentum=0.5"]), (Optimiser::sgd(0.5), 0.02));
        assert_eq!(of(lenet, &["--momentum=0", "--lr=0.9"]), (Optimiser::sgd(0.0), 0.9));
        assert_eq!(of(lenet, &["--optimizer=sgd"]), (Optimiser::sgd(0.9), 0.02));
        assert_eq!(of(RELU, &["--optimizer=adam"]), (Optimiser::adam(), 0.001));
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
            "--isa=scalar",
        ]);
        let optimiser = Optimiser::Sgd { momentum: 0.5, nesterov: true, weight_decay: 0.01 };
        let schedule = Schedule::Step { every: 2, factor: 0.5 };
        let isa = Some(IsaName::Scalar);
        let expected = Options { optimiser, schedule, shift: 2, validation: 0.1, isa, ..Options::default() };
        assert_eq!(given, expected);
        assert_eq!(options(&["--optimizer=adam"]).optimiser, Optimiser::adam());
        assert_eq!(options(&["--warm-up=3"]).schedule, Schedule::Cosine { warm_up: 3 });
    }

    #[test]
    fn what_would_be_ignored_is_refused() {
        for (given, expected) in [
            (&["--optimizer=adam", "--momentum=0.5"][..], "--momentum is for --optimizer sgd, not for adam"),
            (&["--optimizer=adam", "--nesterov"], "--nesterov is for --optimizer sgd, not for adam"),
            (&["--momentum=0", "--nesterov"], "--nesterov needs a --momentum above 0"),
            (&["--schedule=step", "--warm-up=1"], "--warm-up is for --schedule cosine"),
            (&["--schedule=constant", "--warm-up=0"], "--warm-up is for --schedule cosine"),
            (&["--step-every=2"], "--step-every is for --schedule step"),
            (&["--schedule=constant", "--step-factor=0.5"], "--step-factor is for --schedule step"),
            (&["--warm-up=16"], "--warm-up 16: the rate would not reach --lr in 15 epochs"),
            (&["--schedule=step", "--epochs=5"], "--step-every 5: there would be no step in 5 epochs"),
        ] {
            let error = arguments(given).check(RELU).unwrap_err();
            assert_eq!(error.to_string(), format!("error: {expected}\n"));
            assert_eq!(error.exit_code(), 2);
        }
        for given in [
            &[][..],
            &["--nesterov"],
            &["--warm-up=15"],
            &["--schedule=step", "--epochs=6"],
            &["--schedule=step", "--step-every=1", "--step-factor=0.5", "--momentum=0.1", "--nesterov"],
        ] {
            arguments(given).check(RELU).unwrap();
        }
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
            ("--isa", "sse9"),
            ("--network", "alexnet"),
        ] {
            let argument = format!("{option}={value}");
            let error = Train::try_parse_from(["train", &argument]).unwrap_err();
            assert!(error.to_string().contains(option), "{error}");
        }
    }

    #[test]
    fn a_run_that_goes_on_has_its_options() {
        for argument in
            ["--lr=1", "--out=x", "--stream", "--nesterov", "--weight-decay=0", "--weights=x", "--isa=wide"]
        {
            let error = Train::try_parse_from(["train", "--resume=x", "--data=y", argument]).unwrap_err();
            assert!(error.to_string().contains("--resume"), "{error}");
        }
        let allowed = ["--threads=2", "--checkpoint-seconds=0", "--data=y", "--epochs=20"];
        Train::try_parse_from([&["train", "--resume=x"], &allowed[..]].concat()).unwrap();
    }
}
