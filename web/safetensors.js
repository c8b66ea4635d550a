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

// What `lenet` calls the networks, and how it makes inputs of pixels.
const NETWORK_NAMES = { relu: "lenet-relu", sigmoid: "lenet" };
const NORMALISATION = "pixel / 255";

const sizeOf = (shape) => shape.reduce((product, size) => product * size, 1);

// The file's bytes. `network` is "relu" or "sigmoid".
function toSafetensors(params, network) {
  const header = {
    __metadata__: { network: NETWORK_NAMES[network], data_set: "mnist", normalisation: NORMALISATION },
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

// { params, network, isNamed: whether the file names its network } of a file's bytes; an Error says what is wrong with it.
function fromSafetensors(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const start = bytes.length < 8 ? Infinity : 8 + Number(view.getBigUint64(0, true));
  let header;
  try {
    if (start <= bytes.length) header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, start)));
  } catch {
    // No JSON.
  }
  if (!(header instanceof Object)) throw errorOf("this is no safetensors file", "这不是 safetensors 文件");
  const { network: name, normalisation = NORMALISATION } = header.__metadata__ ?? {};
  const network = name === undefined ? "relu" : Object.keys(NETWORK_NAMES).find((key) => NETWORK_NAMES[key] === name);
  if (!network) throw errorOf("it is another network than LeNet", "文件中的网络不是 LeNet");
  if (normalisation !== NORMALISATION) {
    throw errorOf(`its inputs are not made by ${NORMALISATION}`, `其输入不是按 ${NORMALISATION} 归一化的`);
  }
  const params = new Float32Array(PARAM_COUNT);
  let at = 0;
  for (const [key, shape] of TENSORS) {
    const tensor = header[key], length = sizeOf(shape);
    if (tensor?.dtype !== "F32" || JSON.stringify(tensor.shape) !== JSON.stringify(shape)) {
      const size = shape.join("×");
      throw errorOf(`it has no tensor ${key} of ${size} 32-bit numbers`, `缺少 ${size} 的 32 位浮点张量 ${key}`);
    }
    const [from, to] = Array.isArray(tensor.data_offsets) ? tensor.data_offsets : [];
    if (![from, to].every(Number.isSafeInteger) || from < 0 || to - from !== 4 * length || start + to > bytes.length) {
      throw errorOf(`the place of ${key} is wrong, or it is cut off`, `${key} 的位置有误，或数据不完整`);
    }
    for (let i = 0; i < length; i++) params[at++] = view.getFloat32(start + from + 4 * i, true);
  }
  if (!params.every(Number.isFinite)) throw errorOf("a number in it is not finite", "其中有的数不是有限值");
  return { params, network, isNamed: name !== undefined };
}
