//! The `matrixmultiply` crate as a second GEMM.

/// `c[m, n] = a[m, k] b[k, n]`, all row-major.
///
/// Does nothing if a slice is too short; callers pass what their plan says.
#[allow(unsafe_code, reason = "matrixmultiply takes raw pointers")]
pub(crate) fn sgemm([m, k, n]: [usize; 3], a: &[f32], b: &[f32], c: &mut [f32]) {
    let fits =
        |rows: usize, columns: usize, len: usize| rows.checked_mul(columns).is_some_and(|size| size <= len);
    if !(fits(m, k, a.len()) && fits(k, n, b.len()) && fits(m, n, c.len())) {
        return;
    }
    let (a, b, c) = (a.as_ptr(), b.as_ptr(), c.as_mut_ptr());
    // SAFETY: with these strides sgemm reads rows x columns values from `a` and `b` and writes as
    // many to `c` ("matrixmultiply::sgemm", memory: the strides must be valid for the sizes); each
    // product was checked above against the slice's length, which also bounds it by `isize::MAX`.
    // `c` is borrowed mutably, so it aliases neither; with beta = 0 it is not read.
    unsafe {
        matrixmultiply::sgemm(m, k, n, 1.0, a, k as isize, 1, b, n as isize, 1, 0.0, c, n as isize, 1);
    }
}
