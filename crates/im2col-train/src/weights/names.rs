//! Which tensor of a file is which parameter, where the names are not those of `nn.Sequential`.
//!
//! ```text
//! 0.weight          PyTorch's name in an nn.Sequential      taken as it is
//! module.0.weight   one prefix before all names             the prefix is dropped
//! conv1.weight      modules with names of their own         found by the dimensions of weight and bias together
//! ```

use std::path::Path;

use im2col::{Network, Parameter};
use safetensors::SafeTensors;

use super::error::WeightsError;

/// How many modules a message names.
const MOST_NAMED: usize = 4;

/// The name of a parameter's tensor: `prefix`, the layer, `weight` or `bias`.
pub(crate) fn tensor_name(prefix: &str, parameter: &Parameter) -> String {
    format!("{prefix}{}.{}", parameter.layer, parameter.name)
}

/// The name of each parameter's tensor, and what to say about it if it is not the parameter's.
///
/// Whether the file has tensors of these names is for the caller to check.
pub(super) fn matched<const L: usize>(
    file: &Path,
    tensors: &SafeTensors<'_>,
    network: &Network<L>,
) -> Result<(Vec<String>, Option<String>), WeightsError> {
    let own: Vec<String> = network.parameters().map(|parameter| tensor_name("", &parameter)).collect();
    let given = tensors.names();
    if own.is_empty() || own.iter().any(|name| given.contains(&name.as_str())) {
        return Ok((own, None));
    }
    if let Some(prefix) = prefix(&own, &given) {
        let names = own.iter().map(|name| format!("{prefix}{name}")).collect();
        return Ok((names, Some(format!("the names without their prefix {prefix:?}"))));
    }
    by_dimensions(tensors, network).map_err(|(tensor, problem)| WeightsError::Unclear {
        file: file.to_owned(),
        tensor,
        problem,
    })
}

/// What stands before every parameter's name, up to a dot.
fn prefix<'a>(own: &[String], given: &[&'a str]) -> Option<&'a str> {
    let first = own.first()?;
    let mut prefixes = given.iter().filter_map(|name| {
        let prefix = name.strip_suffix(first.as_str()).filter(|prefix| prefix.ends_with('.'))?;
        let has = |name: &String| given.iter().any(|given| given.strip_prefix(prefix) == Some(name.as_str()));
        own.iter().all(has).then_some(prefix)
    });
    prefixes.next()
}

/// Finds for each layer the only module whose tensors have its dimensions. The error: which parameter, and why not.
fn by_dimensions<const L: usize>(
    tensors: &SafeTensors<'_>,
    network: &Network<L>,
) -> Result<(Vec<String>, Option<String>), (String, String)> {
    // Borrowed names only: a hostile header has a great many.
    let mut given = tensors.names();
    given.sort_unstable_by_key(|name| name.rsplit_once('.'));
    let modules = || given.chunk_by(|one, next| module(one) == module(next));
    let parameters: Vec<Parameter> = network.parameters().collect();
    let layers: Vec<&[Parameter]> = parameters.chunk_by(|one, next| one.layer == next.layer).collect();
    let mut taken: Vec<&str> = Vec::new();
    for layer in &layers {
        let fitting: Vec<&str> = modules()
            .filter(|names| fits(tensors, names, layer))
            .filter_map(|names| module(names.first()?))
            .take(MOST_NAMED)
            .collect();
        let problem = match fitting[..] {
            [module] if !taken.contains(&module) => {
                taken.push(module);
                continue;
            }
            [] => format!("no module of the file has {}", dimensions(layer)),
            [module] => format!("{module} is not the only layer with {}", dimensions(layer)),
            _ => format!("{} all have {}", fitting.join(", "), dimensions(layer)),
        };
        return Err((layer.first().map(|parameter| tensor_name("", parameter)).unwrap_or_default(), problem));
    }
    if let Some((first, second)) = out_of_order(&taken) {
        return Err((
            first.to_owned(),
            format!("by its dimensions it comes before {second}, by its name after it"),
        ));
    }
    let names = layers.iter().zip(&taken).flat_map(|(layer, module)| {
        layer.iter().map(move |parameter| format!("{module}.{}", parameter.name))
    });
    let indices: Vec<String> =
        layers.iter().filter_map(|layer| Some(layer.first()?.layer.to_string())).collect();
    let note = format!("{} for layers {}, by their dimensions", taken.join(", "), indices.join(", "));
    Ok((names.collect(), Some(note)))
}

/// Whether the tensors of a module are those of a layer and no others.
fn fits(tensors: &SafeTensors<'_>, names: &[&str], layer: &[Parameter]) -> bool {
    let has = |parameter: &Parameter| {
        names.iter().any(|name| {
            name.rsplit_once('.').is_some_and(|(_, last)| last == parameter.name)
                && tensors.tensor(name).is_ok_and(|tensor| tensor.shape() == parameter.dims())
        })
    };
    names.len() == layer.len() && layer.iter().all(has)
}

/// `fc1` for `fc1.weight`.
fn module(name: &str) -> Option<&str> {
    name.rsplit_once('.').map(|(module, _)| module)
}

fn dimensions(layer: &[Parameter]) -> String {
    let each = layer.iter().map(|parameter| format!("{} {:?}", parameter.name, parameter.dims()));
    each.collect::<Vec<_>>().join(" and ")
}

/// The first two of these modules whose numbers fall, where the rest of their names is the same: conv2 before conv1.
fn out_of_order<'a>(modules: &[&'a str]) -> Option<(&'a str, &'a str)> {
    modules.iter().enumerate().find_map(|(position, &first)| {
        let (stem, number) = stem_and_number(first)?;
        let falls = |second: &str| {
            stem_and_number(second).is_some_and(|(other, next)| other == stem && next < number)
        };
        let second = modules.iter().skip(position).find(|second| falls(second))?;
        Some((first, *second))
    })
}

/// `fc`, 10 for `fc10`.
fn stem_and_number(module: &str) -> Option<(&str, u64)> {
    let stem = module.trim_end_matches(|c: char| c.is_ascii_digit());
    Some((stem, module.strip_prefix(stem)?.parse().ok()?))
}
