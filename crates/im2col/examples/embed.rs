//! How another program embeds a network: sizes are constants, the weights are a static array, what it
//! works in is another, and nothing is allocated. All but the printing works without `std`.
//!
//! The network tells a standing bar from a lying one, on 8x8 pixels. Its 24 weights are thought
//! up, not learned: two edge detectors, the mean strength of each, and the comparison.

use im2col::{
    Activation, ConvParams, Layer, LinearParams, Network, NetworkWeights, PoolParams, RunError, argmax,
    planned,
};
use im2col_testkit::alloc::{CountingAllocator, count_allocations};
use std::error::Error;

// Only to prove the claim: counts every allocation of the program.
#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// Planned by the compiler. A layer that does not fit the one before does not compile.
const NETWORK: Network<5> = planned!(Network::plan(
    [
        Layer::Conv(ConvParams::new(1, 2, [3, 3]).with_bias(false)),
        Layer::Activation(Activation::Relu),
        Layer::Pool(PoolParams::average([6, 6])),
        Layer::Flatten,
        Layer::Linear(LinearParams::new(2, 2)),
    ],
    1,
    [1, 8, 8]
));

/// In the order of the layers, each one's weight, then its bias. They end up in flash or in `.rodata`.
#[rustfmt::skip]
static PARAMS: [f32; NETWORK.param_len()] = [
    -1., 0., 1., -2., 0., 2., -1., 0., 1., // dark to bright from left to right: a standing edge
    -1., -2., -1., 0., 0., 0., 1., 2., 1., // from top to bottom: a lying edge
    1., -1., // standing: more of the first than of the second
    -1., 1., // lying: the other way round
    0., 0.,
];

// What has to fit into the machine is known before it runs.
const _: () = assert!(NETWORK.input_len() == 64 && NETWORK.output_len() == 2);
const _: () = assert!(NETWORK.param_len() == 24);
const _: () = assert!(NETWORK.scratch_len() * size_of::<f32>() < 16 * 1024);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bar {
    Standing,
    Lying,
}

/// Owns the memory that the network works in. It can stand on the stack, in a larger struct, or, as
/// `new` is `const`, in a static behind whatever lock the system has.
struct Reader {
    scratch: [f32; NETWORK.scratch_len()],
}

impl Reader {
    const fn new() -> Self {
        Self { scratch: [0.0; NETWORK.scratch_len()] }
    }

    fn read(&mut self, image: &[f32; NETWORK.input_len()]) -> Result<Bar, RunError> {
        let mut scores = [0.0; NETWORK.output_len()];
        NETWORK.forward(NetworkWeights::Plain(&PARAMS), image, &mut scores, &mut self.scratch)?;
        Ok(if argmax(&scores) == Some(0) { Bar::Standing } else { Bar::Lying })
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut reader = Reader::new();
    let standing: [f32; 64] = std::array::from_fn(|i| if matches!(i % 8, 3 | 4) { 1.0 } else { 0.0 });
    let lying: [f32; 64] = std::array::from_fn(|i| if matches!(i / 8, 2 | 3) { 1.0 } else { 0.0 });

    for (image, expected) in [(standing, Bar::Standing), (lying, Bar::Lying)] {
        let (bar, allocations) = count_allocations(|| reader.read(&image));
        for row in image.chunks(8) {
            let row: String = row.iter().map(|&pixel| if pixel > 0.0 { '#' } else { '.' }).collect();
            println!("  {row}");
        }
        println!("  {:?}, {allocations} allocations\n", bar?);
        assert_eq!((bar?, allocations), (expected, 0));
    }
    let bytes = |len: usize| len * size_of::<f32>();
    println!(
        "{} bytes of parameters, {} of scratch, both known to the compiler",
        bytes(NETWORK.param_len()),
        bytes(NETWORK.scratch_len())
    );
    Ok(())
}
