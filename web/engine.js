// The engine: im2col as WebAssembly, with vector instructions or without: built/simd128.js or built/scalar.js.
"use strict";

const IMAGE_LEN = 28 * 28;
const PARAM_COUNT = 61_706;
const LEARNED = 10_000;
const TESTED = 1_024;
const PADDING_MODES = { zeros: 0, border: 2 };
// A module whose only function makes a vector of zeros: valid where there are vector instructions.
const VECTOR_MODULE = Uint8Array.of(
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11,
);

// "simd128" or "scalar".
async function compileEngine(name) {
  return WebAssembly.compile(await unpacked(await builtText(name)));
}

// The module that this browser can run: { name, module }. `?engine=scalar` asks for the one without vectors.
async function loadModule() {
  const asked = new URLSearchParams(location.search).get("engine");
  const name = asked === "scalar" || !WebAssembly.validate(VECTOR_MODULE) ? "scalar" : "simd128";
  return { name, module: await compileEngine(name) };
}

// Single operations, and LeNet on one image. All tensors are flat, row by row. What does not fit together is an Error with the
// core's message.
class Engine {
  #wasm;

  constructor(module) {
    this.#wasm = new WebAssembly.Instance(module).exports;
  }

  // Views become invalid where memory grows; this memory never does.
  #floats(start, length) {
    return new Float32Array(this.#wasm.memory.buffer, start, length);
  }

  // Runs an operation: numbers, then operands, one behind the other; returns { values, channels, height, width }.
  #run(name, numbers, operands) {
    const wasm = this.#wasm;
    const room = new Uint32Array(wasm.memory.buffer, wasm.numbers(), 20);
    room.fill(0);
    room.set(numbers);
    const count = operands.reduce((sum, { length }) => sum + length, 0);
    if (count > wasm.values_len()) throw new Error("the operands are larger than the memory of the page");
    let at = wasm.values();
    for (const operand of operands) {
      this.#floats(at, operand.length).set(operand);
      at += 4 * operand.length;
    }
    if (wasm[name]()) {
      const text = new Uint8Array(wasm.memory.buffer, wasm.message(), wasm.message_len());
      throw new Error(new TextDecoder().decode(text));
    }
    const [start, channels, height, width] = room;
    const values = this.#floats(wasm.values() + 4 * start, channels * height * width).slice();
    return { values, channels, height, width };
  }

  static #patches({ inChannels = 1, height, width, kernel, padding = [0, 0], stride = [1, 1], mode = "zeros" }) {
    const [rows, columns] = padding;
    return [
      inChannels, height, width, ...kernel, rows, rows, columns, columns, ...stride, 1, 1, PADDING_MODES[mode],
    ];
  }

  // conv: { inChannels, outChannels, groups, height, width, kernel: [rows, columns], padding, stride, mode }, of which height,
  // width and kernel are required. mode: what the padding holds, "zeros" or the values at the "border".
  conv2d(conv, input, weight, bias = undefined) {
    const { outChannels = 1, groups = 1 } = conv;
    const numbers = [...Engine.#patches(conv), outChannels, groups, bias ? 1 : 0];
    return this.#run("convolve", numbers, bias ? [input, weight, bias] : [input, weight]);
  }

  // The gradient of the kernel, given that of the output, of one channel at stride 1: the input correlated with it.
  conv2dBackwardWeight({ height, width, kernel, padding = [0, 0] }, input, gradOutput) {
    const output = [0, 1].map((axis) => [height, width][axis] + 2 * padding[axis] - kernel[axis] + 1);
    return this.conv2d({ height, width, padding, kernel: output }, input, gradOutput).values;
  }

  // The matrix whose columns are the patches: `height` rows, a tap each, and `width` columns, a position each.
  im2col(conv, input) {
    return this.#run("im2col", Engine.#patches(conv), [input]);
  }

  // The convolution as a fully connected layer, `height` outputs by `width` inputs: what it makes of an image with a single 1 is
  // a column.
  denseMatrix(conv, weight) {
    const inputs = (conv.inChannels ?? 1) * conv.height * conv.width;
    const columns = Array.from({ length: inputs }, (_, input) => {
      const image = new Float32Array(inputs);
      image[input] = 1;
      return this.conv2d(conv, image, weight).values;
    });
    const outputs = columns[0].length;
    const values = Float32Array.from({ length: outputs * inputs }, (_, i) => columns[i % inputs][Math.floor(i / inputs)]);
    return { values, channels: 1, height: outputs, width: inputs };
  }

  // pool: { average, channels, height, width, window, padding, stride }; the stride is the window unless given.
  pool2d(pool, input) {
    const { average = false, channels = 1, height, width, window, padding = [0, 0], stride = window } = pool;
    return this.#run("pool", [average ? 1 : 0, channels, height, width, ...window, ...padding, ...stride], [input]);
  }

  // Rows of inputs times a weight of [outputs, inputs].
  linear({ rows = 1, inputs, outputs }, input, weight) {
    return this.#run("linear", [rows, inputs, outputs], [input, weight]).values;
  }

  // The parameters of LeNet, in the order of PyTorch's state_dict: to be set before it reads.
  set params(values) {
    this.#floats(this.#wasm.inference_params(), PARAM_COUNT).set(values);
  }

  // Reads an image of 28x28 bytes, 255 where there is most ink: { digit, layers, microseconds }. `layers` are the outputs of the
  // twelve layers. For a time, the image is read several times: clocks of browsers are coarse.
  read(pixels, { network = "relu", times = 1 } = {}) {
    const wasm = this.#wasm;
    new Uint8Array(wasm.memory.buffer, wasm.inference_pixels(), IMAGE_LEN).set(pixels);
    const started = performance.now();
    const digit = wasm.infer(network === "sigmoid" ? 1 : 0, times);
    const microseconds = ((performance.now() - started) * 1000) / times;
    const layers = [];
    for (let i = 0; i < wasm.layers(); i++) layers.push(this.#floats(wasm.layer(i), wasm.layer_len(i)).slice());
    return { digit, layers, microseconds };
  }
}
