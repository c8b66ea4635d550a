//! `lenet report` and `lenet profile` from outside, and the page in a real browser.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use im2col_testkit::idx::write_idx;
use im2col_train::checkpoint::Configuration;
use im2col_train::dataset::{Dataset, Part};
use im2col_train::train::Options;
use serde_json::Value;

fn lenet(dir: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lenet")).args(args).current_dir(dir).output().unwrap()
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Trains for two epochs on a few digits.
fn train(dir: &Path, run: &str) {
    let digits = Dataset::built_in(Part::Test).unwrap();
    fs::create_dir(dir.join("digits")).unwrap();
    for (part, count) in [("train", 256), ("t10k", 100)] {
        write_idx(&dir.join("digits"), part, &digits.pixels()[..count * 784], &digits.labels()[..count]);
    }
    stdout(&lenet(dir, &["train", "--data", "digits", "--epochs", "2", "--out", run]));
}

/// The newest node there is, with a Chromium to look through; or nothing, and the test says so.
fn look(args: &[&Path]) -> Option<Output> {
    for program in ["node", "chromium"] {
        if Command::new(program).arg("--version").output().is_err() {
            eprintln!("SKIPPED: there is no {program}");
            return None;
        }
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser/look.mjs");
    Some(Command::new("node").arg(script).args(args).output().unwrap())
}

#[test]
fn a_run_becomes_a_page() {
    let dir = tempfile::tempdir().unwrap();
    let run = "runs/a <b> & 'c'";
    train(dir.path(), run);
    let printed = stdout(&lenet(dir.path(), &["report", run]));
    assert_eq!(printed.trim_end(), format!("wrote {run}/report.html"));
    let folder = dir.path().join(run);
    let html = fs::read_to_string(folder.join("report.html")).unwrap();
    assert!(html.contains("<h1>LeNet with ReLU and max pooling on digits</h1>"));
    assert!(html.contains("runs/a &lt;b&gt; &amp; &#39;c&#39; \u{b7} 2 epochs"));

    // The accuracy is that of the saved weights.
    let weights = format!("{run}/weights.safetensors");
    let eval = stdout(&lenet(dir.path(), &["eval", "--data", "digits", "--weights", &weights, "--json"]));
    let eval: Value = serde_json::from_str(&eval).unwrap();
    let accuracy = 100.0 * eval["test_accuracy"].as_f64().unwrap();
    assert!(html.contains(&format!("<dt>Test accuracy</dt><dd>{accuracy:.2}\u{a0}%</dd>")), "{accuracy}");

    // Once more: the page is replaced, and nothing else is left.
    let files = || fs::read_dir(&folder).unwrap().count();
    let before = files();
    let json = stdout(&lenet(dir.path(), &["report", run, "--json"]));
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["report"], format!("{run}/report.html"));
    assert_eq!(files(), before);

    if let Some(seen) = look(&[&folder.join("report.html"), &dir.path().join("pictures")]) {
        assert!(seen.status.success(), "{}", String::from_utf8_lossy(&seen.stderr));
        for picture in ["desktop", "desktop-dark", "phone", "phone-dark"] {
            let picture = image::open(dir.path().join("pictures").join(format!("{picture}.png"))).unwrap();
            assert!([1400, 750].contains(&picture.width()) && picture.height() > 3000);
        }
    }
}

#[test]
fn the_browser_notices_what_is_wrong() {
    if let Some(seen) = look(&[Path::new("--self-test")]) {
        let printed = String::from_utf8_lossy(&seen.stdout);
        assert!(seen.status.success(), "{printed}");
        assert_eq!(printed.matches("ok: ").count(), 6, "{printed}");
    }
}

#[test]
fn several_runs_become_one_page() {
    let dir = tempfile::tempdir().unwrap();
    train(dir.path(), "runs/a");
    let slower = ["train", "--data", "digits", "--epochs", "3", "--lr", "0.001", "--out", "runs/b"];
    stdout(&lenet(dir.path(), &slower));
    // A process may die while it writes a line.
    let metrics = dir.path().join("runs/b/metrics.jsonl");
    let text = fs::read_to_string(&metrics).unwrap();
    fs::write(&metrics, text + "{\"kind\":\"epo").unwrap();
    let printed = stdout(&lenet(dir.path(), &["report", "runs/a", "runs/b", "--out", "both"]));
    assert_eq!(printed, "wrote both/report.html\n");
    let page = dir.path().join("both/report.html");
    let html = fs::read_to_string(&page).unwrap();
    for expected in [
        "<h1>2 runs side by side</h1>",
        "<th scope=\"row\">epochs</th><td>2</td><td>3</td>",
        "<th scope=\"row\">learning rate</th><td><b>0.02</b></td><td><b>0.001</b></td>",
        "<th scope=\"row\">seed</th><td>1</td><td>1</td>",
    ] {
        assert!(html.contains(expected), "{expected}");
    }
    // The page of one of them has the command that made it.
    stdout(&lenet(dir.path(), &["report", "runs/b"]));
    let html = fs::read_to_string(dir.path().join("runs/b/report.html")).unwrap();
    assert!(html.contains("lenet train --network lenet-relu --data digits --epochs 3 "), "no command");

    for args in
        [&["report", "runs/a", "runs/b", "--data", "digits"][..], &["report", "runs/a", "--out", "both"]]
    {
        let refused = lenet(dir.path(), args);
        assert_eq!(refused.status.code(), Some(1));
        assert!(String::from_utf8(refused.stderr).unwrap().contains(" is for "));
    }
    if let Some(seen) = look(&[&page, &dir.path().join("pictures")]) {
        assert!(seen.status.success(), "{}", String::from_utf8_lossy(&seen.stderr));
    }
}

#[test]
fn data_that_have_moved_are_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    train(dir.path(), "runs/a");
    // From another folder the data are found where they were.
    fs::create_dir(dir.path().join("elsewhere")).unwrap();
    assert_eq!(
        stdout(&lenet(&dir.path().join("elsewhere"), &["report", "../runs/a"])),
        "wrote ../runs/a/report.html\n"
    );
    fs::rename(dir.path().join("digits"), dir.path().join("moved")).unwrap();
    let refused = lenet(dir.path(), &["report", "runs/a"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8(refused.stderr).unwrap().contains("name it with --data DIR"));
    assert_eq!(
        stdout(&lenet(dir.path(), &["report", "runs/a", "--data", "moved"])),
        "wrote runs/a/report.html\n"
    );
}

#[test]
fn without_a_run_there_is_no_page() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |run: &str| {
        let output = lenet(dir.path(), &["report", run]);
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(refused("nowhere").contains("nowhere/run.json"));
    fs::create_dir(dir.path().join("empty")).unwrap();
    fs::write(dir.path().join("empty/run.json"), "[]").unwrap();
    assert!(refused("empty").contains("empty/run.json"));
    fs::write(dir.path().join("empty/run.json"), "{\"network\": \"lenet\"}").unwrap();
    assert!(refused("empty").contains("empty/run.json: missing field `version`"));
    let configuration = Configuration {
        version: "0.1.0".into(),
        network: "lenet".into(),
        data: None,
        data_sha256: None,
        stream: false,
        weights: None,
        called_in: None,
        options: Options::default(),
    };
    let json = serde_json::to_vec(&configuration).unwrap();
    fs::write(dir.path().join("empty/run.json"), json).unwrap();
    assert!(refused("empty").contains("empty/metrics.jsonl"));
    assert!(!dir.path().join("empty/report.html").exists());
}

#[test]
fn a_profile_fits_the_terminal_and_machines_read_it() {
    let dir = tempfile::tempdir().unwrap();
    let args = ["profile", "--batch", "40", "--seconds", "0.05"];
    let printed = stdout(&lenet(dir.path(), &args));
    assert!(printed.lines().all(|line| line.chars().count() <= 80), "{printed}");
    assert!(printed.contains("a training step of 40 images"), "{printed}");
    let json = stdout(&lenet(dir.path(), &[&args[..], &["--json"]].concat()));
    let profile: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(profile["layers"].as_array().unwrap().len(), 12);
    assert_eq!(profile["layers"][0]["output_dims"], serde_json::json!([6, 28, 28]));
    let refused = lenet(dir.path(), &["profile", "--seconds", "nan"]);
    assert_eq!(refused.status.code(), Some(2));
}
