//! Every kernel with every tail under every instruction set, each operand against a page that may not be touched
//! ([`im2col_testkit::guard`]): once its first value, once its last. What is written, scratch too, holds NaN before.
//!
//! Operands are integers, whose results equal those of the naive twin; what rounds is compared with the same call
//! on ordinary memory, which other tests compare with its definition.

mod convolutions;
mod others;
mod products;

use crate::plans::{isa_names, report};
use im2col::Isa;
use im2col_testkit::guard::HAS_PAGES;
use std::sync::Mutex;

/// All instruction sets that the crate knows.
const NAMES: [&str; 4] = ["scalar", "wide", "avx2+fma", "avx512f"];

/// Products, convolutions and other layers that were checked under each instruction set.
static COUNTS: Mutex<[usize; 3]> = Mutex::new([0; 3]);

/// Whether this CPU has the instruction set, as the standard library sees it.
fn cpu_has(name: &str) -> bool {
    match name {
        "scalar" | "wide" => true,
        #[cfg(target_arch = "x86_64")]
        "avx2+fma" => std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma"),
        #[cfg(target_arch = "x86_64")]
        "avx512f" => cpu_has("avx2+fma") && std::is_x86_feature_detected!("avx512f"),
        _ => false,
    }
}

#[test]
fn every_instruction_set_of_the_cpu_is_exercised() {
    let names: Vec<_> = Isa::available().map(Isa::name).collect();
    let of_cpu: Vec<_> = NAMES.into_iter().filter(|name| cpu_has(name)).collect();
    assert_eq!(names, of_cpu);
    assert_eq!(names.last(), Some(&Isa::detect().name()));
}

#[test]
fn products() {
    finish(0, products::check(), 4000);
}

#[test]
fn convolutions() {
    finish(1, convolutions::check(), 2000);
}

#[test]
fn other_layers() {
    finish(2, others::check(), 1000);
}

/// Takes down how many of a kind were checked, and reports when all kinds are.
fn finish(kind: usize, count: usize, least: usize) {
    assert!(count >= least || std::env::var_os("PROPTEST_CASES").is_some(), "{count}");
    let mut counts = COUNTS.lock().unwrap();
    counts[kind] = count;
    if counts.contains(&0) {
        return;
    }
    let pages = if HAS_PAGES { "guard pages at both ends" } else { "no guard pages on this target" };
    let [products, convolutions, others] = *counts;
    for name in isa_names().split(' ') {
        report(&format!(
            "lattice: {name}: {products} products, {convolutions} convolutions, {others} other layers, {pages}, \
             0 faults, 0 mismatches"
        ));
    }
}
