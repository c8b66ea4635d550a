//! What a run was asked for: as rows of a table, and as the command that asks for it again.

use serde_json::{Map, Value};

use crate::optimiser::Optimiser;
use crate::schedule::Schedule;
use crate::train::Options;

/// Names and values, in the order of the command's options; what is not known is listed as it stands.
pub(super) fn rows(asked: &Map<String, Value>) -> Vec<(String, String)> {
    let mut rows = Vec::new();
    for (name, value) in asked {
        match (name.as_str(), options(asked)) {
            ("options", Some(options)) => rows.extend(option_rows(&options)),
            ("data", _) if value.is_null() => add(&mut rows, "data", "the built-in digits"),
            ("stream", _) => {
                add(&mut rows, "images", if value == true { "read when needed" } else { "in memory" })
            }
            _ => add_field(&mut rows, name, value),
        }
    }
    rows
}

/// `lenet train` with every option, quoted for a shell; `None` if the run was not made by it.
pub(super) fn command(asked: &Map<String, Value>, folder: &str) -> Option<String> {
    let text = |name: &str| asked.get(name).and_then(Value::as_str);
    let options = options(asked)?;
    let mut words =
        vec!["lenet".to_owned(), "train".to_owned(), "--network".to_owned(), quoted(text("network")?)];
    if let Some(data) = text("data") {
        words.extend(["--data".to_owned(), quoted(data)]);
    }
    let is_streamed = asked.get("stream").and_then(Value::as_bool) == Some(true);
    words.extend(is_streamed.then(|| "--stream".to_owned()));
    for (option, value) in command_options(&options) {
        words.push(option.to_owned());
        words.extend((!value.is_empty()).then_some(value));
    }
    words.extend(["--out".to_owned(), quoted(folder)]);
    Some(words.join(" "))
}

fn options(asked: &Map<String, Value>) -> Option<Options> {
    serde_json::from_value(asked.get("options")?.clone()).ok()
}

fn command_options(options: &Options) -> Vec<(&'static str, String)> {
    let Options { epochs, batch, optimiser, rate, schedule, shift, validation, seed } = *options;
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
    list
}

fn option_rows(options: &Options) -> Vec<(String, String)> {
    let Options { epochs, batch, optimiser, rate, schedule, shift, validation, seed } = *options;
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
    rows
}

fn add_field(rows: &mut Vec<(String, String)>, name: &str, value: &Value) {
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(field, value)| add_field(rows, &format!("{name} {field}"), value));
        }
        Value::String(text) => add(rows, name, text),
        Value::Null => add(rows, name, "\u{2013}"),
        other => add(rows, name, &other.to_string()),
    }
}

fn add(rows: &mut Vec<(String, String)>, name: &str, value: &str) {
    rows.push((name.to_owned(), value.to_owned()));
}

/// A word of a POSIX shell.
fn quoted(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+=:,@%".contains(&byte);
    if !word.is_empty() && word.bytes().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn asked(options: &Options) -> Map<String, Value> {
        let run = json!({
            "version": "0.1.0", "network": "lenet", "data": "my digits", "stream": true, "options": options,
        });
        run.as_object().unwrap().clone()
    }

    #[test]
    fn the_command_asks_for_the_same() {
        let default = command(&asked(&Options::default()), "runs/it's").unwrap();
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
            ..Options::default()
        };
        let command = command(&asked(&options), "a").unwrap();
        assert!(
            command.ends_with(
                "--batch 32 --optimizer adam --weight-decay 0.01 --lr 0.02 --schedule step --step-every 2 \
                 --step-factor 0.5 --shift 2 --validation 0.1 --seed 1 --out a"
            ),
            "{command}"
        );
        let foreign = json!({ "network": "lenet", "options": { "epochs": 3 } });
        assert_eq!(super::command(foreign.as_object().unwrap(), "a"), None);
    }

    #[test]
    fn rows_have_words_for_what_is_known() {
        let rows = rows(&asked(&Options::default()));
        let value = |name: &str| rows.iter().find(|row| row.0 == name).map(|row| row.1.as_str());
        assert_eq!(value("optimiser"), Some("gradient descent, momentum 0.9"));
        assert_eq!(value("schedule"), Some("half a cosine down to 0"));
        assert_eq!(value("images"), Some("read when needed"));
        let foreign = json!({ "data": null, "options": { "epochs": 3 } });
        let foreign = super::rows(foreign.as_object().unwrap());
        let expected = [("data", "the built-in digits"), ("options epochs", "3")];
        assert_eq!(foreign, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
}
