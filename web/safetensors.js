// Weights as a file that PyTorch and `lenet` read, and back: https://github.com/huggingface/safetensors
"use strict";

// Under the keys of PyTorch's state_dict.
const TENSORS = [
  ["0.weight", [6, 1, 5, 5]], ["0.bias", [6]],
  ["3.weight", [16, 6, 5, 5]], ["3.bias", [16]],
  ["7.weight", [120, 400]], ["7.bias", [120]],
  ["9.weight", [84, 120]], ["9.bias", [84]],
  ["11.weight", [10, 84]], ["11.bias", [10]],
];

const sizeOf = (shape) => shape.reduce((product, size) => product * size, 1);

// The file's bytes. `network` is "lenet-relu" or "lenet".
function toSafetensors(params, network) {
  const header = {
    __metadata__: { network, data_set: "mnist", normalisation: "pixel / 255" },
  };
  let start = 0;
  for (const [name, shape] of TENSORS) {
    const end = start + 4 * sizeOf(shape);
    header[name] = { dtype: "F32", shape, data_offsets: [start, end] };
    start = end;
  }
  let text = JSON.stringify(header);
  text += " ".repeat((8 - (text.length % 8)) % 8);
  const bytes = new Uint8Array(8 + text.length + start);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, BigInt(text.length), true);
  bytes.set(new TextEncoder().encode(text), 8);
  params.forEach((value, i) => view.setFloat32(8 + text.length + 4 * i, value, true));
  return bytes;
}

// { params, network } of a file's bytes; an Error says what is wrong with it.
function fromSafetensors(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const headerLength = bytes.length < 8 ? Infinity : Number(view.getBigUint64(0, true));
  if (headerLength > bytes.length - 8) throw new Error("this is no safetensors file");
  let header;
  try {
    header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + headerLength)));
  } catch {
    throw new Error("this is no safetensors file");
  }
  const params = new Float32Array(PARAM_COUNT);
  let at = 0;
  for (const [name, shape] of TENSORS) {
    const tensor = header[name];
    const length = sizeOf(shape);
    if (tensor?.dtype !== "F32" || String(tensor.shape) !== String(shape)) {
      throw new Error(`it has no tensor ${name} of ${shape.join("x")} 32-bit numbers`);
    }
    const first = 8 + headerLength + tensor.data_offsets[0];
    if (!(first >= 0 && first + 4 * length <= bytes.length)) throw new Error(`${name} is cut off`);
    for (let i = 0; i < length; i++) params[at++] = view.getFloat32(first + 4 * i, true);
  }
  if (!params.every(Number.isFinite)) throw new Error("a number in it is not finite");
  return { params, network: header.__metadata__?.network === "lenet" ? "sigmoid" : "relu" };
}
