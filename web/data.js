// What comes with the page, made by web/build: the engine twice, the digits, and a trained network. Files opened from a disk can be
// read only as scripts: built/NAME.js sets BUILT.NAME to a text in which bytes are packed.
"use strict";

const BUILT = {};
const loading = new Map();

// The text of built/NAME.js, which is loaded once.
async function builtText(name) {
  if (!loading.has(name)) loading.set(name, loadScript(`built/${name}.js`));
  try {
    await loading.get(name);
  } catch (error) {
    loading.delete(name);
    throw error;
  }
  return BUILT[name];
}

// Runs a script; resolves when it has run.
function loadScript(path) {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = path;
    script.onload = () => resolve();
    script.onerror = () => reject(errorOf(`${path} is not there; web/build makes it`, `缺少 ${path}（由 web/build 生成）`));
    document.head.append(script);
  });
}

// Bytes that were compressed by gzip and written in Z85 (https://rfc.zeromq.org/spec/32), five characters for four bytes; before
// them stands a digit, how many of the last bytes are not theirs.
async function unpacked(text) {
  const characters = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";
  const values = new Uint8Array(128);
  for (let i = 0; i < 85; i++) values[characters.charCodeAt(i)] = i;
  const words = new DataView(new ArrayBuffer(((text.length - 1) / 5) * 4));
  for (let at = 1, byte = 0; at < text.length; byte += 4) {
    let word = 0;
    for (const end = at + 5; at < end; at++) word = word * 85 + values[text.charCodeAt(at)];
    words.setUint32(byte, word);
  }
  const bytes = new Uint8Array(words.buffer, 0, words.byteLength - Number(text[0]));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// The digits, of their text: { pixels: bytes of [11024, 28, 28], labels }; the last 1,024 are for tests. It takes a while: the
// worker of training.js does it.
async function unpackedDigits(text, count, imageLen) {
  const packed = await unpacked(text);
  const labels = packed.slice(0, count);
  // First a bit for each pixel, whether there is ink; then the ink of those that have some.
  const mask = packed.subarray(count, count + (count * imageLen) / 8);
  const pixels = new Uint8Array(count * imageLen);
  let at = count + mask.length;
  for (let i = 0; i < pixels.length; i++) {
    if (mask[i >> 3] & (128 >> (i & 7))) pixels[i] = packed[at++];
  }
  return { pixels, labels };
}

// The parameters of a network that was trained before, stored as bfloat16: the upper halves of 32-bit numbers.
async function loadWeights() {
  const halves = await unpacked(await builtText("weights"));
  const bits = new Uint32Array(PARAM_COUNT);
  for (let i = 0; i < bits.length; i++) bits[i] = (halves[2 * i] << 16) | (halves[2 * i + 1] << 24);
  return new Float32Array(bits.buffer);
}
