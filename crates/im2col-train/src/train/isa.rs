//! The instruction set of a run.

use im2col::Isa;
use serde::{Deserialize, Serialize};

use crate::error::TrainError;

/// The [name](Isa::name) of an instruction set, which this CPU may or may not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum IsaName {
    /// [`Isa::SCALAR`]: every CPU has it, and computes the same bits with it.
    #[serde(rename = "scalar")]
    Scalar,
    /// [`Isa::WIDE`]: every CPU has it. It computes the bits of `Scalar` where the program was not compiled for a CPU with
    /// fused multiplication and addition.
    #[serde(rename = "wide")]
    Wide,
    /// [`Isa::avx2_fma`].
    #[serde(rename = "avx2+fma")]
    Avx2Fma,
    /// [`Isa::avx512f`].
    #[serde(rename = "avx512f")]
    Avx512F,
}

impl IsaName {
    /// Every one that some CPU has.
    pub const ALL: [Self; 4] = [Self::Scalar, Self::Wide, Self::Avx2Fma, Self::Avx512F];

    /// `"scalar"`, `"wide"`, `"avx2+fma"` or `"avx512f"`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Wide => "wide",
            Self::Avx2Fma => "avx2+fma",
            Self::Avx512F => "avx512f",
        }
    }

    /// The instruction set.
    ///
    /// # Errors
    /// This CPU lacks it.
    pub fn isa(self) -> Result<Isa, TrainError> {
        let name = self.as_str();
        Isa::available().find(|isa| isa.name() == name).ok_or(TrainError::Isa { name })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_core() {
        for isa in Isa::available() {
            let name = IsaName::ALL.into_iter().find(|name| name.as_str() == isa.name()).unwrap();
            assert_eq!(name.isa().unwrap(), isa);
        }
        for name in IsaName::ALL {
            let json = serde_json::to_string(&name).unwrap();
            assert_eq!(json, format!("{:?}", name.as_str()));
            assert_eq!(serde_json::from_str::<IsaName>(&json).unwrap(), name);
        }
    }

    #[test]
    fn what_this_cpu_lacks_is_refused() {
        let lacking = |name: &IsaName| !Isa::available().any(|isa| isa.name() == name.as_str());
        for name in IsaName::ALL.into_iter().filter(lacking) {
            let said = name.isa().unwrap_err().to_string();
            assert!(
                said.starts_with(&format!("this CPU lacks {}; it has scalar, wide", name.as_str())),
                "{said}"
            );
        }
    }
}
