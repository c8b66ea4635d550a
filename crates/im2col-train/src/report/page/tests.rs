use std::path::Path;
use std::time::Duration;

use im2col::lenet::LENET;

use super::super::html::{duration, percent};
use super::*;
use crate::checkpoint::Configuration;
use crate::dataset::{Dataset, Part};
use crate::metrics::{Epoch, Progress, Record, Start};
use crate::train::Options;
use crate::{init, profile, random::Random};

/// Elements without content or end.
const VOID: [&str; 3] = ["meta", "link", "img"];

/// Reads HTML as strictly as XML: elements are closed in order, attributes are quoted and none twice, characters that
/// need it are escaped. Returns the elements' names in order.
fn elements(html: &str) -> Vec<String> {
    let mut rest = html.strip_prefix("<!DOCTYPE html>\n").expect("no doctype");
    let (mut open, mut names) = (Vec::<String>::new(), Vec::new());
    while let Some(at) = rest.find('<') {
        let text = &rest[..at];
        if open.last().is_none_or(|name| name != "style") {
            assert_text(text);
        }
        let end = rest[at..].find('>').expect("a tag without an end") + at;
        let tag = &rest[at + 1..end];
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name), "before {:?}", rest.get(..80));
            continue;
        }
        let (tag, is_closed) = tag.strip_suffix('/').map_or((tag, false), |tag| (tag, true));
        let name = tag.split_whitespace().next().unwrap().to_owned();
        assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{tag}");
        assert_attributes(&tag[name.len()..]);
        assert!(is_closed || !VOID.contains(&name.as_str()), "{tag}");
        if !is_closed {
            open.push(name.clone());
        }
        names.push(name);
    }
    assert!(open.is_empty() && rest.trim().is_empty(), "{open:?} {rest:?}");
    names
}

fn assert_attributes(mut rest: &str) {
    let mut names = Vec::new();
    while !rest.trim().is_empty() {
        let (name, value) = rest.strip_prefix(' ').unwrap().split_once("=\"").expect(rest);
        let (value, after) = value.split_once('"').expect(rest);
        assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'), "{name}");
        assert!(!names.contains(&name), "{name} twice");
        names.push(name);
        assert_text(value);
        rest = after;
    }
}

fn assert_text(text: &str) {
    assert!(!text.contains(['<', '>']), "{text}");
    for (at, _) in text.match_indices('&') {
        let known = ["&amp;", "&lt;", "&gt;", "&quot;", "&#39;"];
        assert!(known.iter().any(|entity| text[at..].starts_with(entity)), "{}", &text[at..]);
    }
}

fn epoch(epoch: usize, test_accuracy: f64) -> Record {
    Record::Epoch(Epoch {
        epoch,
        train_loss: 0.5,
        train_accuracy: 0.8125,
        validation_loss: Some(0.6),
        validation_accuracy: Some(0.75),
        test_loss: 0.625,
        test_accuracy,
        rate: 0.9,
        seconds: 2.0,
        images_per_second: 30_000.0,
    })
}

/// The configuration of a run on the built-in digits.
fn asked(network: &str, rate: f64) -> Configuration {
    Configuration {
        version: "0.1.0".into(),
        network: network.into(),
        data: None,
        data_sha256: None,
        stream: false,
        weights: None,
        called_in: None,
        options: Options { rate, ..Options::default() },
    }
}

/// The page of a network that has learned nothing, on the first digits.
fn page(folder: &str, network: &str, data: Option<&Path>, records: &[Record]) -> String {
    let digits = Dataset::built_in(Part::Test).unwrap();
    let test =
        Dataset::new([1, 28, 28], digits.pixels()[..50 * 784].to_vec(), digits.labels()[..50].to_vec())
            .unwrap();
    let planned = Network::plan(LENET, 1, [1, 28, 28]).unwrap();
    let params = init::xavier_uniform(&planned, &mut Random::new(1));
    let profile =
        profile::measure(LENET, &test, Options { batch: 16, ..Options::default() }, Duration::ZERO).unwrap();
    let configuration = Configuration { data: data.map(Path::to_owned), ..asked(network, 0.1) };
    super::super::html(&Contents {
        folder: Path::new(folder),
        network,
        data,
        configuration: &configuration,
        layers: LENET,
        params: &params,
        records,
        test: &test,
        profile: &profile,
    })
    .unwrap()
}

#[test]
fn the_page_is_well_formed_and_complete() {
    let records = [
        Record::Start(Start {
            version: "0.1.0".into(),
            isa: "scalar".into(),
            processes: 4,
            threads: 2,
            epoch: 0,
            batch: 0,
        }),
        Record::Progress(Progress { epoch: 0.5, train_loss: 2.25, train_accuracy: 0.125 }),
        epoch(1, 0.5),
        epoch(2, 0.75),
    ];
    let html = page("runs/lenet", "lenet", None, &records);
    let names = elements(&html);
    let count = |name: &str| names.iter().filter(|found| *found == name).count();
    assert_eq!((count("h1"), count("main"), count("title")), (1, 1, 1 + 4 + 6 + 16), "page, charts, kernels");
    assert_eq!(count("section"), 9);
    // The example, 6 + 6 + 6 + 16 + 16 + 16 maps, six strips, and the mistakes.
    let mistakes = html.split("<ul class=\"mistakes\">").nth(1).unwrap().matches("<img").count();
    assert_eq!(mistakes, 20);
    assert_eq!(count("img"), 1 + 66 + 6 + mistakes);
    assert_eq!(
        html.matches("class=\"negative\"").count() + html.matches("class=\"positive\"").count(),
        150 + 2400
    );
    for expected in [
        "<h1>LeNet on the built-in digits</h1>",
        "<p>runs/lenet \u{b7} 2 epochs \u{b7} 61,706 parameters \u{b7} 50 test images</p>",
        "<dt>Train loss</dt><dd>0.500</dd></div>",
        "<dt>Training time</dt><dd>4.0\u{a0}s</dd><dd>2.0\u{a0}s per epoch</dd>",
        "<dt>Images per second</dt><dd>30,000</dd>",
        "validation accuracy goes from 0.750 at epoch 1 to 0.750 at epoch 2.",
        "test loss goes from 0.6250 at epoch 1 to 0.6250 at epoch 2.",
        "learning rate goes from 0.9 at epoch 1 to 0.9 at epoch 2.",
        "<dt>Train accuracy</dt><dd>81.25\u{a0}%</dd>",
        "<dt>pack</dt><dd>lays the weights out",
        "<td>2,416</td><td>240,000</td>",
        "<code>lenet train --network lenet --epochs 15 ",
        "<tr><th scope=\"row\">threads</th><td>2 in each of 4 processes</td></tr>",
    ] {
        assert!(html.contains(expected), "{expected}");
    }
    assert!(!html.contains("lecture"));
}

#[test]
fn nothing_is_loaded_and_nothing_runs() {
    let html = page("runs/lenet", "lenet", Some(Path::new("digits")), &[epoch(1, 0.5)]);
    assert!(html.len() < 1_500_000, "{}", html.len());
    // Pixels in base64 may contain anything; the rest must not.
    let mut rest = html.as_str();
    let mut outside_of_pictures = String::new();
    while let Some((before, picture)) = rest.split_once("src=\"data:image/png;base64,") {
        outside_of_pictures += before;
        rest = picture.split_once('"').unwrap().1;
    }
    outside_of_pictures += rest;
    for outside in ["http", "//", "src=", "url(", "@import", "<script", "<iframe", "javascript"] {
        assert!(!outside_of_pictures.contains(outside), "{outside}");
    }
    assert_eq!(outside_of_pictures.matches("href=").count(), 1);
    assert!(outside_of_pictures.contains("href=\"data:,\""));
}

#[test]
fn hostile_names_are_text() {
    let folder = "runs/<script>alert('x')</script>&\"\n\u{1}";
    let html = page(folder, "</style><b>", Some(Path::new("<i>data</i>")), &[]);
    elements(&html);
    assert!(!html.contains("<script") && !html.contains("<i>data"));
    assert!(html.contains("runs/&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;&quot;\u{fffd}\u{fffd}"));
    assert!(html.contains("<h1>&lt;/style&gt;&lt;b&gt; on &lt;i&gt;data&lt;/i&gt;</h1>"));
    assert!(html.contains("<tr><th scope=\"row\">network</th><td>&lt;/style&gt;&lt;b&gt;</td></tr>"));
    assert!(html.contains("No epoch is done yet."));
}

#[test]
fn the_lecture_stands_beside_its_own_experiment() {
    let fashion = Path::new("data/fashion-mnist");
    let records = [epoch(1, 0.5)];
    let html = page("runs/a", "lenet", Some(fashion), &records);
    elements(&html);
    for expected in [
        "LeNet on Fashion-MNIST",
        "lecture 78.2\u{a0}%",
        "lecture 82.5\u{a0}%",
        "lecture 0.463",
        "82,473",
        "Ankle boot",
    ] {
        assert!(html.contains(expected), "{expected}");
    }
    assert!(!page("runs/a", "lenet-relu", Some(fashion), &records).contains("lecture"));
}

#[test]
fn the_confusion_matrix_shows_its_counts() {
    let evaluation = Evaluation {
        confusion: vec![vec![1200, 300], vec![0, 4]],
        loss: 0.25,
        mistakes: vec![],
        first_right: 0,
    };
    let names = Names { data: "x".into(), classes: vec!["0".into(), "1".into()], is_fashion: false };
    let html = tables::confusion(&evaluation, &names);
    for expected in [
        "<tr><th scope=\"row\">0</th><td class=\"right\" style=\"--share:80%\">1200</td>\
         <td style=\"--share:45%\">300</td><td class=\"recall\">80.00\u{a0}%</td></tr>",
        "<tr><th scope=\"row\">1</th><td class=\"none\" style=\"--share:0%\">0</td>\
         <td class=\"right strong\" style=\"--share:100%\">4</td><td class=\"recall\">100.00\u{a0}%</td></tr>",
        "what 1,504 test images show",
        "Most often it is wrong like this: 0 \u{2192} 1 (300).",
    ] {
        assert!(html.contains(expected), "{expected}\n{html}");
    }
}

#[test]
fn the_saved_weights_may_be_of_an_earlier_epoch() {
    // A network that has learned nothing takes every digit for one class; that share is in the page.
    let html = page("runs/a", "lenet", None, &[]);
    let (_, accuracy) = html.split_once("<dt>Test accuracy</dt><dd>").unwrap();
    let accuracy: f64 = accuracy.split('\u{a0}').next().unwrap().parse().unwrap();
    let html = page("runs/a", "lenet", None, &[epoch(1, accuracy / 100.0), epoch(2, 0.99)]);
    assert!(html.contains("with the weights of epoch 1; after epoch 2 the test accuracy was 99.00\u{a0}%"));
}

#[test]
fn times_are_short() {
    assert_eq!(
        [8.14, 59.4, 245.0, 7380.0].map(duration),
        ["8.1\u{a0}s", "59.4\u{a0}s", "4\u{a0}min 05\u{a0}s", "2\u{a0}h 03\u{a0}min"]
    );
}

/// As the terminal gives them, but only all is 100 %.
#[test]
fn percentages_are_not_rounded_to_all_or_nothing() {
    let shares = [0.8234, 0.9918, 0.9996, 0.99999, 1.0, 0.0, 0.000_01];
    assert_eq!(
        shares.map(|share| percent(share, 2)),
        ["82.34", "99.18", "99.96", "99.99", "100.00", "0.00", "0.01"].map(|text| format!("{text}\u{a0}%"))
    );
    assert_eq!([0.9996, 1.0].map(|share| percent(share, 1)), ["99.9\u{a0}%", "100.0\u{a0}%"]);
}

#[test]
fn runs_stand_side_by_side() {
    let (slow, fast) = (asked("lenet", 0.1), asked("lenet", 0.9));
    let (short, long) = ([epoch(1, 0.5)], [epoch(1, 0.75), epoch(2, 0.9918), epoch(3, 0.875)]);
    let html = compare(&[
        Compared { folder: "runs/<slow>", configuration: &slow, records: &short },
        Compared { folder: "runs/fast", configuration: &fast, records: &long },
        Compared { folder: "runs/none", configuration: &fast, records: &[] },
    ]);
    let names = elements(&html);
    assert_eq!(names.iter().filter(|name| *name == "title").count(), 1 + 4);
    for expected in [
        "<h1>3 runs side by side</h1>",
        "runs/fast goes from 75.00\u{a0}% at epoch 1 to 87.50\u{a0}% at epoch 3.",
        "<th scope=\"row\">test accuracy</th><td>50.00\u{a0}%</td><td>87.50\u{a0}%</td><td>\u{2013}</td>",
        "<td>99.18\u{a0}% in epoch 2</td>",
        "<th scope=\"row\">learning rate</th><td><b>0.1</b></td><td><b>0.9</b></td><td><b>0.9</b></td>",
        "<th scope=\"row\">seed</th><td>1</td><td>1</td><td>1</td>",
    ] {
        assert!(html.contains(expected), "{expected}\n{html}");
    }
}
