// The digits and the trained network that come with the page: built/digits.js and built/weights.js.
"use strict";

// Runs a script; resolves when it has run. Files opened from a disk can be read in no other way.
function loadScript(path) {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = path;
    script.onload = () => resolve();
    script.onerror = () => reject(new Error(`${path} is not there; web/build makes it`));
    document.head.append(script);
  });
}

// The digits of built/digits.js: { pixels: bytes of [11024, 28, 28], labels }; the last 1,024 are for tests. It takes a while: the
// worker of training.js does it.
async function unpackedDigits(base64, count, imageLen) {
  const packed = await unpacked(base64);
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
  const halves = await unpacked(WEIGHTS);
  const bits = new Uint32Array(PARAM_COUNT);
  for (let i = 0; i < bits.length; i++) bits[i] = (halves[2 * i] << 16) | (halves[2 * i + 1] << 24);
  return new Float32Array(bits.buffer);
}
