//! Every example in a `--help` runs as it stands: all commands in order, in one folder.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;

use im2col_testkit::idx::write_idx;
use im2col_train::dataset::{Dataset, Part};
use image::GrayImage;

/// Where the examples say that a mirror is.
const MIRROR: &str = "http://127.0.0.1:8000/";
const SIDE: u32 = 28;

fn lenet(dir: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lenet")).args(args).current_dir(dir).output().unwrap()
}

fn help(args: &[&str]) -> String {
    let output = lenet(Path::new("."), args);
    assert!(output.status.success(), "{args:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn commands() -> Vec<String> {
    let help = help(&["--help"]);
    let list = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let names = list.take_while(|line| !line.is_empty()).filter(|line| !line.starts_with("   "));
    names.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

/// What the examples refer to: a folder `digits`, and pictures of a seven and a two.
fn prepare(dir: &Path) {
    let digits = Dataset::built_in(Part::Test).unwrap();
    fs::create_dir(dir.join("digits")).unwrap();
    for (part, count) in [("train", 256), ("t10k", 64)] {
        let (pixels, labels) = (&digits.pixels()[..count * 784], &digits.labels()[..count]);
        write_idx(&dir.join("digits"), part, pixels, labels);
    }
    for (name, pixels) in ["seven.png", "two.jpg"].into_iter().zip(digits.pixels().chunks(784)) {
        GrayImage::from_raw(SIDE, SIDE, pixels.to_vec()).unwrap().save(dir.join(name)).unwrap();
    }
}

#[test]
fn every_example_runs() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path());
    // The built-in test set is the original, byte for byte.
    let mirror = serve(Path::new(env!("CARGO_MANIFEST_DIR")).join("../im2col-digits/data"));
    let commands = commands();
    assert!(commands.iter().any(|command| command == "train"), "{commands:?}");
    for command in commands.iter().filter(|command| *command != "help") {
        // As in a shell, a line that ends in a backslash goes on in the next.
        let help = help(&[command, "--help"]).replace("\\\n", " ");
        let examples: Vec<&str> = help.lines().filter(|line| line.starts_with("  lenet ")).collect();
        assert!(!examples.is_empty(), "lenet {command} --help has no example");
        for example in examples {
            let line = example.replace(MIRROR, &mirror);
            let args: Vec<&str> = line.split_whitespace().skip(1).collect();
            let output = lenet(dir.path(), &args);
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{example}: {stderr}");
            println!("{}", args.join(" "));
        }
    }
}

/// A mirror of a folder on this machine.
fn serve(data: PathBuf) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/", listener.local_addr().unwrap());
    thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            let mut request = Vec::new();
            let mut byte = [0];
            while !request.ends_with(b"\r\n\r\n") && connection.read(&mut byte).unwrap_or(0) == 1 {
                request.push(byte[0]);
            }
            let request = String::from_utf8_lossy(&request).into_owned();
            let path = request.split_whitespace().nth(1).unwrap_or_default();
            let name = path.rsplit('/').next().unwrap_or_default();
            // Whoever goes away early has had enough.
            let _ = match fs::read(data.join(name)) {
                Ok(body) => {
                    let head = format!(
                        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                        body.len()
                    );
                    connection.write_all(head.as_bytes()).and_then(|()| connection.write_all(&body))
                }
                Err(_) => connection
                    .write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
            };
        }
    });
    address
}
