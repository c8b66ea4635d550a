//! The estimates of some shapes, against numbers that are written here: they were fitted to measurements, and a change of
//! one asks for new ones (`choices --random` in the benches).

use super::{best, estimate};
use crate::conv::algorithm::Algorithm::{self, Broadcast, Direct, Im2col, InPlace, Pointwise, Winograd};
use crate::conv::params::ConvParams;
use crate::conv::rounding::Rounding;
use crate::conv::shape::ConvShape;
use crate::padding::PaddingMode;

const fn shape(params: ConvParams<3>, batch: usize, input: [usize; 3]) -> Option<ConvShape> {
    let (groups, window) = (params.groups(), params.window(input));
    let (in_group, out_group) = (params.in_channels() / groups, params.out_channels() / groups);
    match window {
        Ok(window) => Some(ConvShape::new(batch, groups, [in_group, out_group], window)),
        Err(_) => None,
    }
}

fn shapes() -> Vec<Option<ConvShape>> {
    let conv = |inputs, outputs, kernel| ConvParams::new(inputs, outputs, kernel);
    vec![
        shape(conv(64, 70, [1, 1, 1]), 3, [1, 19, 23]),
        shape(conv(1, 6, [1, 5, 5]).with_padding([0, 2, 2]), 2, [1, 28, 28]),
        shape(conv(20, 33, [1, 3, 3]).with_padding([0, 1, 1]).with_stride([1, 2, 2]), 1, [1, 57, 41]),
        shape(conv(12, 1, [3, 2, 3]).with_stride([2, 1, 3]).with_padding([1, 2, 3]), 5, [9, 11, 38]),
        shape(conv(30, 45, [3, 3, 3]).with_dilation([1, 2, 2]).with_groups(3), 2, [7, 18, 21]),
        shape(conv(512, 17, [1, 3, 1]).with_padding([0, 1, 0]), 1, [1, 14, 14]),
        shape(
            conv(4, 9, [1, 4, 3]).with_padding([0, 3, 2]).with_padding_mode(PaddingMode::Replicate),
            7,
            [1, 20, 31],
        ),
        shape(conv(3, 5, [1, 1, 130]).with_padding([0, 0, 70]).with_dilation([1, 1, 2]), 1, [1, 6, 300]),
        shape(conv(3, 5, [1, 130, 1]).with_padding([0, 70, 0]).with_dilation([1, 2, 1]), 1, [1, 300, 6]),
        shape(conv(300, 20, [2, 2, 2]).with_stride([1, 1, 4]).with_padding([1, 0, 1]), 1, [5, 6, 30]),
    ]
}

#[test]
fn estimates_are_what_was_fitted() {
    for (shape, (chosen, expected)) in shapes().into_iter().zip(EXPECTED) {
        let shape = shape.unwrap();
        let algorithms = [Pointwise, Broadcast, Direct, InPlace, Im2col];
        let estimates = algorithms.map(|algorithm| estimate(&shape, algorithm));
        assert_eq!((best(&shape, Rounding::Ordered), estimates), (chosen, expected), "{shape:?}");
    }
}

#[test]
fn winograd_is_estimated_as_fitted() {
    let conv = |inputs, outputs, batch, input| {
        shape(ConvParams::new(inputs, outputs, [1, 3, 3]).with_padding([0, 1, 1]), batch, input).unwrap()
    };
    let estimated = [
        conv(64, 64, 1, [1, 56, 56]),
        conv(512, 512, 1, [1, 7, 7]),
        conv(3, 32, 7, [2, 32, 30]),
        conv(1, 8, 1, [1, 300, 5]),
    ]
    .map(|shape| (estimate(&shape, Winograd), best(&shape, Rounding::Any) == Winograd));
    assert_eq!(estimated, WINOGRAD);
}

/// Estimates of what is too long to compute do not overflow.
#[test]
fn estimates_of_huge_shapes_are_huge() {
    let huge = shape(ConvParams::new(1 << 20, 1 << 20, [3, 3, 3]), 1 << 20, [1 << 10; 3]).unwrap();
    for algorithm in [Broadcast, Direct, InPlace, Im2col] {
        assert_eq!(estimate(&huge, algorithm), u64::MAX);
    }
    let huge = shape(ConvParams::new(1 << 20, 1 << 20, [1, 3, 3]), 1 << 20, [1, 1 << 10, 1 << 10]).unwrap();
    assert_eq!(estimate(&huge, Winograd), u64::MAX);
}

/// The choice, and the picoseconds of the algorithms in the order above.
const EXPECTED: [(Algorithm, [u64; 5]); 10] = [
    (Pointwise, [133_249_140, 161_586_800, 178_524_428, 399_208_256, 142_227_204]),
    (Direct, [12_477_710, 18_081_412, 8_150_880, 17_507_260, 43_295_580]),
    (Broadcast, [97_366_240, 132_968_411, 174_144_780, 442_199_700, 135_630_140]),
    (Direct, [268_455_140, 534_211_400, 253_197_520, 422_970_260, 1_101_390_964]),
    (Broadcast, [779_328_200, 667_377_740, 1_513_175_700, 3_798_376_700, 1_131_896_060]),
    (Direct, [177_389_716, 289_116_772, 215_172_036, 535_172_340, 232_159_772]),
    (Broadcast, [106_889_428, 111_612_880, 115_331_848, 270_847_966, 244_215_404]),
    (Direct, [111_403_360, 136_477_448, 62_934_820, 150_795_060, 594_669_320]),
    (Broadcast, [111_403_360, 147_752_768, 157_164_680, 418_831_532, 654_993_320]),
    (Im2col, [320_967_400, 1_488_339_620, 807_659_500, 2_347_913_400, 726_027_400]),
];

/// The picoseconds of Winograd's algorithm, and whether it is taken where sums may be rounded in any order.
const WINOGRAD: [(u64, bool); 4] =
    [(725_771_240, true), (1_221_853_288, true), (392_047_384, false), (40_183_752, false)];
