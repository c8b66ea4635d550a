//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum, value_parser};
use im2col::Layer;
use im2col::lenet::{LENET, LENET_RELU};
use im2col_train::schedule::Schedule;
use im2col_train::train::Options;

/// The file that `train` leaves in its folder.
pub(crate) const WEIGHTS_FILE: &str = "weights.safetensors";
const OUT_DIR: &str = "runs/lenet";
/// `OUT_DIR/WEIGHTS_FILE`
const WEIGHTS: &str = "runs/lenet/weights.safetensors";
const MOST_THREADS: i64 = 256;

/// LeNet on handwritten digits, trained through im2col convolutions.
#[derive(Debug, Parser)]
#[command(name = "lenet", version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Train a network and save its weights
    Train(TrainArgs),
    /// Print the test accuracy of saved weights
    Eval(EvalArgs),
    /// Print which digit a picture shows
    Predict(PredictArgs),
    /// Print the layers with their output shapes, parameters and multiply-adds
    Summary(SummaryArgs),
}

#[derive(Debug, Args)]
pub(crate) struct TrainArgs {
    /// Sigmoid and average pooling (lenet) or ReLU and max pooling (lenet-relu)
    #[arg(long, value_enum, default_value_t)]
    pub(crate) network: NetworkName,
    /// Folder with the four IDX files of MNIST or a relative [default: the built-in digits]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// How often each image is seen
    #[arg(long, value_name = "N", default_value_t = 15, value_parser = value_parser!(u32).range(1..))]
    epochs: u32,
    /// Images per step
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = value_parser!(u32).range(1..))]
    batch: u32,
    /// Learning rate
    #[arg(long, value_name = "X", default_value_t = Options::default().rate, value_parser = learning_rate)]
    lr: f32,
    /// How the learning rate changes: not at all, or along half a cosine down to 0
    #[arg(long, value_enum, default_value_t)]
    schedule: ScheduleName,
    /// How much of a step goes into the next one, 0 to 1
    #[arg(long, value_name = "X", default_value_t = Options::default().momentum, value_parser = momentum)]
    momentum: f32,
    /// Decides the initial weights and the order of the images
    #[arg(long, value_name = "S", default_value_t = Options::default().seed)]
    seed: u64,
    /// Threads; the weights do not depend on it [default: one for each core]
    #[arg(long, value_name = "T", value_parser = value_parser!(u16).range(1..=MOST_THREADS))]
    pub(crate) threads: Option<u16>,
    /// Folder to leave weights.safetensors in
    #[arg(long, value_name = "DIR", default_value = OUT_DIR)]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct EvalArgs {
    /// Network, if the file does not name it [default: lenet-relu]
    #[arg(long, value_enum)]
    pub(crate) network: Option<NetworkName>,
    /// Folder with the test set's two IDX files [default: the built-in digits]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Safetensors file with PyTorch's names
    #[arg(long, value_name = "FILE", default_value = WEIGHTS)]
    pub(crate) weights: PathBuf,
    /// Threads [default: one for each core]
    #[arg(long, value_name = "T", value_parser = value_parser!(u16).range(1..=MOST_THREADS))]
    pub(crate) threads: Option<u16>,
}

#[derive(Debug, Args)]
pub(crate) struct PredictArgs {
    /// PNG file of any size; dark ink on light paper is inverted
    #[arg(value_name = "IMAGE.png")]
    pub(crate) image: PathBuf,
    /// Network, if the file does not name it [default: lenet-relu]
    #[arg(long, value_enum)]
    pub(crate) network: Option<NetworkName>,
    /// Safetensors file with PyTorch's names
    #[arg(long, value_name = "FILE", default_value = WEIGHTS)]
    pub(crate) weights: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct SummaryArgs {
    /// Sigmoid and average pooling (lenet) or ReLU and max pooling (lenet-relu)
    #[arg(long, value_enum, default_value_t)]
    pub(crate) network: NetworkName,
}

impl TrainArgs {
    pub(crate) fn options(&self) -> Options {
        Options {
            epochs: self.epochs as usize,
            batch: self.batch as usize,
            rate: self.lr,
            schedule: match self.schedule {
                ScheduleName::Constant => Schedule::Constant,
                ScheduleName::Cosine => Schedule::Cosine,
            },
            momentum: self.momentum,
            seed: self.seed,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum NetworkName {
    Lenet,
    #[default]
    LenetRelu,
}

impl NetworkName {
    pub(crate) fn layers(self) -> [Layer; 12] {
        match self {
            Self::Lenet => LENET,
            Self::LenetRelu => LENET_RELU,
        }
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Lenet => "lenet",
            Self::LenetRelu => "lenet-relu",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::value_variants().iter().copied().find(|network| network.as_str() == name)
    }
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum ScheduleName {
    Constant,
    #[default]
    Cosine,
}

fn learning_rate(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(rate) if rate.is_finite() && rate > 0.0 => Ok(rate),
        Ok(_) => Err("a learning rate is finite and greater than 0".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn momentum(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(momentum) if (0.0..1.0).contains(&momentum) => Ok(momentum),
        Ok(_) => Err("a momentum is at least 0 and less than 1".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn defaults_are_those_of_the_library() {
        let Ok(Cli { command: Command::Train(args) }) = Cli::try_parse_from(["lenet", "train"]) else {
            panic!("train takes no required arguments");
        };
        assert_eq!(args.options(), Options::default());
        assert_eq!(PathBuf::from(WEIGHTS), args.out.join(WEIGHTS_FILE));
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
            ("--threads", "0"),
            ("--threads", "257"),
            ("--seed", "-1"),
            ("--schedule", "linear"),
            ("--network", "alexnet"),
        ] {
            let argument = format!("{option}={value}");
            let error = Cli::try_parse_from(["lenet", "train", &argument]).unwrap_err();
            assert!(error.to_string().contains(option), "{error}");
        }
    }

    #[test]
    fn networks_are_found_by_name() {
        for &network in NetworkName::value_variants() {
            assert_eq!(NetworkName::from_name(network.as_str()), Some(network));
        }
        assert_eq!(NetworkName::from_name("alexnet"), None);
    }
}
