//! What the values of options are made of.

use clap::builder::{PossibleValuesParser, TypedValueParser};

use crate::train::IsaName;

/// The name of an instruction set, also of one that this CPU lacks.
pub(super) fn isa() -> impl TypedValueParser<Value = IsaName> {
    PossibleValuesParser::new(IsaName::ALL.map(IsaName::as_str)).try_map(|given| {
        let named = IsaName::ALL.into_iter().find(|name| name.as_str() == given);
        named.ok_or("unknown")
    })
}

/// Also as an f32, which the kernels compute with.
pub(super) fn positive(text: &str) -> Result<f64, String> {
    in_range(text, |value| value as f32 > 0.0, "greater than 0")
}

pub(super) fn not_negative(text: &str) -> Result<f64, String> {
    in_range(text, |value| value >= 0.0, "at least 0")
}

pub(super) fn share(text: &str) -> Result<f64, String> {
    in_range(text, |value| (0.0..1.0).contains(&value), "at least 0 and less than 1")
}

fn in_range(text: &str, contains: fn(f64) -> bool, required: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if (value as f32).is_finite() && contains(value) => Ok(value),
        Ok(_) => Err(format!("must be finite and {required}")),
        Err(error) => Err(error.to_string()),
    }
}
