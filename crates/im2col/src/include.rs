//! Parameters that the compiler reads from a file.

/// The floats of a file as an array `[f32; N]`, read by the compiler: little-endian, four bytes each, one after the
/// other, as `lenet export --format raw` and numpy's `a.astype("<f4").tofile(file)` write them.
///
/// They mean the same numbers on every target, whatever its byte order and alignment. The path is relative to the
/// source file, as for [`include_bytes!`]. In a `static` the array lies in flash or in `.rodata` and is never copied;
/// its type states how many values there must be:
///
/// ```
/// # macro_rules! file { ($name:literal) => { concat!(env!("CARGO_MANIFEST_DIR"), "/src/include/", $name) } }
/// # const _: &str = stringify!(
/// static PARAMS: [f32; 3] = im2col::include_f32!("three_floats.bin");
/// # );
/// # static PARAMS: [f32; 3] = im2col::include_f32!(file!("three_floats.bin"));
/// assert_eq!(PARAMS, [1.0, -0.5, 0.15625]);
/// ```
///
/// Another number of values does not compile:
///
/// ```compile_fail,E0308
/// # macro_rules! file { ($name:literal) => { concat!(env!("CARGO_MANIFEST_DIR"), "/src/include/", $name) } }
/// static PARAMS: [f32; 4] = im2col::include_f32!(file!("three_floats.bin"));
/// ```
///
/// Nor does a file that ends within a value:
///
/// ```compile_fail,E0080
/// # macro_rules! file { ($name:literal) => { concat!(env!("CARGO_MANIFEST_DIR"), "/src/include/", $name) } }
/// static PARAMS: [f32; 1] = im2col::include_f32!(file!("five_bytes.bin"));
/// ```
#[macro_export]
macro_rules! include_f32 {
    ($file:expr $(,)?) => {
        const {
            const BYTES: &[u8] = ::core::include_bytes!($file);
            ::core::assert!(BYTES.len() % 4 == 0, "the length of the file is not a multiple of 4");
            // Some hundred thousand values take longer than the compiler deems usual.
            #[allow(long_running_const_eval, reason = "it ends with the file")]
            const VALUES: [f32; BYTES.len() / 4] = $crate::f32_from_le_bytes(BYTES);
            VALUES
        }
    };
}

/// For [`include_f32!`]; values that the bytes lack are 0.
#[doc(hidden)]
#[must_use]
pub const fn f32_from_le_bytes<const N: usize>(bytes: &[u8]) -> [f32; N] {
    let (chunks, _) = bytes.as_chunks::<4>();
    let mut values = [0.0; N];
    let len = if N < chunks.len() { N } else { chunks.len() };
    let mut index = 0;
    while index < len {
        values[index] = f32::from_le_bytes(chunks[index]);
        index += 1;
    }
    values
}

#[cfg(test)]
mod tests {
    use super::f32_from_le_bytes;

    #[test]
    fn every_bit_is_kept() {
        let bits = [0, 1 << 31, 1, 0x7f80_0001, 0xffc0_1234, 0x3eaa_aaab, 0x0102_0304];
        let bytes: Vec<u8> = bits.iter().flat_map(|value: &u32| value.to_le_bytes()).collect();
        assert_eq!(f32_from_le_bytes::<7>(&bytes).map(f32::to_bits), bits);
        assert_eq!(f32_from_le_bytes::<2>(&bytes[..7]).map(f32::to_bits), [0, 0]);
    }
}
