//! The command `lenet`: [`im2col_train::cli`].

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    im2col_train::cli::main()
}
