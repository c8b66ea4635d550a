// error: a limit is set on the plan: `planned!(..).with_scratch_limit(len)`
#![no_std]

use im2col::{ConvParams, ConvPlan, planned};

pub const CONV: ConvPlan<2> = planned!(ConvParams::new(1, 8, [3, 3]).plan(1, [8, 8]).with_scratch_limit(100));
