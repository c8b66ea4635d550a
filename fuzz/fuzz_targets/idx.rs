#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    im2col_fuzz_targets::idx(data);
});
