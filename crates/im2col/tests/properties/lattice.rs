//! Every kernel with every tail under every instruction set, each operand against a page that may not be touched
//! ([`im2col_testkit::guard`]): once its first value, once its last. What is written, scratch too, holds NaN before.
//!
//! Operands are integers, whose results equal those of the naive twin; what rounds is compared with the same call
//! on ordinary memory, which other tests compare with its definition.

mod convolutions;
mod others;
mod products;

use crate::plans::report;
use im2col::Isa;
use im2col_testkit::guard::HAS_PAGES;

/// A test for each instruction set, by name. `Isa::available` has no other.
macro_rules! each_isa {
    ($($test:ident: $name:literal,)*) => {
        pub(crate) const NAMES: &[&str] = &[$($name),*];

        $(
            #[test]
            fn $test() {
                check($name);
            }
        )*
    };
}

each_isa! {
    scalar: "scalar",
    wide: "wide",
    avx2_fma: "avx2+fma",
    avx512f: "avx512f",
}

/// Whether this CPU has the instruction set, as the standard library sees it.
pub(crate) fn cpu_has(name: &str) -> bool {
    match name {
        "scalar" | "wide" => true,
        #[cfg(target_arch = "x86_64")]
        "avx2+fma" => std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma"),
        #[cfg(target_arch = "x86_64")]
        "avx512f" => cpu_has("avx2+fma") && std::is_x86_feature_detected!("avx512f"),
        _ => false,
    }
}

/// Fails where the CPU has the instruction set and the crate does not find it.
fn check(name: &str) {
    let isa = Isa::available().find(|isa| isa.name() == name);
    assert_eq!(isa.is_some(), cpu_has(name), "{name}");
    let Some(isa) = isa else {
        report(&format!("lattice: {name}: this CPU has none"));
        return;
    };
    let products = products::check(isa);
    let convolutions = convolutions::check(isa);
    let others = others::check(isa);
    if std::env::var_os("PROPTEST_CASES").is_none() {
        assert!(products >= 4000 && convolutions >= 2000 && others >= 1000);
    }
    let pages = if HAS_PAGES { "guard pages at both ends" } else { "no guard pages on this target" };
    report(&format!(
        "lattice: {name}: {products} products, {convolutions} convolutions, {others} other layers, {pages}, \
         0 faults, 0 mismatches"
    ));
}
