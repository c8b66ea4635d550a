//! The digits that the firmware reads, and where its parts lie in memory.

use flate2::read::GzDecoder;
use std::env;
use std::error::Error;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

/// The digits: the first test images of MNIST that the trainer has built in.
const DIGITS: usize = 64;
const DATA: &str = "../crates/im2col-digits/data";
/// What the network has learned; `bash .ci/run firmware` makes it.
const PARAMS: &str = "lenet.bin";

fn main() -> Result<(), Box<dyn Error>> {
    if !Path::new(PARAMS).exists() {
        return Err(
            format!("no {PARAMS}: `lenet export --format raw --out firmware/{PARAMS}` writes it").into()
        );
    }
    let out = env::var("OUT_DIR")?;
    // IDX: the numbers of images, rows and columns follow four bytes that tell the type; the number of labels does.
    fs::write(
        Path::new(&out).join("images.bin"),
        values("t10k-images-idx3-ubyte.gz", 16, DIGITS * 28 * 28)?,
    )?;
    fs::write(Path::new(&out).join("labels.bin"), values("t10k-labels-idx1-ubyte.gz", 8, DIGITS)?)?;
    println!("cargo::rerun-if-changed={DATA}");
    println!("cargo::rerun-if-changed={PARAMS}");
    println!("cargo::rerun-if-changed=memory.x");
    if env::var("CARGO_CFG_TARGET_OS")? == "none" {
        println!("cargo::rustc-link-search={}", env::var("CARGO_MANIFEST_DIR")?);
        println!("cargo::rustc-link-arg-bins=-Tlink.x");
        // Sections need not begin at pages.
        println!("cargo::rustc-link-arg-bins=--nmagic");
    }
    Ok(())
}

/// The first `len` values of an IDX file behind a header of `header` bytes.
fn values(name: &str, header: usize, len: usize) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut bytes = vec![0; header + len];
    GzDecoder::new(File::open(Path::new(DATA).join(name))?).read_exact(&mut bytes)?;
    Ok(bytes.split_off(header))
}
