//! How a call is timed.

use anyhow::Result;
use std::time::{Duration, Instant};

/// A sample is at least this long: the clock's own cost then stays under a percent.
const SAMPLE: Duration = Duration::from_micros(20);
const WARM_UP: Duration = Duration::from_millis(100);
/// A first call of this length has warmed up enough.
const LONG_CALL: Duration = Duration::from_secs(1);

/// How long to measure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    min: Duration,
    cap: Duration,
}

impl Limits {
    /// At least `PEERS_MIN_S` (0.3) and 20 samples, at most `PEERS_CAP_S` (3) seconds.
    pub(crate) fn from_env() -> Result<Self> {
        let seconds = |name, default| match std::env::var(name) {
            Ok(text) => anyhow::Ok(Duration::try_from_secs_f64(text.trim().parse()?)?),
            Err(_) => Ok(default),
        };
        Ok(Self {
            min: seconds("PEERS_MIN_S", Duration::from_millis(300))?,
            cap: seconds("PEERS_CAP_S", Duration::from_secs(3))?,
        })
    }
}

/// What a call takes, in microseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) samples: usize,
}

/// Times `call`: warm-up, then samples of one call or of as many as fill [`SAMPLE`].
pub(crate) fn time(limits: Limits, mut call: impl FnMut() -> Result<()>) -> Result<Timing> {
    let calls = calls_per_sample(warm_up(&mut call)?);
    let mut samples = Vec::with_capacity(1 << 15);
    let begin = Instant::now();
    loop {
        let start = Instant::now();
        for _ in 0..calls {
            call()?;
        }
        samples.push(start.elapsed().as_secs_f64() * 1e6 / f64::from(calls));
        let elapsed = begin.elapsed();
        let enough = samples.len() >= 20 && elapsed >= limits.min;
        if enough || (samples.len() >= 2 && elapsed >= limits.cap) {
            break;
        }
    }
    samples.sort_by(f64::total_cmp);
    let half = samples.len() / 2;
    let median = if samples.len().is_multiple_of(2) {
        f64::midpoint(samples[half - 1], samples[half])
    } else {
        samples[half]
    };
    Ok(Timing { median, min: samples[0], samples: samples.len() })
}

/// Calls until caches, branch predictors and clock have settled; how long the last call took.
fn warm_up(call: &mut impl FnMut() -> Result<()>) -> Result<Duration> {
    let mut once = || {
        let start = Instant::now();
        call()?;
        anyhow::Ok(start.elapsed())
    };
    let first = once()?;
    if first >= LONG_CALL {
        return Ok(first);
    }
    let begin = Instant::now();
    loop {
        let last = once()?;
        if begin.elapsed() > WARM_UP {
            return Ok(last);
        }
    }
}

fn calls_per_sample(call: Duration) -> u32 {
    let nanos = call.as_nanos().clamp(1, SAMPLE.as_nanos());
    SAMPLE.as_nanos().div_ceil(nanos) as u32
}
