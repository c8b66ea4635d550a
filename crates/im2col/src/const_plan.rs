//! Plans that the compiler makes.

/// Unwraps a plan at compile time: a shape that does not fit does not compile.
///
/// ```
/// use im2col::{ConvParams, ConvPlan, planned};
///
/// const PLAN: ConvPlan<1> = planned!(ConvParams::new(2, 4, [3]).plan(1, [16]));
/// assert_eq!(PLAN.output_dims(), [14]);
/// ```
///
/// The compiler says what the error says: "axis 0: the dilated kernel spans 3, the padded input has 2" here, and the
/// layer if the plan is a network's.
///
/// ```compile_fail,E0080
/// use im2col::{ConvParams, ConvPlan, planned};
///
/// const PLAN: ConvPlan<1> = planned!(ConvParams::new(2, 4, [3]).plan(1, [2]));
/// ```
///
/// What a plan offers is called on the plan, so behind the macro. Where that gives a `Result`, as limits of a
/// [`Network`](crate::Network) do, it is unwrapped as well:
///
/// ```
/// use im2col::{ConvParams, ConvPlan, Network, lenet::LENET, planned};
///
/// const CONV: ConvPlan<2> = planned!(ConvParams::new(16, 16, [3, 3]).plan(1, [12, 12])).with_scratch_limit(500);
/// const NETWORK: Network<12> = planned!(planned!(Network::plan(LENET, 1, [1, 28, 28])).with_scratch_limit(6_000));
/// assert!(CONV.scratch_len() <= 500 && NETWORK.scratch_len() <= 6_000);
/// ```
///
/// Within the macro there is no plan yet:
///
/// ```compile_fail,E0599
/// use im2col::{ConvParams, ConvPlan, planned};
///
/// const CONV: ConvPlan<2> = planned!(ConvParams::new(16, 16, [3, 3]).plan(1, [12, 12]).with_scratch_limit(500));
/// ```
#[macro_export]
macro_rules! planned {
    ($plan:expr) => {
        const {
            use $crate::const_plan::Limits as _;
            match $plan {
                ::core::result::Result::Ok(plan) => plan,
                ::core::result::Result::Err(error) => ::core::panic!("{}", error.message().as_str()),
            }
        }
    };
}

/// No type implements it: a [limit](Limits) called on a `Result` within [`planned!`] does not compile, with this message.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "a limit is set on the plan: `planned!(..).with_scratch_limit(len)`, or `planned!(planned!(..)\
               .with_scratch_limit(len))` where that gives a `Result`, as for a network",
    label = "within `planned!` this is not yet a plan"
)]
pub trait Plan {}

/// Methods for the error message of [`Plan`] only: [`planned!`] imports them, and a plan's own methods come first.
#[doc(hidden)]
pub trait Limits: Sized {
    #[must_use]
    fn with_scratch_limit(self, _: usize) -> Self {
        self
    }

    #[must_use]
    fn with_backward_scratch_limit(self, _: usize) -> Self {
        self
    }

    #[must_use]
    fn with_train_scratch_limit(self, _: usize) -> Self {
        self
    }
}

impl<T: Plan> Limits for T {}
