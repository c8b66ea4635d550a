//! Data sets on the command line.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

use crate::known::KnownSet;

/// Reads the name of a known set; `help` says what to say of each, in the order of [`KnownSet::ALL`].
pub(super) fn set_parser(help: [&'static str; 2]) -> impl TypedValueParser<Value = KnownSet> {
    let values = KnownSet::ALL.iter().zip(help).map(|(set, help)| PossibleValue::new(set.name()).help(help));
    PossibleValuesParser::new(values)
        .try_map(|name| KnownSet::from_name(&name).ok_or_else(|| format!("{name} is no known set")))
}
