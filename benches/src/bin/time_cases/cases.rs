//! What is measured: the list of cases, and their tensors.

use anyhow::{Context, Result, ensure};
use im2col_benches::{ConvShape, Tensor};
use std::{env, fs, path::PathBuf};

/// A line of the list.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) kind: String,
    pub(crate) name: String,
    /// A pooling window is the kernel; a network has the input and the batch only.
    pub(crate) shape: ConvShape,
}

impl Case {
    /// Reads `$PEERS_DIR/shapes.csv`.
    pub(crate) fn list() -> Result<Vec<Self>> {
        let path = folder("PEERS_DIR")?.join("shapes.csv");
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let lines = text.lines().skip(1).filter(|line| !line.trim().is_empty());
        lines.map(|line| Self::parse(line).with_context(|| format!("shapes.csv: {line}"))).collect()
    }

    /// `kind,name,N,Cin,H,W,Cout,KH,KW,sh,sw,ph,pw,dh,dw,groups`
    fn parse(line: &str) -> Result<Self> {
        let mut fields = line.split(',').map(str::trim);
        let mut word = || fields.next().context("too few fields").map(str::to_owned);
        let (kind, name) = (word()?, word()?);
        let sizes = fields.map(str::parse).collect::<Result<Vec<usize>, _>>()?;
        let sizes: [usize; 14] = sizes.try_into().ok().context("16 fields expected")?;
        let [n, cin, h, w, cout, kh, kw, sh, sw, ph, pw, dh, dw, groups] = sizes;
        let shape = ConvShape::new(n, [cin, h, w], cout, [kh, kw])
            .stride([sh, sw])
            .padding([ph, pw])
            .dilation([dh, dw])
            .groups(groups);
        Ok(Self { kind, name, shape })
    }

    /// Reads `$PEERS_DATA/<case>/<tensor>.bin`: f32, little-endian.
    pub(crate) fn tensor(&self, tensor: &str) -> Result<Tensor> {
        let path = folder("PEERS_DATA")?.join(&self.name).join(format!("{tensor}.bin"));
        let bytes = fs::read(&path).with_context(|| path.display().to_string())?;
        let (values, rest) = bytes.as_chunks();
        ensure!(rest.is_empty(), "{}: not a multiple of 4 bytes", path.display());
        let values: Vec<_> = values.iter().map(|value| f32::from_le_bytes(*value)).collect();
        Ok(values.into())
    }
}

fn folder(variable: &str) -> Result<PathBuf> {
    env::var_os(variable).map(PathBuf::from).with_context(|| format!("{variable} is not set"))
}
