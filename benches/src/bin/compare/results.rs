//! What a harness has measured.

use anyhow::{Context, Result, ensure};
use im2col_benches::catalogue::CONVOLUTIONS;
use std::collections::HashMap;

/// The peer that the others are compared with.
pub(crate) const OURS: &str = "ours";

/// Median microseconds of every case by every peer: of several passes, the lowest.
#[derive(Debug)]
pub(crate) struct Results {
    /// `ours` first, then the others in the order of their appearance.
    pub(crate) peers: Vec<String>,
    /// In the order of their appearance.
    cases: Vec<String>,
    medians: HashMap<(String, String), f64>,
}

/// Cases that are shown together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Convolution,
    Product,
    Other,
}

impl Kind {
    fn of(case: &str) -> Self {
        if CONVOLUTIONS.iter().any(|(name, _)| *name == case) {
            Self::Convolution
        } else if case.starts_with("gemm_") {
            Self::Product
        } else {
            Self::Other
        }
    }
}

impl Results {
    /// Reads the rows of one number of threads. `columns` may stand in any order, and others beside them.
    ///
    /// # Errors
    /// If a column or field is missing, or an answer was wrong.
    pub(crate) fn parse(text: &str, threads: &str) -> Result<Self> {
        let mut lines = text.lines();
        let header: Vec<&str> = lines.next().context("no header")?.split(',').collect();
        let column = |name| header.iter().position(|field| *field == name).context(name);
        let [peer, case, thread] = [column("peer")?, column("shape")?, column("threads")?];
        let [median, error, max] = [column("median_us")?, column("max_abs_err")?, column("ref_max_abs")?];
        let (mut peers, mut cases) = (vec![OURS.to_owned()], Vec::new());
        let mut medians = HashMap::new();
        for line in lines {
            let fields: Vec<&str> = line.split(',').collect();
            ensure!(fields.len() == header.len(), "not {} fields: {line}", header.len());
            if fields[thread] != threads || fields[median].is_empty() {
                continue;
            }
            let (error, max): (f64, f64) = (fields[error].parse()?, fields[max].parse()?);
            // An error that is not a number fails, too.
            ensure!(error <= 1e-3 * max, "a wrong answer was timed: {line}");
            let value: f64 = fields[median].parse()?;
            for (known, name) in [(&mut peers, fields[peer]), (&mut cases, fields[case])] {
                if !known.iter().any(|known| known == name) {
                    known.push(name.to_owned());
                }
            }
            medians
                .entry((fields[peer].to_owned(), fields[case].to_owned()))
                .and_modify(|lowest: &mut f64| *lowest = lowest.min(value))
                .or_insert(value);
        }
        Ok(Self { peers, cases, medians })
    }

    /// The cases of a kind that we have run.
    pub(crate) fn cases(&self, kind: Kind) -> Vec<&str> {
        let cases = self.cases.iter().map(String::as_str);
        cases.filter(|case| Kind::of(case) == kind && self.median(OURS, case).is_some()).collect()
    }

    /// `ours`, and the others that have run any of the cases.
    pub(crate) fn peers_of(&self, cases: &[&str]) -> Vec<&str> {
        let ran = |peer: &&str| cases.iter().any(|case| self.median(peer, case).is_some());
        self.peers.iter().map(String::as_str).filter(ran).collect()
    }

    pub(crate) fn median(&self, peer: &str, case: &str) -> Option<f64> {
        self.medians.get(&(peer.to_owned(), case.to_owned())).copied()
    }

    /// A peer's time by ours: above 1 it is slower.
    pub(crate) fn ratio(&self, peer: &str, case: &str) -> Option<f64> {
        Some(self.median(peer, case)? / self.median(OURS, case)?)
    }

    /// The fastest of the others, and its ratio.
    pub(crate) fn fastest_other(&self, case: &str) -> Option<(&str, f64)> {
        let others = self.peers.iter().map(String::as_str).filter(|peer| *peer != OURS);
        let ratios = others.filter_map(|peer| Some((peer, self.ratio(peer, case)?)));
        ratios.min_by(|a, b| a.1.total_cmp(&b.1))
    }

    /// A peer's ratio in the geometric mean of the cases that it has run, and how many those are.
    pub(crate) fn mean_ratio(&self, peer: &str, cases: &[&str]) -> Option<(f64, usize)> {
        let ratios: Vec<_> = cases.iter().filter_map(|case| self.ratio(peer, case)).collect();
        Some((geometric_mean(&ratios)?, ratios.len()))
    }
}

/// None of no values.
pub(crate) fn geometric_mean(values: &[f64]) -> Option<f64> {
    let logs: f64 = values.iter().map(|value| value.ln()).sum();
    (!values.is_empty()).then(|| (logs / values.len() as f64).exp())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Two passes of `ours`; `torch` has not run `lenet2_n1`, nor `numpy` anything with one thread.
    pub(crate) const CSV: &str = "peer,threads,shape,median_us,max_abs_err,ref_max_abs,note
torch,1,lenet1_n1,8.0,1e-7,4.0,
ort,1,lenet1_n1,1.0,1e-7,4.0,
ours,1,lenet1_n1,2.5,1e-7,4.0,
ours,1,lenet1_n1,2.0,1e-7,4.0,
torch,1,lenet2_n1,,,,out of time
ort,1,lenet2_n1,8.0,1e-7,4.0,
ours,1,lenet2_n1,1.0,1e-7,4.0,
torch,1,gemm_64,3.0,1e-7,4.0,
ours,1,gemm_64,1.5,1e-7,4.0,
numpy,2,gemm_64,0.5,1e-7,4.0,
ours,1,max2x2s2_64_112,40,0,4.0,
";

    #[test]
    fn the_lowest_median_counts() {
        let results = Results::parse(CSV, "1").unwrap();
        assert_eq!(results.peers, ["ours", "torch", "ort"]);
        assert_eq!(results.cases(Kind::Convolution), ["lenet1_n1", "lenet2_n1"]);
        assert_eq!(results.cases(Kind::Product), ["gemm_64"]);
        assert_eq!(results.cases(Kind::Other), ["max2x2s2_64_112"]);
        assert_eq!(results.peers_of(&["gemm_64"]), ["ours", "torch"]);
        assert_eq!(results.median("ours", "lenet1_n1"), Some(2.0));
        assert_eq!(results.median("torch", "lenet2_n1"), None);
        assert_eq!(results.fastest_other("lenet1_n1"), Some(("ort", 0.5)));
        assert_eq!(results.fastest_other("max2x2s2_64_112"), None);
    }

    #[test]
    fn means_are_over_what_a_peer_has_run() {
        let results = Results::parse(CSV, "1").unwrap();
        let cases = results.cases(Kind::Convolution);
        // Ratios of 0.5 and 8; then of 4.
        for (peer, mean, count) in [("ort", 2.0, 2), ("torch", 4.0, 1)] {
            let (found, of) = results.mean_ratio(peer, &cases).unwrap();
            assert!((found - mean).abs() < 1e-12 && of == count, "{peer}: {found} of {of}");
        }
        assert_eq!(results.mean_ratio("numpy", &cases), None);
        assert_eq!(geometric_mean(&[]), None);
    }

    #[test]
    fn wrong_answers_are_refused() {
        for error in ["0.1", "inf", "nan"] {
            let csv = CSV.replacen("1e-7", error, 1);
            let message = Results::parse(&csv, "1").unwrap_err().to_string();
            assert!(message.starts_with("a wrong answer was timed: torch,1,lenet1_n1"), "{message}");
        }
    }

    #[test]
    fn missing_columns_and_fields_are_named() {
        let message = |csv: &str| Results::parse(csv, "1").unwrap_err().to_string();
        assert_eq!(message(""), "no header");
        assert_eq!(message(&CSV.replace("shape", "case")), "shape");
        assert_eq!(message(&CSV.replacen("8.0,", "", 1)), "not 7 fields: torch,1,lenet1_n1,1e-7,4.0,");
    }
}
