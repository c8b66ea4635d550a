//! What a run was asked for: as rows of a table, and as the command that asks for it again.

use std::path::Path;

use crate::checkpoint::{Configuration, DataSha256};
use crate::optimiser::Optimiser;
use crate::paths::shown;
use crate::schedule::Schedule;
use crate::shell::quoted;
use crate::train::{IsaName, Options};

/// Names and values, in the order of the names in `run.json`.
pub(super) fn rows(asked: &Configuration) -> Vec<(String, String)> {
    let Configuration { version, network, data, data_sha256, stream, weights, called_in, options } = asked;
    let mut rows = Vec::new();
    if let Some(folder) = called_in {
        add(&mut rows, "called_in", &shown(folder));
    }
    add(&mut rows, "data", &data.as_deref().map_or("the built-in digits".to_owned(), shown));
    if let Some(DataSha256 { train, test }) = data_sha256 {
        add(&mut rows, "data_sha256 test", test);
        add(&mut rows, "data_sha256 train", train);
    }
    add(&mut rows, "network", network);
    rows.extend(option_rows(options));
    add(&mut rows, "images", if *stream { "read when needed" } else { "in memory" });
    add(&mut rows, "version", version);
    if let Some(file) = weights {
        add(&mut rows, "weights", &shown(file));
    }
    rows
}

/// `lenet train` with every option, quoted for a shell.
pub(super) fn command(asked: &Configuration, folder: &Path) -> String {
    let network = quoted(Path::new(&asked.network));
    let mut words = ["lenet", "train", "--network", &network].map(str::to_owned).to_vec();
    if let Some(data) = &asked.data {
        words.extend(["--data".to_owned(), quoted(data)]);
    }
    words.extend(asked.stream.then(|| "--stream".to_owned()));
    for (option, value) in command_options(&asked.options) {
        words.push(option.to_owned());
        words.extend((!value.is_empty()).then_some(value));
    }
    words.extend(["--out".to_owned(), quoted(folder)]);
    words.join(" ")
}

fn command_options(options: &Options) -> Vec<(&'static str, String)> {
    let Options { epochs, batch, optimiser, rate, schedule, shift, validation, seed, isa, any_rounding: _ } =
        *options;
    let mut list = vec![("--epochs", epochs.to_string()), ("--batch", batch.to_string())];
    let decay = match optimiser {
        Optimiser::Sgd { momentum, nesterov, weight_decay } => {
            list.extend([("--optimizer", "sgd".to_owned()), ("--momentum", momentum.to_string())]);
            list.extend(nesterov.then(|| ("--nesterov", String::new())));
            weight_decay
        }
        Optimiser::Adam { weight_decay, .. } => {
            list.push(("--optimizer", "adam".to_owned()));
            weight_decay
        }
    };
    if decay > 0.0 {
        list.push(("--weight-decay", decay.to_string()));
    }
    list.push(("--lr", rate.to_string()));
    match schedule {
        Schedule::Constant => list.push(("--schedule", "constant".to_owned())),
        Schedule::Step { every, factor } => list.extend([
            ("--schedule", "step".to_owned()),
            ("--step-every", every.to_string()),
            ("--step-factor", factor.to_string()),
        ]),
        Schedule::Cosine { warm_up } => {
            list.push(("--schedule", "cosine".to_owned()));
            list.extend((warm_up > 0).then(|| ("--warm-up", warm_up.to_string())));
        }
    }
    list.extend((shift > 0).then(|| ("--shift", shift.to_string())));
    list.extend((validation > 0.0).then(|| ("--validation", validation.to_string())));
    list.push(("--seed", seed.to_string()));
    list.extend(isa.map(|isa| ("--isa", isa.as_str().to_owned())));
    list
}

fn option_rows(options: &Options) -> Vec<(String, String)> {
    let Options { epochs, batch, optimiser, rate, schedule, shift, validation, seed, isa, any_rounding } =
        *options;
    let mut rows = Vec::new();
    add(&mut rows, "epochs", &epochs.to_string());
    add(&mut rows, "images per step", &batch.to_string());
    let (name, decay) = match optimiser {
        Optimiser::Sgd { momentum, nesterov, weight_decay } => {
            let nesterov = if nesterov { "Nesterov's " } else { "" };
            (format!("gradient descent, {nesterov}momentum {momentum}"), weight_decay)
        }
        Optimiser::Adam { beta1, beta2, epsilon, weight_decay } => {
            (format!("Adam, betas {beta1} and {beta2}, epsilon {epsilon}"), weight_decay)
        }
    };
    add(&mut rows, "optimiser", &name);
    add(&mut rows, "weight decay", &decay.to_string());
    add(&mut rows, "learning rate", &rate.to_string());
    let schedule = match schedule {
        Schedule::Constant => "constant".to_owned(),
        Schedule::Step { every, factor } => format!("times {factor} after every {every} epochs"),
        Schedule::Cosine { warm_up: 0 } => "half a cosine down to 0".to_owned(),
        Schedule::Cosine { warm_up } => format!("rises for {warm_up} epochs, then half a cosine down to 0"),
    };
    add(&mut rows, "schedule", &schedule);
    add(&mut rows, "shift", &format!("up to {shift} pixels"));
    add(&mut rows, "held back for validation", &format!("{} %", 100.0 * validation));
    add(&mut rows, "seed", &seed.to_string());
    add(&mut rows, "instruction set", isa.map_or("the best of the CPU", IsaName::as_str));
    if any_rounding {
        add(&mut rows, "order of sums", "any");
    }
    rows
}

fn add(rows: &mut Vec<(String, String)>, name: &str, value: &str) {
    rows.push((name.to_owned(), value.to_owned()));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(options: Options) -> Configuration {
        Configuration {
            version: "0.1.0".into(),
            network: "lenet".into(),
            data: Some("my digits".into()),
            data_sha256: None,
            stream: true,
            weights: None,
            called_in: None,
            options,
        }
    }

    #[test]
    fn the_command_asks_for_the_same() {
        let default = command(&asked(Options::default()), Path::new("runs/it's"));
        assert_eq!(
            default,
            "lenet train --network lenet --data 'my digits' --stream --epochs 15 --batch 32 --optimizer sgd \
             --momentum 0.9 --lr 0.02 --schedule cosine --seed 1 --out 'runs/it'\\''s'"
        );
        let options = Options {
            optimiser: Optimiser::Adam { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.01 },
            schedule: Schedule::Step { every: 2, factor: 0.5 },
            shift: 2,
            validation: 0.1,
            isa: Some(IsaName::Avx2Fma),
            any_rounding: false,
            ..Options::default()
        };
        let command = command(&asked(options), Path::new("a"));
        assert!(
            command.ends_with(
                "--batch 32 --optimizer adam --weight-decay 0.01 --lr 0.02 --schedule step --step-every 2 \
                 --step-factor 0.5 --shift 2 --validation 0.1 --seed 1 --isa avx2+fma --out a"
            ),
            "{command}"
        );
    }

    #[test]
    fn rows_have_words_for_everything() {
        let names = |rows: &[(String, String)]| rows.iter().map(|row| row.0.clone()).collect::<Vec<_>>();
        let few = rows(&asked(Options::default()));
        let value = |name: &str| few.iter().find(|row| row.0 == name).map(|row| row.1.as_str());
        assert_eq!(value("data"), Some("my digits"));
        assert_eq!(value("optimiser"), Some("gradient descent, momentum 0.9"));
        assert_eq!(value("schedule"), Some("half a cosine down to 0"));
        assert_eq!(value("images"), Some("read when needed"));
        let options = names(&option_rows(&Options::default()));
        assert_eq!(
            names(&few),
            [
                &["data", "network"].map(str::to_owned),
                &options[..],
                &["images", "version"].map(str::to_owned)
            ]
            .concat()
        );

        let full = Configuration {
            data: None,
            data_sha256: Some(DataSha256 { train: "12".into(), test: "34".into() }),
            stream: false,
            weights: Some("w".into()),
            called_in: Some("here".into()),
            ..asked(Options::default())
        };
        let rows = rows(&full);
        let few = ["called_in", "data", "data_sha256 test", "data_sha256 train", "images", "weights"];
        let values: Vec<_> =
            rows.iter().filter(|row| few.contains(&&*row.0)).map(|row| row.1.as_str()).collect();
        assert_eq!(values, ["here", "the built-in digits", "34", "12", "in memory", "w"]);
    }
}
